//! Clusters: what was asked for, and what the reconciler last saw. The gateways' own clusters are here too.

use crate::{
    Db, List, Page, StoreError,
    sql::{OnConflict, Row, args, found, json},
    subject::words,
};
use ferrogate_model::{
    AccountId, ClusterId, GatewayId, Name, TenantId, Timestamp, cluster::ClusterSpec, release::Release,
    state::ClusterState,
};
use secrecy::SecretString;

const TABLE: &str = "clusters";
const WHAT: &str = "cluster";

words! {
    /// Whose cluster it is.
    ClusterKind {
        /// A gateway's own.
        Gateway = "gateway",
        /// A tenant's.
        Tenant = "tenant",
    }
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// Where it belongs.
    pub tenant: TenantId,
    /// The gateway its site is reached through.
    pub gateway: GatewayId,
    /// The cloud account its machines come from; `None` for a gateway's own, which uses the gateway's key.
    pub account: Option<AccountId>,
    /// Whose it is.
    pub kind: ClusterKind,
    /// What people call it; unique among the tenant's clusters of its kind that are not deleted.
    pub name: Name,
    /// What was asked for.
    pub spec: ClusterSpec,
    /// Where it is in its life.
    pub state: ClusterState,
    /// Why it is in that state, for people; may be empty.
    pub reason: String,
    /// What its machines are made of.
    pub release: Release,
    /// Its CAs and tokens, as the engine writes them (sealed); `None` until they are made.
    pub materials: Option<SecretString>,
    /// The site's proxy and the like, as the plane writes them (sealed: a proxy may hold a password).
    pub settings: Option<SecretString>,
    /// What the engine likes to remember between passes, as it writes it; may be lost.
    pub memory: serde_json::Value,
    /// Whether it shall be gone.
    pub absent: bool,
    /// Where its API server is reached in the site.
    pub api_endpoint: Option<String>,
    /// Counts the changes of what was asked for.
    pub generation: i64,
    /// The last of them that was carried out in full.
    pub observed_generation: i64,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
}

/// Which clusters are wanted; `None` leaves a thing open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Through this gateway.
    pub gateway: Option<GatewayId>,
    /// With this account.
    pub account: Option<AccountId>,
    /// Of this kind.
    pub kind: Option<ClusterKind>,
    /// In this state.
    pub state: Option<ClusterState>,
    /// Deleted ones too, as long as they are remembered.
    pub deleted: bool,
}

/// The little of a cluster that tells whether it needs work. Opens no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// The cluster.
    pub id: ClusterId,
    /// The gateway its site is reached through.
    pub gateway: GatewayId,
    /// Whose it is.
    pub kind: ClusterKind,
    /// Where it is in its life.
    pub state: ClusterState,
    /// Whether what was asked for last has been carried out in full.
    pub settled: bool,
}

/// What a pass of the reconciler found.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The state the pass began from; the record is written only if it still is that.
    pub from: ClusterState,
    /// The state it is in now.
    pub to: ClusterState,
    /// Why, for people.
    pub reason: String,
    /// What the engine likes to remember.
    pub memory: serde_json::Value,
    /// Where its API server is reached; `None` leaves what is known.
    pub api_endpoint: Option<String>,
    /// The generation that the pass worked on.
    pub generation: i64,
    /// Whether that generation is carried out in full.
    pub converged: bool,
}

macro_rules! columns {
    () => {
        "id, tenant, gateway, account, kind, name, spec, state, reason, release, materials, settings, memory, absent, \
         api_endpoint, generation, observed_generation, created, updated, deleted"
    };
}

/// Adds a cluster.
///
/// # Errors
/// [`StoreError::Conflict`] when the tenant has a cluster of this kind and name.
pub async fn insert(db: impl Into<Db<'_>>, cluster: &Cluster) -> Result<(), StoreError> {
    let mut db = db.into();
    let id = cluster.id.to_string();
    let materials = cluster.materials.as_ref().map(|text| db.key().seal_text(TABLE, "materials", &id, text));
    let settings = cluster.settings.as_ref().map(|text| db.key().seal_text(TABLE, "settings", &id, text));
    db.execute(
        concat!(
            "INSERT INTO clusters (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"
        ),
        args![
            cluster.id,
            cluster.tenant,
            cluster.gateway,
            cluster.account,
            cluster.kind,
            &cluster.name,
            json(&cluster.spec),
            cluster.state,
            &cluster.reason,
            json(&cluster.release),
            materials,
            settings,
            json(&cluster.memory),
            cluster.absent,
            &cluster.api_endpoint,
            cluster.generation,
            cluster.observed_generation,
            cluster.created,
            cluster.updated,
            cluster.deleted
        ],
    )
    .await
    .conflict(WHAT, &cluster.name)?;
    Ok(())
}

/// One cluster, whatever its tenant, deleted or not.
///
/// # Errors
/// What the database said, or a secret that cannot be opened.
pub async fn get(db: impl Into<Db<'_>>, id: ClusterId) -> Result<Option<Cluster>, StoreError> {
    let mut db = db.into();
    let rows = db.read(TABLE, concat!("SELECT ", columns!(), " FROM clusters WHERE id = $1"), args![id]).await?;
    rows.first().map(|row| read(&db, row)).transpose()
}

/// Whether a cluster is deleted, whosever it is; `None` for one that is not known. Opens no secret.
///
/// # Errors
/// What the database said.
pub async fn is_deleted(db: impl Into<Db<'_>>, id: ClusterId) -> Result<Option<bool>, StoreError> {
    let sql = "SELECT id, deleted FROM clusters WHERE id = $1";
    db.into().read_one(TABLE, sql, args![id], |row| Ok(row.opt_time("deleted")?.is_some())).await
}

/// One cluster of a tenant, deleted or not.
///
/// # Errors
/// As [`get`].
pub async fn find(db: impl Into<Db<'_>>, tenant: TenantId, id: ClusterId) -> Result<Option<Cluster>, StoreError> {
    Ok(get(db, id).await?.filter(|cluster| cluster.tenant == tenant))
}

/// The tenant's own cluster (not a gateway's) of this name that is not deleted.
///
/// # Errors
/// As [`get`].
pub async fn by_name(db: impl Into<Db<'_>>, tenant: TenantId, name: &Name) -> Result<Option<Cluster>, StoreError> {
    let mut db = db.into();
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM clusters WHERE tenant = $1 AND kind = 'tenant' AND name = $2 AND deleted IS NULL"
    );
    let rows = db.read(TABLE, sql, args![tenant, name]).await?;
    rows.first().map(|row| read(&db, row)).transpose()
}

/// Clusters, oldest first.
///
/// # Errors
/// As [`get`].
pub async fn list(db: impl Into<Db<'_>>, filter: &Filter, page: &Page) -> Result<List<Cluster>, StoreError> {
    let mut db = db.into();
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM clusters WHERE ($1 IS NULL OR tenant = $1) AND ($2 IS NULL OR gateway = $2) \
         AND ($3 IS NULL OR account = $3) AND ($4 IS NULL OR kind = $4) AND ($5 IS NULL OR state = $5) \
         AND ($6 OR deleted IS NULL) AND ($7 IS NULL OR id > $7) ORDER BY id LIMIT $8"
    );
    let rows = db
        .read(
            TABLE,
            sql,
            args![
                filter.tenant,
                filter.gateway,
                filter.account,
                filter.kind.map(|kind| kind.as_str().to_owned()),
                filter.state,
                filter.deleted,
                &page.after,
                page.rows()
            ],
        )
        .await?;
    page.list(&rows, |row| read(&db, row), |cluster| cluster.id.to_string())
}

/// What tells whether clusters that are not deleted need work, oldest first.
///
/// # Errors
/// What the database said.
pub async fn pulses(
    db: impl Into<Db<'_>>,
    gateway: Option<GatewayId>,
    kind: ClusterKind,
    page: &Page,
) -> Result<List<Pulse>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            "SELECT id, gateway, kind, state, CASE WHEN generation = observed_generation AND NOT absent THEN 1 ELSE 0 END \
             AS settled FROM clusters WHERE ($1 IS NULL OR gateway = $1) AND kind = $2 AND deleted IS NULL \
             AND ($3 IS NULL OR id > $3) ORDER BY id LIMIT $4",
            args![gateway, kind, &page.after, page.rows()],
        )
        .await?;
    let read = |row: &Row| {
        Ok(Pulse {
            id: row.parse("id")?,
            gateway: row.parse("gateway")?,
            kind: row.parse("kind")?,
            state: row.parse("state")?,
            settled: row.small("settled")? == 1,
        })
    };
    page.list(&rows, read, |pulse| pulse.id.to_string())
}

/// Replaces what is asked for and counts the generation up. `generation` is what the author of the change saw.
///
/// # Errors
/// [`StoreError::Changed`] when somebody changed it meanwhile, or when it is being deleted.
pub async fn change_spec(
    db: impl Into<Db<'_>>,
    id: ClusterId,
    generation: i64,
    spec: &ClusterSpec,
    release: &Release,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = db
        .into()
        .execute(
            "UPDATE clusters SET spec = $3, release = $4, generation = generation + 1, updated = $5 \
             WHERE id = $1 AND generation = $2 AND NOT absent",
            args![id, generation, json(spec), json(release), now],
        )
        .await?;
    changed(rows, id, format!("generation {generation}"))
}

/// Asks for a cluster to be gone; tells whether that is news.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such cluster or it is deleted already.
pub async fn request_deletion(
    db: impl Into<Db<'_>>,
    id: ClusterId,
    reason: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut db = db.into();
    let rows = db
        .execute(
            "UPDATE clusters SET absent = TRUE, generation = generation + 1, state = $2, reason = $3, updated = $4 \
             WHERE id = $1 AND deleted IS NULL AND NOT absent",
            args![id, ClusterState::Deleting, reason, now],
        )
        .await?;
    if rows == 0 {
        let there = db.read("clusters", "SELECT id FROM clusters WHERE id = $1 AND deleted IS NULL", args![id]).await?;
        found(there.len() as u64, WHAT, id)?;
    }
    Ok(rows == 1)
}

/// Writes down what a pass found.
///
/// # Errors
/// [`StoreError::NotAllowed`] when the states' rules forbid the change, [`StoreError::Changed`] when the cluster is in
/// another state than the pass began from: what it found is stale, and the next pass will look again.
pub async fn record(
    db: impl Into<Db<'_>>,
    id: ClusterId,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (from, to) = (observed.from, observed.to);
    if !from.may_become(to) {
        return Err(StoreError::NotAllowed {
            what: WHAT,
            id: id.to_string(),
            from: from.to_string(),
            to: to.to_string(),
        });
    }
    let deleted = (to == ClusterState::Deleted).then_some(now);
    let seen = observed.converged.then_some(observed.generation);
    let rows = db
        .into()
        .execute(
            "UPDATE clusters SET state = $3, reason = $4, memory = $5, api_endpoint = COALESCE($6, api_endpoint), \
             observed_generation = COALESCE($7, observed_generation), updated = $8, deleted = COALESCE($9, deleted) \
             WHERE id = $1 AND state = $2",
            args![id, from, to, &observed.reason, json(&observed.memory), &observed.api_endpoint, seen, now, deleted],
        )
        .await?;
    changed(rows, id, format!("state {from}"))
}

/// Keeps what the reconciler likes to remember, and nothing else.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn set_memory(db: impl Into<Db<'_>>, id: ClusterId, memory: &serde_json::Value) -> Result<(), StoreError> {
    let rows = db.into().execute("UPDATE clusters SET memory = $2 WHERE id = $1", args![id, json(memory)]).await?;
    found(rows, WHAT, id)
}

/// Keeps a cluster's CAs and tokens.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn set_materials(
    db: impl Into<Db<'_>>,
    id: ClusterId,
    materials: &SecretString,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut db = db.into();
    let sealed = db.key().seal_text(TABLE, "materials", &id.to_string(), materials);
    let rows =
        db.execute("UPDATE clusters SET materials = $2, updated = $3 WHERE id = $1", args![id, sealed, now]).await?;
    found(rows, WHAT, id)
}

/// Forgets a deleted cluster's CAs, tokens and settings: nothing needs them any more.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn forget_secrets(db: impl Into<Db<'_>>, id: ClusterId) -> Result<(), StoreError> {
    let rows =
        db.into().execute("UPDATE clusters SET materials = NULL, settings = NULL WHERE id = $1", args![id]).await?;
    found(rows, WHAT, id)
}

/// Forgets the clusters deleted before `before`, with their machines; returns how many.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    db.into().execute("DELETE FROM clusters WHERE deleted < $1", args![before]).await
}

fn changed(rows: u64, id: ClusterId, expected: String) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::Changed { what: WHAT, id: id.to_string(), expected }) } else { Ok(()) }
}

fn read(db: &Db<'_>, row: &Row) -> Result<Cluster, StoreError> {
    let id = row.text("id")?;
    let open = |column| -> Result<Option<SecretString>, StoreError> {
        row.opt_bytes(column)?.map(|sealed| db.key().open_text(TABLE, column, &id, &sealed)).transpose()
    };
    Ok(Cluster {
        id: row.parse("id")?,
        tenant: row.parse("tenant")?,
        gateway: row.parse("gateway")?,
        account: row.opt_parse("account")?,
        kind: row.parse("kind")?,
        name: row.parse("name")?,
        spec: row.json("spec")?,
        state: row.parse("state")?,
        reason: row.text("reason")?,
        release: row.json("release")?,
        materials: open("materials")?,
        settings: open("settings")?,
        memory: row.json("memory")?,
        absent: row.bool("absent")?,
        api_endpoint: row.opt_text("api_endpoint")?,
        generation: row.int("generation")?,
        observed_generation: row.int("observed_generation")?,
        created: row.time("created")?,
        updated: row.time("updated")?,
        deleted: row.opt_time("deleted")?,
    })
}
