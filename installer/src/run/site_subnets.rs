//! What was learned about the site while checking it, and what follows from it for the nodes.

use crate::Config;
use ferrogate_model::{allow::AllowRule, proxy::ProxySettings};
use ipnet::IpNet;

/// TCP port of a Kubernetes API server on a node.
const KUBERNETES_PORT: u16 = 6443;

/// The site as MAAS describes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SiteSubnets {
    /// Ranges of MAAS's subnets.
    pub(crate) subnets: Vec<IpNet>,
}

impl SiteSubnets {
    /// The proxies for the nodes, with no-proxy completed (specification 3.3).
    pub(crate) fn proxy(&self, config: &Config) -> ProxySettings {
        let mut proxy = config.proxy.clone();
        if !proxy.is_empty() {
            let host = config.maas.endpoint.host();
            proxy.no_proxy = proxy.no_proxy.completed(config.pod_cidr, config.service_cidr, &self.subnets, &host);
        }
        proxy
    }

    /// What the plane may reach through the gateway: MAAS, and the Kubernetes API of machines in MAAS's subnets.
    pub(crate) fn allow(&self, config: &Config) -> Vec<AllowRule> {
        let maas = AllowRule { host: config.maas.endpoint.host(), ports: vec![config.maas.endpoint.port()] };
        let subnets = self.subnets.iter().map(|net| AllowRule { host: net.to_string(), ports: vec![KUBERNETES_PORT] });
        std::iter::once(maas).chain(subnets).collect()
    }
}
