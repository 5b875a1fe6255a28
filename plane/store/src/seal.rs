//! Sealing of secret columns: whoever reads the database file alone learns no secret, and whoever edits it is found out.
//!
//! A sealed value is `key id (8 bytes) ‖ nonce (24) ‖ XChaCha20-Poly1305 ciphertext`, bound to its table, column and row, so
//! it cannot be moved to another place either. The 192-bit nonce is drawn at random for every value.

use crate::StoreError;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Payload},
};
use ferrogate_files::hex;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::{fmt, os::unix::fs::PermissionsExt, path::Path};
use zeroize::Zeroizing;

const KEY_LENGTH: usize = 32;
const KEY_ID_LENGTH: usize = 8;
const NONCE_LENGTH: usize = 24;

/// The keys of a plane: the first seals, all of them open. Never shown.
#[derive(Clone)]
pub struct MasterKey {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: [u8; KEY_ID_LENGTH],
    bytes: Zeroizing<[u8; KEY_LENGTH]>,
}

impl MasterKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self { keys: vec![Key::generate()] }
    }

    /// Reads the key file, or makes one (mode 0600) where there is none; of several that do so at once one makes it, and all
    /// hold its key.
    ///
    /// The file has a key a line, 64 hexadecimal digits: the first seals, all open. A systemd credential is read the same way.
    ///
    /// # Errors
    /// [`StoreError::KeyFile`] when it cannot be read or written, when others than its owner can read it, or when it holds
    /// anything but keys.
    pub fn load_or_create(path: &Path) -> Result<Self, StoreError> {
        match std::fs::File::open(path) {
            Ok(file) => Self::load(path, file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = Self::generate();
                match key.create(path) {
                    Ok(()) => Ok(key),
                    // Another plane that starts at the same time was faster: its key is the one that both must hold.
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                        Self::load(path, std::fs::File::open(path).map_err(|error| key_file(path, error))?)
                    }
                    Err(error) => Err(key_file(path, error)),
                }
            }
            Err(error) => Err(key_file(path, error)),
        }
    }

    fn load(path: &Path, mut file: std::fs::File) -> Result<Self, StoreError> {
        let mode = file.metadata().map_err(|error| key_file(path, error))?.permissions().mode();
        // Group read is what systemd gives a credential of a dynamic user.
        if mode & 0o037 != 0 {
            return Err(key_file(path, format!("its mode is {:04o}, so others can reach it; use 0600", mode & 0o7777)));
        }
        let mut text = Zeroizing::new(String::new());
        std::io::Read::read_to_string(&mut file, &mut text).map_err(|error| key_file(path, error))?;
        let keys = text
            .lines()
            .map(str::trim)
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| {
                Key::from_hex(line)
                    .ok_or_else(|| key_file(path, format!("line {} is not 64 hexadecimal digits", index + 1)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(key_file(path, "it is empty"));
        }
        Ok(Self { keys })
    }

    /// Writes the keys to a file of mode 0600 that was not there, whole or not at all.
    fn create(&self, path: &Path) -> std::io::Result<()> {
        let mut text = Zeroizing::new(String::new());
        for key in &self.keys {
            text.push_str(&Zeroizing::new(hex(*key.bytes)));
            text.push('\n');
        }
        ferrogate_files::create_private(path, text.as_bytes())
    }

    /// Ids of the keys, the one that seals first; safe to show.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.keys.iter().map(|key| hex(key.id)).collect()
    }

    pub(crate) fn seal(&self, table: &'static str, column: &'static str, row: &str, plain: &[u8]) -> Vec<u8> {
        let key = &self.keys[0];
        let nonce = XNonce::generate();
        let aad = place(table, column, row);
        let cipher = XChaCha20Poly1305::new((&*key.bytes).into());
        let ciphertext = cipher
            .encrypt(&nonce, Payload { msg: plain, aad: &aad })
            .expect("a secret is far below the cipher's limit of 256 GiB");
        let mut sealed = Vec::with_capacity(KEY_ID_LENGTH + NONCE_LENGTH + ciphertext.len());
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    pub(crate) fn open(
        &self,
        table: &'static str,
        column: &'static str,
        row: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let tampered = || StoreError::Tampered { table, column, row: row.to_owned() };
        let (id, rest) = sealed.split_at_checked(KEY_ID_LENGTH).ok_or_else(tampered)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LENGTH).ok_or_else(tampered)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.id == id)
            .ok_or_else(|| StoreError::WrongKey { sealed_with: hex(id), available: self.ids().join(", ") })?;
        let nonce = XNonce::try_from(nonce).map_err(|_| tampered())?;
        let aad = place(table, column, row);
        let cipher = XChaCha20Poly1305::new((&*key.bytes).into());
        let plain = cipher.decrypt(&nonce, Payload { msg: ciphertext, aad: &aad }).map_err(|_| tampered())?;
        Ok(Zeroizing::new(plain))
    }

    pub(crate) fn seal_text(
        &self,
        table: &'static str,
        column: &'static str,
        row: &str,
        text: &SecretString,
    ) -> Vec<u8> {
        self.seal(table, column, row, text.expose_secret().as_bytes())
    }

    pub(crate) fn open_text(
        &self,
        table: &'static str,
        column: &'static str,
        row: &str,
        sealed: &[u8],
    ) -> Result<SecretString, StoreError> {
        let plain = self.open(table, column, row, sealed)?;
        let text =
            std::str::from_utf8(&plain).map_err(|_| StoreError::Tampered { table, column, row: row.to_owned() })?;
        Ok(SecretString::from(text))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MasterKey").field(&self.ids()).finish()
    }
}

impl Key {
    fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        let digest = Sha256::new().chain_update(b"ferrogate master key id\0").chain_update(bytes).finalize();
        let mut id = [0; KEY_ID_LENGTH];
        id.copy_from_slice(&digest[..KEY_ID_LENGTH]);
        Self { id, bytes: Zeroizing::new(bytes) }
    }

    fn generate() -> Self {
        Self::new(chacha20poly1305::Key::generate().into())
    }

    fn from_hex(text: &str) -> Option<Self> {
        ferrogate_files::from_hex(text).map(Self::new)
    }
}

/// What a sealed value is bound to. Table and column are ours and hold no separator.
fn place(table: &str, column: &str, row: &str) -> Vec<u8> {
    format!("{table}\0{column}\0{row}").into_bytes()
}

fn key_file(path: &Path, problem: impl fmt::Display) -> StoreError {
    StoreError::KeyFile { path: path.display().to_string(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let key = MasterKey::generate();
        let sealed = key.seal("accounts", "api_key", "acct_1", b"a:b:c");
        assert_eq!(&**key.open("accounts", "api_key", "acct_1", &sealed).unwrap(), b"a:b:c");
        for (table, column, row) in
            [("gateways", "api_key", "acct_1"), ("accounts", "proxy", "acct_1"), ("accounts", "api_key", "acct_2")]
        {
            let error = key.open(table, column, row, &sealed).unwrap_err();
            assert!(error.to_string().contains(&format!("{table}.{column} of row `{row}`")), "{error}");
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = MasterKey::generate();
        let sealed = key.seal("settings", "value", "x", b"secret");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            let error = key.open("settings", "value", "x", &changed).unwrap_err();
            let expected = if index < KEY_ID_LENGTH { "another plane" } else { "changed or moved" };
            assert!(error.to_string().contains(expected), "byte {index}: {error}");
        }
        for length in 0..sealed.len() {
            assert!(key.open("settings", "value", "x", &sealed[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time() {
        let key = MasterKey::generate();
        assert_ne!(key.seal("t", "c", "r", b"x"), key.seal("t", "c", "r", b"x"));
    }

    #[test]
    fn the_first_key_of_the_file_seals_and_every_one_opens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let old = MasterKey::load_or_create(&path).unwrap();
        let sealed = old.seal("t", "c", "r", b"x");
        let lines = format!("{}\n{}", "5a".repeat(KEY_LENGTH), std::fs::read_to_string(&path).unwrap());
        std::fs::write(&path, lines).unwrap();
        let both = MasterKey::load_or_create(&path).unwrap();
        assert!(both.open("t", "c", "r", &sealed).is_ok());
        let anew = both.seal("t", "c", "r", b"x");
        assert!(matches!(old.open("t", "c", "r", &anew), Err(StoreError::WrongKey { .. })));
    }

    #[test]
    fn of_many_that_start_at_once_all_hold_one_key() {
        const STARTS: usize = 8;
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("master.key");
            let at_once = std::sync::Barrier::new(STARTS);
            let ids = std::thread::scope(|scope| {
                let start = || {
                    at_once.wait();
                    MasterKey::load_or_create(&path).unwrap().ids()
                };
                let starts: Vec<_> = (0..STARTS).map(|_| scope.spawn(start)).collect();
                starts.into_iter().map(|start| start.join().unwrap()).collect::<Vec<_>>()
            });
            let kept = MasterKey::load_or_create(&path).unwrap().ids();
            assert!(ids.iter().all(|held| *held == kept), "{ids:?} and on the disk {kept:?}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let first = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(MasterKey::load_or_create(&path).unwrap().ids(), first.ids());

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(MasterKey::load_or_create(&path).unwrap_err().to_string().contains("0644"));
    }

    #[test]
    fn a_key_file_that_holds_something_else_is_refused_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        for (content, part) in [("", "empty"), ("abc\n", "line 1"), ("\u{fc}\n", "line 1")] {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let error = MasterKey::load_or_create(&path).unwrap_err().to_string();
            assert!(error.contains(part), "{content:?}: {error}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = MasterKey::generate();
        let secret = hex(*key.keys[0].bytes);
        assert!(!format!("{key:?}").contains(&secret));
    }
}
