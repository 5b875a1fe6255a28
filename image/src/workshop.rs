//! Where one artifact is made: a folder for what will be kept, one for what is thrown away, a log, and the tools that
//! run in it with progress and a deadline.

mod group;

use crate::error::{BuildError, Context, Result};
use group::Group;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often a tool that takes long is told about.
const TELL: Duration = Duration::from_secs(30);
/// A tool that takes this many times what the whole step should has hung: one busy computer is not that much slower.
const FAR_TOO_LONG: u32 = 8;
/// No tool is stopped before this, however short its step: downloads depend on others.
const LEAST_LIMIT: Duration = Duration::from_secs(15 * 60);
/// What a tool gets to clean up when it is told to end.
const FAREWELL: Duration = Duration::from_secs(10);
/// What an error shows of a log: its last lines, found in its last bytes.
const LAST_LINES: usize = 12;
const LAST_BYTES: u64 = 4096;

/// One of the artifacts.
pub struct Step {
    /// As folders and logs name it.
    pub name: &'static str,
    /// How long it takes on two idle processors when nothing was downloaded or compiled before.
    pub expected: Duration,
}

/// A duration as people say it: `2 min 5 s`.
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// An artifact in the making.
pub struct Workshop {
    folder: PathBuf,
    out: PathBuf,
    scratch: PathBuf,
    log: PathBuf,
    place: String,
    expected: Duration,
    limit: Duration,
    farewell: Duration,
    started: Instant,
}

impl Workshop {
    pub(crate) fn open(folder: &Path, step: &Step, place: String, log: PathBuf) -> Result<Self> {
        let (out, scratch) = (folder.join("out"), folder.join("scratch"));
        for folder in [&out, &scratch] {
            std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let limit = (step.expected * FAR_TOO_LONG).max(LEAST_LIMIT);
        let (folder, expected, started) = (folder.to_owned(), step.expected, Instant::now());
        Ok(Self { folder, out, scratch, log, place, expected, limit, farewell: FAREWELL, started })
    }

    /// What is in here is the artifact.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// What is in here is gone afterwards.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Removes what is not the artifact.
    pub(crate) fn close(self) -> Result<()> {
        std::fs::remove_dir_all(&self.folder).with_context(|| format!("removing {}", self.folder.display()))
    }

    /// Runs a tool to its end, its words into the log.
    ///
    /// # Errors
    /// When it is missing, fails, or takes far too long; the error names the log and shows its end.
    pub fn run(&self, command: &mut Command, what: &str) -> Result<()> {
        let mut log = File::options().append(true).open(&self.log)?;
        writeln!(log, "== {what}: {command:?}")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let group = Group::new(self.farewell)?;
        let mut child = group.spawn(command).with_context(|| format!("starting {what} ({command:?})"))?;
        let (sender, ended) = mpsc::channel();
        std::thread::spawn(move || {
            // The receiver is gone only when nobody wants to know any more.
            let _ = sender.send(child.wait());
        });
        let Some(status) = self.wait(&ended, what)? else {
            group.stop();
            let what =
                format!("{what} did not end within {} and was stopped with all it had started", spoken(self.limit));
            return Err(BuildError::new(what)
                .with_hint(format!("read its log, {}; if it waited for a download, try again", self.log.display())));
        };
        if !status.success() {
            group.kill();
            return Err(BuildError::new(format!("{what} failed ({status}); its last words:\n{}", self.end_of_log()))
                .with_hint(format!("the whole log: {}", self.log.display())));
        }
        group.leave();
        Ok(())
    }

    /// How a tool ended; `None` when it has not within the limit.
    #[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
    fn wait(&self, ended: &Receiver<std::io::Result<ExitStatus>>, what: &str) -> Result<Option<ExitStatus>> {
        let started = Instant::now();
        loop {
            let left = self.limit.saturating_sub(started.elapsed());
            match ended.recv_timeout(left.min(TELL)) {
                Ok(status) => return status.map(Some).with_context(|| format!("waiting for {what}")),
                Err(RecvTimeoutError::Disconnected) => return Err(BuildError::new(format!("nobody waits for {what}"))),
                Err(RecvTimeoutError::Timeout) if left > TELL => {
                    let (elapsed, expected) = (spoken(self.elapsed()), spoken(self.expected));
                    eprintln!("{}: {elapsed} of about {expected}, {what}", self.place);
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
            }
        }
    }

    fn end_of_log(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut log) = File::open(&self.log) {
            let length = log.metadata().map_or(0, |metadata| metadata.len());
            let _ = log.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)));
            let _ = log.read_to_end(&mut text);
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| format!("  {line}\n")).collect()
    }
}

/// What a short question to a tool is answered.
///
/// # Errors
/// When the tool is missing or fails.
pub fn answer(command: &mut Command, what: &str) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {what} ({command:?})"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(BuildError::new(format!("{what} failed ({}): {}", output.status, said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workshop(folder: &Path) -> Workshop {
        let step = Step { name: "thing", expected: Duration::from_secs(1) };
        Workshop::open(&folder.join("work"), &step, "[1/1] thing".into(), folder.join("thing.log")).unwrap()
    }

    #[test]
    fn durations_are_spoken() {
        let said: Vec<_> = [5, 60, 125].map(|seconds| spoken(Duration::from_secs(seconds))).into();
        assert_eq!(said, ["5 s", "1 min", "2 min 5 s"]);
    }

    #[test]
    fn a_tool_that_fails_is_quoted_and_its_log_named() {
        let folder = std::env::temp_dir().join(format!("ferrogate-workshop-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let error = workshop(&folder).run(Command::new("ls").arg("/not/there"), "looking").unwrap_err().to_string();
        assert!(error.contains("looking failed"), "{error}");
        assert!(error.contains("/not/there"), "{error}");
        assert!(error.contains("thing.log"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_tool_that_hangs_is_stopped() {
        let folder = std::env::temp_dir().join(format!("ferrogate-hung-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut workshop = workshop(&folder);
        (workshop.limit, workshop.farewell) = (Duration::from_millis(20), Duration::from_millis(50));
        let hangs = "trap '' TERM; sleep 1000 & wait";
        let error = workshop.run(Command::new("sh").args(["-c", hangs]), "hanging").unwrap_err().to_string();
        assert!(error.starts_with("hanging did not end within 0 s and was stopped"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
