//! Errors of the API: RFC 9457 problem documents.

use ferrogate_model::{Explain, Fault, Retry};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// An error answer, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A page about this kind of problem, relative to the plane: `/problems/<code>`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/cluster_not_found")]
    pub kind: String,
    /// The kind of problem in a few words.
    #[schema(example = "Not Found")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// A stable word for programs.
    #[schema(example = "cluster_not_found")]
    pub code: String,
    /// What happened, to what, with the values seen.
    #[schema(example = "there is no cluster `web`")]
    pub detail: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "list the clusters with `ferrogate get clusters`")]
    pub hint: Option<String>,
    /// Who has to act.
    pub fault: Fault,
    /// Whether the same request can succeed later.
    pub retry: Retry,
    /// The request's id, also in the plane's log and audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The single faults, where one request has several (fields of a body, blocking clusters).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemItem>,
}

/// One of several faults of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemItem {
    /// The field, check or object it is about.
    #[schema(example = "spec.pod_cidr")]
    pub at: String,
    /// What is wrong with it.
    #[schema(example = "pod CIDR 10.20.0.0/16 overlaps MAAS subnet `lab` 10.20.0.0/22")]
    pub detail: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with the given status, code and words; fault and retry follow from the status.
    #[must_use]
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        let title = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
        Self {
            kind: format!("/problems/{code}"),
            title: title.to_owned(),
            status,
            code: code.to_owned(),
            detail: detail.into(),
            hint: None,
            fault: if status < 500 { Fault::Caller } else { Fault::Plane },
            retry: if matches!(status, 408 | 429 | 502 | 503 | 504) { Retry::Later } else { Retry::No },
            request_id: None,
            errors: Vec::new(),
        }
    }

    /// The problem of an error that explains itself.
    #[must_use]
    pub fn of(status: u16, error: &dyn Explain) -> Self {
        let mut problem = Self::new(status, error.code(), error.to_string());
        problem.hint = error.hint();
        problem.fault = error.fault();
        problem.retry = error.retry();
        problem
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says who has to act.
    #[must_use]
    pub const fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        for item in &self.errors {
            write!(f, "; {}: {}", item.at, item.detail)?;
        }
        Ok(())
    }
}
