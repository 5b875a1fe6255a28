//! Medians and ratios.

use std::{collections::BTreeMap, fmt::Write as _};

/// The way that the others are compared with.
const BASE: &str = "tls";

#[derive(Default)]
pub(crate) struct Report {
    figures: Vec<&'static str>,
    values: BTreeMap<(&'static str, &'static str), Vec<f64>>,
    pub(crate) seconds: f64,
}

impl Report {
    pub(crate) fn note(&mut self, way: &'static str, figure: &'static str, value: f64) {
        if !self.figures.contains(&figure) {
            self.figures.push(figure);
        }
        self.values.entry((way, figure)).or_default().push(value);
    }

    fn median(&self, way: &'static str, figure: &'static str) -> Option<f64> {
        let mut values = self.values.get(&(way, figure))?.clone();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    fn ratio(&self, way: &'static str, figure: &'static str) -> Option<f64> {
        Some(self.median(way, figure)? / self.median(BASE, figure)?)
    }

    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:<40}{:>10}{:>10}{:>7}{:>11}{:>7}\n",
            "median of rounds, interleaved", "tls", "alpn", "÷ tls", "websocket", "÷ tls"
        );
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
        for figure in &self.figures {
            let _ = writeln!(
                text,
                "{figure:<40}{:>10}{:>10}{:>7}{:>11}{:>7}",
                number(self.median(BASE, figure)),
                number(self.median("alpn", figure)),
                number(self.ratio("alpn", figure)),
                number(self.median("websocket", figure)),
                number(self.ratio("websocket", figure)),
            );
        }
        let _ = write!(text, "{:.0} s, {}", self.seconds, machine());
        text
    }

    pub(crate) fn json(&self) -> String {
        let figures: serde_json::Map<_, _> = self
            .figures
            .iter()
            .map(|figure| {
                let value = serde_json::json!({
                    "tls": self.median(BASE, figure),
                    "alpn": self.median("alpn", figure),
                    "websocket": self.median("websocket", figure),
                    "alpn_ratio": self.ratio("alpn", figure),
                    "websocket_ratio": self.ratio("websocket", figure),
                });
                ((*figure).to_owned(), value)
            })
            .collect();
        serde_json::json!({ "figures": figures, "seconds": self.seconds, "machine": machine() }).to_string()
    }
}

/// What the figures were measured on: they mean little without it.
fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    format!("{processors} processors, load average {load}")
}
