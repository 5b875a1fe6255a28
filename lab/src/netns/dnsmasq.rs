//! DHCP for the machines, and the site's own DNS.

use super::{DOMAIN, EDGE, MAAS, NOBODY, PLANE, PLANE_NAME};
use crate::{
    control::{Delegation, WayOut},
    folder::Folder,
    host::{Child, HostError, Tool},
};
use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RecordType},
};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};
use tokio::net::UdpSocket;

/// It binds its sockets within milliseconds of its start.
const READY_DEADLINE: Duration = Duration::from_secs(10);
/// Between two questions whether it answers.
const LOOK: Duration = Duration::from_millis(100);

/// The running dnsmasq of a site's edge.
#[derive(Debug)]
pub struct Dnsmasq {
    child: Child,
    way_out: WayOut,
    delegation: Delegation,
    edge: String,
    folder: Folder,
}

/// Its settings. They hold nothing secret.
fn settings(folder: &Folder, way_out: WayOut, delegation: Delegation) -> String {
    let network = super::SUBNET.network();
    let hosts = folder.dhcp_hosts();
    let leases = folder.edge().join("leases");
    let delegate = match delegation {
        Delegation::Correct => format!("server=/{DOMAIN}/{MAAS}\n"),
        Delegation::Wrong => format!("server=/{DOMAIN}/{NOBODY}\n"),
        Delegation::Missing => String::new(),
    };
    let plane = match way_out {
        WayOut::Nat => format!("host-record={PLANE_NAME},{PLANE}\n"),
        WayOut::Proxy => String::new(),
    };
    format!(
        "keep-in-foreground
# The settings' folder is root's alone.
user=root
# Another group would untie its life from ours.
group=root
pid-file=
log-facility=-
interface=site0
except-interface=lo
bind-interfaces
no-resolv
no-hosts
# A change of delegation is to be seen at once.
cache-size=0
{delegate}{plane}# Every other name does not exist: there is no Internet behind this site.
address=/#/
dhcp-authoritative
dhcp-range={network},static
dhcp-hostsdir={hosts}
dhcp-leasefile={leases}
dhcp-option=option:router,{EDGE}
dhcp-option=option:dns-server,{MAAS}
dhcp-option=option:domain-name,{DOMAIN}
log-dhcp
",
        hosts = hosts.display(),
        leases = leases.display(),
    )
}

impl Dnsmasq {
    /// Starts it and waits until it answers. Must be called in the site's namespace.
    ///
    /// # Errors
    /// It is missing, or did not get ready.
    pub async fn start(
        edge: &str,
        folder: &Folder,
        way_out: WayOut,
        delegation: Delegation,
    ) -> Result<Self, HostError> {
        let hosts = folder.dhcp_hosts();
        fs::create_dir_all(&hosts).map_err(HostError::file("make", &hosts))?;
        let child = spawn(edge, folder, way_out, delegation)?;
        let mut dnsmasq = Self { child, way_out, delegation, edge: edge.to_owned(), folder: folder.clone() };
        dnsmasq.ready().await?;
        Ok(dnsmasq)
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.is_running()
    }

    /// What it does with MAAS's domain.
    #[must_use]
    pub fn delegation(&self) -> Delegation {
        self.delegation
    }

    /// Does this with MAAS's domain from now on. Leases stay.
    ///
    /// # Errors
    /// It did not get ready again.
    pub async fn delegate(&mut self, delegation: Delegation) -> Result<(), HostError> {
        self.child.kill().await;
        self.child = spawn(&self.edge, &self.folder, self.way_out, delegation)?;
        self.delegation = delegation;
        self.ready().await
    }

    /// Reads the machines' addresses again. New files it sees by itself; what was in files that are gone it forgets only so.
    pub fn reload(&self) {
        if let Some(pid) = self.child.pid() {
            crate::host::kill(pid, rustix::process::Signal::HUP);
        }
    }

    /// Ends it.
    pub async fn end(self) {
        self.child.end().await;
    }

    async fn ready(&mut self) -> Result<(), HostError> {
        let deadline = tokio::time::Instant::now() + READY_DEADLINE;
        loop {
            if answers(SocketAddr::from((EDGE, 53))).await {
                return Ok(());
            }
            if !self.child.is_running() || tokio::time::Instant::now() > deadline {
                return Err(self.child.not_ready());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn spawn(edge: &str, folder: &Folder, way_out: WayOut, delegation: Delegation) -> Result<Child, HostError> {
    let program = Tool::Dnsmasq.find()?;
    let file = folder.edge().join("dnsmasq.conf");
    fs::write(&file, settings(folder, way_out, delegation)).map_err(HostError::file("write", &file))?;
    let log = folder.edge().join("dnsmasq.log");
    Child::spawn("dnsmasq", edge, Path::new(&program), &[format!("--conf-file={}", file.display())], &log)
}

/// Whether a DNS server says anything at all to a question.
async fn answers(server: SocketAddr) -> bool {
    let ask = async {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii("ready.invalid.").ok()?, RecordType::A));
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
        socket.connect(server).await.ok()?;
        socket.send(&question.to_vec().ok()?).await.ok()?;
        socket.recv(&mut [0; 512]).await.ok()
    };
    tokio::time::timeout(LOOK, ask).await.is_ok_and(|answer| answer.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planes_name_is_the_sites_only_where_a_router_leads_there() {
        let folder = Folder::new("lab");
        let nat = settings(&folder, WayOut::Nat, Delegation::Correct);
        assert!(nat.contains("host-record=plane.ferrogate.test,198.51.100.10\n"), "{nat}");
        assert!(nat.contains("server=/maas/10.77.0.2\n"), "{nat}");
        let proxy = settings(&folder, WayOut::Proxy, Delegation::Missing);
        assert!(!proxy.contains("plane.ferrogate.test") && !proxy.contains("server="), "{proxy}");
        assert!(settings(&folder, WayOut::Nat, Delegation::Wrong).contains("server=/maas/10.77.0.9\n"));
    }
}
