//! What must hold before the first machine is touched (specification, section 2): one check a row, each with the value
//! seen and what to do. Shared by the installer, `doctor` and the plane's own look at a new cluster.

mod machines;
mod network;
mod placement;
mod site;

pub use machines::{Chosen, How};
pub use placement::Placement;

use async_trait::async_trait;
use ferrogate_maas::Client;
use ferrogate_model::{ClusterId, Timestamp, cluster::ClusterSpec, release::Release};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Fewest processor cores of a gateway's machine.
pub const GATEWAY_MIN_CPU: u32 = 4;
/// Least memory of a gateway's machine, in MiB.
pub const GATEWAY_MIN_MEMORY_MIB: u64 = 8192;
/// Least disk of a gateway's machine, in GiB.
pub const GATEWAY_MIN_DISK_GIB: u64 = 60;
/// Below this a gateway's disk fills up in long use, in GiB.
pub const GATEWAY_GOOD_DISK_GIB: u64 = 100;

/// Looks names up as this host does.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of a name; an empty list where there is no such name.
    ///
    /// # Errors
    /// Why nobody could be asked, in words.
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, String>;
}

/// What the plane said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaneSeen {
    /// In words, such as `https://plane.example.com, version 0.1.0, through http://proxy:3128`.
    pub description: String,
    /// The plane's clock.
    pub time: Option<Timestamp>,
}

/// Why the plane could not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaneUnreachable {
    /// In words.
    pub cause: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Reaches the plane the way the gateway will: through the given proxy.
#[async_trait]
pub trait PlaneProbe: Send + Sync {
    /// Asks the plane for anything.
    ///
    /// # Errors
    /// [`PlaneUnreachable`].
    async fn reach(&self) -> Result<PlaneSeen, PlaneUnreachable>;
}

/// What is to be checked before a gateway is built.
#[derive(Clone, Copy)]
pub struct Gateway<'a> {
    /// The site's MAAS.
    pub maas: &'a Client,
    /// The gateway's cluster.
    pub spec: &'a ClusterSpec,
    /// What will be installed.
    pub release: &'a Release,
    /// The gateway's cluster, where machines may have been taken for it already.
    pub cluster: Option<ClusterId>,
    /// This host's resolver; `None` skips the check.
    pub resolver: Option<&'a dyn Resolver>,
    /// The way to the plane; `None` skips the check.
    pub plane: Option<&'a dyn PlaneProbe>,
    /// This host's time.
    pub now: Timestamp,
}

/// The checks of the specification's section 2 for a gateway, in its order. Nothing is changed by them.
pub async fn gateway(input: Gateway<'_>) -> Vec<Check> {
    let mut spec = input.spec.clone();
    raise_to_gateway(&mut spec);
    let placement = Placement { maas: input.maas, spec: &spec, release: input.release, cluster: input.cluster };
    let mut checks = vec![site::api_key(&placement).await];
    if checks[0].status == Status::Fail {
        for (id, title) in [
            ("machines", machines::TITLE),
            ("addresses", network::ADDRESSES),
            ("cidrs", network::RANGES),
            ("dns", network::NAMES),
            ("image", site::IMAGE),
        ] {
            checks.push(Check::skip(id, title, "MAAS could not be asked"));
        }
    } else {
        let (machines, chosen) = machines::check(&placement, true).await;
        checks.push(machines);
        checks.push(network::addresses(&placement, &chosen).await);
        checks.push(network::ranges(&placement, &chosen));
        checks.push(network::names(&placement, input.resolver).await);
        checks.push(site::image(&placement, &chosen).await);
    }
    checks.extend(site::plane(input.plane, input.now).await);
    checks
}

/// What the checks for a cluster found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Every check.
    pub checks: Vec<Check>,
    /// The machines that the cluster has and would take: the choice that the checks were made with.
    pub machines: Vec<Chosen>,
}

/// The checks for a cluster, as the plane makes them through a gateway. Nothing is changed by them. That the specification
/// agrees with itself ([`ClusterSpec::problems`]) is the caller's to know.
pub async fn cluster(placement: Placement<'_>) -> Found {
    let mut checks = vec![site::specification(&placement), site::api_key(&placement).await];
    if checks[1].status == Status::Fail {
        return Found { checks, machines: Vec::new() };
    }
    let places = site::placement(&placement).await;
    let placed = places.status != Status::Fail;
    checks.push(places);
    let chosen = if placed {
        let (machines, chosen) = machines::check(&placement, false).await;
        checks.push(machines);
        chosen
    } else {
        checks.push(Check::skip("machines", machines::TITLE, "the placement has to be corrected first"));
        Vec::new()
    };
    checks.push(network::addresses(&placement, &chosen).await);
    checks.push(network::ranges(&placement, &chosen));
    checks.push(site::image(&placement, &chosen).await);
    Found { checks, machines: chosen }
}

/// Sets the least that a gateway's machines must have, where the specification asks for less.
pub fn raise_to_gateway(spec: &mut ClusterSpec) {
    let pool = &mut spec.control_plane;
    pool.min_cpu = Some(pool.min_cpu.unwrap_or_default().max(GATEWAY_MIN_CPU));
    pool.min_memory_mib = Some(pool.min_memory_mib.unwrap_or_default().max(GATEWAY_MIN_MEMORY_MIB));
    pool.min_disk_gib = Some(pool.min_disk_gib.unwrap_or_default().max(GATEWAY_MIN_DISK_GIB));
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Holds.
    Pass,
    /// Holds, but a person should know something.
    Warn,
    /// Does not hold; nothing may be started.
    Fail,
    /// Could not be looked at, because something before it failed or nothing was given to look with.
    Skip,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A stable word, such as `machines`.
    pub id: String,
    /// What was checked, for people, such as `Machines for the gateway`.
    pub title: String,
    /// How it came out.
    pub status: Status,
    /// The value seen.
    pub seen: String,
    /// What to do, where something is to be done.
    pub fix: Option<String>,
}

impl Check {
    /// A check that holds.
    #[must_use]
    pub fn pass(id: &str, title: &str, seen: impl Into<String>) -> Self {
        Self { id: id.into(), title: title.into(), status: Status::Pass, seen: seen.into(), fix: None }
    }

    /// A check that holds, with something to know.
    #[must_use]
    pub fn warn(id: &str, title: &str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Warn, fix: Some(fix.into()), ..Self::pass(id, title, seen) }
    }

    /// A check that does not hold.
    #[must_use]
    pub fn fail(id: &str, title: &str, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Fail, fix: Some(fix.into()), ..Self::pass(id, title, seen) }
    }

    /// A check that could not be made.
    #[must_use]
    pub fn skip(id: &str, title: &str, seen: impl Into<String>) -> Self {
        Self { status: Status::Skip, ..Self::pass(id, title, seen) }
    }
}

/// Whether nothing failed.
#[must_use]
pub fn all_hold(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.status != Status::Fail)
}
