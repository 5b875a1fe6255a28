//! Kubeconfig files, as the programs of a machine read and write them.

use super::caller::Caller;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ferrogate_model::fault::chain;
use ferrogate_net::{Connector, HttpClient, Trust};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::sync::Arc;

/// Which server, by which authority, as whom.
#[derive(Clone, Debug)]
pub(crate) struct Kubeconfig {
    pub(crate) server: String,
    pub(crate) ca_pem: String,
    pub(crate) user: Credentials,
}

/// As whom a server is asked.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    Nobody,
    /// A certificate and its key, PEM.
    Certificate(String, SecretString),
    Token(SecretString),
}

impl Kubeconfig {
    /// Reads the current context.
    ///
    /// # Errors
    /// One line: what is missing or not understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("invalid configuration: no configuration has been provided (the file is empty)".into());
        }
        let value: Value = serde_saphyr::from_str(text).map_err(|error| format!("invalid configuration: {error}"))?;
        if value["kind"] != "Config" || value["apiVersion"] != "v1" {
            return Err("invalid configuration: it is not a Config of v1".into());
        }
        let named = |list: &str, name: &Value| {
            let items = value[list].as_array().into_iter().flatten();
            let found = items.into_iter().find(|item| item["name"] == *name);
            found.cloned().ok_or_else(|| format!("invalid configuration: {list} has no {name}"))
        };
        let context = named("contexts", &value["current-context"])?["context"].clone();
        let cluster = named("clusters", &context["cluster"])?["cluster"].clone();
        let user = named("users", &context["user"])?["user"].clone();
        let data = |of: &Value, field: &str| {
            let encoded = of[field].as_str().ok_or_else(|| format!("invalid configuration: no {field}"))?;
            let bytes = STANDARD.decode(encoded).map_err(|error| format!("invalid configuration: {field}: {error}"))?;
            String::from_utf8(bytes).map_err(|error| format!("invalid configuration: {field}: {error}"))
        };
        let server = cluster["server"].as_str().filter(|server| server.starts_with("https://"));
        let user = if let Some(token) = user["token"].as_str() {
            Credentials::Token(token.into())
        } else if user["client-certificate-data"].is_string() {
            Credentials::Certificate(data(&user, "client-certificate-data")?, data(&user, "client-key-data")?.into())
        } else {
            Credentials::Nobody
        };
        Ok(Self {
            server: server.ok_or("invalid configuration: no https server")?.trim_end_matches('/').to_owned(),
            ca_pem: data(&cluster, "certificate-authority-data")?,
            user,
        })
    }

    /// The same, at another server.
    pub(crate) fn with_server(mut self, server: String) -> Self {
        self.server = server;
        self
    }

    /// The file's text; `name` is the user's in it.
    pub(crate) fn text(&self, name: &str) -> String {
        let user = match &self.user {
            Credentials::Nobody => json!({}),
            Credentials::Token(token) => json!({"token": token.expose_secret()}),
            Credentials::Certificate(certificate, key) => json!({
                "client-certificate-data": STANDARD.encode(certificate),
                "client-key-data": STANDARD.encode(key.expose_secret()),
            }),
        };
        let cluster = json!({"server": self.server, "certificate-authority-data": STANDARD.encode(&self.ca_pem)});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kubernetes", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "this", "context": {"cluster": "kubernetes", "user": name}}],
            "current-context": "this",
        });
        format!("{config:#}\n")
    }

    /// Something that asks the server.
    pub(crate) fn caller(&self, connector: Arc<dyn Connector>) -> Result<Caller, String> {
        let trust = Trust::ca(self.ca_pem.clone());
        let (trust, token) = match &self.user {
            Credentials::Nobody => (trust, None),
            Credentials::Token(token) => (trust, Some(token.clone())),
            Credentials::Certificate(certificate, key) => (trust.with_identity(certificate.clone(), key.clone()), None),
        };
        let client = HttpClient::builder(connector).trust(trust).build().map_err(|error| chain(&error))?;
        Ok(Caller::new(client, &self.server).with_token(token))
    }
}
