//! How the plane proves itself to clusters: with a short-lived administrator's certificate of each.

use crate::failure::{Failure, Outcome};
use ferrogate_join::materials::ClusterMaterials;
use ferrogate_model::{ClusterId, Timestamp, fault::chain};
use ferrogate_net::Trust;
use ferrogate_store::clusters::Cluster;
use rustls::ClientConfig;
use secrecy::ExposeSecret as _;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Lifetime of the administrator's certificate the plane issues to itself; it cannot be taken back, so it is short.
const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// After how long a new one is issued.
const CERTIFICATE_RENEWAL: Duration = Duration::from_secs(12 * 3600);
/// So many clusters' certificates are kept at hand.
const MAX_KEPT: usize = 1_024;

/// The certificates in use, so that not every request signs one.
#[derive(Debug, Default)]
pub(crate) struct Identities(Mutex<HashMap<ClusterId, (Arc<ClientConfig>, Timestamp)>>);

impl Identities {
    /// TLS settings with an administrator's certificate of the cluster.
    pub(crate) fn config(&self, cluster: &Cluster, now: Timestamp) -> Outcome<Arc<ClientConfig>> {
        let kept = self.0.lock().expect("nothing panics while it holds this lock").get(&cluster.id).cloned();
        if let Some((config, until)) = kept
            && now < until
        {
            return Ok(config);
        }
        let broken = |cause: String| Failure::internal(format!("cluster {}: {cause}", cluster.id));
        let text = cluster.materials.as_ref().ok_or_else(|| broken("its keys are gone".into()))?;
        let materials: ClusterMaterials = serde_json::from_str(text.expose_secret())
            // serde's words could repeat a part of the keys.
            .map_err(|_| broken("its keys cannot be read".into()))?;
        let identity = materials.admin_identity(now, CERTIFICATE_LIFETIME).map_err(|error| broken(chain(&error)))?;
        let config = Trust::ca(materials.server_ca.certificate_pem)
            .with_identity(identity.certificate_pem, identity.key_pem)
            .client_config(&[b"http/1.1"])
            .map_err(|error| broken(chain(&error)))?;
        let mut kept = self.0.lock().expect("nothing panics while it holds this lock");
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(cluster.id, (Arc::clone(&config), now + CERTIFICATE_RENEWAL));
        Ok(config)
    }
}
