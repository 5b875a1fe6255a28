//! Which scenarios there are, what each builds on, and on which sites they run.

use ferrogate_lab::control::WayOut;
use std::{collections::BTreeSet, fmt, str::FromStr};

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// A one-node gateway through NAT.
    A,
    /// The same where only an HTTP proxy leads out.
    B,
    /// A cluster, used with the real kubectl.
    C,
    /// A three-node gateway that loses any one node.
    D,
    /// Plane and site are cut off from each other.
    E,
    /// Installer and plane are killed in the middle.
    F,
    /// Everything is given back.
    G,
    /// What goes wrong is named; failed machines are replaced.
    H,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 8] = [Self::A, Self::B, Self::C, Self::D, Self::E, Self::F, Self::G, Self::H];

    /// Its letter.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
            Self::D => "d",
            Self::E => "e",
            Self::F => "f",
            Self::G => "g",
            Self::H => "h",
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::A => "one-node gateway through NAT",
            Self::B => "one-node gateway through an HTTP proxy",
            Self::C => "cluster, used with kubectl",
            Self::D => "three-node gateway loses any one node",
            Self::E => "partition of 30 s and of 10 min",
            Self::F => "installer and plane killed in the middle",
            Self::G => "everything given back",
            Self::H => "faults named, failed machine replaced",
        }
    }

    /// What has to stand before it can begin.
    const fn builds_on(self) -> Option<Self> {
        match self {
            Self::C => Some(Self::A),
            Self::E => Some(Self::C),
            Self::A | Self::B | Self::D | Self::F | Self::G | Self::H => None,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.letter())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scenario| scenario.letter().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| format!("there is no scenario `{text}`; there are a to h (see --list)"))
    }
}

/// Scenarios that share a site, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Track {
    /// The site's name.
    pub(crate) site: &'static str,
    pub(crate) way_out: WayOut,
    pub(crate) scenarios: Vec<Scenario>,
    /// Further arguments of `serve`.
    pub(crate) serve: &'static [&'static str],
}

/// Where machines fail on purpose, MAAS gives up on them sooner: a good one reports in a fraction of this.
const IMPATIENT: &[&str] = &["--deploy-timeout", "90"];

/// What shares a site. The order is that in which they get the computer: the first has a long pause in which the next two
/// run, the fourth mostly waits while the last one runs.
const TRACKS: [(&str, WayOut, &[Scenario], &[&str]); 5] = [
    ("test-nat", WayOut::Nat, &[Scenario::A, Scenario::C, Scenario::E], &[]),
    ("test-proxy", WayOut::Proxy, &[Scenario::B], &[]),
    ("test-faults", WayOut::Nat, &[Scenario::H], IMPATIENT),
    ("test-three", WayOut::Nat, &[Scenario::D], &[]),
    ("test-kills", WayOut::Nat, &[Scenario::F], &[]),
];

/// What has to run for these, with what they build on. Where everything is to be given back, every site ends with that.
pub(crate) fn tracks(only: &[Scenario]) -> Vec<Track> {
    let mut wanted: BTreeSet<Scenario> =
        if only.is_empty() { Scenario::ALL.into_iter().collect() } else { only.iter().copied().collect() };
    let gives_back = wanted.remove(&Scenario::G);
    if wanted.is_empty() {
        wanted.insert(Scenario::A);
    }
    for scenario in wanted.clone() {
        let mut below = scenario.builds_on();
        while let Some(scenario) = below {
            wanted.insert(scenario);
            below = scenario.builds_on();
        }
    }
    let track = |&(site, way_out, scenarios, serve): &(&'static str, WayOut, &[Scenario], &'static [&'static str])| {
        let mut scenarios: Vec<_> = scenarios.iter().copied().filter(|scenario| wanted.contains(scenario)).collect();
        if scenarios.is_empty() {
            return None;
        }
        scenarios.extend(gives_back.then_some(Scenario::G));
        Some(Track { site, way_out, scenarios, serve })
    };
    TRACKS.iter().filter_map(track).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(only: &[Scenario]) -> Vec<String> {
        let words = |track: &Track| track.scenarios.iter().map(|scenario| scenario.letter()).collect::<String>();
        tracks(only).iter().map(words).collect()
    }

    #[test]
    fn what_a_scenario_builds_on_runs_before_it() {
        assert_eq!(shown(&[Scenario::E]), ["ace"]);
        assert_eq!(shown(&[Scenario::A, Scenario::B, Scenario::C, Scenario::G]), ["acg", "bg"]);
        assert_eq!(shown(&[Scenario::G]), ["ag"]);
        assert_eq!(shown(&[Scenario::D]), ["d"]);
    }

    #[test]
    fn a_full_run_has_every_scenario_and_gives_everything_back() {
        assert_eq!(shown(&[]), ["aceg", "bg", "hg", "dg", "fg"]);
        assert_eq!("E".parse::<Scenario>(), Ok(Scenario::E));
        assert!("x".parse::<Scenario>().is_err());
    }
}
