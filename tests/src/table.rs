//! The report: what ran, how it ended, how long it took, where the logs are.

use serde::Serialize;
use serde_json::{Map, Value};
use std::{fmt::Write, path::PathBuf};

/// How a scenario ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ended {
    /// Everything held.
    Passed,
    /// Something did not hold.
    Failed,
    /// What it builds on did not hold, or the run was interrupted before it.
    NotRun,
}

impl Ended {
    const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::NotRun => "not run",
        }
    }
}

/// One assertion that held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Held {
    /// What was asserted.
    pub(crate) name: String,
    /// What was seen.
    pub(crate) seen: String,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Its letter.
    pub(crate) scenario: &'static str,
    /// The site it ran on.
    pub(crate) site: String,
    /// What it is about.
    pub(crate) title: &'static str,
    /// How it ended.
    pub(crate) result: Ended,
    /// Seconds it took.
    pub(crate) seconds: u64,
    /// The folder with its logs.
    pub(crate) logs: PathBuf,
    /// What held.
    pub(crate) held: Vec<Held>,
    /// Why it did not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What was measured.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) facts: Map<String, Value>,
}

/// Everything that ran.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Every scenario that was asked for passed, and nothing is left.
    pub(crate) ok: bool,
    /// Seconds all of it took.
    pub(crate) seconds: u64,
    /// The scenarios.
    pub(crate) scenarios: Vec<Row>,
    /// What was still there before the run, and after it.
    pub(crate) left: Vec<String>,
    /// Versions and sizes of what ran.
    pub(crate) versions: Map<String, Value>,
}

impl Report {
    /// Whether every scenario that was asked for passed, and nothing is left.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.ok
    }

    /// For people.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        let site = self.scenarios.iter().map(|row| row.site.len()).max().unwrap_or(0).max(4);
        let title = self.scenarios.iter().map(|row| row.title.chars().count()).max().unwrap_or(0).max(8);
        let _ = writeln!(
            out,
            "{:<2} {:<title$}  {:<site$}  {:<7}  {:>7}  {:>4}  logs",
            "", "scenario", "site", "result", "seconds", "held"
        );
        for row in &self.scenarios {
            let _ = writeln!(
                out,
                "{:<2} {:<title$}  {:<site$}  {:<7}  {:>7}  {:>4}  {}",
                row.scenario,
                row.title,
                row.site,
                row.result.word(),
                row.seconds,
                row.held.len(),
                row.logs.display()
            );
            if let Some(why) = &row.why {
                let _ = writeln!(out, "   {why}");
            }
        }
        for row in self.scenarios.iter().filter(|row| !row.facts.is_empty()) {
            let _ = writeln!(out, "\n{} measured on {}:", row.scenario, row.site);
            for (name, value) in &row.facts {
                let _ = writeln!(out, "  {name:<38} {}", plain(value));
            }
        }
        if !self.versions.is_empty() {
            let versions: Vec<_> =
                self.versions.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
            let _ = writeln!(out, "\nversions: {}", versions.join(", "));
        }
        for left in &self.left {
            let _ = writeln!(out, "left behind: {left}");
        }
        let passed = self.scenarios.iter().filter(|row| row.result == Ended::Passed).count();
        let word = if self.ok { "all is well" } else { "FAILED" };
        let _ = write!(out, "\n{passed} of {} passed in {} s: {word}", self.scenarios.len(), self.seconds);
        out
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(scenario: &'static str, result: Ended, why: Option<&str>) -> Row {
        Row {
            scenario,
            site: "nat".into(),
            title: "install through NAT",
            result,
            seconds: 181,
            logs: format!("/logs/{scenario}").into(),
            held: vec![Held { name: "x".into(), seen: "y".into() }],
            why: why.map(str::to_owned),
            facts: Map::new(),
        }
    }

    #[test]
    fn the_table_names_scenario_result_seconds_and_logs() {
        let mut measured = row("a", Ended::Passed, None);
        measured.facts.insert("seconds_machine_boot".into(), 20.5.into());
        let report = Report {
            ok: false,
            seconds: 400,
            scenarios: vec![measured, row("c", Ended::Failed, Some("expected 3 nodes; seen: 2"))],
            left: vec!["namespace fg-nat-site".into()],
            versions: [("kubernetes".to_owned(), Value::from("v1.36.4"))].into_iter().collect(),
        };
        assert_eq!(
            report.render(),
            "   scenario             site  result   seconds  held  logs\n\
             a  install through NAT  nat   passed       181     1  /logs/a\n\
             c  install through NAT  nat   FAILED       181     1  /logs/c\n   \
             expected 3 nodes; seen: 2\n\
             \n\
             a measured on nat:\n  \
             seconds_machine_boot                   20.5\n\
             \n\
             versions: kubernetes v1.36.4\n\
             left behind: namespace fg-nat-site\n\
             \n\
             1 of 2 passed in 400 s: FAILED"
        );
    }

    #[test]
    fn programs_get_the_same_as_an_object() {
        let report = Report {
            ok: true,
            seconds: 1,
            scenarios: vec![row("a", Ended::Passed, None)],
            left: Vec::new(),
            versions: Map::new(),
        };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["scenarios"][0]["result"], "passed");
        assert_eq!(json["scenarios"][0]["logs"], "/logs/a");
        assert!(json["scenarios"][0].get("why").is_none());
    }
}
