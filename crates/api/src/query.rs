//! What lists can be narrowed down to.

use crate::{AuditResult, PageQuery, SubjectKind};
use ferrogate_model::Timestamp;
use ferrogate_model::state::{OperationState, Severity};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// Which events; the newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// At most this many entries, 1 to 500; 100 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500, example = 100)]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only events of this kind of object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub subject_kind: Option<SubjectKind>,
    /// Only events of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "cls_01990f3e6b0a7c31a5d2c0ffee123456")]
    pub subject_id: Option<String>,
    /// Only events that are this serious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub severity: Option<Severity>,
}

/// Which operations; the newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OperationQuery {
    /// At most this many entries, 1 to 500; 100 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500, example = 100)]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only operations on this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "cls_01990f3e6b0a7c31a5d2c0ffee123456")]
    pub subject_id: Option<String>,
    /// Only operations in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<OperationState>,
}

/// Which entries of the audit; the newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// At most this many entries, 1 to 500; 100 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500, example = 100)]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only what this actor did: its id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "admin@example.com")]
    pub actor: Option<String>,
    /// Only this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "cluster.create")]
    pub action: Option<String>,
    /// Only what was done to this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Only requests that ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub result: Option<AuditResult>,
    /// Only what happened at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "2026-11-23T00:00:00Z")]
    pub since: Option<Timestamp>,
    /// Only what happened before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

macro_rules! pages {
    ($($query:ident),+) => {$(
        impl $query {
            /// Which page.
            #[must_use]
            pub fn page(&self) -> PageQuery {
                PageQuery { limit: self.limit, after: self.after.clone() }
            }
        }
    )+};
}

pages!(EventQuery, OperationQuery, AuditQuery);
