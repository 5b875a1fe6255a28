//! What a real machine writes to its console, line by line with the time since it got power: kept in memory and in a file,
//! both bounded.

use crate::machine::Console;
use std::{
    fmt,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A log file larger than this many bytes is put aside as `….1`, and what was aside before is gone.
const FILE_LIMIT: u64 = 4 << 20;
/// Longer lines are broken, in bytes.
const LINE_LIMIT: usize = 2048;

/// The console of one machine; clones write to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    console: Console,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: Option<(File, u64)>,
}

impl Screen {
    /// A machine's console; `path` is its log file, made when there is something to write.
    pub(crate) fn new(machine: &str, path: PathBuf) -> Self {
        Self { console: Console::new(machine), log: Arc::new(Mutex::new(Log { path, file: None })) }
    }

    /// A new boot: seconds count from here.
    pub(crate) fn boot(&self, banner: &str) {
        self.console.boot(banner);
        self.log(&format!("--- {banner}"));
    }

    /// Writes one line for each line of `words`.
    pub(crate) fn say(&self, source: &str, words: impl fmt::Display) {
        let words = words.to_string();
        self.log(&format!("{source}: {words}"));
        self.console.say(source, words);
    }

    /// Writes all that comes out of `stream`, until it ends.
    pub(crate) async fn show(&self, mut stream: impl AsyncRead + Unpin) {
        let mut lines = Lines::default();
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut bytes).await {
            lines.feed(&bytes[..length], |line| self.say("tty", line));
        }
        lines.feed(b"\n", |line| self.say("tty", line));
    }

    /// Everything that is kept in memory.
    pub(crate) fn text(&self) -> String {
        self.console.text()
    }

    /// Forgets what is in memory: the machine was installed anew.
    pub(crate) fn clear(&self) {
        self.console.clear();
    }

    fn log(&self, line: &str) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = log.write(line, self.console.uptime()) {
            tracing::warn!(path = %log.path.display(), %error, "a console's log file cannot be written");
        }
    }
}

impl Log {
    fn write(&mut self, text: &str, up: f64) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|(_, length)| *length > FILE_LIMIT) {
            self.file = None;
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
        }
        let (file, length) = match &mut self.file {
            Some(open) => open,
            None => {
                if let Some(folder) = self.path.parent() {
                    fs::create_dir_all(folder)?;
                }
                let file = File::options().append(true).create(true).mode(0o600).open(&self.path)?;
                let length = file.metadata()?.len();
                self.file.insert((file, length))
            }
        };
        for line in text.lines() {
            let line = format!("[{up:>10.3}] {line}\n");
            file.write_all(line.as_bytes())?;
            *length += line.len() as u64;
        }
        Ok(())
    }
}

/// Bytes of a terminal into lines of text, without what only moves a cursor.
#[derive(Debug, Default)]
struct Lines {
    line: String,
    pending: Vec<u8>,
    escape: Escape,
}

/// How far an escape sequence (ECMA-48) has come.
#[derive(Debug, Default, PartialEq)]
enum Escape {
    #[default]
    None,
    Begun,
    Inside,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8], mut whole: impl FnMut(&str)) {
        for byte in bytes {
            match (&self.escape, byte) {
                (Escape::None, 0x1b) => self.escape = Escape::Begun,
                (Escape::Begun, b'[') => self.escape = Escape::Inside,
                (Escape::Begun, _) | (Escape::Inside, 0x40..=0x7e) => self.escape = Escape::None,
                (Escape::Inside, _) => {}
                (Escape::None, b'\n') => self.end(&mut whole),
                (Escape::None, 0..=0x08 | 0x0b..=0x1f | 0x7f) => {}
                (Escape::None, byte) => self.pending.push(*byte),
            }
            if self.pending.len() >= LINE_LIMIT {
                self.end(&mut whole);
            }
        }
    }

    fn end(&mut self, whole: &mut impl FnMut(&str)) {
        self.line.clear();
        self.line.push_str(&String::from_utf8_lossy(&self.pending));
        self.pending.clear();
        if !self.line.trim().is_empty() {
            whole(self.line.trim_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(parts: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for part in parts {
            lines.feed(part, |line| seen.push(line.to_owned()));
        }
        seen
    }

    #[test]
    fn colours_and_carriage_returns_are_left_out() {
        let seen = lines(&[b"[\x1b[0;32m  OK  \x1b[0m] Reached\r\n\r\n", b"one ", b"line\nrest"]);
        assert_eq!(seen, ["[  OK  ] Reached", "one line"]);
    }

    #[test]
    fn a_line_without_end_is_broken() {
        assert_eq!(lines(&[&[b'x'; 3 * LINE_LIMIT]]).len(), 3);
    }

    #[tokio::test]
    async fn the_file_is_bounded_and_only_for_its_owner() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m1/console.log");
        let screen = Screen::new("m1", path.clone());
        screen.boot("m1 gets power");
        for _ in 0..(2 * FILE_LIMIT / 1000) {
            screen.say("tty", "x".repeat(1000));
        }
        let sizes = [&path, &path.with_extension("log.1")].map(|path| path.metadata().unwrap().len());
        assert!(sizes.iter().all(|size| *size < FILE_LIMIT + 2000), "{sizes:?}");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }
}
