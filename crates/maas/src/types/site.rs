//! Everything that belongs to the site as a whole.

use crate::date;
use ferrogate_model::{SystemId, Timestamp};
use serde::Deserialize;

/// Which MAAS answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// Such as `3.6.5`.
    pub version: String,
    /// Build, often empty.
    #[serde(default)]
    pub subversion: String,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// A user of MAAS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Sign-in name.
    pub username: String,
    /// E-mail address.
    #[serde(default)]
    pub email: String,
    /// Whether everything is allowed.
    #[serde(default)]
    pub is_superuser: bool,
}

/// An availability zone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Zone {
    /// MAAS's number.
    pub id: u64,
    /// Name, by which it is chosen.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// A resource pool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ResourcePool {
    /// MAAS's number; the default pool has 0.
    pub id: u64,
    /// Name, by which it is chosen.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// A DNS domain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Domain {
    /// MAAS's number; the default domain has 0.
    pub id: u64,
    /// Name, by which it is chosen.
    pub name: String,
    /// Whether MAAS itself answers for it.
    #[serde(default = "yes")]
    pub authoritative: bool,
    /// Time to live of its records, in seconds.
    #[serde(default)]
    pub ttl: Option<u32>,
    /// Whether machines get it unless told otherwise.
    #[serde(default)]
    pub is_default: bool,
    /// How many names are in it.
    #[serde(default)]
    pub resource_record_count: u64,
}

const fn yes() -> bool {
    true
}

/// A tag on machines.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Tag {
    /// Name, by which it is chosen.
    pub name: String,
    /// The condition under which MAAS sets it; empty for one set by hand.
    #[serde(default)]
    pub definition: String,
    /// For people.
    #[serde(default)]
    pub comment: String,
}

/// An operating system image for one architecture.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BootResource {
    /// MAAS's number.
    pub id: u64,
    /// `Synced` or `Uploaded`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Such as `ubuntu/noble`.
    pub name: String,
    /// Such as `amd64/ga-24.04`.
    pub architecture: String,
    /// For people, such as `24.04 LTS`.
    #[serde(default)]
    pub title: Option<String>,
    /// Kernels it serves, separated by commas.
    #[serde(default)]
    pub subarches: Option<String>,
}

/// Something that happened to a machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// Rises with time.
    pub id: u64,
    /// The machine.
    #[serde(default)]
    pub node: Option<SystemId>,
    /// Its host name, without domain.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Who did it; `unknown` where MAAS itself did.
    #[serde(default)]
    pub username: Option<String>,
    /// `DEBUG`, `INFO`, `WARNING`, `ERROR` or `AUDIT`.
    pub level: String,
    /// When.
    #[serde(default, deserialize_with = "date::optional")]
    pub created: Option<Timestamp>,
    /// What, in MAAS's words, such as `Deployed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The rest of it.
    #[serde(default)]
    pub description: String,
}

/// Some events, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EventPage {
    /// How many.
    pub count: u64,
    /// The events.
    pub events: Vec<Event>,
}
