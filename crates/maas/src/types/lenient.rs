//! Reading what MAAS leaves out: a field may be missing, null or empty depending on its version and on what it knows of a
//! machine, and one odd machine must not hide all others.

use serde::{Deserialize, Deserializer};
use std::str::FromStr;

/// Null is the default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Null and the empty text are none, as is a text that cannot be read.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
{
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| text.parse().ok()))
}
