//! Operations: long work and its steps.

use crate::{
    app::{events::Names, wire},
    auth::Principal,
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{Operation, OperationKind, OperationQuery, Page, Step};
use ferrogate_model::{OperationId, TenantId, Timestamp, state::OperationState};
use ferrogate_store::{
    Subject,
    operations::{self, Filter},
    users,
};

/// An operation that nobody has begun.
pub(crate) fn new(
    tenant: TenantId,
    kind: OperationKind,
    subject: impl Into<Subject>,
    created_by: &dyn std::fmt::Display,
    now: Timestamp,
) -> operations::Operation {
    operations::Operation {
        id: OperationId::new(),
        tenant,
        kind: kind.as_str().to_owned(),
        subject: subject.into(),
        state: OperationState::Queued,
        reason: String::new(),
        created_by: created_by.to_string(),
        created: now,
        started: None,
        finished: None,
    }
}

/// A page of the tenant's operations, the newest first, without their steps.
pub(crate) async fn list(context: &Context, who: &Principal, query: &OperationQuery) -> Outcome<Page<Operation>> {
    let filter = Filter {
        tenant: Some(who.tenant),
        // The store looks for the id alone, which says its kind by itself.
        subject: query
            .subject_id
            .as_ref()
            .map(|id| Subject { kind: ferrogate_store::SubjectKind::Cluster, id: id.clone() }),
        state: query.state,
    };
    let list = operations::list(&context.store, &filter, &wire::page(&query.page())?).await?;
    let mut names = Names::default();
    let mut items = Vec::with_capacity(list.items.len());
    for operation in list.items {
        items.push(shown(context, &mut names, operation, Vec::new()).await?);
    }
    Ok(Page { items, next: list.next })
}

/// One operation with its steps.
pub(crate) async fn read(context: &Context, who: &Principal, operation: &str) -> Outcome<Operation> {
    let unknown = || Failure::not_found("operation", operation);
    let id = operation.parse().map_err(|_| unknown())?;
    let record = operations::find(&context.store, who.tenant, id).await?.ok_or_else(unknown)?;
    with_steps(context, record).await
}

/// An operation of the store, in the API's words, with its steps.
pub(crate) async fn with_steps(context: &Context, operation: operations::Operation) -> Outcome<Operation> {
    let steps = operations::steps(&context.store, operation.id).await?;
    let steps = steps.into_iter().map(|step| Step {
        name: step.name,
        state: step.state,
        detail: step.detail,
        started_at: step.started,
        finished_at: step.finished,
    });
    shown(context, &mut Names::default(), operation, steps.collect()).await
}

async fn shown(
    context: &Context,
    names: &mut Names,
    operation: operations::Operation,
    steps: Vec<Step>,
) -> Outcome<Operation> {
    let created_by = match operation.created_by.parse() {
        Ok(id) => users::get(&context.store, id).await?.map(|user| user.email),
        Err(_) => None,
    };
    Ok(Operation {
        id: operation.id,
        kind: wire::operation_kind(&operation.kind)?,
        subject_kind: wire::subject_kind(operation.subject.kind),
        subject: names.of(context, &operation.subject).await?,
        subject_id: operation.subject.id,
        state: operation.state,
        reason: operation.reason,
        created_by: created_by.unwrap_or(operation.created_by),
        created_at: operation.created,
        started_at: operation.started,
        finished_at: operation.finished,
        steps,
    })
}
