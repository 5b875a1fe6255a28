//! The gateway's figures as Prometheus reads them.

use crate::VERSION;
use ferrogate_tunnel::{AgentStatus, Figures};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::fmt;
use tokio::sync::watch;

/// Reads the agent's figures whenever somebody asks.
struct AgentCollector {
    status: watch::Receiver<AgentStatus>,
    figures: Box<dyn Fn() -> Figures + Send + Sync>,
}

impl fmt::Debug for AgentCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentCollector").finish_non_exhaustive()
    }
}

/// The gateway's metrics.
pub(crate) struct Metrics {
    registry: Registry,
}

impl Metrics {
    pub(crate) fn new(
        status: watch::Receiver<AgentStatus>,
        figures: impl Fn() -> Figures + Send + Sync + 'static,
    ) -> Self {
        let mut registry = Registry::with_prefix("ferrogate_gateway");
        registry.register_collector(Box::new(AgentCollector { status, figures: Box::new(figures) }));
        Self { registry }
    }

    /// All metrics in the text format of OpenMetrics.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for AgentCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.status.borrow().clone();
        let figures = (self.figures)();
        let mut gauges = |name, help, value: i64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        gauges("connected", "whether the plane has accepted at least one connection", i64::from(status.connected))?;
        gauges("carriers", "connections to the plane that are up", whole(status.carriers as u64))?;
        gauges("streams", "connections through this gateway that are open", whole(figures.streams))?;

        let mut counters = |name, help, label, values: &[(&str, u64)]| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (value, count) in values {
                ConstCounter::new(*count).encode(family.encode_family(&[(label, *value)])?)?;
            }
            Ok::<_, fmt::Error>(())
        };
        let bytes = [("to_site", figures.bytes_to_site), ("to_plane", figures.bytes_to_plane)];
        counters("bytes", "bytes carried", "direction", &bytes)?;
        let dials: Vec<_> = figures.dials.iter().map(|dial| (dial.result, dial.count)).collect();
        counters("dials", "connections the plane asked for, by how that ended", "result", &dials)?;
        let carriers = [("connected", figures.carriers_made), ("failed", figures.carriers_failed)];
        counters("carrier_dials", "dials to the plane, by how they ended", "result", &carriers)?;

        let refusals = ConstCounter::new(figures.refusals);
        let help = "connections that the allow-list refused";
        refusals.encode(encoder.encode_descriptor("refusals", help, None, MetricType::Counter)?)?;
        let help = "the gateway's version";
        let mut info = encoder.encode_descriptor("build", help, None, MetricType::Info)?;
        info.encode_info(&[("version", VERSION)])
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
