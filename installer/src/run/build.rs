//! The engine's passes, one after the other, until the gateway stands or is gone.

use super::steps::Live;
use crate::{
    InstallError,
    prompt::Tone,
    screen::{MachineLine, Screen},
    seal::Sealer,
    state::{Folder, Progress},
};
use async_trait::async_trait;
use ferrogate_engine::{Checkpoint, Desired, MachineView, Memory, Outcome, Pass};
use ferrogate_model::{Clock, Timestamp, state::Severity};
use std::time::Duration;
use tokio::time::Instant;

/// Shortest and longest pause between two passes, whatever the engine says.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(15));

/// One pass of the engine; a trait, so that what is around it can be tested without machines.
#[async_trait]
pub(crate) trait Builder: Send + Sync {
    /// Observes, compares, acts. `checkpoint` is told what is remembered before anything is given back.
    async fn pass(&self, desired: &Desired, memory: &mut Memory, checkpoint: &dyn Checkpoint) -> Pass;
}

/// Told after every pass, so that the plane can show how far things are.
#[async_trait]
pub(crate) trait Watcher: Send + Sync {
    /// What the pass was about, in words.
    async fn passed(&self, detail: &str);
}

/// What surrounds the passes.
pub(crate) struct Passes<'a> {
    pub(crate) builder: &'a dyn Builder,
    pub(crate) watcher: &'a dyn Watcher,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) folder: &'a Folder,
    pub(crate) sealer: &'a Sealer,
    pub(crate) screen: &'a dyn Screen,
    pub(crate) live: &'a Live,
    /// How long the engine may say that it is blocked before a person is needed. Other people's machines come free, and
    /// MAAS comes back, by themselves.
    pub(crate) patience: Duration,
}

/// The sealed notes, as they were before a pass.
struct Notes<'a> {
    folder: &'a Folder,
    sealer: &'a Sealer,
    progress: Progress,
}

#[async_trait]
impl Checkpoint for Notes<'_> {
    async fn save(&self, memory: &Memory) {
        let mut progress = self.progress.clone();
        progress.memory.clone_from(memory);
        // Notes that cannot be written end the installation after the pass.
        if let Err(error) = self.folder.keep(self.sealer, &progress) {
            tracing::warn!(%error, "what is about to be given back could not be written down");
        }
    }
}

impl Passes<'_> {
    /// Passes until everything is as it should be. What the engine remembers is kept after each.
    ///
    /// # Errors
    /// The engine has been blocked for too long, or the notes cannot be written.
    pub(crate) async fn until_converged(
        &self,
        desired: &Desired,
        progress: &mut Progress,
    ) -> Result<Pass, InstallError> {
        let mut blocked_since: Option<Instant> = None;
        loop {
            let notes = Notes { folder: self.folder, sealer: self.sealer, progress: progress.clone() };
            let pass = self.builder.pass(desired, &mut progress.memory, &notes).await;
            self.folder.keep(self.sealer, progress)?;
            self.show(&pass);
            let pause = match &pass.outcome {
                Outcome::Converged => return Ok(pass),
                Outcome::Working { reason, check_again } => {
                    blocked_since = None;
                    self.live.say(reason.clone());
                    *check_again
                }
                Outcome::Blocked { cause, hint } => {
                    let since = *blocked_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.patience {
                        return Err(InstallError::Blocked { cause: cause.clone(), hint: hint.clone() });
                    }
                    if since.elapsed().is_zero() {
                        self.screen.line(Tone::Warning, cause);
                    }
                    self.live.say(cause.clone());
                    PAUSE.1.min(self.patience / 4)
                }
            };
            self.watcher.passed(pass_detail(&pass)).await;
            tokio::time::sleep(pause.clamp(PAUSE.0, PAUSE.1)).await;
        }
    }

    /// Shows machines as they were seen earlier.
    pub(crate) fn remembered(&self, machines: &[MachineView]) {
        let now = self.clock.now();
        self.live.machines(machines.iter().map(|machine| machine_line(machine, now)).collect());
    }

    fn show(&self, pass: &Pass) {
        self.remembered(&pass.machines);
        for event in &pass.events {
            tracing::info!(reason = %event.reason, machine = ?event.machine, "{}", event.message);
            match event.severity {
                Severity::Info => {}
                Severity::Warning => self.screen.line(Tone::Warning, &event.message),
                Severity::Error => self.screen.line(Tone::Bad, &event.message),
            }
        }
    }
}

fn pass_detail(pass: &Pass) -> &str {
    match &pass.outcome {
        Outcome::Converged => "every machine is as it should be",
        Outcome::Working { reason, .. } => reason,
        Outcome::Blocked { cause, .. } => cause,
    }
}

fn machine_line(machine: &MachineView, now: Timestamp) -> MachineLine {
    MachineLine {
        name: machine.hostname.clone(),
        state: machine.state.to_string(),
        since: Duration::try_from(now.duration_since(machine.since)).unwrap_or_default(),
        reason: machine.reason.clone(),
    }
}
