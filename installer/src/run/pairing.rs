//! Pairing: the code becomes a gateway record, the cluster's keys, and a token for the rest of the way. Done once; an
//! answer that was lost is asked for again with the same request key.

use super::site_subnets::SiteSubnets;
use crate::{Config, Host, InstallError, host::USER_AGENT, state::Progress};
use ferrogate_api::{ApiError, Client, PairRequest, PairResponse, PairedMaas, ProxyConfig, Secret};
use ferrogate_join::ClusterMaterials;
use ferrogate_model::{Explain, Retry};
use std::time::Duration;

/// How long to wait before asking again after an answer that did not arrive: 1, 2, 4 … s, until the step's deadline.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What is sent with the code.
pub(crate) fn request(config: &Config, site: &SiteSubnets, progress: &Progress) -> PairRequest {
    let proxy = site.proxy(config);
    let secret =
        |url: &Option<ferrogate_model::proxy::ProxyUrl>| url.as_ref().map(|url| Secret::from(url.expose().clone()));
    PairRequest {
        code: config.plane.pairing_code.clone().into(),
        request_key: progress.request_key.clone(),
        name: config.name.clone(),
        nodes: config.nodes,
        maas: PairedMaas {
            endpoint: config.maas.endpoint.to_string(),
            api_key: config.maas.api_key.expose().into(),
            ca_pem: config.maas.ca_pem.clone(),
        },
        domain: config.domain.clone(),
        zone: config.zone.clone(),
        resource_pool: config.resource_pool.clone(),
        pod_cidr: config.pod_cidr,
        service_cidr: config.service_cidr,
        proxy: ProxyConfig {
            https_proxy: secret(&proxy.https),
            http_proxy: secret(&proxy.http),
            no_proxy: if proxy.is_empty() { String::new() } else { proxy.no_proxy.to_string() },
        },
        installer_version: USER_AGENT.to_owned(),
    }
}

/// Sends the code until there is an answer. Repeating is safe: the request key makes it the same request.
///
/// # Errors
/// The plane refused.
pub(crate) async fn pair(
    client: &Client,
    request: &PairRequest,
    say: impl Fn(String),
) -> Result<PairResponse, InstallError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match client.pair(request).await {
            Ok(response) => return Ok(response),
            Err(error) if may_pass(&error) => {
                say(format!("{}; asking again", ferrogate_model::fault::chain(&error)));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(InstallError::plane("the pairing code was not accepted", error)),
        }
    }
}

/// Whether asking again can help.
pub(crate) fn may_pass(error: &ApiError) -> bool {
    match error {
        ApiError::Problem(problem) => problem.retry == Retry::Later,
        ApiError::Unreachable { source, .. } => source.retry() != Retry::No,
        ApiError::NotAPlane { .. } | ApiError::Trust(_) => false,
    }
}

/// The keys and certificates in the answer.
///
/// # Errors
/// They are of another version.
pub(crate) fn materials(paired: &PairResponse) -> Result<ClusterMaterials, InstallError> {
    serde_json::from_str(paired.materials.expose())
        .map_err(|error| InstallError::Version(format!("the cluster's keys are not understood: {error}")))
}

/// The keys and certificates, or new ones that nobody believes where they were dropped: a cluster that is given back is not
/// spoken to.
///
/// # Errors
/// They are of another version, or there is no randomness.
pub(crate) fn materials_or_nobodys(
    progress: &Progress,
    config: &Config,
    host: &Host,
) -> Result<ClusterMaterials, InstallError> {
    match progress.paired_with_keys() {
        Some(paired) => materials(paired),
        None => ClusterMaterials::generate(config.name.as_str(), host.clock.now())
            .map_err(|error| InstallError::Version(format!("keys cannot be made on this host: {error}"))),
    }
}

/// Whether what must not change after pairing was changed in pcg.yaml. The plane, and the machines taken so far, would
/// not learn of it.
///
/// # Errors
/// Names what was changed.
pub(crate) fn unchanged(config: &Config, progress: &Progress) -> Result<(), InstallError> {
    let endpoint = config.maas.endpoint.to_string();
    match &progress.maas_endpoint {
        Some(before) if *before != endpoint => Err(InstallError::Answer {
            question: crate::questions::Question::MaasEndpoint,
            problem: crate::questions::Problem::new(format!(
                "machines were taken from {before}; with {endpoint} they would be left behind"
            ))
            .hint("put the old endpoint back, or clean up first and begin anew"),
        }),
        _ => Ok(()),
    }
}
