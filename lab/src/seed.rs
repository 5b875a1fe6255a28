//! What a simulated MAAS begins with, as a JSON document.
//!
//! Unknown fields are refused, so that a misspelt one cannot pass unseen. The list of types below is the document's
//! format; `seeds/recorded.json` in this crate is the site of the recordings.

mod demo;
mod real;
mod types;

pub use real::SMALL_POOL;
pub use types::{
    Access, Disk, Domain, Fabric, Image, Interface, Link, LinkMode, Machine, Pool, PowerType, Range, RangeKind, Seed,
    SeedError, Status, Subnet, Tag, User, Vlan, Zone,
};
