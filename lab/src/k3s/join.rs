//! How a node becomes a member: it checks the server by the token's hash, and gets its certificates for the token.

use super::supervisor::{NODE_NAME, NODE_PASSWORD};
use crate::{kubernetes::datastore::Files, machine::Machine};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use ferrogate_model::fault::chain;
use ferrogate_net::{Fingerprint, HttpClient, Limits, Target, Trust};
use http::{Method, Request, header};
use rustls_pki_types::CertificateDer;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{sync::Arc, time::Duration};

/// How long one request to a server may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A token: the secret and, in the long form, the hash of the authority's file and the user.
pub(super) struct Token {
    hash: Option<String>,
    user: Option<String>,
    pub(super) secret: SecretString,
}

impl Token {
    /// Reads `K10<hash>::<user>:<secret>`, or the secret alone.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("the token is empty".into());
        }
        let Some(rest) = text.strip_prefix("K10") else {
            return Ok(Self { hash: None, user: None, secret: text.into() });
        };
        let bad = || "invalid token format: K10<hash>::<user>:<password> is expected".to_owned();
        let (hash, pair) = rest.split_once("::").ok_or_else(bad)?;
        let (user, secret) = pair.split_once(':').ok_or_else(bad)?;
        if hash.len() != 64 || secret.is_empty() {
            return Err(bad());
        }
        Ok(Self { hash: Some(hash.to_lowercase()), user: Some(user.to_owned()), secret: secret.into() })
    }
}

/// A server that is joined.
pub(super) struct Joining {
    machine: Arc<Machine>,
    token: Token,
    /// Without a slash at the end.
    server: String,
    client: HttpClient,
    pub(super) ca_pem: String,
}

/// What a further server is handed.
pub(super) struct Bootstrap {
    pub(super) cluster: String,
    pub(super) files: Files,
    pub(super) agent_token: SecretString,
}

impl Joining {
    /// Fetches the server's authority and checks it against the token.
    pub(super) async fn begin(machine: Arc<Machine>, server: &str, token: Token) -> Result<Self, String> {
        let server = server.trim_end_matches('/').to_owned();
        let ca_pem = authority(&machine, &server).await?;
        if let Some(hash) = &token.hash {
            let actual = crate::machine::hex(&Sha256::digest(&ca_pem));
            if *hash != actual {
                return Err(format!(
                    "token CA hash does not match the Cluster CA certificate hash: {hash} != {actual}"
                ));
            }
        }
        let client = HttpClient::builder(machine.connector())
            .trust(Trust::ca(ca_pem.clone()))
            .build()
            .map_err(|error| chain(&error))?;
        Ok(Self { machine, token, server, client, ca_pem })
    }

    /// A kubelet's certificate and key.
    pub(super) async fn kubelet(&self, node: &str) -> Result<(String, SecretString), String> {
        let user = self.token.user.clone().unwrap_or_else(|| "node".into());
        let password = self.node_password().map_err(|error| format!("/etc/rancher/node/password: {error}"))?;
        let headers = [(NODE_NAME, node), (NODE_PASSWORD, password.as_str())];
        let answer = self.post("/v1-k3s/client-kubelet.crt", &user, &headers, Bytes::new()).await?;
        let text = |field: &str| answer[field].as_str().map(str::to_owned).ok_or(format!("the answer has no {field}"));
        Ok((text("certificate")?, text("key")?.into()))
    }

    /// Everything a further server needs.
    pub(super) async fn bootstrap(&self, critical: &[(String, String)]) -> Result<Bootstrap, String> {
        let user = self.token.user.clone().unwrap_or_else(|| "server".into());
        let body = serde_json::to_vec(critical).map_err(|error| error.to_string())?;
        let answer = self.post("/v1-k3s/server-bootstrap", &user, &[], body.into()).await?;
        let bad = || "the server's answer cannot be read".to_owned();
        let mut files = Files::new();
        for (name, content) in answer["files"].as_object().ok_or_else(bad)? {
            let content = STANDARD.decode(content.as_str().ok_or_else(bad)?).map_err(|_| bad())?;
            files.insert(name.clone(), content);
        }
        let cluster = answer["cluster"].as_str().ok_or_else(bad)?.to_owned();
        let agent_token = answer["agentToken"].as_str().ok_or_else(bad)?.into();
        Ok(Bootstrap { cluster, files, agent_token })
    }

    /// The node's own password, made on its first start and kept on its disk.
    fn node_password(&self) -> std::io::Result<String> {
        const PATH: &str = "/etc/rancher/node/password";
        if let Ok(password) = self.machine.disk.read_text(PATH) {
            return Ok(password.trim().to_owned());
        }
        let password = crate::machine::hex(&rand::random::<[u8; 16]>());
        self.machine.disk.write(PATH, password.as_bytes(), 0o600)?;
        Ok(password)
    }

    async fn post(&self, path: &str, user: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Value, String> {
        let pair = STANDARD.encode(format!("{user}:{}", self.token.secret.expose_secret()));
        let url = format!("{}{path}", self.server);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&url)
            .header(header::AUTHORIZATION, format!("Basic {pair}"))
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| format!("{url}: {error}"))?;
        let limits = Limits { deadline: DEADLINE, ..Limits::default() };
        let answer = self.client.send(request, limits).await.map_err(|error| format!("{url}: {}", chain(&error)))?;
        if !answer.status().is_success() {
            let words = String::from_utf8_lossy(answer.body()).chars().take(400).collect::<String>();
            return Err(format!("{url}: {words}"));
        }
        serde_json::from_slice(answer.body()).map_err(|error| format!("{url}: {error}"))
    }
}

/// Fetches `/cacerts` without trusting anybody: TLS is opened once to see the chain, then the answer must be the
/// authority of that very chain. The token's hash is what makes it trustworthy.
async fn authority(machine: &Machine, server: &str) -> Result<String, String> {
    let url = url::Url::parse(server).map_err(|error| format!("{server}: {error}"))?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let target = Target::new(host, url.port_or_known_default().unwrap_or(443));
    let says = |error: String| format!("failed to get CA certs: {server}/cacerts: {error}");
    let io = machine.connector().connect(&target, DEADLINE).await.map_err(|error| says(chain(&error)))?;
    let seen = tokio::time::timeout(DEADLINE, super::peek::chain_of(io, &target.host))
        .await
        .map_err(|_| says("the TLS handshake timed out".into()))?
        .map_err(says)?;
    let issuer: &CertificateDer<'_> = seen.last().ok_or_else(|| says("the server shows no certificate".into()))?;
    let client = HttpClient::builder(machine.connector())
        .trust(Trust::pinned(Fingerprint::of(issuer)))
        .build()
        .map_err(|error| says(chain(&error)))?;
    let request =
        Request::get(format!("{server}/cacerts")).body(Bytes::new()).map_err(|error| says(error.to_string()))?;
    let limits = Limits { deadline: DEADLINE, ..Limits::default() };
    let answer = client.send(request, limits).await.map_err(|error| says(chain(&error)))?;
    if !answer.status().is_success() {
        return Err(says(format!("status {}", answer.status())));
    }
    String::from_utf8(answer.body().to_vec()).map_err(|_| says("the answer is not text".into()))
}
