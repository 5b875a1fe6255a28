//! Clusters: what a person asks for. Reconcilers carry it out.

use crate::{
    app::{accounts as app_accounts, events, materials, operations, plan, wire},
    auth::Principal,
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{
    Cluster, ClusterAccepted, ClusterCreate, ClusterDelete, ClusterLookup, ClusterPlan, ClusterUpdate, Known,
    KnownCluster, OperationKind, Page, PageQuery, Role,
};
use ferrogate_model::{
    ClusterId, Name, Timestamp,
    cluster::{ClusterSpec, PoolSpec},
    state::{ClusterState, MachineState, OperationState, Severity},
};
use ferrogate_store::{
    Subject, accounts,
    accounts::Account,
    clusters::{self, Cluster as Record, ClusterKind},
    gateways::{self, Gateway},
    machines,
};
use secrecy::SecretString;
use std::time::Duration;

/// How long a deleted cluster is listed (specification 7.2).
const REMEMBERED: Duration = Duration::from_secs(72 * 3600);

/// A page of the tenant's clusters; its gateways' own are not among them.
pub(crate) async fn list(context: &Context, who: &Principal, query: &PageQuery) -> Outcome<Page<Cluster>> {
    let filter = clusters::Filter {
        tenant: Some(who.tenant),
        kind: Some(ClusterKind::Tenant),
        deleted: true,
        ..clusters::Filter::default()
    };
    let list = clusters::list(&context.store, &filter, &wire::page(query)?).await?;
    let now = context.now();
    let mut items = Vec::with_capacity(list.items.len());
    for cluster in list.items.into_iter().filter(|cluster| is_listed(cluster, now)) {
        items.push(shown(context, cluster).await?);
    }
    Ok(Page { items, next: list.next })
}

fn is_listed(cluster: &Record, now: Timestamp) -> bool {
    cluster.deleted.is_none_or(|deleted| deleted + REMEMBERED > now)
}

/// One cluster.
pub(crate) async fn read(context: &Context, who: &Principal, cluster: &str) -> Outcome<Cluster> {
    let found = find(context, who, cluster).await?;
    // A gateway's own cluster is shown as a part of its gateway.
    if found.kind == ClusterKind::Gateway {
        return Err(Failure::not_found("cluster", cluster).hint(format!("see the gateway `{}`", found.name)));
    }
    shown(context, found).await
}

/// A cluster of the caller's tenant by id or name; by id also one that was deleted a short while ago.
pub(crate) async fn find(context: &Context, who: &Principal, cluster: &str) -> Outcome<Record> {
    let found = match (cluster.parse(), cluster.parse::<Name>()) {
        (Ok(id), _) => clusters::find(&context.store, who.tenant, id).await?,
        (Err(_), Ok(name)) => clusters::by_name(&context.store, who.tenant, &name).await?,
        (Err(_), Err(_)) => None,
    };
    let now = context.now();
    found.filter(|cluster| is_listed(cluster, now)).ok_or_else(|| Failure::not_found("cluster", cluster))
}

/// A cluster whose Kubernetes API the caller may use. Whoever can start a pod in a gateway's own cluster has the gateway
/// with its key and its allow-list, so that is for admins.
pub(crate) async fn reachable(context: &Context, who: &Principal, cluster: &str) -> Outcome<Record> {
    let found = find(context, who, cluster).await?;
    if found.kind == ClusterKind::Gateway && who.role < Role::Admin {
        return Err(Failure::forbidden(format!(
            "the own cluster of gateway `{}` is for admins of the tenant",
            found.name
        )));
    }
    Ok(found)
}

/// Asks for a cluster, after everything was checked through the gateway.
pub(crate) async fn create(context: &Context, who: &Principal, request: ClusterCreate) -> Outcome<ClusterAccepted> {
    let (account, checked) = check(context, who, &request).await?;
    plan::must_hold(&checked)?;
    let now = context.now();
    let materials = materials::generate(request.name.to_string(), now).await?;

    let mut tx = context.store.begin().await?;
    app_accounts::must_be(&mut tx, &account).await?;
    let gateway = gateways::get(&mut tx, account.gateway).await?;
    let gateway = gateway.ok_or_else(|| Failure::internal(format!("account {} has no gateway", account.id)))?;
    if gateway.state.is_ending() {
        return Err(Failure::conflict("gateway_going", format!("gateway `{}` is being deleted", gateway.name)));
    }
    let cluster = Record {
        account: Some(account.id),
        ..new_record(context, &gateway, request.name, request.spec, materials, now)
    };
    clusters::insert(&mut tx, &cluster).await?;
    let message = format!("{} asked for it", who.email);
    accepted(context, who, tx, cluster, OperationKind::CreateCluster, "Requested", message).await
}

/// The record of a cluster that waits to be built through `gateway`.
pub(crate) fn new_record(
    context: &Context,
    gateway: &Gateway,
    name: Name,
    spec: ClusterSpec,
    materials: SecretString,
    now: Timestamp,
) -> Record {
    Record {
        id: ClusterId::new(),
        tenant: gateway.tenant,
        gateway: gateway.id,
        account: None,
        kind: ClusterKind::Tenant,
        name,
        spec,
        state: ClusterState::Queued,
        reason: "waits for its turn".into(),
        release: context.release.clone(),
        materials: Some(materials),
        settings: gateway.proxy.clone(),
        memory: serde_json::Value::Null,
        absent: false,
        api_endpoint: None,
        generation: 1,
        observed_generation: 0,
        created: now,
        updated: now,
        deleted: None,
    }
}

/// What creating the cluster would do.
pub(crate) async fn plan(context: &Context, who: &Principal, request: ClusterCreate) -> Outcome<ClusterPlan> {
    Ok(check(context, who, &request).await?.1)
}

async fn check(context: &Context, who: &Principal, request: &ClusterCreate) -> Outcome<(Account, ClusterPlan)> {
    wire::no_problems(&request.spec)?;
    check_version(context, &request.spec)?;
    let account = app_accounts::find(context, who, &request.account).await?;
    if let Some(taken) = clusters::by_name(&context.store, who.tenant, &request.name).await? {
        return Err(Failure::conflict("name_taken", format!("cluster `{}` exists already", taken.name))
            .hint("choose another name, or delete the existing cluster"));
    }
    let plan = plan::make(context, &account, &request.spec, &context.release, None).await?;
    Ok((account, plan))
}

fn check_version(context: &Context, spec: &ClusterSpec) -> Outcome<()> {
    match &spec.kubernetes_version {
        Some(version) if *version != context.release.kubernetes => Err(Failure::invalid(
            "kubernetes_version_unknown",
            format!("this plane does not install Kubernetes `{version}`"),
        )
        .item("spec.kubernetes_version", format!("`{version}` is not {}", context.release.kubernetes), None)
        .hint(format!("leave it out, or write {}", context.release.kubernetes))),
        _ => Ok(()),
    }
}

/// Changes what a cluster should be.
pub(crate) async fn update(
    context: &Context,
    who: &Principal,
    cluster: &str,
    request: ClusterUpdate,
) -> Outcome<ClusterAccepted> {
    let mut cluster = find(context, who, cluster).await?;
    refuse_gateways(&cluster)?;
    if cluster.absent || cluster.deleted.is_some() {
        return Err(Failure::conflict("cluster_going", format!("cluster `{}` is being deleted", cluster.name)));
    }
    if let Some(seen) = request.if_generation.filter(|seen| *seen != cluster.generation) {
        let detail = format!("cluster `{}` is at generation {}, not {seen}", cluster.name, cluster.generation);
        return Err(Failure::conflict("changed_meanwhile", detail).hint("read it again and repeat the change"));
    }
    wire::no_problems(&request.spec)?;
    unchangeable(&cluster.spec, &request.spec)?;
    let mut to_know = String::new();
    if needs_machines(&cluster.spec, &request.spec) {
        let account = account_of(context, &cluster).await?;
        let plan = plan::make(context, &account, &request.spec, &cluster.release, Some(cluster.id)).await?;
        plan::must_hold(&plan)?;
        to_know = plan::to_know(&plan);
    }
    let now = context.now();
    let mut tx = context.store.begin().await?;
    clusters::change_spec(&mut tx, cluster.id, cluster.generation, &request.spec, &cluster.release, now).await?;
    cluster.generation += 1;
    cluster.updated = now;
    cluster.spec = request.spec;
    let message = format!("{} asked for {} machines{to_know}", who.email, cluster.spec.machine_count());
    accepted(context, who, tx, cluster, OperationKind::UpdateCluster, "ChangeRequested", message).await
}

/// Whether a change may need machines that the cluster does not have: a new pool, a larger one, or one that asks for other
/// machines than before. Fewer machines of the same pools need none, whatever the site looks like now.
fn needs_machines(old: &ClusterSpec, new: &ClusterSpec) -> bool {
    new.pools().any(|pool| {
        let Some(before) = old.pools().find(|before| before.name == pool.name) else { return true };
        pool.count > before.count
            || PoolSpec { count: 0, labels: pool.labels.clone(), taints: pool.taints.clone(), ..before.clone() }
                != PoolSpec { count: 0, ..pool.clone() }
    })
}

/// What a running cluster cannot become: it would be another cluster.
fn unchangeable(old: &ClusterSpec, new: &ClusterSpec) -> Outcome<()> {
    let mut found = Vec::new();
    let mut fixed = |field: &str, differs: bool| {
        if differs {
            found.push(field.to_owned());
        }
    };
    fixed("spec.domain", old.domain != new.domain);
    fixed("spec.pod_cidr", old.pod_cidr != new.pod_cidr);
    fixed("spec.service_cidr", old.service_cidr != new.service_cidr);
    fixed("spec.control_plane.count", old.control_plane.count != new.control_plane.count);
    fixed("spec.kubernetes_version", old.kubernetes_version != new.kubernetes_version);
    fixed("spec.image", old.image != new.image);
    for pool in &new.workers {
        let before = old.workers.iter().find(|before| before.name == pool.name);
        if before.is_some_and(|before| before.resource_pool != pool.resource_pool) {
            found.push(format!("spec.workers.{}.resource_pool", pool.name));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let failure = Failure::invalid("unchangeable", "these parts of a cluster cannot change")
        .hint("create a new cluster with them, or a new worker pool");
    Err(found.into_iter().fold(failure, |failure, field| failure.item(field, "cannot change", None)))
}

/// How many clusters may be asked about at once.
const MAX_LOOKUP: usize = 500;

/// Which clusters the plane knows, whosever they are. Who asks has read the ids in a MAAS, and learns no more than that.
pub(crate) async fn lookup(context: &Context, request: &ClusterLookup) -> Outcome<Page<KnownCluster>> {
    if request.clusters.len() > MAX_LOOKUP {
        return Err(Failure::invalid(
            "too_many_clusters",
            format!("at most {MAX_LOOKUP} clusters are looked up at once"),
        ));
    }
    let mut items = Vec::with_capacity(request.clusters.len());
    for &id in &request.clusters {
        let known = match clusters::is_deleted(&context.store, id).await? {
            Some(false) => Known::Exists,
            Some(true) => Known::Deleted,
            None => Known::Unknown,
        };
        items.push(KnownCluster { id, known });
    }
    Ok(wire::whole(items))
}

/// Begins to delete a cluster whose name was confirmed.
pub(crate) async fn delete(
    context: &Context,
    who: &Principal,
    cluster: &str,
    request: &ClusterDelete,
) -> Outcome<ClusterAccepted> {
    let mut cluster = find(context, who, cluster).await?;
    refuse_gateways(&cluster)?;
    if request.confirm_name != cluster.name.as_str() {
        let detail = format!("`{}` is not the name of this cluster", request.confirm_name.escape_debug());
        return Err(
            Failure::invalid("name_not_confirmed", detail).hint("write the cluster's own name as `confirm_name`")
        );
    }
    if cluster.deleted.is_some() {
        return Err(Failure::conflict("cluster_going", format!("cluster `{}` is deleted already", cluster.name)));
    }
    let open = ferrogate_store::operations::open_on(&context.store, &Subject::from(cluster.id)).await?;
    let now = context.now();
    let reason = format!("{} asked for it", who.email);
    let mut tx = context.store.begin().await?;
    if !clusters::request_deletion(&mut tx, cluster.id, &reason, now).await? {
        drop(tx);
        let running = open.into_iter().find(|operation| operation.kind == OperationKind::DeleteCluster.as_str());
        let running = running.ok_or_else(|| Failure::conflict("cluster_going", "the cluster is being deleted"))?;
        let operation = operations::with_steps(context, running).await?;
        return Ok(ClusterAccepted { cluster: shown(context, cluster).await?, operation });
    }
    for operation in open {
        let why = "the cluster is deleted";
        ferrogate_store::operations::transition(&mut tx, operation.id, OperationState::Cancelled, why, now).await?;
    }
    // Whoever holds a kubeconfig of it has no business there any more.
    ferrogate_store::tokens::revoke_for_cluster(&mut tx, cluster.id, now).await?;
    cluster.absent = true;
    cluster.generation += 1;
    cluster.state = ClusterState::Deleting;
    cluster.reason.clone_from(&reason);
    cluster.updated = now;
    let accepted =
        accepted(context, who, tx, cluster, OperationKind::DeleteCluster, "DeletionRequested", reason).await?;
    context.credentials_changed();
    Ok(accepted)
}

/// Writes the operation and the event, commits, and wakes the reconcilers.
async fn accepted(
    context: &Context,
    who: &Principal,
    mut tx: ferrogate_store::Tx,
    cluster: Record,
    kind: OperationKind,
    reason: &str,
    message: String,
) -> Outcome<ClusterAccepted> {
    let now = context.now();
    let operation = operations::new(who.tenant, kind, cluster.id, &who.user, now);
    ferrogate_store::operations::insert(&mut tx, &operation).await?;
    let event = events::new(who.tenant, cluster.id, Severity::Info, reason, message, now);
    ferrogate_store::events::append_in(&mut tx, &[event]).await?;
    tx.commit().await?;
    context.events_added();
    context.nudge();
    let operation = operations::with_steps(context, operation).await?;
    Ok(ClusterAccepted { cluster: shown(context, cluster).await?, operation })
}

fn refuse_gateways(cluster: &Record) -> Outcome<()> {
    match cluster.kind {
        ClusterKind::Tenant => Ok(()),
        ClusterKind::Gateway => Err(Failure::conflict(
            "gateways_own_cluster",
            format!("this is the own cluster of gateway `{}`", cluster.name),
        )
        .hint("change or delete the gateway instead")),
    }
}

async fn account_of(context: &Context, cluster: &Record) -> Outcome<Account> {
    let missing = || Failure::internal(format!("cluster {} has no cloud account", cluster.id));
    accounts::get(&context.store, cluster.account.ok_or_else(missing)?).await?.ok_or_else(missing)
}

async fn shown(context: &Context, cluster: Record) -> Outcome<Cluster> {
    let account = account_of(context, &cluster).await?;
    let page = ferrogate_store::Page::first(ferrogate_store::Page::MAX);
    let machines = machines::list(&context.store, cluster.id, &page).await?.items;
    let running = machines.iter().filter(|machine| machine.state == MachineState::Running).count();
    Ok(Cluster {
        id: cluster.id,
        account_id: account.id,
        account: account.name,
        gateway_id: cluster.gateway,
        desired_machines: if cluster.absent { 0 } else { cluster.spec.machine_count() },
        running_machines: u32::try_from(running).unwrap_or(u32::MAX),
        name: cluster.name,
        spec: cluster.spec,
        state: cluster.state,
        reason: cluster.reason,
        kubernetes_version: cluster.release.kubernetes,
        api_endpoint: cluster.api_endpoint,
        generation: cluster.generation,
        created_at: cluster.created,
        updated_at: cluster.updated,
        deleted_at: cluster.deleted,
    })
}
