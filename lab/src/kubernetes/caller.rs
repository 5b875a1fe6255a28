//! How a kubelet calls the API: over the network, with its own certificate, on whichever server answers.

use bytes::Bytes;
use ferrogate_model::fault::chain;
use ferrogate_net::{HttpClient, Limits};
use http::{Method, Request, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long one server may take for an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The status, where there was an answer.
    pub(crate) status: Option<u16>,
    pub(crate) why: String,
}

/// Calls the API servers of one cluster.
#[derive(Debug)]
pub(crate) struct Caller {
    client: HttpClient,
    /// What is presented where there is no certificate.
    token: Option<SecretString>,
    /// Addresses without a slash at the end; the one that last answered first.
    servers: Mutex<Vec<String>>,
}

impl Caller {
    pub(crate) fn new(client: HttpClient, server: &str) -> Self {
        Self { client, token: None, servers: Mutex::new(vec![server.trim_end_matches('/').to_owned()]) }
    }

    /// Presents a token with each call.
    pub(crate) fn with_token(mut self, token: Option<SecretString>) -> Self {
        self.token = token;
        self
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns of further servers.
    pub(crate) fn learn(&self, addresses: impl IntoIterator<Item = String>) {
        let mut servers = self.servers();
        for address in addresses {
            if !servers.contains(&address) {
                servers.push(address);
            }
        }
    }

    /// Calls; a call that one server could not take is tried on the next.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let servers = self.servers().clone();
        let mut failed = Failed { status: None, why: "no server is known".into() };
        for server in servers {
            match self.one(&server, &method, path, body).await {
                Err(error) if error.status.is_none_or(|status| status >= 500) => failed = error,
                result => {
                    let mut servers = self.servers();
                    if let Some(at) = servers.iter().position(|known| *known == server) {
                        servers[..=at].rotate_right(1);
                    }
                    return result;
                }
            }
        }
        Err(failed)
    }

    async fn one(&self, server: &str, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let media = match *method {
            Method::PATCH if path.contains("fieldManager=") => "application/apply-patch+yaml",
            Method::PATCH => "application/strategic-merge-patch+json",
            _ => "application/json",
        };
        let nothing = |why: String| Failed { status: None, why };
        let mut request = Request::builder();
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        let request = request
            .method(method.clone())
            .uri(format!("{server}{path}"))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, media)
            .body(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default())
            .map_err(|error| nothing(error.to_string()))?;
        let limits = Limits { deadline: DEADLINE, ..Limits::default() };
        let answer = self.client.send(request, limits).await.map_err(|error| nothing(chain(&error)))?;
        let value: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if answer.status().is_success() {
            return Ok(value);
        }
        let why = value["message"].as_str().unwrap_or("no reason given").to_owned();
        Err(Failed { status: Some(answer.status().as_u16()), why })
    }
}
