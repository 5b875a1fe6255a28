//! The one error type that reaches the end of `main`.

use ferrogate_model::{Explain, Fault, fault::chain};
use std::fmt;

/// What happened, whose fault it is, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    next: Option<String>,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(what: impl Into<String>, next: Option<&str>) -> Self {
        Self { what: what.into(), next: next.map(str::to_owned) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.next.as_ref().map_or(Ok(()), |next| write!(f, "\nhint: {next}"))
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        let whose = match error.fault() {
            Fault::Caller => String::new(),
            other => format!(" (cause: {other})"),
        };
        Self { what: format!("{}{whose}", chain(&error)), next: error.hint() }
    }
}
