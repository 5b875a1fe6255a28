//! The power of real machines: the process that is a machine, and the switch.

use super::{
    Rack,
    launcher::Launcher,
    rack::{RunningMachine, Slot},
    screen::Screen,
};
use crate::backend::{Backend, Boot, Power};
use async_trait::async_trait;
use ferrogate_model::SystemId;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{process::ExitStatus, sync::Weak, time::Duration};
use tokio::{process::Child, time::Instant};
use tokio_util::sync::CancellationToken;

/// The power button is pressed again after this time: a kernel that has not started systemd yet does not feel it.
const PRESS_AGAIN: Duration = Duration::from_secs(5);
/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(10);

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
    off: CancellationToken,
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
    async fn end(&self, machine: &SystemId) {
        self.cut.cancel();
        if tokio::time::timeout(KILLED, self.off.cancelled()).await.is_err() {
            tracing::error!(%machine, pid = self.pid, "a machine's process does not end although it was killed");
        }
    }
}

/// Kills a machine with all its processes. It has not been waited for, so the id is still its own.
pub(super) fn kill_group(child: &Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(group) = group
        && let Err(error) = kill_process_group(group, Signal::KILL)
    {
        tracing::warn!(%error, "a machine's processes cannot be killed");
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

impl Rack {
    /// Takes the power away.
    pub(super) async fn cut(&self, machine: &SystemId) {
        if let Some(running) = self.known(machine).and_then(|slot| slot.running) {
            running.end(machine).await;
        }
    }

    /// Has a machine switch itself off, and takes the power away where it does not in time.
    async fn press(&self, machine: &SystemId, slot: &Slot) {
        let Some(running) = slot.running.as_ref().filter(|running| running.is_on()) else { return };
        slot.screen.say("power", "the power button is pressed");
        let pressing = async {
            loop {
                if let Err(error) = self.hypervisor.press(machine).await {
                    tracing::debug!(%machine, %error, "a machine did not feel its power button");
                }
                tokio::time::sleep(PRESS_AGAIN).await;
            }
        };
        tokio::select! {
            () = running.off.cancelled() => return,
            _ = tokio::time::timeout(self.options.shutdown_limit, pressing) => {}
        }
        slot.screen.say("power", "still on: the power is cut");
        running.end(machine).await;
    }
}

#[async_trait]
impl Backend for Rack {
    async fn power_on(&self, boot: Boot) {
        let slot = self.slot_of(&boot);
        let _hand = slot.switch.lock().await;
        self.cut(&boot.system_id).await;
        if let Err(error) = self.switch_on(&boot, &slot).await {
            Self::complain(&boot.system_id, &slot, &error);
        }
    }

    async fn power_off(&self, machine: &SystemId) {
        let Some(slot) = self.known(machine) else { return };
        let _hand = slot.switch.lock().await;
        if let Some(slot) = self.known(machine) {
            self.press(machine, &slot).await;
        }
    }

    async fn power_cut(&self, machine: &SystemId) {
        let Some(slot) = self.known(machine) else { return };
        let _hand = slot.switch.lock().await;
        self.cut(machine).await;
    }

    async fn power_state(&self, machine: &SystemId) -> Power {
        if self.running(machine).is_some() { Power::On } else { Power::Off }
    }

    async fn console_log(&self, machine: &SystemId) -> String {
        self.known(machine).map(|slot| slot.screen.text()).unwrap_or_default()
    }

    async fn wipe(&self, machine: &SystemId) {
        let Some(slot) = self.known(machine) else { return };
        let _hand = slot.switch.lock().await;
        self.cut(machine).await;
        if self.remove_disk(machine) {
            slot.screen.say("power", "the disk was wiped");
        }
    }
}
