//! Pairing: what an installer gets for a code.

use crate::{
    app::{
        accounts, audit, clusters::new_record, events, install, install_token, maas, materials, operations, proxy, wire,
    },
    auth::{Call, Caller, Installer, limits::source, secret},
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{OperationKind, PairRequest, PairResponse};
use ferrogate_maas::{ApiKey, Endpoint};
use ferrogate_model::{
    AccountId, ClusterId, Fault, GatewayId, TenantId, Timestamp,
    cluster::{ClusterSpec, PoolSpec, control_plane_name},
    release::Release,
    state::{ClusterState, GatewayHealth, GatewayState, Severity},
};
use ferrogate_store::{
    SecretHash,
    clusters::{self, Cluster, ClusterKind},
    gateways,
    pairing_codes::{self, Consumed},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// What the plane keeps of a pairing in `gateways.settings`; no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PairingSettings {
    /// MAAS domain of the gateway's machines.
    pub(crate) domain: String,
    /// Their availability zone.
    pub(crate) zone: String,
    /// Their resource pool.
    pub(crate) resource_pool: String,
    /// Version of the installer.
    pub(crate) installer_version: String,
    /// SHA-256 of the request key, by which the same installer is known again.
    pub(crate) request_key_hash: String,
}

/// Uses a code: makes the gateway, its own cluster, and what its installer needs.
pub(crate) async fn pair(context: &Context, call: &Call, request: PairRequest) -> Outcome<PairResponse> {
    let now = context.now();
    context.limits.pairing.take(&source(call.from)).map_err(|wait| {
        Failure::new(429, "too_many_tries", "too many pairing codes were tried from this address")
            .hint("wait, then try the code you were given once more")
            .retry_after(wait)
    })?;
    let Checked { spec, endpoint, key } = check(context, &request)?;
    let code = secret::normalise_pairing_code(request.code.expose());
    let ids = (GatewayId::new(), ClusterId::new());
    let materials = materials::generate(request.name.to_string(), now).await?;
    let token = install_token::derive(ids.0, &code, &request);

    let mut tx = context.store.begin().await?;
    let tenant = match pairing_codes::consume(&mut tx, &SecretHash::of(&code), ids.0, now).await? {
        Consumed::Yes(code) => code.tenant,
        Consumed::Used(record) => {
            drop(tx);
            return again(context, call, &request, &code, record.used_by_gateway).await;
        }
        Consumed::Expired(record) => {
            return Err(refused("pairing_code_expired", &format!("the pairing code expired at {}", record.expires)));
        }
        Consumed::Revoked(_) => return Err(refused("pairing_code_revoked", "the pairing code was revoked")),
        Consumed::Unknown => {
            return Err(refused("pairing_code_unknown", "there is no such pairing code")
                .hint("check the code for typing errors; it is shown only once, when it is made"));
        }
    };
    let gateway = gateway_record(context, &request, ids, tenant, &token, now)?;
    gateways::insert(&mut tx, &gateway).await?;
    let account = accounts::of_gateway(&mut tx, &gateway, &endpoint, &key, request.maas.ca_pem.clone()).await?;
    ferrogate_store::accounts::insert(&mut tx, &account).await?;
    let made = audit::by_plane(&context.replica, tenant, account.id.into(), "account.create", now);
    ferrogate_store::audit::append_in(&mut tx, &made).await?;
    clusters::insert(&mut tx, &own_cluster(context, &gateway, spec, materials.clone(), now)).await?;
    let operation = operations::new(tenant, OperationKind::InstallGateway, ids.0, &ids.0, now);
    ferrogate_store::operations::insert(&mut tx, &operation).await?;
    let paired = events::new(tenant, ids.0, Severity::Info, "Paired", "an installer began to build this gateway", now);
    let message = format!("cloud account `{}` was created for the site's MAAS", account.name);
    let created = events::new(tenant, ids.0, Severity::Info, "AccountCreated", message, now);
    ferrogate_store::events::append_in(&mut tx, &[paired, created]).await?;
    tx.commit().await?;

    context.limits.pairing.forgive(&source(call.from));
    call.acted(Caller::Installer(Installer { gateway: ids.0, tenant }));
    context.events_added();
    context.nudge();
    Ok(response(context, ids, token, materials, context.release.clone()))
}

/// The same answer for the same installer, which did not hear it the first time.
async fn again(
    context: &Context,
    call: &Call,
    request: &PairRequest,
    code: &SecretString,
    gateway: Option<GatewayId>,
) -> Outcome<PairResponse> {
    let used = || {
        refused("pairing_code_used", "the pairing code was used already")
            .hint("resume with the pcg.yaml of the installation that used it, or make a new code")
    };
    let gateway = gateways::get(&context.store, gateway.ok_or_else(used)?).await?.ok_or_else(used)?;
    let settings: Option<PairingSettings> = serde_json::from_value(gateway.settings.clone()).ok();
    let is_same = settings
        .is_some_and(|settings| settings.request_key_hash == install_token::request_key_hash(request))
        && gateway.name == request.name
        && gateway.deleted.is_none();
    let token = install_token::derive(gateway.id, code, request);
    if !is_same || !gateway.install_token_hash.as_ref().is_some_and(|kept| kept.matches(&token)) {
        return Err(used());
    }
    // Once the installation is over its installer has dropped the cluster's keys, and needs them again only to build lost
    // nodes anew. While none is missing nobody gets them.
    let is_over = install::installation(context, &gateway).await?.is_none();
    if is_over && gateway.health == GatewayHealth::Healthy {
        return Err(used());
    }
    let cluster = clusters::get(&context.store, gateway.cluster).await?.ok_or_else(used)?;
    let materials = cluster.materials.ok_or_else(used)?;
    if is_over {
        let message = "its installer was given the keys of its cluster again, to build lost nodes anew";
        let event = events::new(gateway.tenant, gateway.id, Severity::Warning, "PairedAgain", message, context.now());
        context.record(&[event]).await?;
    }
    context.limits.pairing.forgive(&source(call.from));
    call.acted(Caller::Installer(Installer { gateway: gateway.id, tenant: gateway.tenant }));
    Ok(response(context, (gateway.id, gateway.cluster), token, materials, cluster.release))
}

fn refused(code: &str, detail: &str) -> Failure {
    Failure::new(403, code, detail).hint("make a new one with `ferrogate pairing create`")
}

/// Whether the plane has every file that a gateway's nodes need, for one kind of machine at least.
fn check_files(context: &Context) -> Outcome<()> {
    let mut missing = None;
    for architecture in &context.release.architectures {
        match architecture.artifacts().find(|artifact| !context.artifacts.has(artifact)) {
            None => return Ok(()),
            Some(artifact) => missing = missing.or(Some(&artifact.path)),
        }
    }
    let what = missing.map_or_else(|| "a file of any architecture".to_owned(), |path| format!("`{path}`"));
    Err(Failure::new(503, "release_file_missing", format!("this plane has not {what}, which its release names"))
        .fault(Fault::Plane)
        .hint("put the file into the plane's mirror folder, under this path"))
}

/// What a request says, understood.
struct Checked {
    spec: ClusterSpec,
    endpoint: Endpoint,
    key: ApiKey,
}

/// Everything that can be wrong with a request, before the code is used up.
fn check(context: &Context, request: &PairRequest) -> Outcome<Checked> {
    if !matches!(request.nodes, 1 | 3) {
        return Err(Failure::invalid("bad_nodes", format!("a gateway has 1 or 3 nodes, not {}", request.nodes)));
    }
    if request.request_key.expose().len() < install_token::MIN_REQUEST_KEY {
        return Err(Failure::invalid("bad_request_key", "the request key is too short to be a secret"));
    }
    let endpoint = maas::endpoint(&request.maas.endpoint, "maas.endpoint")?;
    let key = maas::api_key(&request.maas.api_key.clone().into_inner(), "maas.api_key")?;
    maas::check_ca(request.maas.ca_pem.as_deref(), "maas.ca_pem")?;
    proxy::to_store(&request.proxy)?;
    check_files(context)?;
    let pool = PoolSpec {
        name: control_plane_name(),
        count: request.nodes,
        resource_pool: request.resource_pool.clone(),
        zones: vec![request.zone.clone()],
        min_cpu: None,
        min_memory_mib: None,
        min_disk_gib: None,
        tags: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        taints: Vec::new(),
    };
    let mut spec = ClusterSpec {
        domain: request.domain.clone(),
        kubernetes_version: None,
        image: None,
        ssh_keys: Vec::new(),
        ntp_servers: Vec::new(),
        pod_cidr: request.pod_cidr,
        service_cidr: request.service_cidr,
        control_plane: pool,
        workers: Vec::new(),
    };
    ferrogate_engine::preflight::raise_to_gateway(&mut spec);
    wire::no_problems(&spec)?;
    Ok(Checked { spec, endpoint, key })
}

fn gateway_record(
    context: &Context,
    request: &PairRequest,
    (id, cluster): (GatewayId, ClusterId),
    tenant: TenantId,
    token: &SecretString,
    now: Timestamp,
) -> Outcome<gateways::Gateway> {
    let settings = PairingSettings {
        domain: request.domain.clone(),
        zone: request.zone.clone(),
        resource_pool: request.resource_pool.clone(),
        installer_version: request.installer_version.chars().take(64).collect(),
        request_key_hash: install_token::request_key_hash(request),
    };
    Ok(gateways::Gateway {
        id,
        tenant,
        name: request.name.clone(),
        state: GatewayState::Provisioning,
        reason: "the installer builds it".into(),
        health: GatewayHealth::Unknown,
        desired_nodes: request.nodes,
        version: Some(context.release.version.clone()),
        cluster,
        account: AccountId::new(),
        install_token_hash: Some(SecretHash::of(token)),
        settings: serde_json::to_value(settings).map_err(|error| Failure::internal(error.to_string()))?,
        proxy: proxy::to_store(&request.proxy)?,
        created: now,
        updated: now,
        last_seen: None,
        deleted: None,
    })
}

/// The cluster that the gateway runs on.
fn own_cluster(
    context: &Context,
    gateway: &gateways::Gateway,
    spec: ClusterSpec,
    materials: SecretString,
    now: Timestamp,
) -> Cluster {
    Cluster {
        id: gateway.cluster,
        kind: ClusterKind::Gateway,
        state: ClusterState::Provisioning,
        reason: "the installer builds it".into(),
        ..new_record(context, gateway, gateway.name.clone(), spec, materials, now)
    }
}

fn response(
    context: &Context,
    (gateway_id, cluster_id): (GatewayId, ClusterId),
    token: SecretString,
    materials: SecretString,
    release: Release,
) -> PairResponse {
    PairResponse {
        gateway_id,
        cluster_id,
        install_token: token.into(),
        materials: materials.into(),
        release,
        plane_url: context.public_url.as_str().trim_end_matches('/').to_owned(),
        plane_ca_pem: context.plane_ca_pem(),
        artifacts_url: context.artifacts_url().to_string(),
    }
}
