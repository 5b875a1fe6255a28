//! Names that people give to gateways, clusters, accounts and pools: DNS labels, because they become host names.

use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};

/// A DNS label (RFC 1123): 1 to 63 of `a-z`, `0-9` and `-`, neither beginning nor ending with `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing was given.
    #[error("the name is empty")]
    Empty,
    /// Longer than a DNS label may be.
    #[error("the name `{0}` has more than 63 characters")]
    TooLong(String),
    /// A character that DNS labels do not have.
    #[error("the name `{name}` has a {character:?}; only a-z, 0-9 and - may be used")]
    Character {
        /// The text as given.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// Begins or ends with a hyphen.
    #[error("the name `{0}` begins or ends with `-`")]
    Edge(String),
}

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl utoipa::PartialSchema for Name {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        crate::id::text_schema("A DNS label", Some("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"), "maas-pcg-1")
    }
}

impl utoipa::ToSchema for Name {}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        if let Some(character) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            return Err(BadName::Character { name: text.chars().take(80).collect(), character });
        }
        if text.len() > 63 {
            return Err(BadName::TooLong(text.chars().take(80).collect()));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(BadName::Edge(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_name_says_what_is_wrong() {
        for (text, part) in [("", "empty"), ("Paris", "'P'"), ("a_b", "'_'"), ("-a", "begins"), ("a-", "ends")] {
            let error = text.parse::<Name>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("x".repeat(64).parse::<Name>().is_err());
        assert_eq!("maas-pcg-1".parse::<Name>().unwrap().as_str(), "maas-pcg-1");
    }
}
