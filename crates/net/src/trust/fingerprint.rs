//! A certificate known by its digest.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// SHA-256 of a certificate's DER encoding, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate's fingerprint; write `sha256:` and 64 hexadecimal digits")]
pub struct BadFingerprint;

impl Fingerprint {
    /// Of a certificate in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", ferrogate_files::hex(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    /// Takes upper and lower case, and the colons that `openssl x509 -fingerprint -sha256` writes.
    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let text = text.trim();
        let prefix = text.get(..7).filter(|prefix| prefix.eq_ignore_ascii_case("sha256:")).ok_or(BadFingerprint)?;
        let digits: Vec<u8> = text[prefix.len()..].bytes().filter(|byte| *byte != b':').collect();
        ferrogate_files::from_hex(digits).map(Self).ok_or(BadFingerprint)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_back_as_it_was_written() {
        let fingerprint = Fingerprint::of(b"certificate");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }

    #[test]
    fn the_form_openssl_prints_is_understood() {
        let text = format!("SHA256:{}", ["0A"; 32].join(":"));
        assert_eq!(text.parse(), Ok(Fingerprint([10; 32])));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "sha256:", "sha1:0a", "sha256:0g0g", &format!("sha256:{}é", "0".repeat(62)), "sha256é"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(BadFingerprint), "{text}");
        }
    }
}
