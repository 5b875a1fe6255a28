//! Tar archives (POSIX ustar), as far as the lab makes and reads them.

use std::fmt::Write as _;

/// An archive is a row of such blocks.
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
    let mut entries = Vec::new();
    let mut at = 0;
    loop {
        let head = archive.get(at..at + BLOCK).ok_or_else(short)?;
        if head.iter().all(|byte| *byte == 0) {
            return Ok(entries);
        }
        if !is_tar(head) {
            return Err("This does not look like a tar archive".into());
        }
        let text = |range: std::ops::Range<usize>| {
            let field = &head[range];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            std::str::from_utf8(&field[..end]).map_err(|_| "a name is not UTF-8".to_owned())
        };
        let octal =
            |field: &str| usize::from_str_radix(field.trim(), 8).map_err(|_| "a header holds no number".to_owned());
        let size = octal(text(124..136)?)?;
        let mode = u32::try_from(octal(text(100..108)?)? & 0o7777).unwrap_or_default();
        let start = at + BLOCK;
        let content = archive.get(start..start.checked_add(size).ok_or_else(short)?).ok_or_else(short)?;
        let prefix = text(345..500)?;
        let name = if prefix.is_empty() { text(0..100)?.to_owned() } else { format!("{prefix}/{}", text(0..100)?) };
        let name = name.trim_start_matches("./").trim_matches('/').to_owned();
        let what = match head[156] {
            b'0' | 0 => What::File(content.to_vec()),
            b'5' => What::Folder,
            b'2' => What::Link(text(157..257)?.to_owned()),
            other => return Err(format!("entries of type `{}` are not simulated", char::from(other))),
        };
        if name.split('/').any(|part| part == "..") {
            return Err(format!("{name}: Member name contains '..'"));
        }
        if !name.is_empty() && name != "." {
            entries.push(Entry { name, mode, what });
        }
        at = start + size.div_ceil(BLOCK) * BLOCK;
    }
}

/// Makes an archive.
pub(crate) fn write(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Vec::new();
    for Entry { name, mode, what } in entries {
        let (kind, content, target) = match what {
            What::File(content) => (b'0', content.as_slice(), ""),
            What::Folder => (b'5', [].as_slice(), ""),
            What::Link(target) => (b'2', [].as_slice(), target.as_str()),
        };
        let mut head = [0; BLOCK];
        let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(157, target);
        put(MAGIC, "ustar\u{0}00");
        head[156] = kind;
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        let mut checksum = String::new();
        write!(checksum, "{sum:06o}\u{0} ").expect("a string takes everything");
        head[148..156].copy_from_slice(checksum.as_bytes());
        archive.extend_from_slice(&head);
        archive.extend_from_slice(content);
        archive.resize(archive.len().div_ceil(BLOCK) * BLOCK, 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
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
        assert!(read(&[1; 1024]).unwrap_err().contains("does not look like a tar archive"));
    }
}
