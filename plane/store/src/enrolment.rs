//! Enrolment tokens: each lets one gateway node register its key, once.

use crate::{
    Db, SecretHash, StoreError,
    sql::{Row, args},
};
use ferrogate_model::{EnrolmentId, GatewayId, Timestamp};

const TABLE: &str = "enrolment_tokens";

/// An enrolment token's record; the token itself travels in one machine's cloud-config and is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// Its id.
    pub id: EnrolmentId,
    /// The gateway the node belongs to.
    pub gateway: GatewayId,
    /// The node it was rendered for.
    pub node_name: String,
    /// Hash of the token.
    pub token_hash: SecretHash,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
}

/// What became of the wish to use a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// It was good, and is used up now.
    Yes(EnrolmentToken),
    /// It was good until it expired.
    Expired(EnrolmentToken),
    /// It was used before.
    Used(EnrolmentToken),
    /// There is no such token.
    Unknown,
}

macro_rules! columns {
    () => {
        "id, gateway, node_name, token_hash, created, expires, used"
    };
}

/// Adds a token. Older unused tokens of the same node end: only the machine that is rendered last may enrol.
///
/// # Errors
/// What the database said.
pub async fn insert(db: impl Into<Db<'_>>, token: &EnrolmentToken) -> Result<(), StoreError> {
    let mut db = db.into();
    db.execute(
        "DELETE FROM enrolment_tokens WHERE gateway = $1 AND node_name = $2 AND used IS NULL",
        args![token.gateway, &token.node_name],
    )
    .await?;
    db.execute(
        concat!("INSERT INTO enrolment_tokens (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7)"),
        args![token.id, token.gateway, &token.node_name, &token.token_hash, token.created, token.expires, token.used],
    )
    .await?;
    Ok(())
}

/// Uses a token up, if it is good at `now`. Of several at once, exactly one gets [`Enrolled::Yes`].
///
/// # Errors
/// What the database said.
pub async fn consume(db: impl Into<Db<'_>>, token: &SecretHash, now: Timestamp) -> Result<Enrolled, StoreError> {
    let mut db = db.into();
    let sql = concat!(
        "UPDATE enrolment_tokens SET used = $2 WHERE token_hash = $1 AND used IS NULL AND expires > $2 RETURNING ",
        columns!()
    );
    if let Some(row) = db.write(TABLE, sql, args![token, now]).await?.first() {
        return Ok(Enrolled::Yes(read(row)?));
    }
    let sql = concat!("SELECT ", columns!(), " FROM enrolment_tokens WHERE token_hash = $1");
    Ok(match db.read_one(TABLE, sql, args![token], read).await? {
        None => Enrolled::Unknown,
        Some(token) if token.used.is_some() => Enrolled::Used(token),
        Some(token) => Enrolled::Expired(token),
    })
}

/// Forgets the tokens that ended (used or expired) before `before`; returns how many.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    db.into().execute("DELETE FROM enrolment_tokens WHERE expires < $1 OR used < $1", args![before]).await
}

fn read(row: &Row) -> Result<EnrolmentToken, StoreError> {
    Ok(EnrolmentToken {
        id: row.parse("id")?,
        gateway: row.parse("gateway")?,
        node_name: row.text("node_name")?,
        token_hash: row.hash("token_hash")?,
        created: row.time("created")?,
        expires: row.time("expires")?,
        used: row.opt_time("used")?,
    })
}
