//! The key, the placement, the image, the plane.

use super::{
    Check, PlaneProbe, Status,
    machines::{Chosen, hint},
    placement::Placement,
};
use ferrogate_maas::{Allocate, MaasError, MaasFailure};
use ferrogate_model::{Timestamp, fault};
use std::collections::BTreeSet;

pub(super) const IMAGE: &str = "Operating system image";

/// MAAS refuses signed requests whose time is off by more than 300 s; certificates and tokens want less. Warn from here on.
const SKEW_WARN_SECONDS: i64 = 30;
/// Fail from here on.
const SKEW_FAIL_SECONDS: i64 = 240;

/// Whether the key is valid and may take machines.
pub(super) async fn api_key(placement: &Placement<'_>) -> Check {
    const ID: &str = "api_key";
    const TITLE: &str = "MAAS API key";
    let failed = |error: &MaasError| Check::fail(ID, TITLE, fault::chain(error), hint(error));
    let version = match placement.maas.version().await {
        Ok(version) => version.version,
        Err(error) => return failed(&error),
    };
    let user = match placement.maas.whoami().await {
        Ok(user) => user,
        Err(error) => return failed(&error),
    };
    // Taking a machine on trial takes none, but is refused to whoever may not.
    let trial = Allocate { dry_run: true, ..Allocate::default() };
    match placement.maas.allocate(&trial).await {
        Err(error) if matches!(*error.failure, MaasFailure::NotAllowed | MaasFailure::KeyRefused) => Check::fail(
            ID,
            TITLE,
            format!("`{}` may not allocate machines: {}", user.username, fault::chain(&error)),
            "use the key of a user who may allocate, deploy and release machines",
        ),
        // Whether there is a machine is another check's affair.
        _ => {
            let role = if user.is_superuser { "an administrator" } else { "a user" };
            let seen = format!("`{}`, {role} of MAAS {version}, may take machines", user.username);
            if placement.spec.control_plane.count > 1 && !user.is_superuser {
                return Check::warn(
                    ID,
                    TITLE,
                    seen,
                    "MAAS lets only administrators remove DNS names; with several control-plane nodes use an administrator's key",
                );
            }
            Check::pass(ID, TITLE, seen)
        }
    }
}

/// Whether the release has what the specification asks for.
pub(super) fn specification(placement: &Placement<'_>) -> Check {
    const ID: &str = "specification";
    const TITLE: &str = "Specification";
    let offered = &placement.release.kubernetes;
    match &placement.spec.kubernetes_version {
        Some(version) if version != offered => Check::fail(
            ID,
            TITLE,
            format!("kubernetes_version: `{version}` is not offered; the release has {offered}"),
            "correct the specification",
        ),
        _ => Check::pass(ID, TITLE, format!("{} machines, Kubernetes {offered}", placement.spec.machine_count())),
    }
}

/// Whether the zones, resource pools, tags and the domain exist.
pub(super) async fn placement(placement: &Placement<'_>) -> Check {
    match unknown_places(placement).await {
        Err(error) => Check::fail("placement", "Placement", fault::chain(&error), hint(&error)),
        Ok(unknown) if unknown.is_empty() => {
            Check::pass("placement", "Placement", "every zone, resource pool, tag and the domain exist in MAAS")
        }
        Ok(unknown) => {
            Check::fail("placement", "Placement", unknown.join("; "), "choose from what MAAS has, or add it there")
        }
    }
}

async fn unknown_places(placement: &Placement<'_>) -> Result<Vec<String>, MaasError> {
    let zones: Vec<String> = placement.maas.zones().await?.into_iter().map(|zone| zone.name).collect();
    let pools: Vec<String> = placement.maas.pools().await?.into_iter().map(|pool| pool.name).collect();
    let domains: Vec<String> = placement.maas.domains().await?.into_iter().map(|domain| domain.name).collect();
    let tags: Vec<String> = placement.maas.tags().await?.into_iter().map(|tag| tag.name).collect();
    let mut unknown = BTreeSet::new();
    let mut look = |kind: &str, name: &String, known: &[String]| {
        if !known.contains(name) {
            unknown.insert(format!("MAAS has no {kind} `{name}`; it has {}", known.join(", ")));
        }
    };
    look("domain", &placement.spec.domain, &domains);
    for pool in placement.spec.pools() {
        look("resource pool", &pool.resource_pool, &pools);
        pool.zones.iter().for_each(|zone| look("zone", zone, &zones));
        pool.tags.iter().for_each(|tag| look("tag", tag, &tags));
    }
    Ok(unknown.into_iter().collect())
}

/// Whether MAAS has the operating system for every architecture that would be installed.
pub(super) async fn image(placement: &Placement<'_>, chosen: &[Chosen]) -> Check {
    const ID: &str = "image";
    let wanted = placement.spec.image.as_ref().unwrap_or(&placement.release.os_image);
    let images = match placement.maas.boot_resources().await {
        Ok(images) => images,
        Err(error) => return Check::fail(ID, IMAGE, fault::chain(&error), hint(&error)),
    };
    let family = |architecture: &str| architecture.split('/').next().unwrap_or_default().to_owned();
    let mut needed: BTreeSet<String> = chosen.iter().map(|one| family(&one.record.architecture)).collect();
    if needed.is_empty() {
        needed = placement.release.architectures.iter().take(1).map(|architecture| architecture.name.clone()).collect();
    }
    let have: BTreeSet<String> =
        images.iter().filter(|image| image.name == *wanted).map(|image| family(&image.architecture)).collect();
    let missing: Vec<&String> = needed.difference(&have).collect();
    if missing.is_empty() {
        let list = needed.into_iter().collect::<Vec<_>>().join(", ");
        return Check::pass(ID, IMAGE, format!("`{wanted}` for {list}"));
    }
    let all: BTreeSet<String> =
        images.iter().map(|image| format!("{} ({})", image.name, family(&image.architecture))).collect();
    let missing = missing.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let seen = format!(
        "MAAS has no `{wanted}` for {missing}; it has {}",
        if all.is_empty() { "none".into() } else { all.into_iter().collect::<Vec<_>>().join(", ") }
    );
    Check::fail(ID, IMAGE, seen, format!("import `{wanted}` under Images in MAAS"))
}

/// Whether the plane is reachable the way the gateway will reach it, and whether the clocks agree.
pub(super) async fn plane(probe: Option<&dyn PlaneProbe>, now: Timestamp) -> Vec<Check> {
    const TITLE: &str = "Plane";
    const CLOCK: &str = "Clock";
    let Some(probe) = probe else {
        return vec![Check::skip("clock", CLOCK, "no plane to compare with"), Check::skip("plane", TITLE, "not asked")];
    };
    match probe.reach().await {
        Err(failed) => vec![
            Check::skip("clock", CLOCK, "the plane could not be asked"),
            Check::fail(
                "plane",
                TITLE,
                failed.cause,
                failed.hint.unwrap_or_else(|| "check the plane's address, the proxy and the firewall".into()),
            ),
        ],
        Ok(seen) => vec![clock(seen.time, now), Check::pass("plane", TITLE, seen.description)],
    }
}

fn clock(time: Option<Timestamp>, now: Timestamp) -> Check {
    const ID: &str = "clock";
    const TITLE: &str = "Clock";
    let Some(time) = time else { return Check::skip(ID, TITLE, "the plane does not say what time it is") };
    let skew = now.duration_since(time).as_secs();
    let direction = if skew < 0 { "behind" } else { "ahead of" };
    let seen = format!("this host is {} s {direction} the plane", skew.abs());
    let fix = "set this host's clock, for example with `timedatectl set-ntp true`";
    let mut check = Check::pass(ID, TITLE, seen);
    if skew.abs() >= SKEW_WARN_SECONDS {
        check.status = if skew.abs() >= SKEW_FAIL_SECONDS { Status::Fail } else { Status::Warn };
        check.fix = Some(fix.into());
    }
    check
}
