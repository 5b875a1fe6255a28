//! What may have been left behind in a MAAS when a gateway was deleted by force: kept until somebody says that it is
//! released. It refers to no other row, because it outlives the gateway.

use crate::{
    Db, List, Page, StoreError,
    sql::{Row, args},
    subject::words,
};
use ferrogate_model::{ClusterId, GatewayId, Name, OrphanId, TenantId, Timestamp};

const TABLE: &str = "orphans";

words! {
    /// What kind of thing in MAAS it is.
    OrphanKind {
        /// A machine.
        Machine = "machine",
        /// A DNS name, with the address that was reserved for it.
        DnsName = "dns_name",
    }
}

/// Something that may have been left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Its id.
    pub id: OrphanId,
    /// Where it belongs.
    pub tenant: TenantId,
    /// The gateway that is gone.
    pub gateway: GatewayId,
    /// What it was called.
    pub gateway_name: Name,
    /// The cluster that the mark on it names.
    pub cluster: ClusterId,
    /// Address of the MAAS it is in.
    pub maas_endpoint: String,
    /// What kind of thing it is.
    pub kind: OrphanKind,
    /// What MAAS calls it: a machine's system id, a whole DNS name.
    pub name: String,
    /// A machine's host name; otherwise empty.
    pub hostname: String,
    /// Why it may be there still, for people.
    pub reason: String,
    /// Who forced the deletion.
    pub recorded_by: String,
    /// When.
    pub recorded: Timestamp,
}

macro_rules! columns {
    () => {
        "id, tenant, gateway, gateway_name, cluster, maas_endpoint, kind, name, hostname, reason, recorded_by, recorded"
    };
}

/// Adds a record.
///
/// # Errors
/// What the database said.
pub async fn insert(db: impl Into<Db<'_>>, orphan: &Orphan) -> Result<(), StoreError> {
    db.into()
        .execute(
            concat!(
                "INSERT INTO orphans (",
                columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
            ),
            args![
                orphan.id,
                orphan.tenant,
                orphan.gateway,
                &orphan.gateway_name,
                orphan.cluster,
                &orphan.maas_endpoint,
                orphan.kind,
                &orphan.name,
                &orphan.hostname,
                &orphan.reason,
                &orphan.recorded_by,
                orphan.recorded
            ],
        )
        .await?;
    Ok(())
}

/// The records of a tenant, oldest first.
///
/// # Errors
/// What the database said.
pub async fn list(db: impl Into<Db<'_>>, tenant: TenantId, page: &Page) -> Result<List<Orphan>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM orphans WHERE tenant = $1 AND ($2 IS NULL OR id > $2) ORDER BY id LIMIT $3"
    );
    let rows = db.into().read(TABLE, sql, args![tenant, &page.after, page.rows()]).await?;
    page.list(&rows, read, |orphan| orphan.id.to_string())
}

/// Forgets a record of a tenant, because what it is about is released; tells whether it was there.
///
/// # Errors
/// What the database said.
pub async fn delete(db: impl Into<Db<'_>>, tenant: TenantId, id: OrphanId) -> Result<bool, StoreError> {
    let rows = db.into().execute("DELETE FROM orphans WHERE tenant = $1 AND id = $2", args![tenant, id]).await?;
    Ok(rows == 1)
}

fn read(row: &Row) -> Result<Orphan, StoreError> {
    Ok(Orphan {
        id: row.parse("id")?,
        tenant: row.parse("tenant")?,
        gateway: row.parse("gateway")?,
        gateway_name: row.parse("gateway_name")?,
        cluster: row.parse("cluster")?,
        maas_endpoint: row.text("maas_endpoint")?,
        kind: row.parse("kind")?,
        name: row.text("name")?,
        hostname: row.text("hostname")?,
        reason: row.text("reason")?,
        recorded_by: row.text("recorded_by")?,
        recorded: row.time("recorded")?,
    })
}
