//! The API key as MAAS shows it to its users.

use secrecy::{ExposeSecret, SecretString};
use std::{fmt, str::FromStr};

/// Consumer key, token key and token secret. Never shown: not by `Debug`, not in an error.
#[derive(Clone)]
pub struct ApiKey {
    consumer: String,
    token: SecretString,
    secret: SecretString,
}

/// A text that is no API key. It does not repeat the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadApiKey {
    /// Not three parts.
    #[error(
        "an API key has three parts separated by colons, this one has {0}; copy it whole from MAAS under your name, API keys"
    )]
    Parts(usize),
    /// A part is missing or has characters no key has.
    #[error(
        "the API key's {0} part is empty or has characters no key has; copy it whole from MAAS under your name, API keys"
    )]
    Part(&'static str),
}

impl ApiKey {
    /// The key as it was given: only for sealed files and tests.
    #[must_use]
    pub fn expose(&self) -> SecretString {
        SecretString::from(format!("{}:{}:{}", self.consumer, self.token.expose_secret(), self.secret.expose_secret()))
    }

    pub(crate) fn consumer(&self) -> &str {
        &self.consumer
    }

    pub(crate) fn token(&self) -> &str {
        self.token.expose_secret()
    }

    pub(crate) fn secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl FromStr for ApiKey {
    type Err = BadApiKey;

    fn from_str(text: &str) -> Result<Self, BadApiKey> {
        let parts: Vec<&str> = text.trim().split(':').collect();
        let &[consumer, token, secret] = parts.as_slice() else { return Err(BadApiKey::Parts(parts.len())) };
        for (part, name) in [(consumer, "first"), (token, "second"), (secret, "third")] {
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(BadApiKey::Part(name));
            }
        }
        Ok(Self { consumer: consumer.into(), token: token.into(), secret: secret.into() })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_two_parts_is_refused_without_repeating_it() {
        let error = "consumer:hunter2".parse::<ApiKey>().unwrap_err();
        assert_eq!(error, BadApiKey::Parts(2));
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_eq!("a:b:c:d".parse::<ApiKey>().unwrap_err(), BadApiKey::Parts(4));
        assert_eq!("".parse::<ApiKey>().unwrap_err(), BadApiKey::Parts(1));
    }

    #[test]
    fn an_empty_or_broken_part_is_named() {
        assert_eq!("a::c".parse::<ApiKey>().unwrap_err(), BadApiKey::Part("second"));
        assert_eq!("a:b:c\"\r\nx".parse::<ApiKey>().unwrap_err(), BadApiKey::Part("third"));
    }

    #[test]
    fn a_key_is_never_shown() {
        let key: ApiKey = " Consumer1:Token1:Secret1\n".parse().unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(***)");
        assert_eq!(key.expose().expose_secret(), "Consumer1:Token1:Secret1");
    }
}
