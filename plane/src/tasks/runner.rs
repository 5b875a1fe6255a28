//! The one loop behind every reconciler: timer, nudge, back-off, one run at a time for each thing, panics contained.

use super::{Phase, TaskError, TaskStatuses};
use async_trait::async_trait;
use ferrogate_model::{Clock, fault::chain};
use rand::Rng;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// How often a reconciler looks what there is to do without being nudged: another replica cannot nudge this one.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How many things one reconciler works on at once.
const AT_ONCE: usize = 16;
/// The shortest time between two runs on one thing, however often it is nudged.
const SHORTEST: Duration = Duration::from_millis(200);
/// The first wait after a failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait after failures.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// The longest a run may take. The waits inside have shorter deadlines; this is for what nobody thought of.
const LONGEST_RUN: Duration = Duration::from_secs(600);
/// How long the runs that are under way may take to end when the plane shuts down.
const CLOSING_DEADLINE: Duration = Duration::from_secs(5);

/// A thing a reconciler works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Whether it is not yet what it should be: a nudge then runs it at once.
    pub pressing: bool,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// When to run again if nothing nudges.
    pub again: Duration,
    /// What was found, for operators.
    pub said: String,
}

impl Done {
    /// What was found, and when to look again.
    #[must_use]
    pub fn new(again: Duration, said: impl Into<String>) -> Self {
        Self { again, said: said.into() }
    }
}

/// Makes things what they should be, each by itself.
#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    /// Its name in the statuses and in the log.
    fn name(&self) -> &'static str;

    /// What there is to work on. Called often: cheap.
    ///
    /// # Errors
    /// What the store said; it is asked again.
    async fn keys(&self) -> Result<Vec<Key>, TaskError>;

    /// One run on one thing. May be dropped at any point.
    ///
    /// # Errors
    /// Why it did not get to its end; it is tried again, ever later.
    async fn reconcile(&self, id: &str) -> Result<Done, TaskError>;
}

struct Slot {
    due: Instant,
    started: Option<Instant>,
    running: bool,
    /// A nudge came while it was running.
    nudged: bool,
    pressing: bool,
    failures: u32,
}

struct Runner {
    reconciler: Arc<dyn Reconciler>,
    clock: Arc<dyn Clock>,
    statuses: Arc<TaskStatuses>,
    slots: HashMap<String, Slot>,
    runs: JoinSet<Result<Done, TaskError>>,
    ids: HashMap<Id, (String, AbortHandle)>,
}

/// Runs a reconciler until `closing`; the runs that are under way then may end within a deadline.
pub async fn run(
    reconciler: Arc<dyn Reconciler>,
    clock: Arc<dyn Clock>,
    mut nudges: watch::Receiver<()>,
    statuses: Arc<TaskStatuses>,
    closing: CancellationToken,
) {
    let mut runner =
        Runner { reconciler, clock, statuses, slots: HashMap::new(), runs: JoinSet::new(), ids: HashMap::new() };
    runner.look(true).await;
    let mut next_look = Instant::now() + LOOK_EVERY;
    loop {
        runner.start_due();
        let wake = runner.next_due().map_or(next_look, |due| due.min(next_look));
        tokio::select! {
            () = closing.cancelled() => break,
            changed = nudges.changed() => {
                if changed.is_err() {
                    break;
                }
                runner.look(true).await;
                next_look = Instant::now() + LOOK_EVERY;
            }
            Some(ended) = runner.runs.join_next_with_id(), if !runner.runs.is_empty() => runner.ended(ended),
            () = tokio::time::sleep_until(wake) => {
                if Instant::now() >= next_look {
                    runner.look(false).await;
                    next_look = Instant::now() + LOOK_EVERY;
                }
            }
        }
    }
    runner.close().await;
}

impl Runner {
    fn name(&self) -> &'static str {
        self.reconciler.name()
    }

    /// Reads what there is to work on.
    async fn look(&mut self, nudged: bool) {
        let now = self.clock.now();
        let keys = match self.reconciler.keys().await {
            Ok(keys) => keys,
            Err(error) => {
                let problem = chain(&error);
                tracing::warn!(task = self.name(), error = problem, "cannot see what there is to do");
                self.statuses.looked(self.name(), now, Err(&problem));
                return;
            }
        };
        let ids: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
        self.statuses.looked(self.name(), now, Ok(&ids));
        self.slots.retain(|id, slot| slot.running || ids.contains(id));
        let at_once = Instant::now();
        for key in keys {
            let slot = self.slots.entry(key.id).or_insert_with(|| Slot {
                due: at_once,
                started: None,
                running: false,
                nudged: false,
                pressing: false,
                failures: 0,
            });
            let has_become_pressing = key.pressing && !slot.pressing;
            slot.pressing = key.pressing;
            if has_become_pressing || (nudged && key.pressing) {
                slot.nudged = slot.running;
                slot.due = slot.due.min(slot.earliest(at_once));
            }
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        let mut due: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| !slot.running && slot.due <= now)
            .map(|(id, slot)| (slot.due, id))
            .collect();
        due.sort();
        let free = AT_ONCE.saturating_sub(self.runs.len());
        let due: Vec<String> = due.into_iter().take(free).map(|(_, id)| id.clone()).collect();
        for id in due {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.running = true;
                slot.started = Some(now);
                slot.nudged = false;
            }
            self.statuses.started(self.name(), &id, self.clock.now());
            let (reconciler, of) = (Arc::clone(&self.reconciler), id.clone());
            let handle = self.runs.spawn(async move {
                tokio::time::timeout(LONGEST_RUN, reconciler.reconcile(&of))
                    .await
                    .unwrap_or(Err(TaskError::TooLong { seconds: LONGEST_RUN.as_secs() }))
            });
            self.ids.insert(handle.id(), (id, handle));
        }
    }

    fn next_due(&self) -> Option<Instant> {
        if self.runs.len() >= AT_ONCE {
            return None;
        }
        self.slots.values().filter(|slot| !slot.running).map(|slot| slot.due).min()
    }

    fn ended(&mut self, ended: Result<(Id, Result<Done, TaskError>), JoinError>) {
        let (task, result) = match ended {
            Ok((task, result)) => (task, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some((id, _)) = self.ids.remove(&task) else { return };
        let now = self.clock.now();
        let name = self.name();
        let (phase, detail, again) = match result {
            Ok(Ok(done)) => (Phase::Done, done.said, done.again),
            Ok(Err(error)) if error.is_stale() => (Phase::Done, chain(&error), Duration::ZERO),
            Ok(Err(error)) => {
                let problem = chain(&error);
                tracing::warn!(task = name, id, error = problem, "a run failed and will be tried again");
                (Phase::Failed, problem, Duration::ZERO)
            }
            Err(panic) => {
                let problem = panic_text(panic);
                tracing::error!(task = name, id, panic = problem, "a run panicked: a defect in Ferrogate");
                (Phase::Panicked, problem, Duration::ZERO)
            }
        };
        self.statuses.finished(name, &id, now, phase, detail);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.running = false;
        let at_once = Instant::now();
        let after = if phase == Phase::Done {
            slot.failures = 0;
            again
        } else {
            slot.failures = slot.failures.saturating_add(1);
            back_off(slot.failures)
        };
        slot.due = slot.earliest(at_once).max(at_once + after);
        if slot.nudged {
            slot.due = slot.earliest(at_once);
        }
    }

    async fn close(mut self) {
        let ended = tokio::time::timeout(CLOSING_DEADLINE, async {
            while let Some(ended) = self.runs.join_next_with_id().await {
                self.ended(ended);
            }
        });
        if ended.await.is_err() {
            tracing::info!(task = self.reconciler.name(), "runs that did not end in time are dropped; they begin anew");
        }
        self.runs.shutdown().await;
    }
}

impl Slot {
    /// When it may run next at the earliest.
    fn earliest(&self, now: Instant) -> Instant {
        self.started.map_or(now, |started| (started + SHORTEST).max(now))
    }
}

/// Full jitter: anything between nothing and a bound that doubles, so that many that failed together do not come back so.
fn back_off(failures: u32) -> Duration {
    let bound = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_RETRY);
    let bound_ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rand::rng().random_range(bound_ms / 2..=bound_ms))
}

fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "it panicked without a word".to_owned()),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
