//! What must hold before the first machine is touched (specification, section 2): one check a row, each with the value
//! seen and what to do. Shared by the installer, `doctor` and the plane's own look at a new cluster.

use serde::{Deserialize, Serialize};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Holds.
    Pass,
    /// Holds, but a person should know something.
    Warn,
    /// Does not hold; nothing may be started.
    Fail,
    /// Could not be looked at, because something before it failed or nothing was given to look with.
    Skip,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A stable word, such as `machines`.
    pub id: String,
    /// What was checked, for people, such as `Machines for the gateway`.
    pub title: String,
    /// How it came out.
    pub status: Status,
    /// The value seen.
    pub seen: String,
    /// What to do, where something is to be done.
    pub fix: Option<String>,
}

impl Check {
    /// A check that holds.
    #[must_use]
    pub fn pass(id: &str, title: &str, seen: impl Into<String>) -> Self {
        Self { id: id.into(), title: title.into(), status: Status::Pass, seen: seen.into(), fix: None }
    }

    /// A check that holds, with something to know.
    #[must_use]
    pub fn warn(id: &str, title: &str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Warn, fix: Some(fix.into()), ..Self::pass(id, title, seen) }
    }

    /// A check that does not hold.
    #[must_use]
    pub fn fail(id: &str, title: &str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Fail, fix: Some(fix.into()), ..Self::pass(id, title, seen) }
    }

    /// A check that could not be made.
    #[must_use]
    pub fn skip(id: &str, title: &str, seen: impl Into<String>) -> Self {
        Self { status: Status::Skip, ..Self::pass(id, title, seen) }
    }
}

/// Whether nothing failed.
#[must_use]
pub fn all_hold(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.status != Status::Fail)
}
