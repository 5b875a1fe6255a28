//! A program that runs as long as the site does.

use super::{HostError, Tool};
use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

/// How long a program may take to end after it was asked to.
const END_DEADLINE: Duration = Duration::from_secs(5);
/// How much of a program's log is told when it fails, in bytes.
const TOLD: usize = 600;

/// A running program. Dropping it kills it, and the kernel kills it when this process ends in any other way.
///
/// The kernel looks at the *thread* that started it: start children on threads that stay, such as those of a runtime.
#[derive(Debug)]
pub struct Child {
    name: String,
    log: PathBuf,
    process: tokio::process::Child,
}

impl Child {
    /// The words in front of a program that put it into a namespace and tie its life to ours.
    ///
    /// # Errors
    /// A tool is missing.
    pub fn command(namespace: &str, program: &Path) -> Result<tokio::process::Command, HostError> {
        let mut command = tokio::process::Command::new(Tool::Setpriv.find()?);
        command
            .args(["--pdeathsig", "KILL"])
            .arg(Tool::Ip.find()?)
            .args(["netns", "exec", namespace])
            .arg(program)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Starts a program in a namespace; what it writes goes to the end of `log`, a file for its owner alone.
    ///
    /// # Errors
    /// A tool is missing, the log cannot be opened, or the program not be started.
    pub fn spawn(name: &str, namespace: &str, program: &Path, args: &[String], log: &Path) -> Result<Self, HostError> {
        let open = OpenOptions::new().append(true).create(true).mode(0o600).open(log);
        let out = open.map_err(HostError::file("open", log))?;
        let err = out.try_clone().map_err(HostError::file("open", log))?;
        let process = Self::command(namespace, program)?
            .args(args)
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| HostError::Command { command: name.to_owned(), why: error.to_string() })?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), process })
    }

    /// Takes over a program that was started with [`Child::command`].
    #[must_use]
    pub fn adopt(name: &str, log: &Path, process: tokio::process::Child) -> Self {
        Self { name: name.to_owned(), log: log.to_owned(), process }
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// That it is not, or not yet, what it should be, with the end of its log.
    #[must_use]
    pub fn not_ready(&self) -> HostError {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut from = text.len().saturating_sub(TOLD);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let why = format!("its log {} ends with: {}", self.log.display(), text[from..].trim());
        HostError::NotReady { program: self.name.clone(), why }
    }

    /// Takes its life at once and waits until it is gone.
    pub async fn kill(&mut self) {
        if let Err(error) = self.process.kill().await {
            tracing::warn!(program = %self.name, %error, "a program could not be killed");
        }
    }

    /// Asks it to end, and kills it where it does not in time.
    pub async fn end(mut self) {
        if let Some(pid) = self.pid() {
            kill(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(END_DEADLINE, self.process.wait()).await.is_err() {
            self.kill().await;
        }
    }
}

/// Sends a signal to a process of ours; one that is gone already is no error.
pub fn kill(pid: u32, signal: rustix::process::Signal) {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return };
    if let Err(error) = rustix::process::kill_process(pid, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(?pid, %error, "a signal could not be sent");
    }
}
