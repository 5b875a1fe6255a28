//! Where the time of an installation goes: machines that boot, Kubernetes that forms, and the rest, which is ours.

use ferrogate_model::Timestamp;
use serde::Serialize;

/// When things were done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moments {
    /// The installer began.
    pub(crate) began: Timestamp,
    /// MAAS was told to deploy the first machine, which switches it on.
    pub(crate) powered: Timestamp,
    /// MAAS had the last machine Deployed.
    pub(crate) deployed: Timestamp,
    /// The last node was Ready.
    pub(crate) ready: Timestamp,
    /// The installer ended: the gateway is Running.
    pub(crate) running: Timestamp,
}

/// Seconds of each part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Split {
    /// From the installer's begin to its end.
    pub(crate) total: f64,
    /// From power on to Deployed, as MAAS saw it.
    pub(crate) machine_boot: f64,
    /// From Deployed to the node's Ready, as Kubernetes saw it: download, installation and start of Kubernetes.
    pub(crate) kubernetes: f64,
    /// Everything else: checks, pairing, waiting for what has just come about, the gateway's start and registration.
    pub(crate) ours: f64,
}

impl Moments {
    /// The parts. Where the clocks disagree a part is never less than nothing.
    pub(crate) fn split(&self) -> Split {
        let seconds = |from: Timestamp, to: Timestamp| (to.duration_since(from).as_secs_f64()).max(0.0);
        let tenth = |value: f64| (value * 10.0).round() / 10.0;
        let total = seconds(self.began, self.running);
        let machine_boot = seconds(self.powered, self.deployed);
        let kubernetes = seconds(self.deployed, self.ready);
        Split {
            total: tenth(total),
            machine_boot: tenth(machine_boot),
            kubernetes: tenth(kubernetes),
            ours: tenth((total - machine_boot - kubernetes).max(0.0)),
        }
    }
}

/// A moment as MAAS's events have it: `Mon, 23 Nov. 2026 11:08:01`, in UTC.
pub(crate) fn maas_time(text: &str) -> Option<Timestamp> {
    let civil = jiff::civil::DateTime::strptime("%a, %d %b. %Y %H:%M:%S", text).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_432_000 + second).unwrap()
    }

    #[test]
    fn the_parts_make_up_the_whole() {
        let moments = Moments { began: at(0), powered: at(9), deployed: at(29), ready: at(99), running: at(120) };
        let split = moments.split();
        assert_eq!(split, Split { total: 120.0, machine_boot: 20.0, kubernetes: 70.0, ours: 30.0 });
    }

    #[test]
    fn clocks_that_disagree_make_no_negative_time() {
        let moments = Moments { began: at(0), powered: at(5), deployed: at(4), ready: at(3), running: at(2) };
        assert_eq!(moments.split(), Split { total: 2.0, machine_boot: 0.0, kubernetes: 0.0, ours: 2.0 });
    }

    #[test]
    fn maas_writes_its_times_in_words() {
        assert_eq!(maas_time("Mon, 23 Nov. 2026 11:08:01").unwrap().to_string(), "2026-11-23T11:08:01Z");
        assert!(maas_time("yesterday").is_none());
    }
}
