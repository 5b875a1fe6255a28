//! A whole site on this computer: MAAS, its machines, their DNS and the proxy that is the only way out.

use crate::{
    dns::{DnsServer, Zone},
    kubernetes::Timing,
    maas::{Maas, Speed},
    machine::{SimulatedMachines, SimulatedOptions, SiteConnector},
    programs::{NoPrograms, Programs},
    proxy::{Proxy, ProxyOptions},
    seed::Seed,
};
use ferrogate_model::{Clock, Explain, Fault, Retry, SystemClock};
use ferrogate_net::{Connector, Network};
use ipnet::{IpNet, Ipv4Net};
use secrecy::SecretString;
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// TCP port of MAAS.
pub const MAAS_PORT: u16 = 5240;
/// UDP port of the site's DNS (53 needs root).
pub const DNS_PORT: u16 = 5353;
/// TCP port of the site's proxy.
pub const PROXY_PORT: u16 = 3128;
/// The port whose listener claims a subnet.
const CLAIM_PORT: u16 = 5239;

/// What a site is made of.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// MAAS's contents; the demo's eight machines on the site's subnet unless given.
    pub seed: Option<Seed>,
    /// The network; the host's sockets on a loopback subnet of its own, and nothing beyond loopback, unless given. A site in memory has the subnet
    /// 10.20.0.0/24 and no DNS server (its machines ask MAAS's zone all the same).
    pub network: Option<Network>,
    /// How long MAAS's steps take.
    pub speed: Speed,
    /// What runs in containers.
    pub programs: Arc<dyn Programs>,
    /// User name and password that the proxy asks for.
    pub proxy_credentials: Option<(String, SecretString)>,
    /// Names that only the proxy knows, and where they lead.
    pub proxy_hosts: BTreeMap<String, IpAddr>,
    /// Whether machines may only connect inside the site's subnets, so that the proxy is the only way out.
    pub closed: bool,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// From power on to the first line of cloud-init.
    pub boot_time: Duration,
    /// How fast Kubernetes does its rounds.
    pub timing: Timing,
    /// How long MAAS waits for a machine's report; MAAS's own half hour, scaled by `speed`, unless given.
    pub deploy_timeout: Option<Duration>,
    /// Where machines' folders are made; the system's temporary folder unless given.
    pub folder: Option<PathBuf>,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self {
            seed: None,
            network: None,
            speed: Speed::Instant,
            programs: Arc::new(NoPrograms),
            proxy_credentials: None,
            proxy_hosts: BTreeMap::new(),
            closed: true,
            clock: Arc::new(SystemClock),
            boot_time: Duration::ZERO,
            timing: Timing::QUICK,
            deploy_timeout: None,
            folder: None,
        }
    }
}

/// Why a site could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// All loopback subnets are in use.
    #[error("no free loopback subnet: every one of 127.20.1.0/24 to 127.20.250.0/24 is claimed")]
    NoSubnet,
    /// A part could not listen.
    #[error("the simulated {part} cannot listen on {address}")]
    Listen {
        /// Which part.
        part: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl Explain for LabError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSubnet => "lab_no_subnet",
            Self::Listen { .. } => "lab_cannot_listen",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Later
    }

    fn hint(&self) -> Option<String> {
        Some("end other demos on this computer, or free the address, and start again".into())
    }
}

/// A running site. Dropping it without [`Lab::shutdown`] stops its parts too, but without waiting for them.
#[derive(Debug)]
pub struct Lab {
    subnet: Ipv4Net,
    network: Network,
    maas: Maas,
    machines: Arc<SimulatedMachines>,
    proxy: Proxy,
    dns: Option<DnsServer>,
    zone: Arc<dyn Zone>,
    /// The site's networks.
    reach: Vec<IpNet>,
    /// Holds the subnet against other sites on this computer.
    _claim: Option<TcpListener>,
}

/// MAAS's zone. MAAS exists only after the machines, which use the zone.
#[derive(Debug)]
pub(crate) struct SiteZone {
    pub(crate) maas: OnceLock<Maas>,
    pub(crate) domains: Vec<String>,
}

impl Zone for SiteZone {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let records = self.maas.get()?.dns_records();
        records.into_iter().find(|record| record.fqdn.eq_ignore_ascii_case(name)).map(|record| record.addresses)
    }

    fn domains(&self) -> Vec<String> {
        self.domains.clone()
    }
}

impl Lab {
    /// Starts a site. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A part could not listen, or every loopback subnet is taken.
    pub async fn start(options: LabOptions) -> Result<Self, LabError> {
        let in_memory = options.network.is_some();
        let (subnet, claim) =
            if in_memory { (Ipv4Net::new_assert(Ipv4Addr::new(10, 20, 0, 0), 24), None) } else { claim_subnet()? };
        let network = options.network.unwrap_or_else(Network::loopback);
        let host = |n: u8| {
            let [a, b, c, _] = subnet.network().octets();
            IpAddr::from([a, b, c, n])
        };
        let listen = |part, address| move |source| LabError::Listen { part, address, source };
        let seed = options.seed.unwrap_or_else(|| Seed::demo(IpNet::V4(subnet)));
        let mut reach = vec![IpNet::V4(subnet)];
        reach.extend(seed.subnets.iter().map(|subnet| subnet.cidr));
        let domains = seed.domains.iter().map(|domain| domain.name.to_lowercase()).collect();
        let zone = Arc::new(SiteZone { maas: OnceLock::new(), domains });
        let machines = SimulatedMachines::new(SimulatedOptions {
            network: network.clone(),
            zone: Arc::clone(&zone) as Arc<dyn Zone>,
            reach: options.closed.then(|| reach.clone()),
            programs: options.programs,
            clock: Arc::clone(&options.clock),
            boot_time: options.boot_time,
            timing: options.timing,
            folder: options.folder,
        });
        let at = SocketAddr::new(host(2), MAAS_PORT);
        let maas = Maas::start(crate::maas::Options {
            network: network.clone(),
            listen: at,
            seed,
            backend: Some(Arc::clone(&machines) as Arc<dyn crate::Backend>),
            speed: options.speed,
            clock: options.clock,
            deploy_timeout: options.deploy_timeout,
        })
        .await
        .map_err(listen("MAAS", at))?;
        // Set once, here: nobody else has the cell.
        let _ = zone.maas.set(maas.clone());
        let at = SocketAddr::new(host(3), PROXY_PORT);
        let proxy = Proxy::start(ProxyOptions {
            network: network.clone(),
            listen: at,
            credentials: options.proxy_credentials,
            hosts: options.proxy_hosts,
        })
        .map_err(listen("proxy", at))?;
        let zone: Arc<dyn Zone> = zone;
        let dns = if in_memory {
            None
        } else {
            let at = SocketAddr::new(host(2), DNS_PORT);
            Some(DnsServer::start(at, Arc::clone(&zone)).await.map_err(listen("DNS", at))?)
        };
        Ok(Self { subnet, network, maas, machines, proxy, dns, zone, reach, _claim: claim })
    }

    /// The site's subnet.
    #[must_use]
    pub fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    /// The network it is on.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// MAAS's endpoint as people write it.
    #[must_use]
    pub fn maas_endpoint(&self) -> String {
        self.maas.url()
    }

    /// The API key of MAAS's administrator; empty where the seed has none named `admin`.
    #[must_use]
    pub fn api_key(&self) -> SecretString {
        self.maas.api_key("admin").unwrap_or_default()
    }

    /// MAAS.
    #[must_use]
    pub fn maas(&self) -> &Maas {
        &self.maas
    }

    /// The machines.
    #[must_use]
    pub fn machines(&self) -> &Arc<SimulatedMachines> {
        &self.machines
    }

    /// The proxy.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Where the DNS server listens; `None` in memory.
    #[must_use]
    pub fn dns(&self) -> Option<SocketAddr> {
        self.dns.as_ref().map(DnsServer::local_addr)
    }

    /// The site's names.
    #[must_use]
    pub fn zone(&self) -> Arc<dyn Zone> {
        Arc::clone(&self.zone)
    }

    /// Opens connections as a host in the site that uses the site's DNS does: MAAS and the machines directly, names of
    /// the zone included, nothing else.
    #[must_use]
    pub fn connector(&self) -> Arc<dyn Connector> {
        let zone = Arc::clone(&self.zone);
        Arc::new(SiteConnector::new(self.network.connector(), zone, Some(self.reach.clone())))
    }

    /// Stops everything and removes every file of the machines.
    pub async fn shutdown(mut self) {
        self.maas.shutdown().await;
        self.machines.shutdown().await;
        self.proxy.stop().await;
        if let Some(dns) = self.dns.take() {
            dns.shutdown().await;
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.maas.abort();
        self.machines.abort();
        self.proxy.abort();
    }
}

/// Claims the first free loopback subnet by holding a port in it.
fn claim_subnet() -> Result<(Ipv4Net, Option<TcpListener>), LabError> {
    for n in 1..=250 {
        if let Ok(claim) = TcpListener::bind((Ipv4Addr::new(127, 20, n, 1), CLAIM_PORT)) {
            return Ok((Ipv4Net::new_assert(Ipv4Addr::new(127, 20, n, 0), 24), Some(claim)));
        }
    }
    Err(LabError::NoSubnet)
}
