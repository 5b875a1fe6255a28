//! The MAAS of a site, reached through its gateway.

use crate::{
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_maas::{ApiKey, Client, ClientOptions, Endpoint, MaasError};
use ferrogate_model::{Explain as _, GatewayId};
use ferrogate_net::Trust;
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;

/// Longest wait for one answer of MAAS while a person waits.
const DEADLINE: Duration = Duration::from_secs(20);

/// A MAAS endpoint as it is kept, or what is wrong with it.
pub(crate) fn endpoint(text: &str, at: &str) -> Outcome<Endpoint> {
    Endpoint::parse(text)
        .map(|(endpoint, _)| endpoint)
        .map_err(|error| Failure::invalid("bad_maas_endpoint", error.to_string()).item(at, error.to_string(), None))
}

/// An API key, or what is wrong with it.
pub(crate) fn api_key(text: &SecretString, at: &str) -> Outcome<ApiKey> {
    text.expose_secret()
        .parse::<ApiKey>()
        .map_err(|error| Failure::invalid("bad_maas_key", error.to_string()).item(at, error.to_string(), None))
}

/// CA certificates of a MAAS, or what is wrong with them.
pub(crate) fn check_ca(pem: Option<&str>, at: &str) -> Outcome<()> {
    let Some(pem) = pem else { return Ok(()) };
    Trust::ca(pem)
        .check()
        .map_err(|error| Failure::invalid("bad_ca", error.to_string()).item(at, error.to_string(), None))
}

/// A client of a MAAS that is reached through `gateway`.
pub(crate) fn client(
    context: &Context,
    gateway: GatewayId,
    endpoint: &str,
    key: &SecretString,
    ca_pem: Option<&str>,
) -> Outcome<Client> {
    let endpoint = self::endpoint(endpoint, "endpoint")?;
    let key = api_key(key, "api_key")?;
    let mut options =
        ClientOptions::new(endpoint, key, context.site.connector(gateway), std::sync::Arc::clone(&context.clock));
    if let Some(pem) = ca_pem {
        options.trust = Trust::system().with_ca(pem);
    }
    options.deadline = DEADLINE;
    Client::new(options).map_err(|error| failed(&error))
}

/// What MAAS, or the way to it, did wrong.
pub(crate) fn failed(error: &MaasError) -> Failure {
    let failure = Failure::explained(error);
    match error.code() {
        "gateway_not_connected" => failure.retry_after(Duration::from_secs(5)),
        _ => failure,
    }
}
