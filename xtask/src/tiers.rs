//! Which tiers of tests there are, and which of them a run really had: tests that need more than Rust write down whether
//! they found it (`xtask/shared/tier.rs`).

use crate::setup::Found;
use anyhow::{Context, Result, bail};
use std::{collections::BTreeMap, path::Path};

/// The environment variable that tells tests where to write.
pub(crate) const NOTES: &str = "FERROGATE_TIERS";

/// What tests call a tier, and what people do.
const TIERS: [(&str, &str); 6] = [
    ("postgresql", "PostgreSQL"),
    ("kubectl", "real kubectl"),
    ("networks", "real networks (namespaces, firewall, DHCP, proxy)"),
    ("machines", "real machines (own kernel, real cloud-init)"),
    ("emulated", "the same as virtual machines, emulated"),
    ("kvm", "the same as virtual machines, with KVM"),
];

/// What the tests of a tier wrote down.
#[derive(Debug, Default, PartialEq, Eq)]
struct Notes {
    ran: usize,
    /// Tests that were left out, with the reason.
    skipped: Vec<(String, String)>,
}

/// What all tests wrote down.
#[derive(Debug, Default)]
pub(crate) struct Outcome(BTreeMap<String, Notes>);

impl Outcome {
    /// Reads the file that tests wrote to; where none did there is none.
    ///
    /// # Errors
    /// When it cannot be read, or a test speaks of a tier that is not in the table.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let mut all = Self::default();
        for line in text.lines() {
            let fields: Vec<_> = line.split('\t').collect();
            let [outcome, tier, test, why] = fields[..] else { bail!("a test wrote `{line}` about its tier") };
            if !TIERS.iter().any(|(name, _)| *name == tier) {
                bail!("{test} is of the tier `{tier}`, which xtask/src/tiers.rs does not have");
            }
            let notes = all.0.entry(tier.to_owned()).or_default();
            match outcome {
                "ran" => notes.ran += 1,
                "skipped" => notes.skipped.push((test.to_owned(), why.to_owned())),
                _ => bail!("{test} says that it `{outcome}`, which is neither `ran` nor `skipped`"),
            }
        }
        Ok(all)
    }

    /// Tier by tier, for people.
    fn lines(&self, found: &Found) -> Vec<String> {
        let mut lines = vec![line("unit and contract tests, SQLite, simulated machines", "ran")];
        for (tier, title) in TIERS {
            let notes = self.0.get(tier);
            let ran = notes.map_or(0, |notes| notes.ran);
            let skipped = notes.map_or(&[][..], |notes| &notes.skipped);
            lines.push(line(title, &word(ran, skipped.len(), found.missing(tier))));
            lines.extend(skipped.iter().map(|(test, why)| format!("    {test}: {why}")));
        }
        lines.push(line("real Kubernetes on real machines", "`cargo xtask lab test`, which is not part of this"));
        lines
    }

    #[expect(clippy::print_stdout, reason = "this is what the person asked for")]
    pub(crate) fn print(&self, found: &Found) {
        println!("tiers:");
        for line in self.lines(found) {
            println!("  {line}");
        }
    }

    /// # Errors
    /// When a test left itself out although what its tier needs was prepared: the gap would look like success.
    pub(crate) fn check(&self, found: &Found) -> Result<()> {
        let prepared = self.0.iter().filter(|(tier, _)| found.missing(tier).is_none());
        let tests: Vec<_> = prepared
            .flat_map(|(tier, notes)| notes.skipped.iter().map(move |(test, why)| format!("{test} ({tier}): {why}")))
            .collect();
        if !tests.is_empty() {
            bail!("tests left themselves out, though what they need was found before: {}", tests.join("; "));
        }
        Ok(())
    }
}

fn line(title: &str, word: &str) -> String {
    format!("{title:<52}  {word}")
}

fn word(ran: usize, skipped: usize, missing: Option<&str>) -> String {
    let tests = |count| if count == 1 { "1 test".to_owned() } else { format!("{count} tests") };
    match (ran, skipped, missing) {
        (0, 0, None) => "none of its tests was among these".to_owned(),
        (0, _, Some(why)) => format!("left out: {why}"),
        (0, skipped, None) => format!("left out: all {}", tests(skipped)),
        (ran, 0, _) => format!("ran ({})", tests(ran)),
        (ran, skipped, _) => format!("ran in part ({} of {})", ran, tests(ran + skipped)),
    }
}

#[cfg(test)]
#[path = "../shared/tier.rs"]
#[expect(dead_code, reason = "test programs of other crates call the rest")]
mod tier;

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        Found { postgres: true, kubectl: true, networks: false, machines: Err("not root".into()) }
    }

    fn outcome(lines: &[[&str; 4]]) -> Result<Outcome> {
        let file = std::env::temp_dir().join(format!("ferrogate-tiers-{}-{}", std::process::id(), lines.len()));
        for fields in lines {
            tier::append(file.as_os_str(), fields).unwrap();
        }
        let outcome = Outcome::read(&file);
        std::fs::remove_file(&file).unwrap();
        outcome
    }

    #[test]
    fn what_tests_write_down_is_told_tier_by_tier() {
        let outcome = outcome(&[
            ["ran", "postgresql", "contract", ""],
            ["skipped", "networks", "nat", "this computer\nlacks `nft`"],
            ["skipped", "networks", "dns", "this computer lacks `nft`"],
        ])
        .unwrap();
        let lines = outcome.lines(&found());
        let about = |start: &str| lines.iter().find(|line| line.starts_with(start)).unwrap().as_str();
        assert!(about("PostgreSQL").ends_with("  ran (1 test)"), "{lines:?}");
        assert!(about("real kubectl").ends_with("  none of its tests was among these"), "{lines:?}");
        assert!(about("real networks").ends_with("  left out: not root, or not installed"), "{lines:?}");
        assert!(lines.contains(&"    nat: this computer lacks `nft`".to_owned()), "{lines:?}");
        assert!(about("real machines").ends_with("  left out: not root"), "{lines:?}");
        outcome.check(&found()).unwrap();
        assert_eq!(tier::NOTES, NOTES);
    }

    #[test]
    fn a_test_that_leaves_itself_out_of_a_prepared_tier_fails_the_run() {
        let outcome =
            outcome(&[["ran", "postgresql", "one", ""], ["skipped", "postgresql", "two", "no initdb"]]).unwrap();
        let error = outcome.check(&found()).unwrap_err().to_string();
        assert!(error.contains("two (postgresql): no initdb"), "{error}");
        let unprepared = Found { postgres: false, ..found() };
        outcome.check(&unprepared).unwrap();
    }

    #[test]
    fn a_tier_that_nobody_knows_is_refused() {
        assert!(outcome(&[["skipped", "postgres", "one", "?"]]).unwrap_err().to_string().contains("`postgres`"));
        assert!(Outcome::read(Path::new("/not/there")).unwrap().0.is_empty());
    }
}
