//! How a kubelet calls the API: over the network, with its own certificate.

use bytes::Bytes;
use ferrogate_model::fault::chain;
use ferrogate_net::{HttpClient, Limits};
use http::{Method, Request, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::time::Duration;

/// How long one server may take for an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The status, where there was an answer.
    pub(crate) status: Option<u16>,
    pub(crate) why: String,
}

/// Calls one API server.
#[derive(Debug)]
pub(crate) struct Caller {
    client: HttpClient,
    /// What is presented where there is no certificate.
    token: Option<SecretString>,
    /// Without a slash at the end.
    server: String,
}

impl Caller {
    pub(crate) fn new(client: HttpClient, server: &str) -> Self {
        Self { client, token: None, server: server.trim_end_matches('/').to_owned() }
    }

    /// Presents a token with each call.
    pub(crate) fn with_token(mut self, token: Option<SecretString>) -> Self {
        self.token = token;
        self
    }

    /// Calls.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let media = match method {
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
            .method(method)
            .uri(format!("{}{path}", self.server))
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
