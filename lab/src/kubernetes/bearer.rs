//! Bootstrap tokens: with what a node asks that has no certificate yet.

use super::{kinds::Kind, objects::Objects, rbac::User, refusal::Refusal};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ferrogate_model::Timestamp;
use http::{HeaderMap, header};
use serde_json::Value;

/// Group of all that ask with such a token.
const BOOTSTRAPPERS: &str = "system:bootstrappers";

/// Who the token in a request says one is; `None` without a token. One that no Secret bears out is refused.
pub(super) fn user(objects: Objects<'_>, headers: &HeaderMap) -> Result<Option<User>, Refusal> {
    let Some(token) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
    else {
        return Ok(None);
    };
    let (id, secret) = token.split_once('.').ok_or_else(Refusal::unauthorized)?;
    let stored = match objects.get(Kind::plural("secrets"), "kube-system", &format!("bootstrap-token-{id}")) {
        Ok(stored) => stored,
        Err(refusal) if refusal.code == 404 => return Err(Refusal::unauthorized()),
        Err(refusal) => return Err(refusal),
    };
    let text = |field: &str| {
        let decoded = STANDARD.decode(stored["data"][field].as_str()?).ok()?;
        String::from_utf8(decoded).ok()
    };
    let is_over = text("expiration").is_some_and(|end| {
        // An end that cannot be read counts as past, as in the real server.
        end.parse::<Timestamp>().map_or(true, |end| end <= objects.now)
    });
    let is_right = stored["type"] == "bootstrap.kubernetes.io/token"
        && text("token-id").as_deref() == Some(id)
        && text("token-secret").as_deref() == Some(secret)
        && text("usage-bootstrap-authentication").as_deref() == Some("true");
    if !is_right || is_over || stored["metadata"]["deletionTimestamp"] != Value::Null {
        return Err(Refusal::unauthorized());
    }
    let extra = text("auth-extra-groups").unwrap_or_default();
    let mut groups = vec![BOOTSTRAPPERS.to_owned()];
    for group in extra.split(',').filter(|group| !group.is_empty()) {
        if !group.starts_with("system:bootstrappers:") {
            return Err(Refusal::unauthorized());
        }
        groups.push(group.to_owned());
    }
    Ok(Some(User::new(format!("system:bootstrap:{id}"), groups)))
}
