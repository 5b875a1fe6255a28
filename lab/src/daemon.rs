//! The daemon of a real site: it runs in the site's network namespace and holds MAAS, its DNS, the machines, the edge's
//! services and the plane. Whatever it starts ends with it.

mod control;
mod keys;
mod machines;
mod partition;
mod plane;
mod requests;

pub use machines::BackendKind;

use crate::{
    artifacts::Artifacts,
    control::{Delegation, Files, Namespaces, WayOut},
    dns::{DnsServer, Zone},
    folder::Folder,
    host::HostError,
    maas::{Maas, Speed},
    netns::{self, Dnsmasq, Squid},
    seed::Seed,
    site::{MAAS_PORT, SiteZone},
};
use ferrogate_model::SystemClock;
use ferrogate_net::Network;
use ipnet::IpNet;
use machines::Machines;
use partition::Partition;
use plane::Plane;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::Mutex;

/// User name at the proxy.
const PROXY_USER: &str = "site";
/// What the durations of a real MAAS's steps are multiplied with: minutes become seconds.
const SPEED: f64 = 1.0 / 60.0;
/// The image that the lab's release asks for.
const LAB_IMAGE: &str = "custom/debian-13";
/// The image that the built-in release asks for.
const STOCK_IMAGE: &str = "ubuntu/noble";

/// What a site is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name.
    pub site: String,
    /// How it is connected.
    pub way_out: WayOut,
    /// What its DNS does with MAAS's domain at first.
    pub delegation: Delegation,
    /// What its machines are.
    pub backend: BackendKind,
    /// Where the artifacts are.
    pub artifacts: PathBuf,
    /// The `ferrogate` program; `None`: the site has no plane.
    pub ferrogate: Option<PathBuf>,
    /// Most memory a machine may take, in MiB, whatever MAAS says it has.
    pub machine_memory_mib: u64,
    /// How long MAAS waits for a machine's report before a deployment has failed.
    pub deploy_timeout: Duration,
}

/// A running site.
#[derive(Debug)]
struct Site {
    options: Options,
    namespaces: Namespaces,
    folder: Folder,
    artifacts: Option<Artifacts>,
    maas: Maas,
    machines: Arc<Machines>,
    dns: Mutex<Option<DnsServer>>,
    edge: Mutex<Option<Edge>>,
    plane: Mutex<Option<Plane>>,
    partition: Partition,
    /// Addresses that the site began with.
    first_addresses: BTreeSet<String>,
    /// Names that the site began with.
    first_names: BTreeSet<String>,
}

/// The services of the site's edge.
#[derive(Debug)]
struct Edge {
    dnsmasq: Dnsmasq,
    squid: Option<Squid>,
}

/// Runs a site until it is asked to end over its socket, or `stop` ends. Must be called inside the site's namespace and
/// on a thread that stays, since the programs it starts end with the thread that started them. `say` gets a line for each
/// step.
///
/// # Errors
/// A part could not be started; what was started is ended.
pub async fn run(options: Options, stop: impl Future<Output = ()>, say: impl Fn(&str)) -> Result<(), HostError> {
    tokio::pin!(stop);
    let site = tokio::select! {
        site = Box::pin(start(options, &say)) => Arc::new(site?),
        // Dropping what was started so far ends it.
        () = &mut stop => return Ok(()),
    };
    let server = control::Server::start(Arc::clone(&site))?;
    say("ready");
    tokio::select! {
        () = server.asked_to_end() => tracing::info!("asked to end"),
        () = &mut stop => tracing::info!("told to stop"),
    }
    server.close().await;
    site.end().await;
    Ok(())
}

async fn start(options: Options, say: &impl Fn(&str)) -> Result<Site, HostError> {
    let namespaces = netns::namespaces(&options.site)?;
    let folder = Folder::new(&options.site);
    for path in [folder.machines(), folder.plane(), folder.edge(), folder.installer()] {
        keys::make_folder(&path)?;
    }
    let artifacts = match options.backend {
        // What was built for real machines says nothing to simulated ones.
        BackendKind::Simulated => None,
        BackendKind::Uml | BackendKind::Kvm | BackendKind::Emulated => Some(Artifacts::load(&options.artifacts)?),
    };
    keys::ssh_pair(&folder).await?;
    let key = keys::api_key();
    keys::write(&folder.maas_api_key(), &key)?;

    say("DHCP and DNS");
    let (way_out, edge) = (options.way_out, &namespaces.edge);
    let dnsmasq = Dnsmasq::start(edge, &folder, way_out, options.delegation).await?;
    let squid = match way_out {
        WayOut::Nat => None,
        WayOut::Proxy => {
            say("HTTP proxy");
            let password = keys::password();
            let squid = Squid::start(edge, &folder, PROXY_USER, &password).await?;
            keys::write_proxy_url(&folder.proxy_url(), PROXY_USER, &password)?;
            Some(squid)
        }
    };
    let edge = Edge { dnsmasq, squid };

    say("MAAS and its machines");
    let images = if artifacts.is_some() { vec![LAB_IMAGE] } else { vec![STOCK_IMAGE] };
    let mut seed = Seed::real(IpNet::V4(netns::SUBNET), key, &images);
    // The way into machines whose own user-data names no key, a gateway's among them.
    let public = folder.ssh_public_key();
    let public = std::fs::read_to_string(&public).map_err(HostError::file("read", public))?;
    seed.users[0].ssh_keys = vec![public.trim().to_owned()];
    let domains = seed.domains.iter().map(|domain| domain.name.to_lowercase()).collect();
    let zone = Arc::new(SiteZone { maas: OnceLock::new(), domains });
    let names: Arc<dyn Zone> = Arc::clone(&zone) as Arc<dyn Zone>;
    let machines = Machines::start(&options, &folder, &namespaces, artifacts.as_ref(), &names).await?;
    let at = SocketAddr::from((netns::MAAS, MAAS_PORT));
    let not_listening = |part, at: SocketAddr| {
        move |error: std::io::Error| HostError::Part { part, why: format!("it cannot listen on {at}: {error}") }
    };
    let maas = Maas::start(crate::maas::Options {
        network: Network::sockets(),
        listen: at,
        seed,
        backend: Some(Arc::clone(&machines) as Arc<dyn crate::Backend>),
        speed: Speed::Seconds(SPEED),
        clock: Arc::new(SystemClock),
        deploy_timeout: Some(options.deploy_timeout),
    })
    .await
    .map_err(not_listening("MAAS", at))?;
    // Set once, here: nobody else has the cell.
    let _ = zone.maas.set(maas.clone());
    let at = SocketAddr::from((netns::MAAS, 53));
    let behind = SocketAddr::from((netns::EDGE, 53));
    let dns = DnsServer::start_before(at, names, behind).await.map_err(not_listening("DNS of MAAS", at))?;

    let plane = match &options.ferrogate {
        None => None,
        Some(program) => {
            say("plane");
            let mut plane = Plane::new(program, &namespaces.plane, &folder, artifacts.as_ref())?;
            plane.start().await?;
            Some(plane)
        }
    };
    Ok(Site {
        first_addresses: maas.ip_addresses().iter().map(|address| address.ip.to_string()).collect(),
        first_names: maas.dns_records().into_iter().map(|record| record.fqdn).collect(),
        options,
        namespaces,
        folder,
        artifacts,
        maas,
        machines,
        dns: Mutex::new(Some(dns)),
        edge: Mutex::new(Some(edge)),
        plane: Mutex::new(plane),
        partition: Partition::default(),
    })
}

impl Site {
    /// Files that programs and people need.
    fn files(&self) -> Files {
        let folder = &self.folder;
        Files {
            ferrogate: self.options.ferrogate.clone().unwrap_or_default(),
            cli_config: folder.cli_config(),
            plane_ca: folder.plane_ca(),
            plane_log: folder.plane_log(),
            maas_api_key: folder.maas_api_key(),
            ssh_key: folder.ssh_key(),
            ssh_public_key: folder.ssh_public_key(),
            proxy_url: (self.options.way_out == WayOut::Proxy).then(|| folder.proxy_url()),
            machines: folder.machines(),
        }
    }

    /// Ends everything, the machines by taking their power: nothing of them is kept.
    async fn end(&self) {
        self.partition.forget();
        if let Some(plane) = self.plane.lock().await.take() {
            plane.end().await;
        }
        self.maas.shutdown().await;
        self.machines.end().await;
        if let Some(dns) = self.dns.lock().await.take() {
            dns.shutdown().await;
        }
        if let Some(edge) = self.edge.lock().await.take() {
            edge.dnsmasq.end().await;
            if let Some(squid) = edge.squid {
                squid.end().await;
            }
        }
    }
}
