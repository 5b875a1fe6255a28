//! `kubectl` through the plane: one request of the Kubernetes API, carried through the tunnel to a healthy control-plane
//! member of a cluster, as the one who is signed in.
//!
//! The plane does not understand Kubernetes. It proves itself to the API server with the cluster's own administrator
//! certificate, says on whose behalf it asks, and carries bytes; the API server decides what that person may do.

mod forward;
mod head;
mod reach;
mod status;
mod upgrade;

pub(crate) use forward::forward;
pub(crate) use reach::Identities;
pub(crate) use status::document;

use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

/// Whether a request may take effect although its client is gone before the answer.
pub(crate) fn must_finish(method: &Method, headers: &HeaderMap) -> bool {
    !method.is_safe() || headers.contains_key(header::UPGRADE)
}

/// Whether a request belongs into the audit: whatever changes something, opens a session in a container, or reads secrets.
pub(crate) fn is_audited(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    // As the API server reads it.
    let path = percent_decode_str(path).decode_utf8_lossy();
    must_finish(method, headers) || path.split('/').any(|part| part == "secrets")
}

/// Whether a request asks for a stream that goes on until somebody ends it.
fn is_endless(query: Option<&str>) -> bool {
    query.is_some_and(|query| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .any(|(name, value)| matches!(name, "watch" | "follow") && matches!(value, "1" | "true"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_pods_is_not_audited_and_reading_secrets_is() {
        let none = HeaderMap::new();
        assert!(!is_audited(&Method::GET, "/k8s/clusters/c/api/v1/pods", &none));
        assert!(is_audited(&Method::GET, "/k8s/clusters/c/api/v1/namespaces/a/secrets/b", &none));
        for hidden in
            ["/k8s/clusters/c/api/v1/namespaces/a/secret%73/b", "/k8s/clusters/c/api/v1/namespaces/a%2Fsecrets"]
        {
            assert!(is_audited(&Method::GET, hidden, &none), "{hidden}");
        }
        assert!(is_audited(&Method::POST, "/k8s/clusters/c/api/v1/pods", &none));
        let upgrade = HeaderMap::from_iter([(header::UPGRADE, "SPDY/3.1".parse().unwrap())]);
        assert!(is_audited(&Method::GET, "/k8s/clusters/c/api/v1/namespaces/a/pods/b/exec", &upgrade));
    }

    #[test]
    fn watches_and_followed_logs_have_no_end() {
        assert!(is_endless(Some("watch=true&resourceVersion=1")));
        assert!(is_endless(Some("container=a&follow=1")));
        assert!(!is_endless(Some("watch=false")));
        assert!(!is_endless(None));
    }
}
