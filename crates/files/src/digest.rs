//! SHA-256 and hexadecimal digits.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest as _, Sha256};
use std::{fs::File, io, io::Read as _, path::Path};

/// What is read of a file at a time, in bytes.
const PIECE: usize = 256 * 1024;

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

/// The bytes that `text` writes down: exactly `2 * N` hexadecimal digits of either case, and nothing else.
#[must_use]
pub fn from_hex<const N: usize>(text: impl AsRef<[u8]>) -> Option<[u8; N]> {
    let text = text.as_ref();
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode_mut(text, &mut bytes).ok()?;
    Some(bytes)
}

/// SHA-256 of what is in memory, as 64 hexadecimal digits.
#[must_use]
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(Sha256::digest(bytes))
}

/// SHA-256 of a file, as 64 hexadecimal digits. It is read piece by piece: how large it is does not matter.
///
/// # Errors
/// What the operating system says where the file cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hex(digest.finalize())),
            Ok(read) => digest.update(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `abc`, from FIPS 180-4.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digits_are_written_in_lower_case_and_read_in_both() {
        assert_eq!(hex([0x00, 0x0f, 0xa5]), "000fa5");
        assert_eq!(from_hex("000fa5"), Some([0x00, 0x0f, 0xa5]));
        assert_eq!(from_hex("000FA5"), Some([0x00, 0x0f, 0xa5]));
        for text in ["000fa", "000fa50", "000fa50b", "000fg5", " 00fa5", "00 0f a5", "00\u{fc}a5", ""] {
            assert_eq!(from_hex::<3>(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_file_has_the_digest_of_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        // Longer than a piece, and no multiple of one.
        for content in [b"abc".to_vec(), vec![7; 2 * PIECE + 1], vec![]] {
            std::fs::write(&path, &content).unwrap();
            assert_eq!(sha256_of(&path).unwrap(), sha256(&content), "{} bytes", content.len());
        }
        assert_eq!(sha256("abc"), ABC);
        assert_eq!(sha256_of(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
