//! Exit codes, and the one error type that carries them to the end of `main`.

use ferrogate_api::ApiError;
use ferrogate_model::{Explain, Fault, fault};
use std::fmt;

/// How the program ends. Documented in `docs/reference/exit-codes.md`; scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Refused, or tried and failed.
    Failed = 1,
    /// Wrong use of the command line, or a defect of ours.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// Not signed in, or not permitted.
    Denied = 4,
    /// The plane, or the MAAS, was not reached.
    Unreachable = 5,
    /// What was waited for did not happen in time.
    TimedOut = 124,
    /// Interrupted by the person.
    Interrupted = 130,
}

/// An error as it is shown: what happened, whose fault it is, what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    hint: Option<String>,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Any error that explains itself.
    pub(crate) fn explained(exit: Exit, error: &dyn Explain) -> Self {
        let whose = match error.fault() {
            Fault::Caller => String::new(),
            other => format!(" (cause: {other})"),
        };
        Self { exit, message: format!("{}{whose}", chain(error)), hint: error.hint() }
    }
}

/// The message with its causes.
fn chain(error: &dyn Explain) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let exit = match &error {
            ApiError::Problem(problem) => match problem.status {
                401 | 403 => Exit::Denied,
                404 => Exit::NotFound,
                502..=504 => Exit::Unreachable,
                _ => Exit::Failed,
            },
            ApiError::Unreachable { .. } => Exit::Unreachable,
            ApiError::NotAPlane { .. } => Exit::Failed,
            ApiError::Trust(_) => Exit::Usage,
        };
        let mut failure = Self::explained(exit, &error);
        if let Some(problem) = error.problem() {
            failure.message = problem.detail.clone();
            for item in &problem.errors {
                failure.message.push_str(&format!("\n  {}: {}", item.at, item.detail));
                if let Some(hint) = &item.hint {
                    failure.message.push_str(&format!("\n    hint: {hint}"));
                }
            }
            if problem.status >= 500
                && let Some(id) = &problem.request_id
            {
                failure.message.push_str(&format!("\n  request {id}"));
            }
        }
        failure
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(fault::chain(&error))
    }
}
