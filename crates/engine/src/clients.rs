//! Keeps the client of each cluster between passes, so that a pass costs no new certificate and no new handshake.

use crate::{desired::Desired, kube};
use ferrogate_join::MaterialsError;
use ferrogate_model::{ClusterId, Timestamp};
use ferrogate_net::Connector;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// For one request to one server: a machine that drops packets must not hold up the pass.
const API_DEADLINE: Duration = Duration::from_secs(5);
/// How long the certificate is valid with which passes speak to the API.
const ADMIN_LIFETIME: Duration = Duration::from_secs(3600);
/// How long it is used.
const RENEW_AFTER: Duration = Duration::from_secs(1800);

/// Clients that can be used again.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<BTreeMap<ClusterId, Kept>>);

#[derive(Debug)]
struct Kept {
    client: kube::Client,
    members: Vec<IpAddr>,
    server_ca_pem: String,
    since: Timestamp,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoClient {
    #[error(transparent)]
    Materials(#[from] MaterialsError),
    #[error(transparent)]
    Kube(#[from] kube::KubeError),
}

impl Clients {
    /// A client of a cluster that asks these members.
    pub(crate) fn get(
        &self,
        connector: Arc<dyn Connector>,
        desired: &Desired,
        members: Vec<IpAddr>,
        now: Timestamp,
    ) -> Result<kube::Client, NoClient> {
        let server_ca_pem = &desired.configuration.materials.server_ca.certificate_pem;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = all.get(&desired.configuration.cluster).filter(|kept| {
            let age = Duration::try_from(now.duration_since(kept.since)).unwrap_or(RENEW_AFTER);
            kept.members == members && kept.server_ca_pem == *server_ca_pem && age < RENEW_AFTER
        });
        if let Some(kept) = usable {
            return Ok(kept.client.clone());
        }
        let client = kube::Client::new(kube::Options {
            connector,
            members: members.clone(),
            server_ca_pem: server_ca_pem.clone(),
            identity: desired.configuration.materials.admin_identity(now, ADMIN_LIFETIME)?,
            deadline: API_DEADLINE,
        })?;
        let kept = Kept { client: client.clone(), members, server_ca_pem: server_ca_pem.clone(), since: now };
        all.insert(desired.configuration.cluster, kept);
        Ok(client)
    }

    /// Forgets a cluster.
    pub(crate) fn forget(&self, cluster: &ClusterId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }
}
