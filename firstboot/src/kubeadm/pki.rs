//! The cluster's authorities and keys, where kubeadm finds them and makes none of its own.

use super::{SEED, yaml};
use ferrogate_join::{
    ClusterKind, NodeConfiguration, SetupError,
    cloud_config::{CloudConfig, Mode},
};
use secrecy::ExposeSecret;
use serde_json::json;

/// Adds what every server has. With these files in place kubeadm lets a further server join without fetching anything.
///
/// kubeadm has one authority for servers and clients. The API server is told to believe our own client authority beside it,
/// because what the plane presents is signed by that; nothing else of the cluster believes it.
pub(super) fn add(config: &mut CloudConfig, configuration: &NodeConfiguration) -> Result<(), SetupError> {
    let materials = &configuration.materials;
    for (name, authority) in [
        ("ca", &materials.server_ca),
        ("front-proxy-ca", &materials.request_header_ca),
        ("etcd/ca", &materials.etcd_server_ca),
    ] {
        config.file(&format!("{SEED}/pki/{name}.crt"), Mode::Public, authority.certificate_pem.clone());
        config.file(&format!("{SEED}/pki/{name}.key"), Mode::Private, authority.key_pem.expose_secret());
    }
    let believed = [&materials.server_ca, &materials.client_ca].map(|authority| authority.certificate_pem.as_str());
    config.file(&format!("{SEED}/pki/client-ca.crt"), Mode::Public, believed.concat());
    config.file(&format!("{SEED}/pki/sa.key"), Mode::Private, materials.service_account_key.expose_secret());
    config.file(&format!("{SEED}/pki/sa.pub"), Mode::Public, materials.service_account_public_pem()?);
    if configuration.kind == ClusterKind::Tenant {
        let key = materials.secrets_encryption_key();
        let encryption = json!({
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{
                "resources": ["secrets"],
                "providers": [
                    {"secretbox": {"keys": [{"name": "ferrogate", "secret": key.expose_secret()}]}},
                    {"identity": {}},
                ],
            }],
        });
        config.file(&format!("{SEED}/pki/encryption.yaml"), Mode::Private, yaml(&encryption));
    }
    Ok(())
}
