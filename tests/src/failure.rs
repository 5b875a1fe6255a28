//! Why a scenario stopped: what was expected, what was seen, which log to read.

use std::{fmt, path::PathBuf};

/// The end of a scenario that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What should have been.
    pub(crate) expected: String,
    /// What was.
    pub(crate) seen: String,
    /// The file that tells more.
    pub(crate) read: Option<PathBuf>,
}

impl Failure {
    pub(crate) fn new(expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { expected: expected.into(), seen: seen.into(), read: None }
    }

    /// Names the file that tells more, unless one is named already.
    pub(crate) fn read(mut self, file: impl Into<PathBuf>) -> Self {
        self.read.get_or_insert_with(|| file.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}; seen: {}", self.expected, if self.seen.is_empty() { "nothing" } else { &self.seen })?;
        match &self.read {
            Some(file) => write!(f, "; read {}", file.display()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_expected_what_was_seen_and_what_to_read() {
        let failure = Failure::new("3 nodes", "2 nodes").read("/logs/nodes.out").read("/logs/other.out");
        assert_eq!(failure.to_string(), "expected 3 nodes; seen: 2 nodes; read /logs/nodes.out");
        assert_eq!(Failure::new("an answer", "").to_string(), "expected an answer; seen: nothing");
    }
}
