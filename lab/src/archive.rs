//! Tar archives, as far as the lab makes and reads them. What is wrong with one is said as `tar` says it: simulated machines
//! show it.

use std::io::Read;
use tar::{Archive, Builder, EntryType, Header};

/// An archive is a row of such blocks, and ends with an empty one.
const BLOCK: usize = 512;
/// Where a header says what it is.
const MAGIC: usize = 257;

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its path in the archive, without `./` before it and `/` behind it.
    pub(crate) name: String,
    pub(crate) mode: u32,
    pub(crate) what: What,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    File(Vec<u8>),
    Folder,
    Link(String),
}

/// Whether this begins as an archive does.
pub(crate) fn is_tar(content: &[u8]) -> bool {
    content.get(MAGIC..MAGIC + 5) == Some(b"ustar")
}

/// Reads an archive.
///
/// # Errors
/// What is wrong with it, in tar's words.
pub(crate) fn read(archive: &[u8]) -> Result<Vec<Entry>, String> {
    let short = || "Unexpected EOF in archive".to_owned();
    let strange = |_| "This does not look like a tar archive".to_owned();
    if archive.len() >= BLOCK && archive[..BLOCK].iter().any(|byte| *byte != 0) && !is_tar(archive) {
        return Err("This does not look like a tar archive".into());
    }
    // Without its end it is a part of one, whatever was cut off.
    if !archive.ends_with(&[0; BLOCK]) {
        return Err(short());
    }
    let mut entries = Vec::new();
    for entry in Archive::new(archive).entries().map_err(strange)? {
        let mut entry = entry.map_err(strange)?;
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| "a name is not UTF-8".to_owned())?;
        let name = name.trim_start_matches("./").trim_matches('/').to_owned();
        let mode = entry.header().mode().map_err(strange)? & 0o7777;
        let what = match entry.header().entry_type() {
            EntryType::Regular => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(|_| short())?;
                if content.len() as u64 != entry.size() {
                    return Err(short());
                }
                What::File(content)
            }
            EntryType::Directory => What::Folder,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                What::Link(String::from_utf8(target).map_err(|_| "a name is not UTF-8".to_owned())?)
            }
            other => return Err(format!("entries of type `{}` are not simulated", char::from(other.as_byte()))),
        };
        if name.split('/').any(|part| part == "..") {
            return Err(format!("{name}: Member name contains '..'"));
        }
        if !name.is_empty() && name != "." {
            entries.push(Entry { name, mode, what });
        }
    }
    Ok(entries)
}

/// Makes an archive; the same entries give the same bytes.
pub(crate) fn write(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for Entry { name, mode, what } in entries {
        let (kind, content, target) = match what {
            What::File(content) => (EntryType::Regular, content.as_slice(), None),
            What::Folder => (EntryType::Directory, [].as_slice(), None),
            What::Link(target) => (EntryType::Symlink, [].as_slice(), Some(target)),
        };
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        let packed = match target {
            Some(target) => archive.append_link(&mut header, name, target),
            None => archive.append_data(&mut header, name, content),
        };
        packed.expect("entries of the lab have short names, and memory takes everything");
    }
    archive.into_inner().expect("memory takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let entries = [
            Entry { name: "usr".into(), mode: 0o755, what: What::Folder },
            Entry { name: "usr/a".into(), mode: 0o644, what: What::File(vec![7; 700]) },
            Entry { name: "usr/empty".into(), mode: 0o600, what: What::File(Vec::new()) },
            Entry { name: "usr/b".into(), mode: 0o777, what: What::Link("a".into()) },
        ];
        let archive = write(&entries);
        assert_eq!(read(&archive).unwrap(), entries);
        assert!(read(&archive[..600]).unwrap_err().contains("Unexpected EOF"));
        // Cut where an entry ends, and in the middle of one.
        assert!(read(&archive[..512]).unwrap_err().contains("Unexpected EOF"));
        assert!(read(&archive[..archive.len() - 1024]).unwrap_err().contains("Unexpected EOF"));
        assert_eq!(write(&entries), archive);
        assert!(read(&[1; 1024]).unwrap_err().contains("does not look like a tar archive"));
    }
}
