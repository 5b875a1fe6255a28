//! Kubeconfigs: a document with which `kubectl` reaches a cluster through the plane.

use crate::{
    app::{clusters as app_clusters, credentials},
    auth::{
        Principal,
        secret::{self, CredentialKind},
    },
    context::Context,
    failure::{Failure, Outcome},
    roles,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ferrogate_api::{KUBERNETES_PREFIX, KubeconfigCreate, KubeconfigCreated};
use ferrogate_model::TokenId;
use ferrogate_store::{
    SecretHash,
    clusters::Cluster,
    tokens::{self, Token},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::time::Duration;

/// Lifetime of the token where none is asked for, in hours: a working day.
const DEFAULT_HOURS: u32 = 8;
/// Longest lifetime, in hours: 30 days.
const MAX_HOURS: u32 = 720;

/// Makes a kubeconfig with the rights of its maker; it is good no longer than a token that makes it.
pub(crate) async fn create(
    context: &Context,
    who: &Principal,
    cluster: &str,
    request: &KubeconfigCreate,
) -> Outcome<KubeconfigCreated> {
    let hours = request.expires_in_hours.unwrap_or(DEFAULT_HOURS);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(Failure::invalid("bad_lifetime", format!("{hours} hours is not between 1 and {MAX_HOURS}")));
    }
    let cluster = app_clusters::reachable(context, who, cluster).await?;
    if cluster.absent || cluster.deleted.is_some() {
        return Err(Failure::conflict("cluster_going", format!("cluster `{}` is being deleted", cluster.name)));
    }
    let now = context.now();
    let (mut tx, maker_expires) = credentials::making(context, who).await?;
    let wanted = now + Duration::from_secs(u64::from(hours) * 3600);
    let expires = maker_expires.map_or(wanted, |end| end.min(wanted));
    let secret = secret::generate(CredentialKind::Kubeconfig);
    let id = TokenId::new();
    let token = Token {
        id,
        tenant: who.tenant,
        user: who.user,
        name: format!("kubeconfig {} {id}", cluster.name),
        role: roles::stored_role(who.role),
        token_hash: SecretHash::of(&secret),
        scope_cluster: Some(cluster.id),
        made_by: who.maker(),
        created: now,
        expires: Some(expires),
        last_used: None,
        revoked: None,
    };
    tokens::insert(&mut tx, &token).await?;
    tx.commit().await?;
    Ok(KubeconfigCreated {
        kubeconfig: document(context, &cluster, &secret).into(),
        context: cluster.name.to_string(),
        expires_at: expires,
    })
}

/// The document. JSON is YAML too, and its quoting has no surprises.
fn document(context: &Context, cluster: &Cluster, token: &SecretString) -> SecretString {
    let name = cluster.name.as_str();
    let base = context.public_url.as_str().trim_end_matches('/');
    let mut entry = json!({"server": format!("{base}{KUBERNETES_PREFIX}/{}", cluster.id)});
    if !context.ca_pem.is_empty() {
        entry["certificate-authority-data"] = json!(STANDARD.encode(&context.ca_pem));
    }
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": entry}],
        "users": [{"name": name, "user": {"token": token.expose_secret()}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    });
    let mut text = serde_json::to_string_pretty(&document).expect("the document is made of plain values");
    text.push('\n');
    text.into()
}
