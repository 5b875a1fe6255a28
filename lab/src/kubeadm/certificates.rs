//! The certificates of a server, made of the authorities that it was handed, and the kubeconfigs with them.

use super::{KUBERNETES, configuration::Cluster, read, write};
use crate::{
    kubernetes::{
        kubeconfig::{Credentials, Kubeconfig},
        pki::{self, Authority},
        rbac::MASTERS,
    },
    machine::Machine,
};
use std::net::IpAddr;

const PKI: &str = "/etc/kubernetes/pki";
/// Group of the administrators of a cluster that kubeadm made.
pub(super) const ADMINS: &str = "kubeadm:cluster-admins";

/// The authorities of a server.
pub(super) struct Authorities {
    cluster: Authority,
    front_proxy: Authority,
    etcd: Authority,
}

impl Authorities {
    /// Reads them where they must be. kubeadm would make those that are missing; nobody outside would believe them.
    pub(super) fn load(machine: &Machine) -> Result<Self, String> {
        let authority = |name: &str| {
            let (certificate, key) = (format!("{PKI}/{name}.crt"), format!("{PKI}/{name}.key"));
            for (what, path) in [("certificate", &certificate), ("private key", &key)] {
                if !machine.disk.exists(path) {
                    return Err(format!(
                        "[certs] failure loading {name} authority: couldn't load the {what} file {path}: no such file; a \
                         simulated kubeadm makes none of its own"
                    ));
                }
            }
            let (_, mode) = machine.disk.stat(&key).map_err(|error| format!("{key}: {error}"))?;
            if mode & 0o077 != 0 {
                return Err(format!("[certs] {key}: everybody can read this key (mode {mode:04o})"));
            }
            Authority::new(read(machine, &certificate)?, read(machine, &key)?, machine.clock.now())
                .map_err(|why| format!("[certs] failure loading {name} authority: {why}"))
        };
        for name in ["sa.key", "sa.pub"] {
            let path = format!("{PKI}/{name}");
            if read(machine, &path)?.trim().is_empty() {
                return Err(format!("[certs] failure loading key for service account: {path} is empty"));
            }
        }
        Ok(Self { cluster: authority("ca")?, front_proxy: authority("front-proxy-ca")?, etcd: authority("etcd/ca")? })
    }

    /// Makes what is not there yet of a server's certificates.
    pub(super) fn issue(&self, machine: &Machine, cluster: &Cluster, node: &str, at: IpAddr) -> Result<(), String> {
        let now = machine.clock.now();
        let local = ["localhost", "127.0.0.1", "::1", node].map(str::to_owned);
        let service = ferrogate_model::address::nth(&cluster.services, 1)
            .ok_or("networking.serviceSubnet has no address for the API")?;
        let mut names: Vec<String> = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            node,
        ]
        .map(str::to_owned)
        .to_vec();
        names.extend([service.to_string(), at.to_string()]);
        names.extend(cluster.endpoint.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']']).to_owned()));
        names.extend(cluster.cert_sans.iter().cloned());
        names.sort();
        names.dedup();
        let etcd_names: Vec<String> = local.iter().cloned().chain([at.to_string()]).collect();
        type Make<'a> = Box<dyn Fn() -> Result<(String, String), String> + 'a>;
        let client = |authority: &'_ Authority, user: &str, groups: &[&str]| authority.client(user, groups, now);
        let all: [(&str, Make<'_>); 7] = [
            ("apiserver", Box::new(|| self.cluster.serving("kube-apiserver", &names, now))),
            (
                "apiserver-kubelet-client",
                Box::new(|| client(&self.cluster, "kube-apiserver-kubelet-client", &[ADMINS])),
            ),
            ("front-proxy-client", Box::new(|| client(&self.front_proxy, "front-proxy-client", &[]))),
            ("etcd/server", Box::new(|| self.etcd.serving(node, &etcd_names, now))),
            ("etcd/peer", Box::new(|| self.etcd.serving(node, &etcd_names, now))),
            ("etcd/healthcheck-client", Box::new(|| client(&self.etcd, "kube-etcd-healthcheck-client", &[]))),
            ("apiserver-etcd-client", Box::new(|| client(&self.etcd, "kube-apiserver-etcd-client", &[]))),
        ];
        for (name, make) in all {
            let (certificate, key) = (format!("{PKI}/{name}.crt"), format!("{PKI}/{name}.key"));
            if machine.disk.exists(&certificate) {
                pki::pair(&read(machine, &certificate)?, &read(machine, &key)?)
                    .map_err(|why| format!("[certs] {name}: the certificate that is there cannot be used: {why}"))?;
                continue;
            }
            let (certificate_pem, key_pem) = make().map_err(|why| format!("[certs] {name}: {why}"))?;
            write(machine, &certificate, &certificate_pem, 0o644)?;
            write(machine, &key, &key_pem, 0o600)?;
        }
        Ok(())
    }

    /// Makes a kubeconfig, unless it is there.
    pub(super) fn kubeconfig(
        &self,
        machine: &Machine,
        name: &str,
        server: &str,
        (user, groups): (&str, &[&str]),
    ) -> Result<(), String> {
        let path = format!("{KUBERNETES}/{name}.conf");
        if machine.disk.exists(&path) {
            Kubeconfig::parse(&read(machine, &path)?).map_err(|why| format!("[kubeconfig] {path}: {why}"))?;
            return Ok(());
        }
        let (certificate, key) = self.cluster.client(user, groups, machine.clock.now())?;
        let config = Kubeconfig {
            server: server.to_owned(),
            ca_pem: self.cluster.certificate_pem.clone(),
            user: Credentials::Certificate(certificate, key.into()),
        };
        write(machine, &path, &config.text(user), 0o600)
    }

    /// The kubeconfigs of every server: its administrator, and the programs beside the API server, which ask that one.
    pub(super) fn kubeconfigs(
        &self,
        machine: &Machine,
        cluster: &Cluster,
        at: IpAddr,
        first: bool,
    ) -> Result<(), String> {
        let own = local_server(at);
        self.kubeconfig(machine, "admin", &cluster.server(at), ("kubernetes-admin", &[ADMINS]))?;
        if first {
            self.kubeconfig(machine, "super-admin", &cluster.server(at), ("kubernetes-super-admin", &[MASTERS]))?;
        }
        self.kubeconfig(machine, "controller-manager", &own, ("system:kube-controller-manager", &[]))?;
        self.kubeconfig(machine, "scheduler", &own, ("system:kube-scheduler", &[]))
    }
}

/// The API server of this machine.
pub(super) fn local_server(at: IpAddr) -> String {
    format!("https://{}", std::net::SocketAddr::new(at, crate::kubernetes::API_PORT))
}

/// The kubeconfig of this name.
pub(super) fn load_kubeconfig(machine: &Machine, name: &str) -> Result<Kubeconfig, String> {
    let path = format!("{KUBERNETES}/{name}.conf");
    Kubeconfig::parse(&read(machine, &path)?).map_err(|why| format!("{path}: {why}"))
}
