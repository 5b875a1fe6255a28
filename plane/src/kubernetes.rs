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

/// Whether an API server may not even begin its answer for a long time: followed logs begin with their first line. (Watches
/// are answered at once and then go on; nothing else need be known of them.)
fn may_stay_silent(query: Option<&str>) -> bool {
    // What Go reads as true.
    const TRUE: [&str; 6] = ["1", "t", "T", "TRUE", "true", "True"];
    let query = query.unwrap_or_default().as_bytes();
    url::form_urlencoded::parse(query).any(|(name, value)| name == "follow" && TRUE.contains(&&*value))
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
    fn followed_logs_begin_with_their_first_line() {
        for query in ["container=a&follow=1", "follow=t", "follow=True", "foll%6Fw=%54"] {
            assert!(may_stay_silent(Some(query)), "{query}");
        }
        for query in ["watch=true", "follow=false", "follow=yes", "follow", ""] {
            assert!(!may_stay_silent(Some(query)), "{query}");
        }
        assert!(!may_stay_silent(None));
    }
}
