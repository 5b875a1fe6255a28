//! Pairing: codes for people, and what an installer gets for one.

use crate::{
    app::{accounts, audit, credentials, events, install, maas, operations, proxy, wire},
    auth::{
        Call, Caller, Installer, Principal,
        limits::source,
        secret::{self, CredentialKind},
    },
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{
    OperationKind, Page, PageQuery, PairRequest, PairResponse, PairingCode, PairingCodeCreate, PairingCodeCreated,
    PairingCodeState,
};
use ferrogate_join::materials::ClusterMaterials;
use ferrogate_maas::{ApiKey, Endpoint};
use ferrogate_model::{
    AccountId, ClusterId, Fault, GatewayId, PairingCodeId, TenantId, Timestamp,
    cluster::{ClusterSpec, PoolSpec, control_plane_name},
    fault::chain,
    release::Release,
    state::{ClusterState, GatewayHealth, GatewayState, Severity},
};
use ferrogate_store::{
    SecretHash, clusters, gateways,
    pairing_codes::{self, Consumed},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a code is good (specification 4.2).
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Fewest characters of a request key: 128 bits in base64.
const MIN_REQUEST_KEY: usize = 22;

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

/// A page of the tenant's codes, the newest first.
pub(crate) async fn list(context: &Context, who: &Principal, query: &PageQuery) -> Outcome<Page<PairingCode>> {
    let now = context.now();
    let list = pairing_codes::list(&context.store, who.tenant, &wire::page(query)?).await?;
    Ok(wire::listed(list, |code| shown(code, now)))
}

/// Makes a code.
pub(crate) async fn create(
    context: &Context,
    who: &Principal,
    request: PairingCodeCreate,
) -> Outcome<PairingCodeCreated> {
    let note = request.note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if note.as_ref().is_some_and(|note| note.chars().count() > 200 || note.contains(char::is_control)) {
        return Err(Failure::invalid("bad_note", "the note is longer than 200 characters or has control characters"));
    }
    let now = context.now();
    let code = secret::pairing_code();
    let mut record = pairing_codes::PairingCode {
        id: PairingCodeId::new(),
        tenant: who.tenant,
        created_by: who.user,
        made_by: who.maker(),
        name_hint: note,
        code_hash: SecretHash::of(&code),
        created: now,
        expires: now + LIFETIME,
        used: None,
        used_by_gateway: None,
        revoked: None,
    };
    let (mut tx, maker_expires) = credentials::making(context, who).await?;
    record.expires = maker_expires.map_or(record.expires, |end| end.min(record.expires));
    pairing_codes::insert(&mut tx, &record).await?;
    tx.commit().await?;
    let fingerprint = (!context.fingerprint.is_empty()).then(|| context.fingerprint.clone());
    let trust = fingerprint.as_ref().map(|text| format!(" --fingerprint {text}")).unwrap_or_default();
    let url = context.public_url.as_str().trim_end_matches('/');
    Ok(PairingCodeCreated {
        pairing_code: shown(record, now),
        code: code.into(),
        // The code itself is asked for: an argument would show in the process list and the shell's history.
        command: format!("ferrogate install --endpoint {url}{trust}"),
        fingerprint,
    })
}

/// Revokes a code that was not used.
pub(crate) async fn revoke(context: &Context, who: &Principal, code: &str) -> Outcome<()> {
    let unknown = || Failure::not_found("pairing_code", code);
    let id: PairingCodeId = code.parse().map_err(|_| unknown())?;
    let record = pairing_codes::find(&context.store, who.tenant, id).await?.ok_or_else(unknown)?;
    if record.used.is_some() {
        return Err(Failure::conflict("pairing_code_used", "the pairing code was used already")
            .hint("delete the gateway it made if it is not wanted"));
    }
    pairing_codes::revoke(&context.store, who.tenant, id, context.now()).await?;
    Ok(())
}

fn shown(code: pairing_codes::PairingCode, now: Timestamp) -> PairingCode {
    let state = if code.used.is_some() {
        PairingCodeState::Used
    } else if code.revoked.is_some() {
        PairingCodeState::Revoked
    } else if code.expires <= now {
        PairingCodeState::Expired
    } else {
        PairingCodeState::Active
    };
    PairingCode {
        id: code.id,
        state,
        note: code.name_hint,
        created_by: code.created_by,
        created_at: code.created,
        expires_at: code.expires,
        used_at: code.used,
        gateway_id: code.used_by_gateway,
    }
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
    let materials = new_materials(request.name.to_string(), now).await?;
    let token = install_token(ids.0, &code, &request);

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
    clusters::insert(&mut tx, &cluster_record(context, &gateway, spec, materials.clone(), now)).await?;
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
    let is_same = settings.is_some_and(|settings| settings.request_key_hash == request_key_hash(request))
        && gateway.name == request.name
        && gateway.deleted.is_none();
    let token = install_token(gateway.id, code, request);
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
    if request.request_key.expose().len() < MIN_REQUEST_KEY {
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
        request_key_hash: request_key_hash(request),
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

fn cluster_record(
    context: &Context,
    gateway: &gateways::Gateway,
    spec: ClusterSpec,
    materials: SecretString,
    now: Timestamp,
) -> clusters::Cluster {
    clusters::Cluster {
        id: gateway.cluster,
        tenant: gateway.tenant,
        gateway: gateway.id,
        account: None,
        kind: clusters::ClusterKind::Gateway,
        name: gateway.name.clone(),
        spec,
        state: ClusterState::Provisioning,
        reason: "the installer builds it".into(),
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

/// New CAs, tokens and keys of a cluster, as the engine writes them. Making keys takes a while of a processor.
pub(crate) async fn new_materials(cluster: String, now: Timestamp) -> Outcome<SecretString> {
    tokio::task::spawn_blocking(move || {
        let materials = ClusterMaterials::generate(&cluster, now).map_err(|error| chain(&error))?;
        serde_json::to_string(&materials).map(SecretString::from).map_err(|error| error.to_string())
    })
    .await
    .map_err(|error| Failure::internal(error.to_string()))?
    .map_err(|cause| Failure::internal(format!("making a cluster's keys: {cause}")))
}

fn request_key_hash(request: &PairRequest) -> String {
    secret::hash_text(request.request_key.expose())
}

/// The installer's token. Derived, not drawn, so that the same installer can be told it again although only its hash is
/// kept; as hard to guess as the request key, which nobody else knows.
fn install_token(gateway: GatewayId, code: &SecretString, request: &PairRequest) -> SecretString {
    let parts = ["ferrogate-install-token-1", &gateway.to_string(), code.expose_secret(), request.request_key.expose()];
    format!("{}{}", CredentialKind::Install.prefix(), secret::hash_text(&parts.join("\n"))).into()
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
