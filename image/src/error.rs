//! What stops a build: what was being done and to what, why it failed, and what to do next.

use std::{error::Error, fmt};

type Cause = Box<dyn Error + Send + Sync>;

/// A build that stopped.
#[derive(Debug)]
pub struct BuildError {
    what: String,
    hint: Option<String>,
    cause: Option<Cause>,
}

/// What a step of a build comes to.
pub type Result<T, E = BuildError> = std::result::Result<T, E>;

impl BuildError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, cause: None }
    }

    /// Says what to do next, as one sentence in the imperative.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What was being done, and to what.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do next: its own word, or that of the first cause that has one.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        let of_cause = || self.cause.as_ref()?.downcast_ref::<Self>()?.hint();
        self.hint.as_deref().or_else(of_cause)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as &(dyn Error + 'static))
    }
}

impl From<std::io::Error> for BuildError {
    fn from(error: std::io::Error) -> Self {
        Self { cause: Some(error.into()), ..Self::new("reading or writing in the build's folder") }
    }
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    fn with_context(self, what: impl FnOnce() -> String) -> Result<T>;

    fn context(self, what: &str) -> Result<T>
    where
        Self: Sized,
    {
        self.with_context(|| what.to_owned())
    }
}

impl<T, E: Into<Cause>> Context<T> for Result<T, E> {
    fn with_context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| BuildError { cause: Some(error.into()), ..BuildError::new(what()) })
    }
}

impl<T> Context<T> for Option<T> {
    fn with_context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.ok_or_else(|| BuildError::new(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_done_to_what_why_it_failed_and_what_to_do() {
        let inner = BuildError::new("zstd failed (exit status: 1)").with_hint("make room on the disk");
        let error = Err::<(), _>(inner).context("building bundle").unwrap_err();
        assert_eq!(error.what(), "building bundle");
        assert_eq!(error.hint(), Some("make room on the disk"));
        let cause = error.source().unwrap().to_string();
        assert_eq!(cause, "zstd failed (exit status: 1); make room on the disk");
        let error = std::fs::read("/not/there").context("reading /not/there").unwrap_err();
        assert!(error.source().is_some() && error.hint().is_none());
    }
}
