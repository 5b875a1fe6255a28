//! The machines of clusters, as the last pass saw them. MAAS is the truth; this is for people to look at.

use crate::{
    Db, List, Page, StoreError, Tx,
    sql::{Row, args, json},
};
use ferrogate_model::{ClusterId, SystemId, Timestamp, state::MachineState};
use std::net::IpAddr;

const TABLE: &str = "machines";

/// A machine of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its id in MAAS.
    pub system_id: SystemId,
    /// Its host name.
    pub hostname: String,
    /// Its full name in the MAAS domain.
    pub fqdn: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its availability zone.
    pub zone: String,
    /// The pool of the cluster it serves.
    pub pool: String,
    /// The Kubernetes node it became.
    pub node: Option<String>,
    /// Where it is.
    pub state: MachineState,
    /// Why, for people; may be empty.
    pub reason: String,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// When it was last seen so.
    pub updated: Timestamp,
}

macro_rules! columns {
    () => {
        "cluster, system_id, hostname, fqdn, addresses, zone, pool, node, state, reason, since, updated"
    };
}

/// Replaces what is known of a cluster's machines by what a pass saw.
///
/// # Errors
/// What the database said.
pub async fn replace(tx: &mut Tx, cluster: ClusterId, machines: &[Machine]) -> Result<(), StoreError> {
    let mut db = Db::from(tx);
    db.execute("DELETE FROM machines WHERE cluster = $1", args![cluster]).await?;
    for machine in machines {
        db.execute(
            concat!(
                "INSERT INTO machines (",
                columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
            ),
            args![
                cluster,
                &machine.system_id,
                &machine.hostname,
                &machine.fqdn,
                json(&machine.addresses),
                &machine.zone,
                &machine.pool,
                &machine.node,
                machine.state,
                &machine.reason,
                machine.since,
                machine.updated
            ],
        )
        .await?;
    }
    Ok(())
}

/// The machines of a cluster, by their id in MAAS.
///
/// # Errors
/// What the database said.
pub async fn list(db: impl Into<Db<'_>>, cluster: ClusterId, page: &Page) -> Result<List<Machine>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            concat!(
                "SELECT system_id AS id, ",
                columns!(),
                " FROM machines WHERE cluster = $1 AND ($2 IS NULL OR system_id > $2) ORDER BY system_id LIMIT $3"
            ),
            args![cluster, &page.after, page.rows()],
        )
        .await?;
    page.list(&rows, read, |machine| machine.system_id.to_string())
}

fn read(row: &Row) -> Result<Machine, StoreError> {
    Ok(Machine {
        cluster: row.parse("cluster")?,
        system_id: SystemId(row.text("system_id")?),
        hostname: row.text("hostname")?,
        fqdn: row.text("fqdn")?,
        addresses: row.json("addresses")?,
        zone: row.text("zone")?,
        pool: row.text("pool")?,
        node: row.opt_text("node")?,
        state: row.parse("state")?,
        reason: row.text("reason")?,
        since: row.time("since")?,
        updated: row.time("updated")?,
    })
}
