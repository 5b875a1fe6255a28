//! Progress: what is being done, for how long, and how it ended. Live on a terminal, plain lines everywhere else.

pub mod live;
pub mod plain;

pub use live::Live;
pub use plain::Plain;

use crate::prompt::Tone;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A machine, as one line under the step it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineLine {
    /// Host name.
    pub name: String,
    /// State.
    pub state: String,
    /// For how long it has been in that state.
    pub since: Duration,
    /// What it waits for, or why it is in that state.
    pub reason: String,
}

/// Shows progress. Everything shown here goes to the log as well.
pub trait Screen: Send + Sync {
    /// A step begins.
    fn begin(&self, title: &str);
    /// The step goes on: what it waits for, and the machines it works on. Called about once a second.
    fn update(&self, elapsed: Duration, detail: &str, machines: &[MachineLine]);
    /// The step has ended: well or badly, with a word about how.
    fn end(&self, tone: Tone, elapsed: Duration, word: &str);
    /// A line that belongs to no step.
    fn line(&self, tone: Tone, text: &str);
}

/// The screen that fits standard error.
#[must_use]
pub fn standard() -> Arc<dyn Screen> {
    let term = console::Term::stderr();
    if term.is_term() && !console::is_dumb() { Arc::new(Live::new(term)) } else { Arc::new(Plain::stderr()) }
}

/// Keeps what it is shown, for tests.
#[derive(Debug, Default)]
pub struct Recorded {
    lines: Mutex<Vec<String>>,
    machines: Mutex<Vec<MachineLine>>,
}

impl Recorded {
    /// What was shown, a line each, but for the updates of a step.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The machines as they were shown last.
    #[must_use]
    pub fn machines(&self) -> Vec<MachineLine> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, line: String) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Screen for Recorded {
    fn begin(&self, title: &str) {
        self.push(format!("> {title}"));
    }

    fn update(&self, _elapsed: Duration, _detail: &str, machines: &[MachineLine]) {
        *self.machines.lock().unwrap_or_else(PoisonError::into_inner) = machines.to_vec();
    }

    fn end(&self, tone: Tone, _elapsed: Duration, word: &str) {
        self.push(format!("< {tone:?} {word}"));
    }

    fn line(&self, _tone: Tone, text: &str) {
        self.push(text.to_owned());
    }
}

/// A length of time as it stands beside a step: `7s`, `4m 05s`, `1h 02m`.
#[must_use]
pub fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_width() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (65, "1m 05s"), (3600, "1h 00m"), (7325, "2h 02m")] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
    }
}
