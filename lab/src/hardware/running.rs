//! The process that is a machine with power.

use super::{launcher::Launcher, process_group::kill_group, screen::Screen};
use ferrogate_model::SystemId;
use std::{process::ExitStatus, sync::Weak, time::Duration};
use tokio::{process::Child, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(10);

/// A machine that has power, as this computer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningMachine {
    /// Its process.
    pub pid: u32,
    /// The CPU of this computer that it is tied to.
    pub host_cpu: Option<usize>,
    /// The memory it was given, in MiB.
    pub memory_mib: u64,
    /// The memory it takes of this computer, in MiB; `None` where it cannot be told.
    pub rss_mib: Option<u64>,
    /// How long it has had power.
    pub up: Duration,
}

/// A machine that was switched on.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pid: u32,
    pub(super) host_cpu: Option<usize>,
    memory_mib: u64,
    since: Instant,
    /// Cancelled to take the power away.
    cut: CancellationToken,
    /// Cancelled when the machine is off.
    pub(super) off: CancellationToken,
}

impl Running {
    /// Watches over a machine's process: shows its output, ends it when it is to end, and unplugs it.
    pub(super) fn watch(
        mut child: Child,
        host_cpu: Option<usize>,
        memory_mib: u64,
        tap: String,
        screen: Screen,
        launcher: Weak<Launcher>,
    ) -> Self {
        let pid = child.id().unwrap_or_default();
        let (cut, off) = (CancellationToken::new(), CancellationToken::new());
        let running = Self { pid, host_cpu, memory_mib, since: Instant::now(), cut: cut.clone(), off: off.clone() };
        tokio::spawn(async move {
            // Cancelled however this task ends.
            let _off = off.drop_guard();
            let (output, errors) = (child.stdout.take(), child.stderr.take());
            let show = async {
                let one = async {
                    if let Some(stream) = output {
                        screen.show(stream).await;
                    }
                };
                let other = async {
                    if let Some(stream) = errors {
                        screen.show(stream).await;
                    }
                };
                tokio::join!(one, other);
            };
            let end = async {
                tokio::select! {
                    ended = child.wait() => return ended,
                    () = cut.cancelled() => kill_group(&child),
                }
                child.wait().await
            };
            let ended = {
                tokio::pin!(show);
                tokio::pin!(end);
                tokio::select! {
                    ended = &mut end => {
                        // What is in the pipes still belongs to the console; a pipe that somebody else holds open ends
                        // no wait.
                        let _ = tokio::time::timeout(Duration::from_millis(500), show).await;
                        ended
                    }
                    () = &mut show => end.await,
                }
            };
            screen.say("power", format!("off: {}", ended.map_or_else(|error| error.to_string(), words)));
            if let Some(launcher) = launcher.upgrade()
                && let Err(error) = launcher.run(&["ip", "link", "del", &tap]).await
            {
                tracing::warn!(tap, %error, "a machine's cable cannot be removed");
            }
        });
        running
    }

    pub(super) fn is_on(&self) -> bool {
        !self.off.is_cancelled()
    }

    pub(super) fn describe(&self) -> RunningMachine {
        RunningMachine {
            pid: self.pid,
            host_cpu: self.host_cpu,
            memory_mib: self.memory_mib,
            rss_mib: resident_mib(self.pid),
            up: self.since.elapsed(),
        }
    }

    /// Takes the power away and waits until the machine is off.
    pub(super) async fn end(&self, machine: &SystemId) {
        self.cut.cancel();
        if tokio::time::timeout(KILLED, self.off.cancelled()).await.is_err() {
            tracing::error!(%machine, pid = self.pid, "a machine's process does not end although it was killed");
        }
    }
}

fn words(status: ExitStatus) -> String {
    if status.success() { "it switched itself off".into() } else { status.to_string() }
}

/// The memory that a process holds, in MiB.
fn resident_mib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}
