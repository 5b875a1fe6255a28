//! Signed-in browsers and command lines.

use crate::{
    Db, List, Page, SecretHash, StoreError,
    sql::{Row, args},
    subject::words,
};
use ferrogate_model::{SessionId, Timestamp, UserId};

const TABLE: &str = "sessions";

words! {
    /// What signed in.
    SessionKind {
        /// The console in a browser.
        Browser = "browser",
        /// The command line, or the installer.
        Cli = "cli",
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// Hash of its token.
    pub token_hash: SecretHash,
    /// What signed in.
    pub kind: SessionKind,
    /// When it began.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was last used.
    pub last_used: Timestamp,
    /// Address it was begun from.
    pub from_ip: Option<String>,
}

macro_rules! columns {
    () => {
        "id, user_id, token_hash, kind, created, expires, last_used, from_ip"
    };
}

/// Adds a session.
///
/// # Errors
/// What the database said.
pub async fn insert(db: impl Into<Db<'_>>, session: &Session) -> Result<(), StoreError> {
    db.into()
        .execute(
            concat!("INSERT INTO sessions (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"),
            args![
                session.id,
                session.user,
                &session.token_hash,
                session.kind,
                session.created,
                session.expires,
                session.last_used,
                &session.from_ip
            ],
        )
        .await?;
    Ok(())
}

/// The session that this token opened, unless it has ended.
///
/// # Errors
/// What the database said.
pub async fn by_token(
    db: impl Into<Db<'_>>,
    token: &SecretHash,
    now: Timestamp,
) -> Result<Option<Session>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM sessions WHERE token_hash = $1 AND expires > $2");
    db.into().read_one(TABLE, sql, args![token, now], read).await
}

/// One session of a user, ended or not.
///
/// # Errors
/// What the database said.
pub async fn find(db: impl Into<Db<'_>>, user: UserId, id: SessionId) -> Result<Option<Session>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM sessions WHERE user_id = $1 AND id = $2");
    db.into().read_one(TABLE, sql, args![user, id], read).await
}

/// The sessions of a user, newest first, ended ones included until they are purged.
///
/// # Errors
/// What the database said.
pub async fn list(db: impl Into<Db<'_>>, user: UserId, page: &Page) -> Result<List<Session>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM sessions WHERE user_id = $1 AND ($2 IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"
            ),
            args![user, &page.after, page.rows()],
        )
        .await?;
    page.list(&rows, read, |session| session.id.to_string())
}

/// Notes that a session was used, and from when on it counts as unused.
///
/// # Errors
/// What the database said.
pub async fn touch(db: impl Into<Db<'_>>, id: SessionId, now: Timestamp, expires: Timestamp) -> Result<(), StoreError> {
    db.into()
        .execute("UPDATE sessions SET last_used = $2, expires = $3 WHERE id = $1", args![id, now, expires])
        .await?;
    Ok(())
}

/// Ends one session of a user; tells whether there was one.
///
/// # Errors
/// What the database said.
pub async fn remove(db: impl Into<Db<'_>>, user: UserId, id: SessionId) -> Result<bool, StoreError> {
    Ok(db.into().execute("DELETE FROM sessions WHERE id = $1 AND user_id = $2", args![id, user]).await? == 1)
}

/// Ends every session of a user, or every one `but` this; returns how many.
///
/// # Errors
/// What the database said.
pub async fn remove_all(db: impl Into<Db<'_>>, user: UserId, but: Option<SessionId>) -> Result<u64, StoreError> {
    let sql = "DELETE FROM sessions WHERE user_id = $1 AND ($2 IS NULL OR id <> $2)";
    db.into().execute(sql, args![user, but]).await
}

/// Forgets the sessions that ended before `before`; returns how many.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    db.into().execute("DELETE FROM sessions WHERE expires < $1", args![before]).await
}

fn read(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.parse("id")?,
        user: row.parse("user_id")?,
        token_hash: row.hash("token_hash")?,
        kind: row.parse("kind")?,
        created: row.time("created")?,
        expires: row.time("expires")?,
        last_used: row.time("last_used")?,
        from_ip: row.opt_text("from_ip")?,
    })
}
