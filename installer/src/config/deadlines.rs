//! How long each part of an installation may take. Past a deadline the installer says what did not happen and stops; it
//! never waits for ever.

use jiff::SignedDuration;
use std::time::Duration;

/// The deadlines, as pcg.yaml states them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// All of it together.
    pub overall: Duration,
    /// From pairing until every machine runs Kubernetes and the gateway. Real machines take 5 to 20 minutes each to
    /// deploy, one after the other where several are joined; a failed one is retried on another machine.
    pub machines: Duration,
    /// From then until the plane says that the gateway is running and healthy.
    pub register: Duration,
    /// Until every machine is given back.
    pub cleanup: Duration,
    /// How long to go on trying where a person seems to be needed; much passes by itself, such as a MAAS that restarts.
    pub blocked: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            overall: minutes(120),
            machines: minutes(90),
            register: minutes(15),
            cleanup: minutes(30),
            blocked: minutes(3),
        }
    }
}

/// Reads `90m`, `1h 30m`, `45s`.
///
/// # Errors
/// Says how a duration is written.
pub fn parse(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration; write it as 90m, 1h 30m or 45s");
    let duration: SignedDuration = text.trim().parse().map_err(|_| bad())?;
    Duration::try_from(duration).ok().filter(|duration| !duration.is_zero()).ok_or_else(bad)
}

/// Writes a duration as people do: `1h 30m`, `45s`.
#[must_use]
pub fn describe(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if parts.is_empty() { format!("{}ms", duration.as_millis()) } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_back_as_they_were_written() {
        for text in ["2h", "1h 30m", "15m", "45s", "250ms"] {
            assert_eq!(describe(parse(text).unwrap()), text);
        }
        for text in ["", "5", "-3m", "0s", "soon"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
