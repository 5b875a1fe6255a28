//! User Mode Linux's copy-on-write disks, version 3 of their format: a header, a bitmap with one bit for each sector that
//! differs from the image behind, and the sectors. Numbers are big endian. A fresh disk is written here, not by the first
//! boot, so that it can have content of its own.

use crate::hardware::{Patch, sparse};
use std::{
    fs::File,
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

const MAGIC: u32 = 0x4f4f_4f4d;
const VERSION: u32 = 3;
const SECTOR: u64 = 512;
/// The bitmap and the sectors begin at multiples of this.
const ALIGNMENT: u64 = 4096;
/// Room for the path of the image behind.
const PATH_ROOM: usize = 4096;
/// Where the fields of the header are, in bytes; the path of the image is the last.
const PATH_AT: usize = 32;
const HEADER: usize = PATH_AT + PATH_ROOM;

/// Where the parts of a disk of this size are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    size: u64,
    bitmap: u64,
    bitmap_length: u64,
    data: u64,
}

impl Layout {
    const fn of(size: u64) -> Self {
        let bitmap = (HEADER as u64).next_multiple_of(ALIGNMENT);
        let bitmap_length = size.div_ceil(SECTOR).div_ceil(8);
        Self { size, bitmap, bitmap_length, data: (bitmap + bitmap_length).next_multiple_of(ALIGNMENT) }
    }
}

/// Writes a fresh disk over `image` that differs from it by `patches`; readable by its owner alone. Blocks the thread.
///
/// # Errors
/// The disk is there already, cannot be written, or the image cannot be looked at.
pub(crate) fn create(disk: &Path, image: &Path, patches: &[Patch]) -> io::Result<()> {
    let image = image.canonicalize()?;
    let behind = image.metadata()?;
    let layout = Layout::of(behind.len());
    let name = image.as_os_str().as_bytes();
    if name.len() >= PATH_ROOM {
        return Err(io::Error::other("the image's path is too long"));
    }
    let mut header = Vec::with_capacity(HEADER);
    header.extend(MAGIC.to_be_bytes());
    header.extend(VERSION.to_be_bytes());
    // The format has 32 bits for it: good until 2106.
    header.extend(u32::try_from(behind.mtime()).unwrap_or_default().to_be_bytes());
    header.extend(layout.size.to_be_bytes());
    header.extend(u32::try_from(SECTOR).unwrap_or_default().to_be_bytes());
    header.extend(u32::try_from(ALIGNMENT).unwrap_or_default().to_be_bytes());
    header.extend(0_u32.to_be_bytes());
    header.extend(name);
    header.resize(HEADER, 0);
    let file = sparse::create(disk, 0o600)?;
    file.set_len(layout.data + layout.size)?;
    file.write_all_at(&header, 0)?;
    for patch in patches {
        file.write_all_at(&patch.bytes, layout.data + patch.offset)?;
        mark(&file, layout, patch)?;
    }
    Ok(())
}

/// Sets the bits of a patch's sectors.
fn mark(file: &File, layout: Layout, patch: &Patch) -> io::Result<()> {
    let first = patch.offset / SECTOR;
    let end = (patch.offset + patch.bytes.len() as u64).div_ceil(SECTOR);
    for sector in first..end {
        let at = layout.bitmap + sector / 8;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        byte[0] |= 1 << (sector % 8);
        file.write_all_at(&byte, at)?;
    }
    Ok(())
}

/// Writes the whole disk as one plain, sparse image to `to`, for programs that read file systems. The machine should be
/// off. Blocks the thread.
///
/// # Errors
/// `disk` is no such disk, `to` exists, or a file cannot be read or written.
pub(crate) fn flatten(disk: &Path, to: &Path) -> io::Result<()> {
    let file = File::open(disk)?;
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0)?;
    let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|n| header[at + n]));
    if (word(0), word(4)) != (MAGIC, VERSION) {
        return Err(io::Error::other(format!("`{}` is no copy-on-write disk", disk.display())));
    }
    let layout = Layout::of(u64::from_be_bytes(std::array::from_fn(|n| header[12 + n])));
    let name = header[PATH_AT..].split(|byte| *byte == 0).next().unwrap_or_default();
    let plain = sparse::copy(&PathBuf::from(std::ffi::OsStr::from_bytes(name)), to, 0o600)?;
    let mut bitmap = vec![0; usize::try_from(layout.bitmap_length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bitmap, layout.bitmap)?;
    let mut bytes = [0; SECTOR as usize];
    for (byte, n) in bitmap.iter().zip(0_u64..).filter(|(byte, _)| **byte != 0) {
        for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
            let offset = (n * 8 + bit) * SECTOR;
            file.read_exact_at(&mut bytes, layout.data + offset)?;
            plain.write_all_at(&bytes, offset)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_kernels() {
        // A disk of 8 GiB: header and bitmap on pages of their own.
        let layout = Layout::of(8 << 30);
        assert_eq!((layout.bitmap, layout.bitmap_length), (8192, 2 << 20));
        assert_eq!(layout.data, 8192 + (2 << 20));
        assert_eq!(Layout::of(4096 * 3).data, 8192 + 4096);
    }

    #[test]
    fn a_fresh_disk_is_the_image_but_for_what_was_patched() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("image"), vec![7; 1 << 20]).unwrap();
        let patches = [Patch { offset: 8192, bytes: vec![1; 4096] }, Patch { offset: 1 << 19, bytes: vec![2; 8192] }];
        create(&path("disk"), &path("image"), &patches).unwrap();
        assert_eq!(path("disk").metadata().unwrap().mode() & 0o777, 0o600);
        flatten(&path("disk"), &path("plain")).unwrap();
        let mut wanted = vec![7; 1 << 20];
        wanted[8192..8192 + 4096].fill(1);
        wanted[1 << 19..(1 << 19) + 8192].fill(2);
        assert!(std::fs::read(path("plain")).unwrap() == wanted, "the bytes differ");
        assert!(create(&path("disk"), &path("image"), &[]).is_err(), "an old disk is never taken for a fresh one");
        assert!(flatten(&path("image"), &path("other")).unwrap_err().to_string().contains("no copy-on-write disk"));
    }
}
