//! A node's identity: an Ed25519 key that is made on its first start and never leaves the machine.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ferrogate_model::{Explain, Fault, Retry};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

/// A node's public key (Ed25519). Text form `ed25519:` and 43 characters of URL-safe base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// A text that is not a node's public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a node's public key: expected `ed25519:` followed by 43 characters of URL-safe base64")]
pub struct BadPublicKey;

impl PublicKey {
    const PREFIX: &'static str = "ed25519:";

    /// The key that has these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` was made over `message` with the private half.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = BadPublicKey;

    fn from_str(text: &str) -> Result<Self, BadPublicKey> {
        let encoded = text.strip_prefix(Self::PREFIX).ok_or(BadPublicKey)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| BadPublicKey)?;
        bytes.try_into().map(Self).map_err(|_| BadPublicKey)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a node's key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file, or its folder, could not be read or written.
    #[error("could not use the node's key file {}", path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file does not hold a key.
    #[error("the node's key file {} is damaged", path.display())]
    Damaged {
        /// The key file.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for the node's key")]
    Random,
}

impl Explain for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "node_key_unusable",
            Self::Damaged { .. } => "node_key_damaged",
            Self::Random => "no_randomness",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Gateway
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Damaged { .. } => Retry::No,
            Self::File { .. } | Self::Random => Retry::Later,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::File { path, .. } => Some(format!(
                "check that {} exists and may be written by the gateway",
                path.parent().unwrap_or(path).display()
            )),
            Self::Damaged { .. } => Some("let the plane rebuild this node, so that it registers a new key".into()),
            Self::Random => None,
        }
    }
}

/// A node's key pair. Its private half is never shown.
pub struct NodeKey {
    pair: Ed25519KeyPair,
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeKey").field(&self.public_key()).finish()
    }
}

impl NodeKey {
    /// A new key that is not written anywhere.
    ///
    /// # Errors
    /// [`KeyError::Random`] where the operating system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        Self::generate_document().map(|(key, _)| key)
    }

    /// The key in `path`; where there is none, makes one and writes it there: whole or not at all, readable by nobody
    /// else (mode 0600).
    ///
    /// # Errors
    /// [`KeyError`] where the file cannot be read or written, or is not a key.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let (key, document) = Self::generate_document()?;
                match create(path, &document) {
                    Ok(()) => Ok(key),
                    // Another process of this node was faster; its key is the node's.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
                    Err(source) => Err(KeyError::File { path: path.to_owned(), source }),
                }
            }
            loaded => loaded,
        }
    }

    fn load(path: &Path) -> Result<Self, KeyError> {
        let document = std::fs::read(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        Self::from_document(&document).ok_or_else(|| KeyError::Damaged { path: path.to_owned() })
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    fn generate_document() -> Result<(Self, Vec<u8>), KeyError> {
        let random = ring::rand::SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| KeyError::Random)?;
        let key = Self::from_document(document.as_ref()).ok_or(KeyError::Random)?;
        Ok((key, document.as_ref().to_vec()))
    }

    fn from_document(document: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8(document).ok().map(|pair| Self { pair })
    }
}

/// Writes a file that was not there, and its folder where that is missing.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    ferrogate_files::create_private(path, content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_private_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/node.key");
        let first = NodeKey::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = NodeKey::load_or_create(&path).unwrap();
        assert_eq!(first.public_key(), second.public_key());
        assert!(second.public_key().verifies(b"text", &first.sign(b"text")));
        assert!(!second.public_key().verifies(b"test", &first.sign(b"text")));
        let left = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "no temporary file stays");
    }

    #[test]
    fn a_damaged_key_file_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        std::fs::write(&path, b"nonsense").unwrap();
        assert!(matches!(NodeKey::load_or_create(&path), Err(KeyError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"nonsense");
    }

    #[test]
    fn a_public_key_survives_its_text_form() {
        let key = NodeKey::generate().unwrap().public_key();
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(key.to_string().len(), "ed25519:".len() + 43);
        assert!("ed25519:short".parse::<PublicKey>().is_err());
        assert!(!format!("{:?}", NodeKey::generate().unwrap()).contains("pair"));
    }
}
