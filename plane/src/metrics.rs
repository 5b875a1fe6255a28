//! What the plane counts about itself, for Prometheus. No ids as labels.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::time::Duration;

/// Upper bounds of the buckets of request durations, in seconds.
const BUCKETS: [f64; 8] = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0, 120.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    action: String,
    status: u16,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    duration: Histogram,
    audit_lost: Counter,
    gateway_nodes: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ferrogate");
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("http_requests", "Requests by action and status", requests.clone());
        let duration = Histogram::new(BUCKETS);
        registry.register(
            "http_request_duration_seconds",
            "Time from a request's head to the head of its answer",
            duration.clone(),
        );
        let audit_lost = Counter::default();
        registry.register("audit_rows_lost", "Audit rows that could not be written", audit_lost.clone());
        let gateway_nodes = Gauge::default();
        registry.register("gateway_nodes_connected", "Gateway nodes connected to this plane", gateway_nodes.clone());
        let build = Family::<Vec<(String, String)>, Gauge>::default();
        build.get_or_create(&vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        registry.register("build_info", "The plane's version", build);
        Self { registry, requests, duration, audit_lost, gateway_nodes }
    }
}

impl Metrics {
    /// Counts one request.
    pub(crate) fn request(&self, action: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { action: action.to_owned(), status }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts an audit row that could not be written.
    pub(crate) fn audit_lost(&self) {
        self.audit_lost.inc();
    }

    /// Says how many gateway nodes are connected.
    pub(crate) fn gateway_nodes(&self, connected: usize) {
        self.gateway_nodes.set(i64::try_from(connected).unwrap_or(i64::MAX));
    }

    /// Everything, in the text format of Prometheus.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_up_with_its_action_and_status() {
        let metrics = Metrics::default();
        metrics.request("cluster.create", 202, Duration::from_millis(3));
        let text = metrics.text();
        assert!(text.contains(r#"ferrogate_http_requests_total{action="cluster.create",status="202"} 1"#), "{text}");
        assert!(text.contains("ferrogate_build_info{version="), "{text}");
    }
}
