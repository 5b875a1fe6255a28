//! The two ways MAAS writes a date.

use ferrogate_model::Timestamp;
use serde::{Deserialize, Deserializer};

/// `2026-11-22T08:30:07.688Z`, or `Sun, 22 Nov. 2026 08:50:27` which is UTC without saying so. The months of the second
/// form are abbreviated as newspapers do (`March`, `Sept.`).
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split_whitespace();
    let day: i8 = words.next()?.parse().ok()?;
    let month = words.next()?.get(..3)?.to_ascii_lowercase();
    let month = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
        .iter()
        .position(|name| *name == month)?;
    let year: i16 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<i8>);
    let mut next = || clock.next().transpose().ok().flatten();
    let (hour, minute, second) = (next()?, next()?, next().unwrap_or(0));
    let date = jiff::civil::DateTime::new(year, i8::try_from(month).ok()? + 1, day, hour, minute, second, 0).ok()?;
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A date that is missing, empty or in a form we do not know is none: no call fails for a date.
pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.as_deref().and_then(parse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_moment() {
        let iso = parse("2026-11-22T08:50:27Z").unwrap();
        assert_eq!(parse("Sun, 22 Nov. 2026 08:50:27"), Some(iso));
        assert_eq!(parse("Sun, 22 Nov 2026 08:50:27 +0000"), Some(iso));
        assert_eq!(parse("Tue, 01 Sept. 2026 00:00:01"), parse("2026-09-01T00:00:01Z"));
        assert_eq!(parse("Sun, 1 March 2026 23:59:59"), parse("2026-03-01T23:59:59Z"));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "yesterday", "Sun, 32 Nov. 2026 08:50:27", "Sun, 22 Foo 2026 08:50:27", "Sun, 2 ä. 2026 1:1:1"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
