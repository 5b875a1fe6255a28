//! The image that every fresh disk begins as: a copy of the shared root image, made once, with room for what differs from
//! machine to machine.
//!
//! A fresh disk is then a matter of milliseconds and needs neither a mount nor a loop device: the files that differ exist
//! already, of a fixed size, and only the blocks that hold their text are written (ext4 has checksums of its own records,
//! not of a file's bytes). `debugfs` (e2fsprogs) makes the files, so nobody has to be able to mount.

use super::{HardwareError, sparse};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

/// Where ext4's superblock begins, and what is in it, in bytes from its begin.
const SUPERBLOCK: u64 = 1024;
const MAGIC_AT: u64 = 0x38;
const MAGIC: [u8; 2] = [0x53, 0xEF];
const LOG_BLOCK_SIZE_AT: u64 = 0x18;

/// How long `debugfs` may take.
const DEBUGFS: Duration = Duration::from_secs(60);

/// Makes what a real machine's power button does happen on Ctrl-Alt-Del, the one button that a machine without ACPI has.
const BUTTON: (&str, &str, &str) =
    ("/etc/systemd/system", "ctrl-alt-del.target", "/usr/lib/systemd/system/poweroff.target");

/// Bytes to write at a place of a disk.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Patch {
    /// From the begin of the disk, in bytes; a multiple of the file system's block size.
    pub(crate) offset: u64,
    /// What to write; a multiple of the file system's block size.
    pub(crate) bytes: Vec<u8>,
}

/// A file of fixed size on the image.
#[derive(Clone, Debug)]
struct Room {
    path: &'static str,
    /// Where its blocks are, in order, in bytes from the begin of the disk.
    blocks: Vec<u64>,
}

/// The prepared image.
#[derive(Debug)]
pub(crate) struct Image {
    path: PathBuf,
    block_size: usize,
    rooms: Vec<Room>,
}

impl Image {
    /// Copies `root_image` to `path` and makes a file of `room` bytes, readable by root alone, for each of `files`.
    pub(crate) async fn prepare(
        root_image: &Path,
        path: &Path,
        files: &[&'static str],
        room: usize,
    ) -> Result<Self, HardwareError> {
        let refused = |why: String| HardwareError::Image { image: root_image.to_path_buf(), why };
        let (from, to) = (root_image.to_path_buf(), path.to_path_buf());
        let copied = tokio::task::spawn_blocking(move || sparse::copy(&from, &to, 0o600)).await;
        let image = copied
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(HardwareError::file("copy the root image to", path))?;
        let block_size = block_size(&image).map_err(|error| refused(error.to_string()))?;
        let filler = |n: usize| format!("#{n}\n").into_bytes().into_iter().cycle().take(room).collect::<Vec<u8>>();
        let folder = tempfile::tempdir().map_err(HardwareError::file("make a folder in", std::env::temp_dir()))?;
        let mut script = String::new();
        for (n, file) in files.iter().enumerate() {
            let source = folder.path().join(n.to_string());
            std::fs::write(&source, filler(n)).map_err(HardwareError::file("write", &source))?;
            let (parent, name) = file.rsplit_once('/').unwrap_or(("", file));
            script += &format!("cd {parent}\nrm {name}\nwrite {} {name}\n", source.display());
            script += &format!("sif {name} mode 0100600\nsif {name} uid 0\nsif {name} gid 0\n");
        }
        let (parent, name, target) = BUTTON;
        script += &format!("cd {parent}\nrm {name}\nsymlink {name} {target}\n");
        let said = debugfs(path, &["-w"], &script, folder.path()).await?;
        let mut rooms = Vec::new();
        for (n, file) in files.iter().enumerate() {
            let listed = debugfs(path, &[], &format!("blocks {file}\n"), folder.path()).await?;
            let blocks: Vec<u64> = listed
                .lines()
                .filter(|line| !line.starts_with("debugfs"))
                .flat_map(str::split_whitespace)
                .filter_map(|word| word.parse::<u64>().ok())
                .map(|block| block * block_size as u64)
                .collect();
            let room = Room { path: file, blocks };
            if read(&image, block_size, &room).map_err(|error| refused(error.to_string()))? != filler(n) {
                return Err(refused(format!("`{file}` could not be made on it; debugfs said: {}", said.trim())));
            }
            rooms.push(room);
        }
        Ok(Self { path: path.to_path_buf(), block_size, rooms })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What to write on a fresh disk so that `file` has this text, followed by empty lines.
    pub(crate) fn patches(&self, file: &str, text: &str) -> Result<Vec<Patch>, HardwareError> {
        let refused = |why: &str| HardwareError::Image { image: self.path.clone(), why: format!("`{file}`: {why}") };
        let room = self.rooms.iter().find(|room| room.path == file).ok_or_else(|| refused("there is no such file"))?;
        let mut bytes = text.as_bytes().to_vec();
        let size = room.blocks.len() * self.block_size;
        if bytes.len() > size {
            return Err(refused(&format!("{} bytes do not fit into {size}", bytes.len())));
        }
        bytes.resize(size, b'\n');
        let chunks = bytes.chunks(self.block_size).zip(&room.blocks);
        Ok(chunks.map(|(bytes, offset)| Patch { offset: *offset, bytes: bytes.to_vec() }).collect())
    }
}

fn read(image: &File, block_size: usize, room: &Room) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; room.blocks.len() * block_size];
    for (chunk, offset) in bytes.chunks_mut(block_size).zip(&room.blocks) {
        image.read_exact_at(chunk, *offset)?;
    }
    Ok(bytes)
}

/// The size of the file system's blocks in bytes.
fn block_size(image: &File) -> io::Result<usize> {
    let mut magic = [0; 2];
    image.read_exact_at(&mut magic, SUPERBLOCK + MAGIC_AT)?;
    let mut log = [0; 4];
    image.read_exact_at(&mut log, SUPERBLOCK + LOG_BLOCK_SIZE_AT)?;
    match u32::from_le_bytes(log) {
        log @ 0..=6 if magic == MAGIC => Ok(1024 << log),
        _ => Err(io::Error::other("there is no ext4 file system on it (a partition table is not expected)")),
    }
}

/// Runs commands of debugfs and gives what it printed. It says success whatever happened: look at the result.
async fn debugfs(image: &Path, options: &[&str], script: &str, folder: &Path) -> Result<String, HardwareError> {
    let failed = |why: String| HardwareError::Program { program: "debugfs".into(), why };
    let commands = folder.join("commands");
    std::fs::write(&commands, script).map_err(HardwareError::file("write", &commands))?;
    let child = tokio::process::Command::new("debugfs")
        .args(options)
        .arg("-f")
        .arg(&commands)
        .arg(image)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEBUGFS, child).await;
    let output = output
        .map_err(|_| failed(format!("no end after {} s", DEBUGFS.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const FILES: [&str; 2] = ["/etc/one.cfg", "/etc/two.cfg"];

    fn run(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    #[tokio::test]
    async fn a_files_text_is_changed_without_mounting() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, image, prepared) =
            (folder.path().join("tree"), folder.path().join("image"), folder.path().join("prepared"));
        std::fs::create_dir_all(tree.join("etc/systemd/system")).unwrap();
        std::fs::write(tree.join("etc/one.cfg"), "of the image").unwrap();
        sparse::create(&image, 0o600).unwrap().set_len(16 << 20).unwrap();
        run("mkfs.ext4", &["-q", "-d", tree.to_str().unwrap(), image.to_str().unwrap()]);
        let made = Image::prepare(&image, &prepared, &FILES, 8192).await.unwrap();
        let text = "new: text\n";
        let disk = File::options().write(true).open(&prepared).unwrap();
        for patch in made.patches(FILES[0], text).unwrap() {
            disk.write_all_at(&patch.bytes, patch.offset).unwrap();
        }
        let at = |command: &str| run("debugfs", &["-R", command, prepared.to_str().unwrap()]);
        assert_eq!(at("cat /etc/one.cfg").trim_end(), text.trim_end());
        assert!(at("cat /etc/two.cfg").starts_with("#1\n"));
        assert!(at("stat /etc/one.cfg").contains("Mode:  0600"));
        assert!(at("stat /etc/systemd/system/ctrl-alt-del.target").contains(BUTTON.2));
        assert!(run("e2fsck", &["-fn", prepared.to_str().unwrap()]).contains("Pass 5"));
        assert!(made.patches(FILES[0], &"x".repeat(8193)).is_err());
        assert_eq!(run("debugfs", &["-R", "cat /etc/one.cfg", image.to_str().unwrap()]), "of the image");
    }

    #[tokio::test]
    async fn what_is_no_root_image_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        std::fs::write(&image, vec![0; 1 << 16]).unwrap();
        let error = Image::prepare(&image, &folder.path().join("to"), &FILES, 8192).await.unwrap_err();
        assert!(error.to_string().contains("no ext4 file system"), "{error}");
    }
}
