//! What is kept of a token or a code: enough to recognise it, nothing to use it with.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// SHA-256 of a random token, as 64 hexadecimal digits.
///
/// Right for what has at least 128 random bits, such as session tokens; passwords need a slow hash instead.
#[derive(Clone, Debug)]
pub struct SecretHash(String);

impl SecretHash {
    /// The hash of a token or code.
    #[must_use]
    pub fn of(secret: &SecretString) -> Self {
        Self(ferrogate_files::sha256(secret.expose_secret()))
    }

    /// Whether this is the hash of `secret`; takes the same time whatever the answer.
    #[must_use]
    pub fn matches(&self, secret: &SecretString) -> bool {
        *self == Self::of(secret)
    }

    pub(crate) const fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretHash {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_recognises_its_secret_and_no_other() {
        let hash = SecretHash::of(&"correct horse".into());
        assert!(hash.matches(&"correct horse".into()));
        assert!(!hash.matches(&"correct house".into()));
        assert_eq!(hash.as_str().len(), 64);
    }
}
