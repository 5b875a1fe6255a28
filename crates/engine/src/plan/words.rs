//! Times in words.

use ferrogate_model::Timestamp;
use std::time::Duration;

/// How long something has lasted.
pub(crate) fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// A duration as people say it: `40 s`, `3 min`, `1 h 5 min`.
pub(crate) fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ if (seconds / 60).is_multiple_of(60) => format!("{} h", seconds / 3600),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        for (seconds, words) in
            [(0, "0 s"), (90, "90 s"), (180, "3 min"), (2400, "40 min"), (7200, "2 h"), (7500, "2 h 5 min")]
        {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
