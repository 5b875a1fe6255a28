//! What of a request's and an answer's head goes on, and what is ours to say.

use crate::failure::{Failure, Outcome};
use ferrogate_api::Role;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri::PathAndQuery};

/// Headers of one connection only (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// A bearer token that a browser hides among the WebSocket's protocols.
const BEARER_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// The groups that a role stands for in every cluster; their rights are in the manifests that the engine writes.
pub(super) const fn group(role: Role) -> &'static str {
    match role {
        Role::Admin => "system:masters",
        Role::Operator => "ferrogate:operators",
        Role::Viewer => "ferrogate:viewers",
    }
}

/// The address the API server is asked for: what follows the cluster in ours, as it was written.
pub(super) fn uri(original: &Uri) -> Outcome<Uri> {
    let behind = |text: &str| -> Option<String> {
        let rest = text.strip_prefix(ferrogate_api::KUBERNETES_PREFIX)?.strip_prefix('/')?;
        rest.find('/').map(|at| rest[at..].to_owned())
    };
    let path = behind(original.path()).ok_or_else(|| Failure::new(404, "no_such_path", "there is nothing here"))?;
    let full = match original.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    full.parse::<PathAndQuery>()
        .map(Uri::from)
        .map_err(|error| Failure::new(400, "bad_path", "the path cannot be passed on").because(error.to_string()))
}

/// The headers for the API server: the client's, without its credentials and without anything that says who it is; then
/// who it is, in our words.
pub(super) fn request(original: &HeaderMap, email: &str, role: Role, request_id: &str) -> Outcome<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(original.len() + 4);
    for (name, value) in original {
        if !is_private(name) && !HOP_BY_HOP.contains(name) && !is_named_by_connection(original, name) {
            headers.append(name, value.clone());
        }
    }
    let protocols: Vec<HeaderValue> = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|protocol| !protocol.starts_with(BEARER_PROTOCOL))
        .filter_map(|protocol| HeaderValue::from_str(protocol).ok())
        .collect();
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    for protocol in protocols {
        headers.append(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if let Some(upgrade) = original.get(header::UPGRADE) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, upgrade.clone());
    }
    let user = HeaderValue::from_bytes(email.as_bytes())
        .map_err(|_| Failure::internal("an e-mail address that cannot be a header"))?;
    headers.insert(header::HOST, HeaderValue::from_static("kubernetes"));
    headers.insert("impersonate-user", user);
    headers.insert("impersonate-group", HeaderValue::from_static(group(role)));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        // The API server writes it into its own audit.
        headers.insert("audit-id", id);
    }
    Ok(headers)
}

/// The headers for the client.
pub(super) fn response(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers.keys().filter(|name| is_named_by_connection(headers, name)).cloned().collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn is_private(name: &HeaderName) -> bool {
    let text = name.as_str();
    matches!(text, "authorization" | "cookie" | "host" | "audit-id" | "forwarded" | "expect")
        || ["impersonate-", "x-remote-", "x-forwarded-"].iter().any(|prefix| text.starts_with(prefix))
}

fn is_named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|named| named.trim().eq_ignore_ascii_case(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_client_cannot_say_who_it_is() {
        let original = headers(&[
            ("authorization", "Bearer fg_kube_1"),
            ("Impersonate-User", "system:admin"),
            ("impersonate-group", "system:masters"),
            ("Impersonate-Extra-scopes", "all"),
            ("X-Remote-Group", "system:masters"),
            ("cookie", "a=b"),
            ("accept", "application/json"),
            ("connection", "keep-alive, x-secret"),
            ("x-secret", "1"),
        ]);
        let sent = request(&original, "viewer@example.com", Role::Viewer, "req_1").unwrap();
        let mut names: Vec<_> = sent.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "audit-id", "host", "impersonate-group", "impersonate-user"]);
        assert_eq!(sent["impersonate-user"], "viewer@example.com");
        assert_eq!(sent.get_all("impersonate-group").iter().collect::<Vec<_>>(), ["ferrogate:viewers"]);
    }

    #[test]
    fn an_upgrade_keeps_its_protocols_but_no_hidden_token() {
        let original = headers(&[
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-protocol", "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.c2VjcmV0"),
        ]);
        let sent = request(&original, "a@example.com", Role::Admin, "req_1").unwrap();
        assert_eq!(sent["connection"], "Upgrade");
        assert_eq!(sent["upgrade"], "websocket");
        assert_eq!(sent["sec-websocket-protocol"], "v5.channel.k8s.io");
        assert_eq!(sent["impersonate-group"], "system:masters");
    }

    #[test]
    fn the_path_goes_on_as_it_was_written() {
        let ours: Uri = "/k8s/clusters/cls_1/api/v1/pods?labelSelector=a%3Db".parse().unwrap();
        assert_eq!(uri(&ours).unwrap(), "/api/v1/pods?labelSelector=a%3Db");
        let ours: Uri = "https://plane/k8s/clusters/web/".parse().unwrap();
        assert_eq!(uri(&ours).unwrap(), "/");
    }
}
