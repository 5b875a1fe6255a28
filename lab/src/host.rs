//! Driving this computer's own programs: finding them, running them with a deadline, keeping them as children that die
//! with us.

mod child;
mod error;
mod tool;

pub use child::{Child, kill};
pub use error::HostError;
pub use tool::Tool;

use std::{process::Stdio, time::Duration};
use tokio::io::AsyncWriteExt;

/// Setting up a link or a rule takes milliseconds; a computer that is busy building may take seconds.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// Whether this process may make namespaces.
///
/// # Errors
/// [`HostError::NotRoot`].
pub fn need_root() -> Result<(), HostError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(HostError::NotRoot) }
}

/// A command to run to its end.
#[derive(Debug)]
pub struct Run {
    tool: Tool,
    args: Vec<String>,
    stdin: Option<String>,
    env: Vec<(String, String)>,
    deadline: Duration,
}

impl Run {
    /// This tool with these arguments.
    #[must_use]
    pub fn new<I: IntoIterator<Item = S>, S: Into<String>>(tool: Tool, args: I) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { tool, args, stdin: None, env: Vec::new(), deadline: COMMAND_DEADLINE }
    }

    /// A tool in a network namespace.
    #[must_use]
    pub fn within<I: IntoIterator<Item = S>, S: Into<String>>(namespace: &str, program: &str, args: I) -> Self {
        let front = ["netns", "exec", namespace, program].map(str::to_owned);
        Self::new(Tool::Ip, front.into_iter().chain(args.into_iter().map(Into::into)))
    }

    /// Is told this on its standard input. Secrets belong here, not into arguments.
    #[must_use]
    pub fn stdin(mut self, text: impl Into<String>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// With this variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// May take this long.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The command as people would write it.
    fn words(&self) -> String {
        let mut words = self.tool.name().to_owned();
        for arg in &self.args {
            words.push(' ');
            words.push_str(arg);
        }
        words
    }

    /// Runs it and gives what it wrote to standard output.
    ///
    /// # Errors
    /// The tool is missing, could not be started, failed or took too long. It is dead in every case.
    pub async fn output(self) -> Result<String, HostError> {
        let path = self.tool.find()?;
        let failed = |why: String| HostError::Command { command: self.words(), why };
        let mut child = tokio::process::Command::new(path)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let told = child.stdin.take().zip(self.stdin.as_deref());
        let done = async move {
            if let Some((mut stdin, text)) = told {
                // A program that ends without reading says why on standard error.
                let _ = stdin.write_all(text.as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let output = match tokio::time::timeout(self.deadline, done).await {
            Err(_) => return Err(HostError::Silent { command: self.words(), deadline: self.deadline }),
            Ok(output) => output.map_err(|error| failed(error.to_string()))?,
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        Err(failed(if said.is_empty() { output.status.to_string() } else { said.to_owned() }))
    }

    /// Runs it; what it writes does not matter.
    ///
    /// # Errors
    /// As [`Run::output`].
    pub async fn done(self) -> Result<(), HostError> {
        self.output().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_fails_is_named_with_what_it_said() {
        let error = Run::new(Tool::Setpriv, ["--no-such-option"]).done().await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`setpriv --no-such-option` failed: "), "{text}");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed() {
        let run = Run::new(Tool::Setpriv, ["sleep", "3600"]).deadline(Duration::from_millis(1));
        assert!(matches!(run.done().await.unwrap_err(), HostError::Silent { .. }));
    }
}
