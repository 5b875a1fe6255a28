//! Pairing codes: each lets one installer register one gateway, once.

use crate::{
    Db, List, Maker, Page, SecretHash, StoreError,
    sql::{Row, args},
};
use ferrogate_model::{GatewayId, PairingCodeId, TenantId, Timestamp, UserId};

const TABLE: &str = "pairing_codes";

/// A pairing code's record; the code itself is shown once and not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingCode {
    /// Its id.
    pub id: PairingCodeId,
    /// Tenant the gateway will belong to.
    pub tenant: TenantId,
    /// Who asked for it.
    pub created_by: UserId,
    /// The credential it was made with.
    pub made_by: Maker,
    /// What the gateway was going to be called, as a reminder for people.
    pub name_hint: Option<String>,
    /// Hash of the code.
    pub code_hash: SecretHash,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
    /// The gateway it was used for.
    pub used_by_gateway: Option<GatewayId>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// What became of the wish to use a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consumed {
    /// It was good, and is used up now.
    Yes(PairingCode),
    /// It was good until it expired.
    Expired(PairingCode),
    /// It was used before.
    Used(PairingCode),
    /// It was revoked.
    Revoked(PairingCode),
    /// There is no such code.
    Unknown,
}

macro_rules! columns {
    () => {
        "id, tenant, created_by, made_by, name_hint, code_hash, created, expires, used, used_by_gateway, revoked"
    };
}

/// Adds a code.
///
/// # Errors
/// What the database said.
pub async fn insert(db: impl Into<Db<'_>>, code: &PairingCode) -> Result<(), StoreError> {
    db.into()
        .execute(
            concat!(
                "INSERT INTO pairing_codes (",
                columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
            ),
            args![
                code.id,
                code.tenant,
                code.created_by,
                code.made_by,
                &code.name_hint,
                &code.code_hash,
                code.created,
                code.expires,
                code.used,
                code.used_by_gateway,
                code.revoked
            ],
        )
        .await?;
    Ok(())
}

/// Uses a code up for `gateway`, if it is good at `now`. Of several at once, exactly one gets [`Consumed::Yes`].
///
/// # Errors
/// What the database said.
pub async fn consume(
    db: impl Into<Db<'_>>,
    code: &SecretHash,
    gateway: GatewayId,
    now: Timestamp,
) -> Result<Consumed, StoreError> {
    let mut db = db.into();
    let sql = concat!(
        "UPDATE pairing_codes SET used = $3, used_by_gateway = $2 \
         WHERE code_hash = $1 AND used IS NULL AND revoked IS NULL AND expires > $3 RETURNING ",
        columns!()
    );
    let rows = db.write(TABLE, sql, args![code, gateway, now]).await?;
    if let Some(row) = rows.first() {
        return Ok(Consumed::Yes(read(row)?));
    }
    let sql = concat!("SELECT ", columns!(), " FROM pairing_codes WHERE code_hash = $1");
    Ok(match db.read_one(TABLE, sql, args![code], read).await? {
        None => Consumed::Unknown,
        Some(code) if code.used.is_some() => Consumed::Used(code),
        Some(code) if code.revoked.is_some() => Consumed::Revoked(code),
        Some(code) => Consumed::Expired(code),
    })
}

/// One code of a tenant.
///
/// # Errors
/// What the database said.
pub async fn find(
    db: impl Into<Db<'_>>,
    tenant: TenantId,
    id: PairingCodeId,
) -> Result<Option<PairingCode>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM pairing_codes WHERE tenant = $1 AND id = $2");
    db.into().read_one(TABLE, sql, args![tenant, id], read).await
}

/// The codes of a tenant, newest first; used, expired and revoked ones included until they are purged.
///
/// # Errors
/// What the database said.
pub async fn list(db: impl Into<Db<'_>>, tenant: TenantId, page: &Page) -> Result<List<PairingCode>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM pairing_codes WHERE tenant = $1 AND ($2 IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"
            ),
            args![tenant, &page.after, page.rows()],
        )
        .await?;
    page.list(&rows, read, |code| code.id.to_string())
}

/// Revokes a code that was not used; tells whether it was good until now.
///
/// # Errors
/// What the database said.
pub async fn revoke(
    db: impl Into<Db<'_>>,
    tenant: TenantId,
    id: PairingCodeId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let rows = db
        .into()
        .execute(
            "UPDATE pairing_codes SET revoked = $3 WHERE tenant = $1 AND id = $2 AND used IS NULL AND revoked IS NULL",
            args![tenant, id, now],
        )
        .await?;
    Ok(rows == 1)
}

/// Revokes every unused code that `maker` made, or a token that `maker` made; returns how many.
///
/// # Errors
/// What the database said.
pub async fn revoke_made_by(db: impl Into<Db<'_>>, maker: Maker, now: Timestamp) -> Result<u64, StoreError> {
    let sql = "UPDATE pairing_codes SET revoked = $2 WHERE used IS NULL AND revoked IS NULL AND expires > $2 AND \
               (made_by = $1 OR made_by IN (SELECT id FROM tokens WHERE made_by = $1))";
    db.into().execute(sql, args![maker, now]).await
}

/// Revokes every unused code of a user; returns how many.
///
/// # Errors
/// What the database said.
pub async fn revoke_of_user(db: impl Into<Db<'_>>, user: UserId, now: Timestamp) -> Result<u64, StoreError> {
    let sql = "UPDATE pairing_codes SET revoked = $2 \
               WHERE created_by = $1 AND used IS NULL AND revoked IS NULL AND expires > $2";
    db.into().execute(sql, args![user, now]).await
}

/// Forgets the codes that ended (used, revoked or expired) before `before`; returns how many. One that made a gateway is
/// kept as long as that is there: its installer may have to be known again.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    let sql = "DELETE FROM pairing_codes WHERE (expires < $1 OR used < $1 OR revoked < $1) AND NOT EXISTS \
               (SELECT 1 FROM gateways WHERE gateways.id = used_by_gateway AND gateways.deleted IS NULL)";
    db.into().execute(sql, args![before]).await
}

fn read(row: &Row) -> Result<PairingCode, StoreError> {
    Ok(PairingCode {
        id: row.parse("id")?,
        tenant: row.parse("tenant")?,
        created_by: row.parse("created_by")?,
        made_by: row.parse("made_by")?,
        name_hint: row.opt_text("name_hint")?,
        code_hash: row.hash("code_hash")?,
        created: row.time("created")?,
        expires: row.time("expires")?,
        used: row.opt_time("used")?,
        used_by_gateway: row.opt_parse("used_by_gateway")?,
        revoked: row.opt_time("revoked")?,
    })
}
