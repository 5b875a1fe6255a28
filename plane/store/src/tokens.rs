//! API tokens: personal or of a service, scoped, expiring, revocable.

use crate::{
    Db, List, Maker, Page, SecretHash, StoreError,
    sql::{OnConflict, Row, args},
    users::Role,
};
use ferrogate_model::{ClusterId, TenantId, Timestamp, TokenId, UserId};

const TABLE: &str = "tokens";

/// An API token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Where it belongs.
    pub tenant: TenantId,
    /// Whose it is.
    pub user: UserId,
    /// What its owner calls it; unique among the owner's tokens that are not revoked.
    pub name: String,
    /// What it may do; never more than its owner.
    pub role: Role,
    /// Hash of the token itself.
    pub token_hash: SecretHash,
    /// The only cluster it is good for, where it is bound to one (a kubeconfig's token).
    pub scope_cluster: Option<ClusterId>,
    /// The credential it was made with.
    pub made_by: Maker,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; `None` never.
    pub expires: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

macro_rules! columns {
    () => {
        "id, tenant, user_id, name, role, token_hash, scope_cluster, made_by, created, expires, last_used, revoked"
    };
}

/// Adds a token.
///
/// # Errors
/// [`StoreError::Conflict`] when the owner has one of this name.
pub async fn insert(db: impl Into<Db<'_>>, token: &Token) -> Result<(), StoreError> {
    db.into()
        .execute(
            concat!("INSERT INTO tokens (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"),
            args![
                token.id,
                token.tenant,
                token.user,
                &token.name,
                token.role,
                &token.token_hash,
                token.scope_cluster,
                token.made_by,
                token.created,
                token.expires,
                token.last_used,
                token.revoked
            ],
        )
        .await
        .conflict("token", &token.name)?;
    Ok(())
}

/// The token with this hash, unless it has expired or was revoked.
///
/// # Errors
/// What the database said.
pub async fn by_token(db: impl Into<Db<'_>>, token: &SecretHash, now: Timestamp) -> Result<Option<Token>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM tokens WHERE token_hash = $1 AND revoked IS NULL AND (expires IS NULL OR expires > $2)"
    );
    db.into().read_one(TABLE, sql, args![token, now], read).await
}

/// One token of a tenant.
///
/// # Errors
/// What the database said.
pub async fn find(db: impl Into<Db<'_>>, tenant: TenantId, id: TokenId) -> Result<Option<Token>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM tokens WHERE tenant = $1 AND id = $2");
    db.into().read_one(TABLE, sql, args![tenant, id], read).await
}

/// The tokens of a tenant, or of one of its users, newest first, revoked ones included.
///
/// # Errors
/// What the database said.
pub async fn list(
    db: impl Into<Db<'_>>,
    tenant: TenantId,
    user: Option<UserId>,
    page: &Page,
) -> Result<List<Token>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM tokens WHERE tenant = $1 AND ($2 IS NULL OR user_id = $2) AND ($3 IS NULL OR id < $3) \
                  ORDER BY id DESC LIMIT $4"
            ),
            args![tenant, user, &page.after, page.rows()],
        )
        .await?;
    page.list(&rows, read, |token| token.id.to_string())
}

/// Notes that a token was used.
///
/// # Errors
/// What the database said.
pub async fn touch(db: impl Into<Db<'_>>, id: TokenId, now: Timestamp) -> Result<(), StoreError> {
    db.into().execute("UPDATE tokens SET last_used = $2 WHERE id = $1", args![id, now]).await?;
    Ok(())
}

/// Revokes a token; tells whether it was good until now.
///
/// # Errors
/// What the database said.
pub async fn revoke(db: impl Into<Db<'_>>, tenant: TenantId, id: TokenId, now: Timestamp) -> Result<bool, StoreError> {
    let rows = db
        .into()
        .execute(
            "UPDATE tokens SET revoked = $3 WHERE tenant = $1 AND id = $2 AND revoked IS NULL",
            args![tenant, id, now],
        )
        .await?;
    Ok(rows == 1)
}

/// Revokes every token that `maker` made, and what those made; a token makes no token that makes another. Returns the
/// revoked.
///
/// # Errors
/// What the database said.
pub async fn revoke_made_by(db: impl Into<Db<'_>>, maker: Maker, now: Timestamp) -> Result<Vec<Token>, StoreError> {
    let sql = concat!(
        "UPDATE tokens SET revoked = $2 WHERE revoked IS NULL AND (expires IS NULL OR expires > $2) AND \
         (made_by = $1 OR made_by IN (SELECT id FROM tokens WHERE made_by = $1)) RETURNING ",
        columns!()
    );
    db.into().write(TABLE, sql, args![maker, now]).await?.iter().map(read).collect()
}

/// Revokes every token of a user; returns the revoked.
///
/// # Errors
/// What the database said.
pub async fn revoke_of_user(db: impl Into<Db<'_>>, user: UserId, now: Timestamp) -> Result<Vec<Token>, StoreError> {
    let sql = concat!(
        "UPDATE tokens SET revoked = $2 WHERE user_id = $1 AND revoked IS NULL AND (expires IS NULL OR expires > $2) \
         RETURNING ",
        columns!()
    );
    db.into().write(TABLE, sql, args![user, now]).await?.iter().map(read).collect()
}

/// Revokes every token of a cluster, which is going; returns how many.
///
/// # Errors
/// What the database said.
pub async fn revoke_for_cluster(db: impl Into<Db<'_>>, cluster: ClusterId, now: Timestamp) -> Result<u64, StoreError> {
    db.into()
        .execute("UPDATE tokens SET revoked = $2 WHERE scope_cluster = $1 AND revoked IS NULL", args![cluster, now])
        .await
}

/// Forgets the tokens that expired or were revoked before `before`; returns how many.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    db.into().execute("DELETE FROM tokens WHERE expires < $1 OR revoked < $1", args![before]).await
}

fn read(row: &Row) -> Result<Token, StoreError> {
    Ok(Token {
        id: row.parse("id")?,
        tenant: row.parse("tenant")?,
        user: row.parse("user_id")?,
        name: row.text("name")?,
        role: row.parse("role")?,
        token_hash: row.hash("token_hash")?,
        scope_cluster: row.opt_parse("scope_cluster")?,
        made_by: row.parse("made_by")?,
        created: row.time("created")?,
        expires: row.opt_time("expires")?,
        last_used: row.opt_time("last_used")?,
        revoked: row.opt_time("revoked")?,
    })
}
