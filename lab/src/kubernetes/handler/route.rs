//! What a path names.

use crate::kubernetes::kinds::Kind;

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/apis/<group>`
    Group(String),
    /// `/api/v1`, `/apis/<group>/<version>`
    Resources { group: String, version: String },
    /// Objects of a kind, or one, or a part of one.
    Objects { kind: &'static Kind, namespace: String, name: String, subresource: String },
    /// Whether the one who asks may do something.
    AccessReview,
}

impl Route {
    /// Reads a path; `None` where nothing is.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let decode =
            |part: &str| percent_encoding::percent_decode_str(part).decode_utf8().ok().map(|text| text.into_owned());
        let parts: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(decode).collect::<Option<Vec<_>>>()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group] => return Some(Self::Group((*group).to_owned())),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        if (group, version, rest) == ("authorization.k8s.io", "v1", &["selfsubjectaccessreviews"][..]) {
            return Some(Self::AccessReview);
        }
        let (namespace, rest) = match rest {
            [] => return Some(Self::Resources { group: group.to_owned(), version: version.to_owned() }),
            // `namespaces/x/status` is a part of the namespace, `namespaces/x/pods` is in it.
            ["namespaces", name, inner, ..] if !matches!(*inner, "status" | "finalize") => (*name, &rest[2..]),
            rest => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return None,
        };
        let kind = Kind::find(group, version, plural)?;
        if !kind.namespaced && !namespace.is_empty() {
            return None;
        }
        let known = matches!(subresource, "" | "status" | "finalize")
            || (matches!(subresource, "eviction" | "log") && plural == "pods");
        known.then(|| Self::Objects {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(path: &str) -> (&'static str, String, String, String) {
        match Route::parse(path) {
            Some(Route::Objects { kind, namespace, name, subresource }) => (kind.plural, namespace, name, subresource),
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn namespaces_are_objects_and_places() {
        let own = |text: &str| text.to_owned();
        assert_eq!(objects("/api/v1/namespaces/x"), ("namespaces", own(""), own("x"), own("")));
        assert_eq!(objects("/api/v1/namespaces/x/status"), ("namespaces", own(""), own("x"), own("status")));
        assert_eq!(objects("/api/v1/namespaces/x/pods/p/eviction"), ("pods", own("x"), own("p"), own("eviction")));
        assert_eq!(objects("/apis/apps/v1/daemonsets"), ("daemonsets", own(""), own(""), own("")));
        assert_eq!(objects("/api/v1/nodes/a%2Eb").2, "a.b");
        for path in
            ["/", "/api/v1/nothing", "/api/v1/namespaces/x/nodes/n", "/apis/apps/v2/daemonsets", "/api/v1/pods/p/exec"]
        {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }
}
