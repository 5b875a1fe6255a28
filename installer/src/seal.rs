//! Sealing of the secrets in pcg.yaml and of the progress file: XChaCha20-Poly1305 with a key file of mode 0600 beside
//! them. What a value is for (its field and the gateway's name) is bound into the seal, so a sealed value works nowhere
//! but where it was put. Whoever gets the yaml alone, in a mail or a ticket, learns no secret.

use crate::{InstallError, files};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use std::{fmt, path::Path};
use zeroize::Zeroizing;

/// What every sealed value begins with.
pub const PREFIX: &str = "enc:v1:";
/// Name of the key file beside pcg.yaml.
pub const KEY_FILE: &str = "pcg.key";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Seals and opens the values of one installation.
#[derive(Clone)]
pub struct Sealer {
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

/// A sealed value that does not open: it, its field, the name, or the key file is not the one it was sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open")]
pub struct DoesNotOpen;

impl Sealer {
    /// A sealer with a fresh key.
    #[must_use]
    pub fn generate() -> Self {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rand::rng().fill_bytes(key.as_mut());
        Self { key }
    }

    /// Keeps the key in its file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), InstallError> {
        let text = Zeroizing::new(format!("{}\n", BASE64.encode(self.key.as_ref())));
        files::write_private(&folder.join(KEY_FILE), text.as_bytes())
    }

    /// Reads the key from its file.
    ///
    /// # Errors
    /// The file is missing or is no key.
    pub fn load(folder: &Path) -> Result<Self, InstallError> {
        let path = folder.join(KEY_FILE);
        if !path.exists() {
            return Err(InstallError::KeyMissing { path });
        }
        let text = Zeroizing::new(files::read_text(&path)?);
        let bytes = Zeroizing::new(BASE64.decode(text.trim()).unwrap_or_default());
        let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| InstallError::KeyMissing { path })?;
        Ok(Self { key: Zeroizing::new(key) })
    }

    /// Seals bytes for a field of a gateway.
    #[must_use]
    pub fn seal_bytes(&self, gateway: &str, field: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: plain, aad: &bound(gateway, field) };
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .expect("the cipher seals any text that fits in memory");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`Sealer::seal_bytes`] made for the same field of the same gateway.
    ///
    /// # Errors
    /// [`DoesNotOpen`] where anything differs.
    pub fn open_bytes(&self, gateway: &str, field: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(DoesNotOpen)?;
        let payload = Payload { msg: sealed, aad: &bound(gateway, field) };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| DoesNotOpen)
    }

    /// Seals a text for a field of pcg.yaml.
    #[must_use]
    pub fn seal(&self, gateway: &str, field: &str, plain: &SecretString) -> String {
        format!("{PREFIX}{}", BASE64.encode(self.seal_bytes(gateway, field, plain.expose_secret().as_bytes())))
    }

    /// Opens a field of pcg.yaml.
    ///
    /// # Errors
    /// [`DoesNotOpen`] where the text was changed, stood elsewhere, or the key is another.
    pub fn open(&self, gateway: &str, field: &str, sealed: &str) -> Result<SecretString, DoesNotOpen> {
        let bytes = sealed.strip_prefix(PREFIX).and_then(|text| BASE64.decode(text.trim()).ok()).ok_or(DoesNotOpen)?;
        let plain = self.open_bytes(gateway, field, &bytes)?;
        std::str::from_utf8(&plain).map(SecretString::from).map_err(|_| DoesNotOpen)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

fn bound(gateway: &str, field: &str) -> Vec<u8> {
    // Neither a name nor a field has a zero byte, so no two pairs look alike.
    [b"ferrogate installer v1\0", gateway.as_bytes(), b"\0", field.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_where_it_was_put() {
        let sealer = Sealer::generate();
        let sealed = sealer.seal("gw-1", "maas.api_key", &SecretString::from("a:b:c"));
        assert_eq!(sealer.open("gw-1", "maas.api_key", &sealed).unwrap().expose_secret(), "a:b:c");
        for (gateway, field) in [("gw-2", "maas.api_key"), ("gw-1", "plane.password")] {
            assert!(sealer.open(gateway, field, &sealed).is_err(), "{gateway} {field}");
        }
        assert!(Sealer::generate().open("gw-1", "maas.api_key", &sealed).is_err());
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealer = Sealer::generate();
        let sealed = sealer.seal_bytes("gw", "f", b"secret");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open_bytes("gw", "f", &changed).is_err(), "{at}");
        }
        for length in 0..sealed.len() {
            assert!(sealer.open_bytes("gw", "f", &sealed[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn the_key_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Sealer::load(folder.path()), Err(InstallError::KeyMissing { .. })));
        let sealer = Sealer::generate();
        sealer.save(folder.path()).unwrap();
        let sealed = sealer.seal("gw", "f", &SecretString::from("s"));
        assert!(Sealer::load(folder.path()).unwrap().open("gw", "f", &sealed).is_ok());
    }
}
