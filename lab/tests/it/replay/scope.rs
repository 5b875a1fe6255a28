//! Which recorded exchanges are outside of what is simulated, and why; and when time passes in a recording.

use super::exchange::Exchange;
use std::time::Duration;

/// How an exchange is looked at.
pub(super) enum Scope {
    /// Everything must be the same.
    In,
    /// Names and types must be the same; values are random or not simulated.
    Shape,
    /// Not at all.
    Out(&'static str),
}

/// One reason.
#[derive(Debug)]
pub(super) struct Rule {
    file: &'static str,
    from: u32,
    to: u32,
    path: &'static str,
    shape: bool,
    reason: &'static str,
}

impl Rule {
    const fn skip(file: &'static str, from: u32, to: u32, reason: &'static str) -> Self {
        Self { file, from, to, path: "", shape: false, reason }
    }

    const fn path(file: &'static str, path: &'static str, reason: &'static str) -> Self {
        Self { file, from: 0, to: u32::MAX, path, shape: false, reason }
    }

    const fn shape(file: &'static str, from: u32, to: u32, reason: &'static str) -> Self {
        Self { file, from, to, path: "", shape: true, reason }
    }

    pub(super) fn applies(&self, file: &str, exchange: &Exchange) -> bool {
        file.starts_with(self.file)
            && (self.from..=self.to).contains(&exchange.n)
            && (self.path.is_empty() || exchange.path.trim_start_matches("/MAAS/api/2.0/").starts_with(self.path))
    }
}

/// The reasons, first match counts.
pub(super) const fn rules() -> &'static [Rule] {
    const RULES: &[Rule] = &[
        Rule::path("02", "regioncontrollers/", "controllers are not simulated"),
        Rule::skip("02", 47, 47, "the list of nodes includes the region controller, which is not simulated"),
        Rule::shape("09", 35, 35, "the recording ended a test without results"),
        Rule::path("10", "notifications/", "notifications are not simulated"),
        Rule::path("10", "scripts/", "commissioning scripts are not simulated"),
        Rule::path("10", "package-repositories/", "package repositories are not simulated"),
        Rule::path("10", "networks/", "the 1.x name of subnets is not simulated"),
        Rule::path("22", "static-routes/", "static routes and reserved MAC addresses are not simulated"),
        Rule::path("22", "reservedips/", "static routes and reserved MAC addresses are not simulated"),
        Rule::skip("27", 1, 14, "machines are not added over the API"),
        Rule::skip("27", 55, 58, "a machine that was added over the API"),
        Rule::skip("27", 59, 61, "machines are not accepted over the API"),
        Rule::shape("27", 18, 21, "the host name is made up"),
        Rule::path("28", "nodes/4y3hb3/results/", "results of scripts are not simulated"),
        Rule::skip("28", 35, 36, "machines are not cloned"),
        Rule::skip("29", 2, 2, "the page of a database conflict"),
        Rule::shape("29", 14, 15, "keys are random"),
        Rule::skip("29", 20, 30, "images are not uploaded or deleted"),
        Rule::path("29", "devices/", "devices are not simulated"),
        Rule::path("29", "describe/", "the description of the API is not simulated"),
    ];
    RULES
}

/// How an exchange is looked at.
pub(super) fn of(file: &str, exchange: &Exchange) -> Scope {
    match rules().iter().find(|rule| rule.applies(file, exchange)) {
        Some(rule) if rule.shape => Scope::Shape,
        Some(rule) => Scope::Out(rule.reason),
        None => Scope::In,
    }
}

/// How much time passes before an exchange: the recording waited for power, or was told that a machine had reported.
pub(super) fn pause_before(file: &str, n: u32) -> Duration {
    const SWITCHED: u64 = 2;
    const DEPLOYED: u64 = 300;
    const TESTED: u64 = 240;
    let seconds = match (&file[..2], n) {
        ("05", 23 | 48 | 50 | 56) | ("09", 24 | 27 | 28) | ("28", 30..=32) => SWITCHED,
        ("05", 27) | ("28", 26) => DEPLOYED,
        ("09", 35) => TESTED,
        _ => 0,
    };
    Duration::from_secs(seconds)
}
