//! Operations: long work that a person asked for, with steps that can be watched.

use crate::{
    Db, List, Page, StoreError, Subject,
    sql::{Row, args},
};
use ferrogate_model::{OperationId, TenantId, Timestamp, state::OperationState};

const TABLE: &str = "operations";
const STEPS: &str = "steps";
const WHAT: &str = "operation";

/// Long work that a person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What is done, such as `create_cluster`.
    pub kind: String,
    /// What it is done to.
    pub subject: Subject,
    /// Where it is.
    pub state: OperationState,
    /// Why, for people; may be empty.
    pub reason: String,
    /// Who asked for it: the id of a user, a token or a gateway.
    pub created_by: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// When work on it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

/// A step of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The operation it belongs to.
    pub operation: OperationId,
    /// Its place among the steps, from 1.
    pub seq: u32,
    /// What is done, for people.
    pub name: String,
    /// Where it is.
    pub state: OperationState,
    /// How it goes, for people; may be empty.
    pub detail: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

/// Which operations are wanted; `None` leaves a thing open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// On this thing.
    pub subject: Option<Subject>,
    /// In this state.
    pub state: Option<OperationState>,
}

macro_rules! columns {
    () => {
        "id, tenant, kind, subject_kind, subject, state, reason, created_by, created, started, finished"
    };
}

/// Adds an operation.
///
/// # Errors
/// What the database said.
pub async fn insert(db: impl Into<Db<'_>>, operation: &Operation) -> Result<(), StoreError> {
    db.into()
        .execute(
            concat!("INSERT INTO operations (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"),
            args![
                operation.id,
                operation.tenant,
                &operation.kind,
                operation.subject.kind,
                &operation.subject.id,
                operation.state,
                &operation.reason,
                &operation.created_by,
                operation.created,
                operation.started,
                operation.finished
            ],
        )
        .await?;
    Ok(())
}

/// One operation of a tenant.
///
/// # Errors
/// What the database said.
pub async fn find(db: impl Into<Db<'_>>, tenant: TenantId, id: OperationId) -> Result<Option<Operation>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM operations WHERE tenant = $1 AND id = $2");
    db.into().read_one(TABLE, sql, args![tenant, id], read).await
}

/// Operations, newest first.
///
/// # Errors
/// What the database said.
pub async fn list(db: impl Into<Db<'_>>, filter: &Filter, page: &Page) -> Result<List<Operation>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM operations WHERE ($1 IS NULL OR tenant = $1) AND ($2 IS NULL OR subject = $2) \
                 AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR id < $4) ORDER BY id DESC LIMIT $5"
            ),
            args![
                filter.tenant,
                filter.subject.as_ref().map(|subject| subject.id.clone()),
                filter.state,
                &page.after,
                page.rows()
            ],
        )
        .await?;
    page.list(&rows, read, |operation| operation.id.to_string())
}

/// The operations on a thing that have not ended, oldest first. There are a few at most, so there are no pages.
///
/// # Errors
/// What the database said.
pub async fn open_on(db: impl Into<Db<'_>>, subject: &Subject) -> Result<Vec<Operation>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM operations WHERE subject = $1 AND finished IS NULL ORDER BY id LIMIT 100"
    );
    db.into().read(TABLE, sql, args![&subject.id]).await?.iter().map(read).collect()
}

/// Moves an operation that has not ended to another state; tells whether it did. The first move to
/// [`OperationState::Running`] and the move to an end are timed.
///
/// # Errors
/// What the database said.
pub async fn transition(
    db: impl Into<Db<'_>>,
    id: OperationId,
    to: OperationState,
    reason: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (started, finished) = times(to, now);
    let rows = db
        .into()
        .execute(
            "UPDATE operations SET state = $2, reason = $3, started = COALESCE(started, $4), finished = $5 \
             WHERE id = $1 AND finished IS NULL",
            args![id, to, reason, started, finished],
        )
        .await?;
    Ok(rows == 1)
}

/// Adds a step or changes it; its times are set by its state and are never moved once set.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such operation.
pub async fn set_step(
    db: impl Into<Db<'_>>,
    operation: OperationId,
    seq: u32,
    name: &str,
    state: OperationState,
    detail: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (started, finished) = times(state, now);
    let rows = db
        .into()
        .execute(
            "INSERT INTO steps (operation, seq, name, state, detail, started, finished) \
             SELECT id, $2, $3, $4, $5, $6, $7 FROM operations WHERE id = $1 \
             ON CONFLICT (operation, seq) DO UPDATE SET name = excluded.name, state = excluded.state, \
             detail = excluded.detail, started = COALESCE(steps.started, excluded.started), \
             finished = CASE WHEN excluded.finished IS NULL THEN NULL \
             ELSE COALESCE(steps.finished, excluded.finished) END",
            args![operation, seq, name, state, detail, started, finished],
        )
        .await?;
    crate::sql::found(rows, WHAT, operation)
}

/// The steps of an operation, in order. There are a few dozen at most, so there are no pages.
///
/// # Errors
/// What the database said.
pub async fn steps(db: impl Into<Db<'_>>, operation: OperationId) -> Result<Vec<Step>, StoreError> {
    let rows = db
        .into()
        .read(
            STEPS,
            "SELECT operation AS id, operation, seq, name, state, detail, started, finished FROM steps \
             WHERE operation = $1 ORDER BY seq LIMIT 500",
            args![operation],
        )
        .await?;
    let read = |row: &Row| {
        Ok(Step {
            operation: row.parse("operation")?,
            seq: row.small("seq")?,
            name: row.text("name")?,
            state: row.parse("state")?,
            detail: row.text("detail")?,
            started: row.opt_time("started")?,
            finished: row.opt_time("finished")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Forgets the operations that ended before `before`, with their steps; returns how many.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    db.into().execute("DELETE FROM operations WHERE finished < $1", args![before]).await
}

/// When something that is now in `state` began and ended, as far as `now` tells.
fn times(state: OperationState, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    match state {
        OperationState::Queued => (None, None),
        OperationState::Running => (Some(now), None),
        OperationState::Succeeded | OperationState::Failed | OperationState::Cancelled => (Some(now), Some(now)),
    }
}

fn read(row: &Row) -> Result<Operation, StoreError> {
    Ok(Operation {
        id: row.parse("id")?,
        tenant: row.parse("tenant")?,
        kind: row.text("kind")?,
        subject: Subject { kind: row.parse("subject_kind")?, id: row.text("subject")? },
        state: row.parse("state")?,
        reason: row.text("reason")?,
        created_by: row.text("created_by")?,
        created: row.time("created")?,
        started: row.opt_time("started")?,
        finished: row.opt_time("finished")?,
    })
}
