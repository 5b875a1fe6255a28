//! One step after the other, each with its deadline, its place on the screen and its line in the log; every step can be
//! interrupted.

use crate::{
    InstallError,
    config::deadlines::describe,
    prompt::Tone,
    screen::{MachineLine, Screen},
};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

/// How often the running step is drawn anew.
const REDRAW: Duration = Duration::from_secs(1);

/// What a step says about itself while it runs.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<LiveState>);

#[derive(Clone, Debug, Default)]
struct LiveState {
    detail: String,
    machines: Vec<MachineLine>,
}

impl Live {
    /// Says what is waited for.
    pub(crate) fn say(&self, detail: impl Into<String>) {
        let detail = detail.into();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.detail != detail {
            tracing::info!("{detail}");
            state.detail = detail;
        }
    }

    /// Says how the machines are.
    pub(crate) fn machines(&self, machines: Vec<MachineLine>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for machine in &machines {
            if !state.machines.iter().any(|old| old.name == machine.name && old.state == machine.state) {
                tracing::info!(machine = %machine.name, state = %machine.state, reason = %machine.reason, "machine");
            }
        }
        state.machines = machines;
    }

    fn read(&self) -> LiveState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last thing that was said, for the message when time is up.
    fn last(&self) -> Option<String> {
        let state = self.read();
        let machines: Vec<_> = state
            .machines
            .iter()
            .map(|machine| format!("{} {} for {}", machine.name, machine.state, crate::screen::clock(machine.since)))
            .collect();
        let parts: Vec<_> = machines.into_iter().chain((!state.detail.is_empty()).then_some(state.detail)).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// What a step is.
pub(crate) struct Step {
    /// What is done, as a heading: `Machines`.
    pub(crate) title: &'static str,
    /// What did not happen where time is up: `a running gateway on every machine`.
    pub(crate) goal: String,
    /// How long it may take.
    pub(crate) within: Duration,
}

/// Runs steps.
pub(crate) struct Steps<'a> {
    screen: &'a dyn Screen,
    cancel: CancellationToken,
    started: Instant,
    overall: Duration,
}

impl<'a> Steps<'a> {
    /// Steps that may take `overall` together.
    pub(crate) fn new(screen: &'a dyn Screen, cancel: CancellationToken, overall: Duration) -> Self {
        Self { screen, cancel, started: Instant::now(), overall }
    }

    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The screen.
    pub(crate) fn screen(&self) -> &'a dyn Screen {
        self.screen
    }

    /// Runs one step. The work answers what it made and a word about it.
    ///
    /// # Errors
    /// The work's own, [`InstallError::Deadline`] or [`InstallError::Interrupted`].
    pub(crate) async fn run<T>(
        &self,
        step: &Step,
        live: &Live,
        work: impl Future<Output = Result<(T, Tone, String), InstallError>>,
    ) -> Result<T, InstallError> {
        let started = Instant::now();
        let left = self.overall.saturating_sub(self.started.elapsed());
        let (within, all) = if left < step.within { (left, true) } else { (step.within, false) };
        tracing::info!(step = step.title, deadline = %describe(within), "begins");
        self.screen.begin(step.title);
        let result = self.race(started, started + within, live, work).await.unwrap_or_else(|cut| {
            Err(match cut {
                Cut::Interrupted => InstallError::Interrupted { during: step.title.to_lowercase() },
                Cut::Late => InstallError::Deadline {
                    what: step.goal.clone(),
                    within: match all {
                        true => format!("{} (the deadline of the whole installation)", describe(self.overall)),
                        false => describe(step.within),
                    },
                    seen: live.last(),
                },
            })
        });
        let elapsed = started.elapsed();
        match result {
            Ok((made, tone, word)) => {
                tracing::info!(step = step.title, seconds = elapsed.as_secs(), %word, "done");
                self.screen.end(tone, elapsed, &word);
                Ok(made)
            }
            Err(error) => {
                let text = ferrogate_model::fault::chain(&error);
                tracing::error!(step = step.title, seconds = elapsed.as_secs(), error = %text, "failed");
                self.screen.end(Tone::Bad, elapsed, "");
                Err(error)
            }
        }
    }

    async fn race<T>(
        &self,
        started: Instant,
        end: Instant,
        live: &Live,
        work: impl Future<Output = T>,
    ) -> Result<T, Cut> {
        let mut work = std::pin::pin!(work);
        let mut redraw = interval(REDRAW);
        redraw.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Cut::Interrupted),
                made = &mut work => return Ok(made),
                () = tokio::time::sleep_until(end) => return Err(Cut::Late),
                _ = redraw.tick() => {
                    let state = live.read();
                    self.screen.update(started.elapsed(), &state.detail, &state.machines);
                }
            }
        }
    }
}

enum Cut {
    Interrupted,
    Late,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::Recorded;

    fn step(seconds: u64) -> Step {
        Step { title: "Machines", goal: "a running gateway".into(), within: Duration::from_secs(seconds) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_never_ends_is_cut_at_its_deadline_and_says_what_was_last_seen() {
        let screen = Recorded::default();
        let steps = Steps::new(&screen, CancellationToken::new(), Duration::from_secs(3600));
        let live = Live::default();
        live.say("node02 is being installed by MAAS");
        let error = steps.run::<()>(&step(90), &live, std::future::pending()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "a running gateway did not happen within 1m 30s; last seen: node02 is being installed by MAAS"
        );
        assert_eq!(error.exit_code(), 124);
        assert_eq!(steps.elapsed(), Duration::from_secs(90));
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_of_all_steps_together_counts_too() {
        let screen = Recorded::default();
        let steps = Steps::new(&screen, CancellationToken::new(), Duration::from_secs(10));
        let error = steps.run::<()>(&step(90), &Live::default(), std::future::pending()).await.unwrap_err();
        assert!(error.to_string().contains("within 10s (the deadline of the whole installation)"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_interruption_ends_a_step_at_once() {
        let screen = Recorded::default();
        let cancel = CancellationToken::new();
        let steps = Steps::new(&screen, cancel.clone(), Duration::from_secs(10));
        cancel.cancel();
        let error = steps.run::<()>(&step(90), &Live::default(), std::future::pending()).await.unwrap_err();
        assert_eq!(error.to_string(), "interrupted during the step `machines`");
        assert_eq!(error.exit_code(), 130);
        assert_eq!(screen.lines(), ["> Machines", "< Bad "]);
    }
}
