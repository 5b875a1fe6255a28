//! What a gateway's node is handed beside Kubernetes.

use crate::artifacts::PLANE_CA;
use ferrogate_join::{
    Node, NodeConfiguration, SetupError,
    cloud_config::{CloudConfig, Mode},
    gateway_config::{GATEWAY_CONFIG_PATH, GATEWAY_STATE_DIR, GatewayConfig},
};
use secrecy::{ExposeSecret, SecretString};

const ENROLMENT_TOKEN: &str = "/etc/ferrogate/enrolment-token";

/// Adds the gateway's configuration and its one-time token.
pub(crate) fn add(
    config: &mut CloudConfig,
    configuration: &NodeConfiguration,
    node: &Node<'_>,
    enrolment: Option<&SecretString>,
) -> Result<(), SetupError> {
    let missing = |what| SetupError::Gateway { machine: node.fqdn.to_owned(), what };
    let payload = configuration.gateway.as_ref().ok_or_else(|| missing("plane address"))?;
    let token = enrolment.ok_or_else(|| missing("enrolment token"))?;
    let proxy = &configuration.proxy;
    let no_proxy = proxy.no_proxy.completed(configuration.spec.pod_cidr, configuration.spec.service_cidr, &[], "");
    let gateway = GatewayConfig {
        plane_url: payload.plane_url.clone(),
        plane_ca_file: configuration.plane_ca_pem.as_ref().map(|_| PLANE_CA.into()),
        node_name: node.name.clone(),
        state_dir: GATEWAY_STATE_DIR.into(),
        enrolment_token_file: ENROLMENT_TOKEN.into(),
        admin_listen: None,
        https_proxy: proxy.https.as_ref().map(|url| url.expose().expose_secret().to_owned()),
        no_proxy: if proxy.https.is_some() { no_proxy.to_string() } else { String::new() },
        allow: payload.allow.clone(),
    };
    config.file(GATEWAY_CONFIG_PATH, Mode::Private, toml::to_string(&gateway)?);
    config.file(ENROLMENT_TOKEN, Mode::Private, format!("{}\n", token.expose_secret()));
    Ok(())
}
