//! How anything in the plane that a person or program asked for fails: a problem document, how long to wait before the
//! next try, and the cause for the log only.

use ferrogate_api::Problem;
use ferrogate_model::{Explain, Fault, Retry, fault::chain};
use std::{fmt, time::Duration};

/// The outcome of everything `app` does.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A refusal or fault on its way to the one who asked.
#[derive(Debug)]
pub(crate) struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    problem: Problem,
    retry_after: Option<Duration>,
    /// What really happened, in words; never leaves the plane.
    cause: Option<String>,
}

impl Failure {
    /// A failure with the given HTTP status, stable code and words.
    pub(crate) fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Problem::new(status, code, detail).into()
    }

    /// The request makes no sense as it stands.
    pub(crate) fn invalid(code: &str, detail: impl Into<String>) -> Self {
        Self::new(422, code, detail)
    }

    /// What was asked for clashes with how things are.
    pub(crate) fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(409, code, detail)
    }

    /// There is no such thing, or none that the caller may know of.
    pub(crate) fn not_found(kind: &str, named: impl fmt::Display) -> Self {
        let word = kind.replace('_', " ");
        let plural = if kind == "gateway_node" { "nodes".to_owned() } else { format!("{word}s") };
        Self::new(404, &format!("{kind}_not_found"), format!("there is no {word} `{named}`"))
            .hint(format!("check the spelling, and list the {plural} you may see"))
    }

    /// The caller's credentials do not allow it.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, "not_permitted", detail).hint("ask a tenant admin for a role that may do this")
    }

    /// Nobody is signed in, or not validly.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(401, "not_signed_in", detail)
            .hint("sign in with `ferrogate login`, or send a valid token as `Authorization: Bearer …`")
    }

    /// A defect or a broken part of the plane; `cause` goes to the log.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let mut failure = Self::new(500, "internal", "the plane could not do this; the cause is in its log");
        failure.0.problem = failure.0.problem.with_fault(Fault::Ferrogate);
        failure.0.problem.hint = Some("look for the request id in the plane's log".into());
        failure.0.cause = Some(cause.into());
        failure
    }

    /// An error of a lower layer that may be shown as it is; status chosen by whose fault it is.
    pub(crate) fn explained(error: &dyn Explain) -> Self {
        let status = match (error.fault(), error.retry()) {
            (Fault::Caller, _) => 422,
            (Fault::Gateway, Retry::Later) => 503,
            (Fault::Plane | Fault::Ferrogate, _) => 500,
            (Fault::Gateway | Fault::Maas | Fault::Network | Fault::Cluster, _) => 502,
        };
        let mut failure: Self = Problem::of(status, error).into();
        failure.0.cause = Some(chain(error));
        if status == 503 {
            failure = failure.retry_after(Duration::from_secs(5));
        }
        failure
    }

    /// An error of a lower layer, with the given status.
    pub(crate) fn status_of(status: u16, error: &dyn Explain) -> Self {
        let failure: Self = Problem::of(status, error).into();
        failure.because(chain(error))
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.problem.hint = Some(hint.into());
        self
    }

    /// Adds one of several faults.
    #[must_use]
    pub(crate) fn item(mut self, at: impl Into<String>, detail: impl Into<String>, hint: Option<String>) -> Self {
        self.0.problem.errors.push(ferrogate_api::problem::ProblemItem { at: at.into(), detail: detail.into(), hint });
        self
    }

    /// Says when the next try can succeed.
    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self.0.problem.retry = Retry::Later;
        self
    }

    /// Says who has to act.
    #[must_use]
    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.0.problem.fault = fault;
        self
    }

    /// Keeps what really happened for the log.
    #[must_use]
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The document to answer with.
    pub(crate) fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// How long to wait before the next try.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What really happened, for the log.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Inner { problem, retry_after: None, cause: None }))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.problem.fmt(f)
    }
}

impl std::error::Error for Failure {}
