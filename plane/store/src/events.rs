//! Events: what happened to a thing, for people. Written once, read by lists and by live streams.

use crate::{
    Db, List, Page, Store, StoreError, Subject, SubjectKind, Tx,
    sql::{Row, args},
};
use ferrogate_model::{EventId, TenantId, Timestamp, state::Severity};

const TABLE: &str = "events";

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it happened to.
    pub subject: Subject,
    /// How serious it is.
    pub severity: Severity,
    /// What happened, in one word such as `MachineDeployed`.
    pub reason: String,
    /// What happened, for people.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// Which events are wanted; `None` leaves a thing open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// About this thing.
    pub subject: Option<Subject>,
    /// About things of this kind.
    pub kind: Option<SubjectKind>,
    /// Of this severity.
    pub severity: Option<Severity>,
}

macro_rules! columns {
    () => {
        "id, tenant, subject_kind, subject, severity, reason, message, at"
    };
}

/// Adds events, in order, as a transaction of its own.
///
/// # Errors
/// What the database said.
pub async fn append(store: &Store, events: &[Event]) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut tx = store.begin().await?;
    append_in(&mut tx, events).await?;
    tx.commit().await
}

/// Adds events, in order, with the change that they tell of. Best as a transaction's last step: the numbering is locked
/// until it is over.
///
/// # Errors
/// What the database said.
pub async fn append_in(tx: &mut Tx, events: &[Event]) -> Result<(), StoreError> {
    let mut db = Db::from(tx);
    for event in events {
        let seq = next(&mut db, TABLE).await?;
        db.execute(
            concat!("INSERT INTO events (seq, ", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"),
            args![
                seq,
                event.id,
                event.tenant,
                event.subject.kind,
                &event.subject.id,
                event.severity,
                &event.reason,
                &event.message,
                event.at
            ],
        )
        .await?;
    }
    Ok(())
}

/// The next number of a sequence whose order is the order of commits.
pub(crate) async fn next(db: &mut Db<'_>, name: &'static str) -> Result<i64, StoreError> {
    let rows = db
        .write(
            "counters",
            "UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING name AS id, value",
            args![name],
        )
        .await?;
    rows.first()
        .ok_or_else(|| StoreError::Corrupt {
            table: "counters",
            column: "value",
            row: name.to_owned(),
            problem: "the row is missing".to_owned(),
        })?
        .int("value")
}

/// Events, newest first. The cursor counts, so a page is the same whatever was added since.
///
/// # Errors
/// [`StoreError::BadCursor`], or what the database said.
pub async fn list(db: impl Into<Db<'_>>, filter: &Filter, page: &Page) -> Result<List<Event>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            concat!(
                "SELECT seq, ",
                columns!(),
                " FROM events WHERE ($1 IS NULL OR tenant = $1) AND ($2 IS NULL OR subject = $2) \
                 AND ($3 IS NULL OR subject_kind = $3) AND ($4 IS NULL OR severity = $4) \
                 AND ($5 IS NULL OR seq < $5) ORDER BY seq DESC LIMIT $6"
            ),
            args![
                filter.tenant,
                filter.subject.as_ref().map(|subject| subject.id.clone()),
                filter.kind.map(|kind| kind.as_str().to_owned()),
                filter.severity,
                page.after_number()?,
                page.rows()
            ],
        )
        .await?;
    let list = page.list(&rows, |row| Ok((row.int("seq")?, read(row)?)), |(seq, _)| seq.to_string())?;
    Ok(List { items: list.items.into_iter().map(|(_, event)| event).collect(), next: list.next })
}

/// What was added after an event, oldest first: the live stream. `None` begins with the oldest that is remembered; an event
/// that is forgotten by now counts by its age.
///
/// # Errors
/// What the database said.
pub async fn since(
    db: impl Into<Db<'_>>,
    filter: &Filter,
    after: Option<EventId>,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM events WHERE ($1 IS NULL OR tenant = $1) AND ($2 IS NULL OR subject = $2) \
                 AND ($3 IS NULL OR subject_kind = $3) AND ($4 IS NULL OR severity = $4) \
                 AND ($5 IS NULL OR seq > COALESCE((SELECT e.seq FROM events e WHERE e.id = $5), \
                 (SELECT MAX(e.seq) FROM events e WHERE e.id < $5), 0)) ORDER BY seq LIMIT $6"
            ),
            args![
                filter.tenant,
                filter.subject.as_ref().map(|subject| subject.id.clone()),
                filter.kind.map(|kind| kind.as_str().to_owned()),
                filter.severity,
                after,
                Page::first(limit).rows() - 1
            ],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// The newest event's id, from which a live stream begins.
///
/// # Errors
/// What the database said.
pub async fn newest(db: impl Into<Db<'_>>) -> Result<Option<EventId>, StoreError> {
    db.into().read_one(TABLE, "SELECT id FROM events ORDER BY seq DESC LIMIT 1", vec![], |row| row.parse("id")).await
}

/// Forgets the events before `before`; returns how many.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    db.into().execute("DELETE FROM events WHERE at < $1", args![before]).await
}

fn read(row: &Row) -> Result<Event, StoreError> {
    Ok(Event {
        id: row.parse("id")?,
        tenant: row.parse("tenant")?,
        subject: Subject { kind: row.parse("subject_kind")?, id: row.text("subject")? },
        severity: row.parse("severity")?,
        reason: row.text("reason")?,
        message: row.text("message")?,
        at: row.time("at")?,
    })
}
