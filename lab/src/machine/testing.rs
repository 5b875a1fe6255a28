//! Machines for the tests of this crate's parts.

use super::{Console, Disk, Machine, Process, SharedState, SimulatedOptions, Systemd};
use crate::{
    backend::Boot,
    dns::{FixedZone, Zone},
    kubernetes::{Datastores, Timing},
    programs::NoPrograms,
};
use ferrogate_model::{SystemClock, SystemId};
use ferrogate_net::Network;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// A boot of the machine `hostname` with an address.
pub(crate) fn boot(hostname: &str, address: IpAddr) -> Boot {
    Boot {
        system_id: SystemId(format!("id-{hostname}")),
        hostname: hostname.into(),
        fqdn: format!("{hostname}.maas"),
        domain: "maas".into(),
        architecture: "amd64/generic".into(),
        cpu_count: 4,
        memory_mib: 8192,
        addresses: vec![address],
        interfaces: Vec::new(),
        gateway: None,
        dns_servers: Vec::new(),
        image: "ubuntu/noble".into(),
        install: true,
        metadata_url: "http://10.20.0.2:5240/MAAS/metadata/".into(),
        consumer_key: "consumer".into(),
        token_key: "token".into(),
        token_secret: "secret".into(),
    }
}

/// Options over an in-memory network.
pub(crate) fn options(network: Network) -> SimulatedOptions {
    let zone: Arc<dyn Zone> = Arc::new(FixedZone::default());
    SimulatedOptions {
        network,
        zone,
        reach: None,
        programs: Arc::new(NoPrograms),
        clock: Arc::new(SystemClock),
        boot_time: Duration::ZERO,
        timing: Timing::REAL,
        folder: None,
    }
}

/// A program that is about to run, its arguments separated by blanks.
pub(crate) fn process(line: &str) -> Process {
    Process::new("test", line.split(' ').map(str::to_owned).collect(), CancellationToken::new())
}

/// A machine that has power and runs nothing.
pub(crate) fn machine(hostname: &str) -> Arc<Machine> {
    let options = options(Network::memory());
    Arc::new(Machine {
        boot: boot(hostname, IpAddr::from([10, 20, 0, 60])),
        disk: Arc::new(Disk::new(None).unwrap()),
        console: Console::new(hostname),
        clock: Arc::clone(&options.clock),
        site: Arc::new(SharedState {
            options,
            datastores: Datastores::default(),
            logs: crate::kubernetes::logs::Logs::default(),
        }),
        systemd: Systemd::new(CancellationToken::new()),
    })
}
