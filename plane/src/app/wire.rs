//! From what the store remembers to what the API says, and the few words that differ.

use crate::failure::{Failure, Outcome};
use ferrogate_api::{Event, OperationKind, PageQuery, SubjectKind};
use ferrogate_model::cluster::ClusterSpec;
use ferrogate_store::{List, Page, StoreError};

/// The page a query asks for.
pub(crate) fn page(query: &PageQuery) -> Outcome<Page> {
    let limit = query.limit.unwrap_or(100);
    if !(1..=Page::MAX).contains(&limit) {
        return Err(Failure::invalid("bad_limit", format!("the limit {limit} is not between 1 and {}", Page::MAX)));
    }
    Ok(Page { after: query.after.clone(), limit })
}

/// Refuses a specification that contradicts itself, with everything that is wrong with it.
pub(crate) fn no_problems(spec: &ClusterSpec) -> Outcome<()> {
    let problems = spec.problems();
    if problems.is_empty() {
        return Ok(());
    }
    let failure = Failure::invalid("bad_spec", "the specification contradicts itself");
    Err(problems
        .into_iter()
        .fold(failure, |failure, bad| failure.item(format!("spec.{}", bad.field), bad.problem, None)))
}

/// A page of the store as a page of the API.
pub(crate) fn listed<S, A>(list: List<S>, each: impl FnMut(S) -> A) -> ferrogate_api::Page<A> {
    ferrogate_api::Page { items: list.items.into_iter().map(each).collect(), next: list.next }
}

/// A list that is never longer than one page.
pub(crate) const fn whole<A>(items: Vec<A>) -> ferrogate_api::Page<A> {
    ferrogate_api::Page { items, next: None }
}

/// A kind of object in the API's words. What the store knows more finely is shown as what it belongs to.
pub(crate) const fn subject_kind(kind: ferrogate_store::SubjectKind) -> SubjectKind {
    use ferrogate_store::SubjectKind as Stored;
    match kind {
        Stored::Tenant => SubjectKind::Tenant,
        Stored::User => SubjectKind::User,
        Stored::Token => SubjectKind::Token,
        Stored::PairingCode => SubjectKind::PairingCode,
        Stored::Gateway | Stored::GatewayNode => SubjectKind::Gateway,
        Stored::Account => SubjectKind::Account,
        Stored::Cluster | Stored::Machine => SubjectKind::Cluster,
    }
}

/// An operation's kind from the word the store keeps.
pub(crate) fn operation_kind(word: &str) -> Outcome<OperationKind> {
    OperationKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| Failure::internal(format!("the store has an operation of the unknown kind `{word}`")))
}

/// An event; `name` is the object's.
pub(crate) fn event(event: ferrogate_store::events::Event, name: String) -> Event {
    Event {
        id: event.id,
        at: event.at,
        subject_kind: subject_kind(event.subject.kind),
        subject_id: event.subject.id,
        subject: name,
        severity: event.severity,
        reason: event.reason,
        message: event.message,
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let cause = ferrogate_model::fault::chain(&error);
        match &error {
            StoreError::Conflict { .. } | StoreError::Changed { .. } | StoreError::NotAllowed { .. } => {
                Self::status_of(409, &error)
            }
            StoreError::NotFound { .. } => Self::status_of(404, &error),
            StoreError::BadCursor { .. } => Self::status_of(422, &error),
            StoreError::Busy(_) => Self::new(503, "database_busy", "the plane's database is busy")
                .retry_after(std::time::Duration::from_secs(3))
                .because(cause),
            StoreError::Open { .. }
            | StoreError::Migrate { .. }
            | StoreError::KeyFile { .. }
            | StoreError::WrongKey { .. }
            | StoreError::Tampered { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Database(_) => Self::internal(cause),
        }
    }
}
