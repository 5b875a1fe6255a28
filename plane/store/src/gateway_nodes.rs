//! The nodes of gateways and the keys that prove who they are.

use crate::{
    Db, StoreError,
    sql::{OnConflict, Row, args},
};
use ferrogate_model::{GatewayId, NodeId, Timestamp};

const TABLE: &str = "gateway_nodes";

/// A registered node of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayNode {
    /// Its id.
    pub id: NodeId,
    /// The gateway it belongs to.
    pub gateway: GatewayId,
    /// Its name in Kubernetes and MAAS.
    pub name: String,
    /// Its public key, in the text form the hub uses.
    pub public_key: String,
    /// Version of the gateway program it last said.
    pub version: String,
    /// When its key was registered.
    pub registered: Timestamp,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// When its key was revoked.
    pub revoked: Option<Timestamp>,
    /// The plane's replica that holds its carriers; `None` while it is not connected.
    pub replica: Option<String>,
}

macro_rules! columns {
    () => {
        "id, gateway, name, public_key, version, registered, last_seen, revoked, replica"
    };
}

/// Registers a node. An earlier node of the same name (its machine was replaced) is revoked. Call it in the transaction
/// that uses the enrolment token up.
///
/// # Errors
/// [`StoreError::Conflict`] when the key is registered already.
pub async fn register(db: impl Into<Db<'_>>, node: &GatewayNode) -> Result<(), StoreError> {
    let mut db = db.into();
    db.execute(
        "UPDATE gateway_nodes SET revoked = $3, replica = NULL WHERE gateway = $1 AND name = $2 AND revoked IS NULL",
        args![node.gateway, &node.name, node.registered],
    )
    .await?;
    db.execute(
        concat!("INSERT INTO gateway_nodes (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"),
        args![
            node.id,
            node.gateway,
            &node.name,
            &node.public_key,
            &node.version,
            node.registered,
            node.last_seen,
            node.revoked,
            &node.replica
        ],
    )
    .await
    .conflict("gateway node", &node.name)?;
    Ok(())
}

/// One node, revoked or not.
///
/// # Errors
/// What the database said.
pub async fn get(db: impl Into<Db<'_>>, id: NodeId) -> Result<Option<GatewayNode>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM gateway_nodes WHERE id = $1");
    db.into().read_one(TABLE, sql, args![id], read).await
}

/// The node that registered this key, revoked or not.
///
/// # Errors
/// What the database said.
pub async fn by_key(db: impl Into<Db<'_>>, public_key: &str) -> Result<Option<GatewayNode>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM gateway_nodes WHERE public_key = $1");
    db.into().read_one(TABLE, sql, args![public_key], read).await
}

/// The nodes of a gateway that are not revoked, by name. A gateway has three at most, so there are no pages.
///
/// # Errors
/// What the database said.
pub async fn list(db: impl Into<Db<'_>>, gateway: GatewayId) -> Result<Vec<GatewayNode>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM gateway_nodes WHERE gateway = $1 AND revoked IS NULL ORDER BY name LIMIT 100"
    );
    db.into().read(TABLE, sql, args![gateway]).await?.iter().map(read).collect()
}

/// Notes that a node is connected to `replica`.
///
/// # Errors
/// What the database said.
pub async fn seen(
    db: impl Into<Db<'_>>,
    id: NodeId,
    version: &str,
    replica: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    db.into()
        .execute(
            "UPDATE gateway_nodes SET version = $2, replica = $3, last_seen = $4 WHERE id = $1",
            args![id, version, replica, now],
        )
        .await?;
    Ok(())
}

/// Notes that a node is no longer connected to `replica`; nothing happens if it is connected to another by now.
///
/// # Errors
/// What the database said.
pub async fn lost(db: impl Into<Db<'_>>, id: NodeId, replica: &str) -> Result<(), StoreError> {
    db.into()
        .execute("UPDATE gateway_nodes SET replica = NULL WHERE id = $1 AND replica = $2", args![id, replica])
        .await?;
    Ok(())
}

/// Revokes a node's key; tells whether it was good until now.
///
/// # Errors
/// What the database said.
pub async fn revoke(db: impl Into<Db<'_>>, gateway: GatewayId, id: NodeId, now: Timestamp) -> Result<bool, StoreError> {
    let rows = db
        .into()
        .execute(
            "UPDATE gateway_nodes SET revoked = $3, replica = NULL WHERE gateway = $1 AND id = $2 AND revoked IS NULL",
            args![gateway, id, now],
        )
        .await?;
    Ok(rows == 1)
}

/// Revokes the keys of all nodes of a gateway; returns which.
///
/// # Errors
/// What the database said.
pub async fn revoke_all(db: impl Into<Db<'_>>, gateway: GatewayId, now: Timestamp) -> Result<Vec<NodeId>, StoreError> {
    let rows = db
        .into()
        .write(
            TABLE,
            "UPDATE gateway_nodes SET revoked = $2, replica = NULL WHERE gateway = $1 AND revoked IS NULL RETURNING id",
            args![gateway, now],
        )
        .await?;
    rows.iter().map(|row| row.parse("id")).collect()
}

fn read(row: &Row) -> Result<GatewayNode, StoreError> {
    Ok(GatewayNode {
        id: row.parse("id")?,
        gateway: row.parse("gateway")?,
        name: row.text("name")?,
        public_key: row.text("public_key")?,
        version: row.text("version")?,
        registered: row.time("registered")?,
        last_seen: row.opt_time("last_seen")?,
        revoked: row.opt_time("revoked")?,
        replica: row.opt_text("replica")?,
    })
}
