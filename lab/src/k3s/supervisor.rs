//! What k3s servers answer beside the Kubernetes API: the authority's certificate for those who join, node certificates
//! for the right token, and for further servers everything a server needs.

use super::pki::Authorities;
use crate::kubernetes::{
    handler::{Answer, ApiServer, json_answer, text_answer},
    kinds::Kind,
    rbac::NODES,
    refusal::Refusal,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Header with the name of the node that joins.
pub(super) const NODE_NAME: &str = "k3s-node-name";
/// Header with the password that the node made for itself.
pub(super) const NODE_PASSWORD: &str = "k3s-node-password";

/// What a server hands out to those who join.
pub(crate) struct Supervisor {
    pub(super) authorities: Authorities,
    pub(super) tokens: Tokens,
}

/// The secrets that let a node join.
pub(super) struct Tokens {
    /// For servers; agents may use it too.
    pub(super) server: SecretString,
    /// For agents alone.
    pub(super) agent: SecretString,
}

/// The secret that keeps the hash of a node's password.
pub(crate) fn password_secret(node: &str) -> String {
    format!("{node}.node-password.k3s")
}

/// Answers a request that is not for Kubernetes itself; `None` for all others.
pub(crate) fn answer(server: &ApiServer, path: &str, headers: &HeaderMap, body: &Bytes) -> Option<Answer> {
    let own = server.supervisor.as_ref()?;
    match path {
        "/cacerts" => Some(text_answer(200, "text/plain", own.authorities.server_ca_pem().to_owned())),
        "/ping" => Some(text_answer(200, "text/plain", "pong")),
        "/v1-k3s/client-kubelet.crt" => Some(or_refusal(kubelet(server, own, headers))),
        "/v1-k3s/server-bootstrap" => Some(or_refusal(bootstrap(server, own, headers, body))),
        _ => None,
    }
}

fn or_refusal(result: Result<Value, (u16, String)>) -> Answer {
    match result {
        Ok(value) => json_answer(200, &value),
        Err((status, why)) => text_answer(status, "text/plain", why),
    }
}

/// Who the token says one is: `server` or `node`.
fn authenticate(own: &Supervisor, headers: &HeaderMap) -> Option<&'static str> {
    let basic = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    let is = |token: &SecretString| !password.is_empty() && token.expose_secret() == password;
    match user {
        "server" => is(&own.tokens.server).then_some("server"),
        "node" => (is(&own.tokens.agent) || is(&own.tokens.server)).then_some("node"),
        _ => None,
    }
}

fn kubelet(server: &ApiServer, own: &Supervisor, headers: &HeaderMap) -> Result<Value, (u16, String)> {
    authenticate(own, headers).ok_or_else(|| (401, "401 Unauthorized".to_owned()))?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (node, password) = (text(NODE_NAME), text(NODE_PASSWORD));
    if node.is_empty() || password.is_empty() {
        return Err((400, "node name or node password not set".into()));
    }
    check_password(server, node, password).map_err(|refusal| {
        let words = format!(
            "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server \
             node-passwd entry, try enabling a unique node name with the --with-node-id flag ({})",
            refusal.code
        );
        (403, words)
    })?;
    let (certificate, key) = own
        .authorities
        .client(&format!("system:node:{node}"), &[NODES], server.clock.now())
        .map_err(|why| (500, why))?;
    Ok(json!({"certificate": certificate, "key": key}))
}

/// The first password of a node name is kept; another one for the same name is refused until the node is deleted.
fn check_password(server: &ApiServer, node: &str, password: &str) -> Result<(), Refusal> {
    let (objects, kind, name) = (server.objects(), Kind::plural("secrets"), password_secret(node));
    let hash = crate::machine::hex(&Sha256::digest(password));
    let hash = STANDARD.encode(hash);
    match objects.get(kind, "kube-system", &name) {
        Ok(secret) if secret["data"]["hash"] == hash.as_str() => Ok(()),
        Ok(_) => Err(Refusal::forbidden("hash does not match")),
        Err(refusal) if refusal.code == 404 => {
            let secret =
                json!({"metadata": {"name": name}, "type": "Opaque", "immutable": true, "data": {"hash": hash}});
            objects.create(kind, "kube-system", secret).map(|_| ())
        }
        Err(refusal) => Err(refusal),
    }
}

/// Hands a further server the authorities and the cluster's id, if its settings are those of the others.
fn bootstrap(server: &ApiServer, own: &Supervisor, headers: &HeaderMap, body: &Bytes) -> Result<Value, (u16, String)> {
    if authenticate(own, headers) != Some("server") {
        return Err((401, "401 Unauthorized".into()));
    }
    let (files, critical) = server.store.bootstrap();
    let theirs: Vec<(String, String)> =
        serde_json::from_slice(body).map_err(|_| (400, "settings cannot be read".to_owned()))?;
    let differ: Vec<&str> = critical
        .iter()
        .filter(|(key, value)| !theirs.iter().any(|(name, given)| name == key && given == value))
        .map(|(key, _)| key.as_str())
        .collect();
    if !differ.is_empty() {
        let words = format!("critical configuration value mismatch between servers: {}", differ.join(", "));
        return Err((400, words));
    }
    let files: Value =
        files.iter().map(|(name, bytes)| (name.clone(), Value::String(STANDARD.encode(bytes)))).collect();
    Ok(json!({"cluster": server.store.id, "files": files, "agentToken": own.tokens.agent.expose_secret()}))
}
