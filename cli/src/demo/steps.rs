//! What happens in the demo, in order. Everything goes the ways that users have: the API and the installer.

use super::environment::{CLUSTER, Environment, GATEWAY};
use super::outcome::Report;
use super::{Controls, kubectl};
use crate::exit::{Exit, Failure, Result};
use ferrogate_api::{ClusterCreate, ClusterDelete, Operation, PairingCodeCreate};
use ferrogate_firstboot::Kubeadm;
use ferrogate_installer::args::GivenArgs;
use ferrogate_installer::prompt::Tone;
use ferrogate_installer::screen::MachineLine;
use ferrogate_installer::{Host, InstallArgs};
use ferrogate_model::cluster::{ClusterSpec, PoolSpec, control_plane_name};
use ferrogate_model::state::{GatewayHealth, GatewayState, OperationState};
use ferrogate_model::{Clock, Explain, OperationId, SystemClock, address};
use ferrogate_net::Connector;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Nothing of the demo takes nearly as long; what does not come by then has failed.
const PHASE_DEADLINE: Duration = Duration::from_secs(180);
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// The plane and the site.
pub(super) async fn raise(controls: &Controls, report: &mut Report) -> Result<Environment> {
    let start = Instant::now();
    controls.screen.begin("plane and simulated site");
    let environment = Environment::raise().await;
    report.phase("plane_and_site", start.elapsed());
    match environment {
        Ok(environment) => {
            let machines = environment.lab.maas().machines().len();
            controls.screen.end(
                Tone::Good,
                start.elapsed(),
                &format!("a plane, a MAAS with {machines} machines, a proxy as the only way out"),
            );
            Ok(environment)
        }
        Err(failure) => {
            controls.screen.end(Tone::Bad, start.elapsed(), "did not start");
            Err(failure)
        }
    }
}

/// Writes a file that only its owner may read.
fn write_secret(path: &Path, text: &str) -> Result<()> {
    Ok(ferrogate_files::create_private(path, text.as_bytes())?)
}

/// What a person would answer to the installer's questions.
fn answers(environment: &Environment) -> GivenArgs {
    let proxy = environment.lab.proxy().url();
    GivenArgs {
        name: Some(GATEWAY.to_owned()),
        endpoint: Some(environment.plane_url().to_string()),
        pairing_code_file: Some(environment.path("pairing.code")),
        fingerprint: Some(environment.fingerprint().to_owned()),
        https_proxy: Some(proxy.expose_secret().to_owned()),
        http_proxy: Some(proxy.expose_secret().to_owned()),
        maas_endpoint: Some(environment.lab.maas_endpoint()),
        maas_api_key_file: Some(environment.path("maas.key")),
        domain: Some("maas".to_owned()),
        zone: Some("default".to_owned()),
        resource_pool: Some("default".to_owned()),
        nodes: Some("1".to_owned()),
        dns_servers: environment.lab.dns().into_iter().collect(),
        ..GivenArgs::default()
    }
}

/// A pairing code, the installer with it, and the gateway that comes of it.
pub(super) async fn gateway(environment: &Environment, controls: &Controls, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    let code = environment.admin.create_pairing_code(&PairingCodeCreate { note: Some("demo".to_owned()) }).await?;
    write_secret(&environment.path("pairing.code"), code.code.expose())?;
    write_secret(&environment.path("maas.key"), environment.lab.api_key().expose_secret())?;
    let args = InstallArgs {
        yes: true,
        state_dir: environment.path("install"),
        given: answers(environment),
        ..InstallArgs::default()
    };
    std::fs::create_dir_all(&args.state_dir)?;
    // The installer stands in the site: no way to the plane but the proxy.
    let connector: Arc<dyn Connector> = environment.lab.connector();
    let host = Host {
        connector,
        cancel: controls.cancel.clone(),
        variables: |_| None,
        ..Host::this(controls.cancel.clone(), Arc::new(Kubeadm))
    };
    let installed = Box::pin(ferrogate_installer::install(args, None, controls.screen.as_ref(), &host)).await;
    installed.map_err(|error| Failure::explained(Exit::Failed, &error))?;

    let gateway = environment.admin.gateway(GATEWAY).await?;
    if gateway.state != GatewayState::Running || gateway.health != GatewayHealth::Healthy {
        return Err(Failure::failed(format!(
            "gateway {GATEWAY} is {} and {}: {}",
            gateway.state, gateway.health, gateway.reason
        )));
    }
    let accounts = environment.admin.all_accounts().await?;
    let Some(account) = accounts.iter().find(|account| account.auto_created && account.gateway_id == gateway.id) else {
        return Err(Failure::failed("the gateway runs, but no cloud account was created with it"));
    };
    let via_proxy = environment
        .lab
        .proxy()
        .log()
        .iter()
        .filter(|line| line.target.contains(super::environment::PLANE_NAME))
        .count();
    if via_proxy == 0 {
        return Err(Failure::failed("the gateway runs, but nothing went through the proxy"));
    }
    controls.screen.line(
        Tone::Good,
        &format!("gateway {GATEWAY} is Running and Healthy; cloud account {} was created with it", account.name),
    );
    report.phase("gateway", start.elapsed());
    Ok(())
}

fn pool(name: ferrogate_model::Name, count: u32) -> PoolSpec {
    PoolSpec {
        name,
        count,
        resource_pool: "default".to_owned(),
        zones: Vec::new(),
        min_cpu: None,
        min_memory_mib: None,
        min_disk_gib: None,
        tags: Vec::new(),
        labels: BTreeMap::new(),
        taints: Vec::new(),
    }
}

/// A cluster of one control-plane node and two workers, and its nodes seen through the plane.
pub(super) async fn cluster(environment: &Environment, controls: &Controls, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    let workers = "workers".parse().map_err(|error| Failure::failed(format!("{error}")))?;
    let request = ClusterCreate {
        name: CLUSTER.parse().map_err(|error| Failure::failed(format!("{error}")))?,
        account: GATEWAY.to_owned(),
        spec: ClusterSpec {
            domain: "maas".to_owned(),
            kubernetes_version: None,
            image: None,
            ssh_keys: Vec::new(),
            ntp_servers: Vec::new(),
            pod_cidr: address::DEFAULT_POD_CIDR.into(),
            service_cidr: address::DEFAULT_SERVICE_CIDR.into(),
            control_plane: pool(control_plane_name(), 1),
            workers: vec![pool(workers, 2)],
        },
    };
    let accepted = environment.admin.create_cluster(&request).await?;
    follow(
        environment,
        controls,
        &format!("cluster {CLUSTER}: 1 control-plane node, 2 workers"),
        accepted.operation.id,
        true,
    )
    .await?;
    report.phase("cluster", start.elapsed());

    let start = Instant::now();
    controls.screen.begin("kubectl get nodes, through plane and gateway");
    let listed = kubectl::nodes(environment).await;
    match &listed {
        Ok(listed) => {
            controls.screen.end(Tone::Good, start.elapsed(), &format!("by {}", listed.by));
            for line in &listed.table {
                controls.screen.line(Tone::Plain, &format!("    {line}"));
            }
        }
        Err(_) => controls.screen.end(Tone::Bad, start.elapsed(), "not answered"),
    }
    let listed = listed?;
    if listed.nodes.len() != 3 {
        return Err(Failure::failed(format!(
            "the cluster should have 3 nodes and has {}: {}",
            listed.nodes.len(),
            listed.nodes.join(", ")
        )));
    }
    report.nodes = listed.nodes;
    report.listed_by = listed.by;
    report.phase("kubectl", start.elapsed());
    Ok(())
}

/// The cluster, then the gateway.
pub(super) async fn delete(environment: &Environment, controls: &Controls, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    let request = ClusterDelete { confirm_name: CLUSTER.to_owned() };
    let accepted = environment.admin.delete_cluster(CLUSTER, &request).await?;
    follow(environment, controls, &format!("delete cluster {CLUSTER}"), accepted.operation.id, false).await?;
    report.phase("delete_cluster", start.elapsed());

    let start = Instant::now();
    let operation = environment.admin.delete_gateway(GATEWAY).await?;
    follow(environment, controls, &format!("delete gateway {GATEWAY}"), operation.id, false).await?;
    report.phase("delete_gateway", start.elapsed());
    Ok(())
}

/// Shows an operation until it ends well.
async fn follow(
    environment: &Environment,
    controls: &Controls,
    title: &str,
    id: OperationId,
    with_machines: bool,
) -> Result<()> {
    let start = Instant::now();
    controls.screen.begin(title);
    let end = start + PHASE_DEADLINE;
    let result = loop {
        match environment.admin.operation(id).await {
            Ok(operation) => match operation.state {
                OperationState::Succeeded => break Ok(()),
                OperationState::Failed | OperationState::Cancelled => {
                    break Err(Failure::failed(format!("{title}: {}", operation.reason)));
                }
                OperationState::Queued | OperationState::Running => {
                    let machines = if with_machines { machine_lines(environment).await } else { Vec::new() };
                    controls.screen.update(start.elapsed(), &detail(&operation), &machines);
                }
            },
            Err(error) if error.retry() != ferrogate_model::Retry::No => {}
            Err(error) => break Err(error.into()),
        }
        if Instant::now() >= end {
            break Err(Failure::new(Exit::TimedOut, format!("{title}: not done after {} s", PHASE_DEADLINE.as_secs())));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    };
    let tone = if result.is_ok() { Tone::Good } else { Tone::Bad };
    controls.screen.end(tone, start.elapsed(), "");
    result
}

/// What an operation is at, in a few words.
fn detail(operation: &Operation) -> String {
    let step = operation.steps.iter().rev().find(|step| step.state == OperationState::Running);
    step.map_or_else(|| operation.reason.clone(), |step| format!("{}: {}", step.name, step.detail))
}

async fn machine_lines(environment: &Environment) -> Vec<MachineLine> {
    let now = SystemClock.now();
    let machines = environment.admin.cluster_machines(CLUSTER).await.map(|page| page.items).unwrap_or_default();
    let line = |machine: ferrogate_api::Machine| MachineLine {
        name: machine.hostname,
        state: machine.state.to_string(),
        since: now.duration_since(machine.since).try_into().unwrap_or_default(),
        reason: machine.reason,
    };
    machines.into_iter().map(line).collect()
}
