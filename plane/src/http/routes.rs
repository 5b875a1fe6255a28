//! Every route and who may call it, on one page. A route that is not here is refused to everybody, and a test compares
//! this table with the API's document.

use crate::auth::caller::Access;
use Access::{Installer, Kubernetes, Person, PlatformAdmin, Public, Role as AtLeast, SignedIn};
use ferrogate_api::Role::{Admin, Operator, Viewer};
use http::Method;

/// One route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// Method; `None` means any.
    pub(crate) method: Option<&'static str>,
    /// Path with its parameters in braces.
    pub(crate) path: &'static str,
    /// Who may call it.
    pub(crate) access: Access,
    /// What the audit calls it.
    pub(crate) action: &'static str,
}

const fn route(method: &'static str, path: &'static str, access: Access, action: &'static str) -> Route {
    Route { method: Some(method), path, access, action }
}

/// Every route.
pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/", Public, "page.read"),
    route("GET", "/problems/{code}", Public, "page.read"),
    route("GET", "/style.css", Public, "page.read"),
    route("GET", "/livez", Public, "health.read"),
    route("GET", "/readyz", Public, "health.read"),
    route("GET", "/metrics", SignedIn, "metrics.read"),
    route("GET", "/tunnel", Public, "tunnel.open"),
    route("GET", "/artifacts/{*path}", Public, "artifact.read"),
    Route { method: None, path: "/k8s/clusters/{cluster}/{*path}", access: Kubernetes, action: "kubernetes.request" },
    route("GET", "/api/v1/openapi.json", Public, "document.read"),
    route("GET", "/api/v1/version", Public, "version.read"),
    route("POST", "/api/v1/setup", Public, "plane.setup"),
    route("POST", "/api/v1/sessions", Public, "session.create"),
    route("GET", "/api/v1/sessions", SignedIn, "session.list"),
    route("DELETE", "/api/v1/sessions/{session}", Person(Viewer), "session.delete"),
    route("GET", "/api/v1/me", SignedIn, "me.read"),
    route("POST", "/api/v1/me/password", Person(Viewer), "password.change"),
    route("GET", "/api/v1/tokens", SignedIn, "token.list"),
    route("POST", "/api/v1/tokens", Person(Viewer), "token.create"),
    route("DELETE", "/api/v1/tokens/{token}", SignedIn, "token.revoke"),
    route("GET", "/api/v1/tenants", PlatformAdmin, "tenant.list"),
    route("POST", "/api/v1/tenants", PlatformAdmin, "tenant.create"),
    route("GET", "/api/v1/users", AtLeast(Admin), "user.list"),
    route("POST", "/api/v1/users", Person(Admin), "user.create"),
    route("GET", "/api/v1/users/{user}", AtLeast(Admin), "user.read"),
    route("PATCH", "/api/v1/users/{user}", Person(Admin), "user.update"),
    route("GET", "/api/v1/pairing-codes", AtLeast(Admin), "pairing_code.list"),
    route("POST", "/api/v1/pairing-codes", AtLeast(Admin), "pairing_code.create"),
    route("DELETE", "/api/v1/pairing-codes/{pairing_code}", AtLeast(Admin), "pairing_code.revoke"),
    route("POST", "/api/v1/pair", Public, "gateway.pair"),
    route("POST", "/api/v1/install/{gateway}/enrolment-tokens", Installer, "enrolment_token.create"),
    route("POST", "/api/v1/install/{gateway}/progress", Installer, "install.progress"),
    route("GET", "/api/v1/install/{gateway}", Installer, "install.read"),
    route("POST", "/api/v1/install/{gateway}/abandon", Installer, "install.abandon"),
    route("GET", "/api/v1/gateways", AtLeast(Viewer), "gateway.list"),
    route("GET", "/api/v1/gateways/{gateway}", AtLeast(Viewer), "gateway.read"),
    route("DELETE", "/api/v1/gateways/{gateway}", AtLeast(Admin), "gateway.delete"),
    route("POST", "/api/v1/gateways/{gateway}/force-delete", AtLeast(Admin), "gateway.force_delete"),
    route("GET", "/api/v1/orphans", AtLeast(Viewer), "orphan.list"),
    route("DELETE", "/api/v1/orphans/{orphan}", AtLeast(Admin), "orphan.resolve"),
    route("GET", "/api/v1/gateways/{gateway}/nodes", AtLeast(Viewer), "gateway_node.list"),
    route("POST", "/api/v1/gateways/{gateway}/nodes/{node}/revoke", AtLeast(Admin), "gateway_node.revoke"),
    route("GET", "/api/v1/accounts", AtLeast(Viewer), "account.list"),
    route("POST", "/api/v1/accounts", AtLeast(Admin), "account.create"),
    route("GET", "/api/v1/accounts/{account}", AtLeast(Viewer), "account.read"),
    route("PATCH", "/api/v1/accounts/{account}", AtLeast(Admin), "account.update"),
    route("DELETE", "/api/v1/accounts/{account}", AtLeast(Admin), "account.delete"),
    route("GET", "/api/v1/accounts/{account}/properties", AtLeast(Viewer), "account.properties"),
    route("GET", "/api/v1/clusters", AtLeast(Viewer), "cluster.list"),
    route("POST", "/api/v1/clusters", AtLeast(Operator), "cluster.create"),
    route("POST", "/api/v1/clusters/plan", AtLeast(Operator), "cluster.plan"),
    route("POST", "/api/v1/clusters/lookup", AtLeast(Admin), "cluster.lookup"),
    route("GET", "/api/v1/clusters/{cluster}", AtLeast(Viewer), "cluster.read"),
    route("PATCH", "/api/v1/clusters/{cluster}", AtLeast(Operator), "cluster.update"),
    route("DELETE", "/api/v1/clusters/{cluster}", AtLeast(Operator), "cluster.delete"),
    route("GET", "/api/v1/clusters/{cluster}/machines", AtLeast(Viewer), "machine.list"),
    route("POST", "/api/v1/clusters/{cluster}/kubeconfig", AtLeast(Viewer), "kubeconfig.create"),
    route("GET", "/api/v1/machines", AtLeast(Viewer), "machine.list"),
    route("GET", "/api/v1/operations", AtLeast(Viewer), "operation.list"),
    route("GET", "/api/v1/operations/{operation}", AtLeast(Viewer), "operation.read"),
    route("GET", "/api/v1/events", AtLeast(Viewer), "event.list"),
    route("GET", "/api/v1/events/stream", AtLeast(Viewer), "event.stream"),
    route("GET", "/api/v1/audit", AtLeast(Admin), "audit.list"),
    route("GET", "/api/v1/audit.csv", AtLeast(Admin), "audit.export"),
];

/// What the table says of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// This route.
    Route(Route),
    /// There is such a path, but not with this method.
    WrongMethod,
    /// There is no such path.
    Nothing,
}

/// Looks up a method and the path as the router matched it.
pub(crate) fn find(method: &Method, path: Option<&str>) -> Found {
    let Some(path) = path else { return Found::Nothing };
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let mut known = false;
    for route in ROUTES.iter().filter(|route| route.path == path) {
        known = true;
        if route.method.is_none_or(|wanted| wanted == method) {
            return Found::Route(*route);
        }
    }
    if known { Found::WrongMethod } else { Found::Nothing }
}

/// The value of `{name}` in `path`, which `route` matched.
pub(crate) fn parameter<'p>(route: &Route, path: &'p str, name: &str) -> Option<&'p str> {
    let wanted = format!("{{{name}}}");
    route.path.split('/').zip(path.split('/')).find(|(part, _)| *part == wanted).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_by_method_and_path_and_nothing_else_is() {
        assert!(matches!(find(&Method::GET, Some("/api/v1/me")), Found::Route(Route { action: "me.read", .. })));
        assert!(matches!(find(&Method::HEAD, Some("/livez")), Found::Route(_)));
        assert!(matches!(find(&Method::PUT, Some("/api/v1/me")), Found::WrongMethod));
        assert!(matches!(find(&Method::GET, Some("/api/v1/secrets")), Found::Nothing));
        assert!(matches!(find(&Method::GET, None), Found::Nothing));
    }

    #[test]
    fn no_route_stands_twice() {
        let mut seen: Vec<_> = ROUTES.iter().map(|route| (route.path, route.method)).collect();
        seen.sort_unstable();
        let all = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn a_parameter_is_taken_from_its_place() {
        let Found::Route(route) = find(&Method::GET, Some("/api/v1/install/{gateway}")) else { panic!() };
        assert_eq!(parameter(&route, "/api/v1/install/gw_1", "gateway"), Some("gw_1"));
    }
}
