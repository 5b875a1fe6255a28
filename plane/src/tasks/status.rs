//! What the reconcilers did last, for operators.

use ferrogate_model::Timestamp;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The state of every reconciler.
#[derive(Debug, Default)]
pub struct TaskStatuses(Mutex<BTreeMap<&'static str, TaskStatus>>);

/// The state of one reconciler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TaskStatus {
    /// Runs since the start.
    pub runs: u64,
    /// Of them: ended with an error.
    pub failures: u64,
    /// Of them: panicked, a defect.
    pub panics: u64,
    /// When it last looked what there is to do.
    pub looked: Option<Timestamp>,
    /// Why it could not look, if it could not.
    pub cannot_look: Option<String>,
    /// The things it works on, by id.
    pub items: BTreeMap<String, ItemStatus>,
}

/// The last run on one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemStatus {
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// How it is.
    pub phase: Phase,
    /// What it found, for people.
    pub detail: String,
    /// Failed runs in a row.
    pub failures: u32,
}

/// How a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Under way.
    Running,
    /// Ended well.
    Done,
    /// Ended with an error.
    Failed,
    /// Panicked.
    Panicked,
}

impl TaskStatuses {
    /// The state of every reconciler, by its name.
    #[must_use]
    pub fn status(&self) -> BTreeMap<&'static str, TaskStatus> {
        self.lock().clone()
    }

    pub(super) fn looked(&self, task: &'static str, now: Timestamp, ids: Result<&[String], &str>) {
        let mut statuses = self.lock();
        let status = statuses.entry(task).or_default();
        status.looked = Some(now);
        match ids {
            Ok(ids) => {
                status.cannot_look = None;
                status.items.retain(|id, item| item.phase == Phase::Running || ids.contains(id));
            }
            Err(problem) => status.cannot_look = Some(problem.to_owned()),
        }
    }

    pub(super) fn started(&self, task: &'static str, id: &str, now: Timestamp) {
        let mut statuses = self.lock();
        let status = statuses.entry(task).or_default();
        status.runs += 1;
        let item = status.items.entry(id.to_owned()).or_insert_with(|| ItemStatus {
            started: now,
            finished: None,
            phase: Phase::Running,
            detail: String::new(),
            failures: 0,
        });
        item.started = now;
        item.finished = None;
        item.phase = Phase::Running;
    }

    pub(super) fn finished(&self, task: &'static str, id: &str, now: Timestamp, phase: Phase, detail: String) {
        let mut statuses = self.lock();
        let status = statuses.entry(task).or_default();
        match phase {
            Phase::Failed => status.failures += 1,
            Phase::Panicked => status.panics += 1,
            Phase::Running | Phase::Done => {}
        }
        if let Some(item) = status.items.get_mut(id) {
            item.finished = Some(now);
            item.phase = phase;
            item.detail = detail;
            item.failures = if phase == Phase::Done { 0 } else { item.failures.saturating_add(1) };
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, TaskStatus>> {
        // The map is whole after every statement, so a panic elsewhere while it was held broke nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
