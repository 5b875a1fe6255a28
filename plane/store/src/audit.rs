//! The audit: every change and every refusal. Only added to, until housekeeping forgets what is too old.

use crate::{
    Db, List, Page, Store, StoreError, Subject, Tx, events,
    sql::{Row, args},
    subject::words,
};
use ferrogate_model::{TenantId, Timestamp};

const TABLE: &str = "audit";

words! {
    /// What acted.
    ActorKind {
        /// A signed-in person.
        User = "user",
        /// An API token.
        Token = "token",
        /// An installer with its pairing code or install token.
        Installer = "installer",
        /// A gateway's node.
        Gateway = "gateway",
        /// The plane itself.
        Plane = "plane",
        /// Nobody known.
        Anonymous = "anonymous",
    }
}

words! {
    /// How it ended.
    AuditResult {
        /// It was done, or accepted.
        Done = "done",
        /// The actor may not, or the request was wrong.
        Refused = "refused",
        /// It was allowed, and failed.
        Failed = "failed",
    }
}

/// A row of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, given by the store; what is given to [`append`] does not matter.
    pub seq: i64,
    /// The tenant, where it is known.
    pub tenant: Option<TenantId>,
    /// When.
    pub at: Timestamp,
    /// What acted.
    pub actor_kind: ActorKind,
    /// Its id; empty where it is not known.
    pub actor: String,
    /// Its name for people, such as an e-mail address; empty where it is not known.
    pub actor_name: String,
    /// Address it came from.
    pub from_ip: Option<String>,
    /// What was wanted, such as `cluster.create`.
    pub action: String,
    /// What it was wanted for.
    pub subject: Option<Subject>,
    /// How it ended.
    pub result: AuditResult,
    /// More for people, without secrets; may be empty.
    pub detail: String,
    /// The request it belongs to.
    pub request_id: String,
}

/// Which rows are wanted; `None` leaves a thing open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// By this actor: its id or its name.
    pub actor: Option<String>,
    /// This action.
    pub action: Option<String>,
    /// With this end.
    pub result: Option<AuditResult>,
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// Older than this.
    pub until: Option<Timestamp>,
    /// About the thing with this id.
    pub subject: Option<String>,
}

macro_rules! columns {
    () => {
        "seq, tenant, at, actor_kind, actor, actor_name, from_ip, action, subject, result, detail, request_id"
    };
}

/// Adds a row, as a transaction of its own.
///
/// # Errors
/// What the database said.
pub async fn append(store: &Store, entry: &Entry) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    append_in(&mut tx, entry).await?;
    tx.commit().await
}

/// Adds a row with the change that it tells of. Best as a transaction's last step.
///
/// # Errors
/// What the database said.
pub async fn append_in(tx: &mut Tx, entry: &Entry) -> Result<(), StoreError> {
    let mut db = Db::from(tx);
    let seq = events::next(&mut db, TABLE).await?;
    db.execute(
        concat!("INSERT INTO audit (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"),
        args![
            seq,
            entry.tenant,
            entry.at,
            entry.actor_kind,
            &entry.actor,
            &entry.actor_name,
            &entry.from_ip,
            &entry.action,
            entry.subject.as_ref().map(ToString::to_string),
            entry.result,
            &entry.detail,
            &entry.request_id
        ],
    )
    .await?;
    Ok(())
}

/// Rows, newest first.
///
/// # Errors
/// [`StoreError::BadCursor`], or what the database said.
pub async fn list(db: impl Into<Db<'_>>, filter: &Filter, page: &Page) -> Result<List<Entry>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            concat!(
                "SELECT request_id AS id, ",
                columns!(),
                " FROM audit WHERE ($1 IS NULL OR tenant = $1) AND ($2 IS NULL OR actor = $2 OR actor_name = $2) \
                 AND ($3 IS NULL OR action = $3) AND ($4 IS NULL OR result = $4) AND ($5 IS NULL OR at >= $5) \
                 AND ($6 IS NULL OR at < $6) AND ($7 IS NULL OR subject LIKE '%/' || $7) \
                 AND ($8 IS NULL OR seq < $8) ORDER BY seq DESC LIMIT $9"
            ),
            args![
                filter.tenant,
                &filter.actor,
                &filter.action,
                filter.result.map(|result| result.as_str().to_owned()),
                filter.since,
                filter.until,
                &filter.subject,
                page.after_number()?,
                page.rows()
            ],
        )
        .await?;
    page.list(&rows, read, |entry| entry.seq.to_string())
}

/// Forgets the rows before `before`; returns how many.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    db.into().execute("DELETE FROM audit WHERE at < $1", args![before]).await
}

fn read(row: &Row) -> Result<Entry, StoreError> {
    Ok(Entry {
        seq: row.int("seq")?,
        tenant: row.opt_parse("tenant")?,
        at: row.time("at")?,
        actor_kind: row.parse("actor_kind")?,
        actor: row.text("actor")?,
        actor_name: row.text("actor_name")?,
        from_ip: row.opt_text("from_ip")?,
        action: row.text("action")?,
        subject: row.opt_parse("subject")?,
        result: row.parse("result")?,
        detail: row.text("detail")?,
        request_id: row.text("request_id")?,
    })
}
