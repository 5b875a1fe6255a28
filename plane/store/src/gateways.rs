//! Gateways.

use crate::{
    Db, List, Page, SecretHash, StoreError,
    sql::{OnConflict, Row, args, found, json},
};
use ferrogate_model::{
    AccountId, ClusterId, GatewayId, Name, TenantId, Timestamp,
    state::{GatewayHealth, GatewayState},
};
use secrecy::SecretString;

const TABLE: &str = "gateways";
const WHAT: &str = "gateway";

/// A gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Its id.
    pub id: GatewayId,
    /// Where it belongs.
    pub tenant: TenantId,
    /// What people call it; unique among the tenant's gateways that are not deleted.
    pub name: Name,
    /// Where it is in its life.
    pub state: GatewayState,
    /// Why it is in that state, for people; may be empty.
    pub reason: String,
    /// How it is, seen from the plane.
    pub health: GatewayHealth,
    /// How many nodes it shall have: 1 or 3.
    pub desired_nodes: u32,
    /// Version of the gateway program its nodes run, once one has connected.
    pub version: Option<String>,
    /// The record of its own cluster.
    pub cluster: ClusterId,
    /// The cloud account made for it: its own MAAS, and the one key to it.
    pub account: AccountId,
    /// Hash of the installer's token; `None` once the installer has no more to say.
    pub install_token_hash: Option<SecretHash>,
    /// What the installer said about the site that is no secret, as the plane writes it.
    pub settings: serde_json::Value,
    /// The site's proxy, as the plane writes it (sealed: it may hold a password).
    pub proxy: Option<SecretString>,
    /// When it was registered.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// When any of its nodes was last heard of.
    pub last_seen: Option<Timestamp>,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
}

macro_rules! columns {
    () => {
        "id, tenant, name, state, reason, health, desired_nodes, version, cluster, account, install_token_hash, \
         settings, proxy, created, updated, last_seen, deleted"
    };
}

/// Adds a gateway.
///
/// # Errors
/// [`StoreError::Conflict`] when the tenant has a gateway of this name.
pub async fn insert(db: impl Into<Db<'_>>, gateway: &Gateway) -> Result<(), StoreError> {
    let mut db = db.into();
    let id = gateway.id.to_string();
    let proxy = gateway.proxy.as_ref().map(|proxy| db.key().seal_text(TABLE, "proxy", &id, proxy));
    db.execute(
        concat!(
            "INSERT INTO gateways (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
        ),
        args![
            gateway.id,
            gateway.tenant,
            &gateway.name,
            gateway.state,
            &gateway.reason,
            gateway.health,
            gateway.desired_nodes,
            &gateway.version,
            gateway.cluster,
            gateway.account,
            gateway.install_token_hash.as_ref().map(|hash| hash.as_str().to_owned()),
            json(&gateway.settings),
            proxy,
            gateway.created,
            gateway.updated,
            gateway.last_seen,
            gateway.deleted
        ],
    )
    .await
    .conflict(WHAT, &gateway.name)?;
    Ok(())
}

/// One gateway, whatever its tenant, deleted or not.
///
/// # Errors
/// What the database said, or a secret that cannot be opened.
pub async fn get(db: impl Into<Db<'_>>, id: GatewayId) -> Result<Option<Gateway>, StoreError> {
    let mut db = db.into();
    let rows = db.read(TABLE, concat!("SELECT ", columns!(), " FROM gateways WHERE id = $1"), args![id]).await?;
    rows.first().map(|row| read(&db, row)).transpose()
}

/// One gateway of a tenant, deleted or not.
///
/// # Errors
/// As [`get`].
pub async fn find(db: impl Into<Db<'_>>, tenant: TenantId, id: GatewayId) -> Result<Option<Gateway>, StoreError> {
    Ok(get(db, id).await?.filter(|gateway| gateway.tenant == tenant))
}

/// The tenant's gateway of this name that is not deleted.
///
/// # Errors
/// As [`get`].
pub async fn by_name(db: impl Into<Db<'_>>, tenant: TenantId, name: &Name) -> Result<Option<Gateway>, StoreError> {
    let mut db = db.into();
    let sql = concat!("SELECT ", columns!(), " FROM gateways WHERE tenant = $1 AND name = $2 AND deleted IS NULL");
    let rows = db.read(TABLE, sql, args![tenant, name]).await?;
    rows.first().map(|row| read(&db, row)).transpose()
}

/// The gateways of a tenant (`None`: of all), oldest first, deleted ones included until they are purged.
///
/// # Errors
/// As [`get`].
pub async fn list(db: impl Into<Db<'_>>, tenant: Option<TenantId>, page: &Page) -> Result<List<Gateway>, StoreError> {
    let mut db = db.into();
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM gateways WHERE ($1 IS NULL OR tenant = $1) AND ($2 IS NULL OR id > $2) ORDER BY id LIMIT $3"
    );
    let rows = db.read(TABLE, sql, args![tenant, &page.after, page.rows()]).await?;
    page.list(&rows, |row| read(&db, row), |gateway| gateway.id.to_string())
}

/// The ids of the gateways that are not deleted, oldest first. Opens no secret.
///
/// # Errors
/// What the database said.
pub async fn ids(db: impl Into<Db<'_>>, page: &Page) -> Result<List<GatewayId>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            "SELECT id FROM gateways WHERE deleted IS NULL AND ($1 IS NULL OR id > $1) ORDER BY id LIMIT $2",
            args![&page.after, page.rows()],
        )
        .await?;
    page.list(&rows, |row| row.parse("id"), GatewayId::to_string)
}

/// Moves a gateway from the state its author saw to another.
///
/// # Errors
/// [`StoreError::NotAllowed`] when the states' rules forbid it, [`StoreError::Changed`] when it is in another state by now.
pub async fn transition(
    db: impl Into<Db<'_>>,
    id: GatewayId,
    from: GatewayState,
    to: GatewayState,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !from.may_become(to) {
        return Err(StoreError::NotAllowed {
            what: WHAT,
            id: id.to_string(),
            from: from.to_string(),
            to: to.to_string(),
        });
    }
    let deleted = (to == GatewayState::Deleted).then_some(now);
    let rows = db
        .into()
        .execute(
            "UPDATE gateways SET state = $3, reason = $4, updated = $5, deleted = COALESCE($6, deleted) \
             WHERE id = $1 AND state = $2",
            args![id, from, to, reason, now, deleted],
        )
        .await?;
    if rows == 0 {
        return Err(StoreError::Changed { what: WHAT, id: id.to_string(), expected: format!("state {from}") });
    }
    Ok(())
}

/// Changes what people read about a gateway's state, as long as it is still in that state.
///
/// # Errors
/// [`StoreError::Changed`] when it is in another state by now.
pub async fn set_reason(
    db: impl Into<Db<'_>>,
    id: GatewayId,
    state: GatewayState,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    transition(db, id, state, state, reason, now).await
}

/// Forgets the secrets of a deleted gateway: nothing needs them any more.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn forget_secrets(db: impl Into<Db<'_>>, id: GatewayId) -> Result<(), StoreError> {
    let sql = "UPDATE gateways SET proxy = NULL, install_token_hash = NULL WHERE id = $1";
    let rows = db.into().execute(sql, args![id]).await?;
    found(rows, WHAT, id)
}

/// Notes how a gateway is. `last_seen` and `version` stay as they are where `None` is given.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn set_health(
    db: impl Into<Db<'_>>,
    id: GatewayId,
    health: GatewayHealth,
    last_seen: Option<Timestamp>,
    version: Option<&str>,
) -> Result<(), StoreError> {
    let rows = db
        .into()
        .execute(
            "UPDATE gateways SET health = $2, last_seen = COALESCE($3, last_seen), version = COALESCE($4, version) \
             WHERE id = $1",
            args![id, health, last_seen, version.map(str::to_owned)],
        )
        .await?;
    found(rows, WHAT, id)
}

/// Replaces (or with `None` ends) the installer's token.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn set_install_token(
    db: impl Into<Db<'_>>,
    id: GatewayId,
    token: Option<&SecretHash>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let token = token.map(|hash| hash.as_str().to_owned());
    let rows = db
        .into()
        .execute("UPDATE gateways SET install_token_hash = $2, updated = $3 WHERE id = $1", args![id, token, now])
        .await?;
    found(rows, WHAT, id)
}

/// Forgets the gateways deleted before `before` whose clusters and accounts are forgotten already; returns how many.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    db.into()
        .execute(
            "DELETE FROM gateways WHERE deleted < $1 \
             AND NOT EXISTS (SELECT 1 FROM clusters WHERE clusters.gateway = gateways.id) \
             AND NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.gateway = gateways.id)",
            args![before],
        )
        .await
}

fn read(db: &Db<'_>, row: &Row) -> Result<Gateway, StoreError> {
    let id = row.text("id")?;
    let key = db.key();
    Ok(Gateway {
        id: row.parse("id")?,
        tenant: row.parse("tenant")?,
        name: row.parse("name")?,
        state: row.parse("state")?,
        reason: row.text("reason")?,
        health: row.parse("health")?,
        desired_nodes: row.small("desired_nodes")?,
        version: row.opt_text("version")?,
        cluster: row.parse("cluster")?,
        account: row.parse("account")?,
        install_token_hash: row.opt_text("install_token_hash")?.map(SecretHash::from_stored),
        settings: row.json("settings")?,
        proxy: row.opt_bytes("proxy")?.map(|sealed| key.open_text(TABLE, "proxy", &id, &sealed)).transpose()?,
        created: row.time("created")?,
        updated: row.time("updated")?,
        last_seen: row.opt_time("last_seen")?,
        deleted: row.opt_time("deleted")?,
    })
}
