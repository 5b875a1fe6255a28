//! The MAAS of a site, reached through its gateway.

use crate::{
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_maas::{ApiKey, Client, ClientOptions, Endpoint, MaasError};
use ferrogate_model::Explain as _;
use ferrogate_net::{ConnectFailure, Target, Trust};
use ferrogate_store::accounts::Account;
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;
use url::Url;

/// Longest wait for one answer of MAAS while a person waits.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longest wait for the gateway to reach MAAS at all.
const REACH_DEADLINE: Duration = Duration::from_secs(10);

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

/// Where an account's MAAS is, and the key to it. They stand as text in the store, and are parsed here and nowhere else.
pub(crate) fn access(account: &Account) -> Outcome<(Endpoint, ApiKey)> {
    Ok((endpoint(&account.endpoint, "endpoint")?, api_key(&account.api_key, "api_key")?))
}

/// A client of an account's MAAS, reached through its gateway, once the gateway has shown that it reaches it.
///
/// The client itself tries again and again for as long as it may; a person should be told at once that a gateway is away.
pub(crate) async fn client(context: &Context, account: &Account) -> Outcome<Client> {
    let (endpoint, key) = access(account)?;
    let connector = context.site_network.connector(account.gateway);
    let target = target(&endpoint)?;
    connector.connect(&target, REACH_DEADLINE).await.map_err(|error| match error.failure {
        ConnectFailure::NoCarrier => Failure::explained(&error).retry_after(Duration::from_secs(5)),
        _ => Failure::explained(&error),
    })?;
    let mut options = ClientOptions::new(endpoint, key, connector, std::sync::Arc::clone(&context.clock));
    if let Some(pem) = &account.ca_pem {
        options.trust = Trust::system().with_ca(pem.clone());
    }
    options.deadline = DEADLINE;
    Client::new(options).map_err(|error| failed(&error))
}

fn target(endpoint: &Endpoint) -> Outcome<Target> {
    let url: Url = endpoint.to_string().parse().map_err(|_| Failure::internal("an endpoint that is no address"))?;
    let port = url.port_or_known_default().ok_or_else(|| Failure::internal("an endpoint without a port"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    Ok(Target::new(host, port))
}

/// What MAAS, or the way to it, did wrong.
pub(crate) fn failed(error: &MaasError) -> Failure {
    let failure = Failure::explained(error);
    match error.code() {
        "gateway_not_connected" => failure.retry_after(Duration::from_secs(5)),
        _ => failure,
    }
}
