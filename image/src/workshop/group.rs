//! A process group for one tool and everything it starts. A shell leads the group and watches a pipe that we hold: when
//! the pipe closes, because the tool is to be stopped or because we are gone, however we ended, it ends the whole group.
//! The terminal's Ctrl-C reaches us alone; our end is what ends the tool.

use crate::error::{Context, Result};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// Ends with a line on the pipe; with the pipe's end it asks the group to end, and then makes it. `$1` is how long the
/// group gets in between, in seconds.
const WATCH: &str = "trap '' TERM INT HUP; read -r _ || { kill -TERM 0; sleep \"$1\"; kill -KILL 0; }";

/// A group of processes that does not outlive us.
pub(crate) struct Group {
    leader: Child,
    pipe: Option<ChildStdin>,
    id: i32,
}

impl Group {
    /// `farewell` is what the group gets to clean up when it is told to end.
    ///
    /// # Errors
    /// When there is no shell.
    pub(crate) fn new(farewell: Duration) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCH, "sh", &farewell.as_secs_f64().to_string()]);
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut leader = command.spawn().context("starting the shell that watches over a build's tools")?;
        let pipe = leader.stdin.take();
        let id = i32::try_from(leader.id()).context("numbering a group of processes")?;
        Ok(Self { leader, pipe, id })
    }

    /// Starts a tool in the group.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn spawn(&self, command: &mut Command) -> std::io::Result<Child> {
        command.process_group(self.id).spawn()
    }

    /// The tool ended well: whatever it left running may go on.
    pub(crate) fn leave(mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // A leader that is gone needs no word.
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.leader.wait();
    }

    /// Asks the group to end, and ends it when its time is up.
    pub(crate) fn stop(mut self) {
        drop(self.pipe.take());
        let _ = self.leader.wait();
    }

    /// Ends what a tool that failed may have left, at once.
    pub(crate) fn kill(mut self) {
        let killed =
            Command::new("kill").args(["-KILL", "--", &format!("-{}", self.id)]).stderr(Stdio::null()).status();
        drop(self.pipe.take());
        if killed.is_ok_and(|status| status.success()) {
            let _ = self.leader.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::path::Path;

    /// Hears no plea, and says the number of a process that it started, which hears none either.
    const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo $!; wait";

    fn stubborn(group: &Group) -> (Child, String) {
        let mut tool = group.spawn(Command::new("sh").args(["-c", STUBBORN]).stdout(Stdio::piped())).unwrap();
        let mut grandchild = String::new();
        BufReader::new(tool.stdout.take().unwrap()).read_line(&mut grandchild).unwrap();
        (tool, grandchild.trim().to_owned())
    }

    /// Gone, or only waiting for somebody to ask how it ended.
    fn until_gone(pid: &str) {
        let state = |text: String| text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        let stat = Path::new("/proc").join(pid).join("stat");
        let started = std::time::Instant::now();
        while std::fs::read_to_string(&stat).ok().and_then(state).is_some_and(|state| state != 'Z') {
            assert!(started.elapsed() < Duration::from_secs(30), "{pid} lives");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_a_stopped_tool_started_ends_too() {
        let group = Group::new(Duration::from_millis(50)).unwrap();
        let (mut tool, grandchild) = stubborn(&group);
        group.stop();
        assert!(!tool.wait().unwrap().success());
        until_gone(&grandchild);
    }

    #[test]
    fn nothing_outlives_us() {
        let mut group = Group::new(Duration::from_millis(50)).unwrap();
        let (mut tool, grandchild) = stubborn(&group);
        // As the kernel does it for a process that was killed.
        drop(group.pipe.take());
        assert!(!tool.wait().unwrap().success());
        until_gone(&grandchild);
        group.leader.wait().unwrap();
    }

    #[test]
    fn what_a_failed_tool_left_ends_at_once() {
        let group = Group::new(Duration::from_secs(1000)).unwrap();
        let (mut tool, grandchild) = stubborn(&group);
        group.kill();
        assert!(!tool.wait().unwrap().success());
        until_gone(&grandchild);
    }

    #[test]
    fn a_tool_that_ended_well_is_not_waited_for() {
        let group = Group::new(Duration::from_secs(1000)).unwrap();
        assert!(group.spawn(&mut Command::new("true")).unwrap().wait().unwrap().success());
        group.leave();
    }
}
