//! The unit that fetches and checks what a node needs, and then starts Kubernetes.

use crate::units::Unit;
use ferrogate_join::{
    SetupError,
    cloud_config::{CloudConfig, Mode},
};
use ferrogate_model::release::Artifact;
use url::Url;

/// Name of the unit.
pub(crate) const NODE_UNIT: &str = "ferrogate-node.service";
/// The CA behind the downloads.
pub(crate) const PLANE_CA: &str = "/etc/ferrogate/plane-ca.pem";
/// The proxies, for every unit of ours.
pub(crate) const PROXY_ENV: &str = "/etc/ferrogate/proxy.env";
/// Where downloads stand until they are checked.
const CACHE: &str = "/var/cache/ferrogate";
/// Exists once everything is installed, so that a reboot needs no download.
const DONE: &str = "/var/lib/ferrogate-node/installed";

/// A file to fetch.
pub(crate) struct Fetch<'a> {
    /// What to fetch.
    pub(crate) artifact: &'a Artifact,
    /// Its name in the cache.
    pub(crate) name: String,
    /// What becomes of it after the check.
    pub(crate) place: Place,
}

/// What becomes of a file that was fetched.
pub(crate) enum Place {
    /// It is installed.
    Install {
        /// Where.
        target: String,
        /// Its mode there.
        mode: &'static str,
    },
    /// A packed archive that is unpacked at `/` and then removed; tar itself sees how it is packed.
    Unpack {
        /// What stays packed, as tar excludes it; names that the archive does not have do no harm.
        without: Vec<String>,
    },
}

/// What is done after everything was installed, line by line. A first argument that begins with `-` may fail.
#[derive(Default)]
pub(crate) struct Steps {
    /// Done again after a power cut, until all of it has succeeded once.
    pub(crate) prepare: &'static [&'static [&'static str]],
    /// Done once; what it starts must start by itself at the next boot.
    pub(crate) start: &'static [&'static [&'static str]],
}

/// Adds the unit and the checksums it needs. Everything is downloaded and checked before anything is installed.
pub(crate) fn add_node_unit(
    config: &mut CloudConfig,
    base: &Url,
    own_ca: bool,
    fetches: &[Fetch<'_>],
    steps: &Steps,
) -> Result<(), SetupError> {
    let mut unit = Unit::default()
        .section("Unit")
        .set("Description", "Fetch, check and start Kubernetes for Ferrogate")
        .set("Wants", "network-online.target")
        .set("After", "network-online.target")
        .set("ConditionPathExists", &format!("!{DONE}"))
        .section("Service")
        .set("Type", "oneshot")
        .set("RemainAfterExit", "yes")
        .set("EnvironmentFile", PROXY_ENV)
        // Downloads retry by themselves; this is for the rest, such as a plane that hands out another file for a while.
        .set("Restart", "on-failure")
        .set("RestartSec", "15")
        .set("TimeoutStartSec", "infinity");
    let mut checks = Vec::new();
    for fetch in fetches {
        let cached = format!("{CACHE}/{}", fetch.name);
        let sums = format!("/etc/ferrogate/{}.sha256", fetch.name);
        config.file(&sums, Mode::Public, format!("{}  {cached}\n", fetch.artifact.sha256));
        let mut curl: Vec<String> = CURL.iter().map(|&argument| argument.to_owned()).collect();
        if own_ca {
            curl.extend(["--cacert".into(), PLANE_CA.into()]);
        }
        curl.extend(["--output".into(), cached, address(base, &fetch.artifact.path)?]);
        unit = unit.exec(curl);
        checks.push(sums);
    }
    for sums in checks {
        unit = unit.exec(["/usr/bin/sha256sum", "--check", "--strict", &sums]);
    }
    for fetch in fetches {
        let cached = format!("{CACHE}/{}", fetch.name);
        unit = match &fetch.place {
            Place::Install { target, mode } => unit.exec(["/usr/bin/install", "-D", "-m", mode, &cached, target]),
            // The names of owners on the machine where it was packed mean nothing here.
            Place::Unpack { without } => {
                let mut tar: Vec<String> = TAR.iter().map(|&argument| argument.to_owned()).collect();
                tar.extend(without.iter().map(|name| format!("--exclude={name}")));
                tar.extend(["--file".into(), cached.clone()]);
                unit.exec(tar).exec(["/usr/bin/rm", "--force", &cached])
            }
        };
    }
    for line in steps.prepare {
        unit = unit.exec(*line);
    }
    // A power cut must not leave half a program behind a mark that says it is whole.
    unit = unit.exec(SYNC).exec(marker(DONE)).exec(SYNC);
    for line in steps.start {
        unit = unit.exec(*line);
    }
    let unit = unit.section("Install").set("WantedBy", "multi-user.target");
    config.file(&format!("/etc/systemd/system/{NODE_UNIT}"), Mode::Public, unit.text());
    Ok(())
}

/// Has everything that was written on the disk.
pub(crate) const SYNC: [&str; 1] = ["/usr/bin/sync"];

/// Makes the empty file that says that something was done.
pub(crate) const fn marker(path: &str) -> [&str; 6] {
    ["/usr/bin/install", "-D", "-m", "0644", "/dev/null", path]
}

const TAR: [&str; 6] = ["/usr/bin/tar", "--extract", "--no-same-owner", "--no-overwrite-dir", "--directory", "/"];

/// Half an hour for one file on a slow line; half a minute of retries, after which the unit starts over.
const CURL: [&str; 13] = [
    "/usr/bin/curl",
    "--fail",
    "--silent",
    "--show-error",
    "--location",
    "--create-dirs",
    "--connect-timeout",
    "20",
    "--max-time",
    "1800",
    "--retry-all-errors",
    "--retry",
    "5",
];

fn address(base: &Url, path: &str) -> Result<String, SetupError> {
    let bad = || SetupError::Address { base: base.to_string(), path: path.to_owned() };
    let mut folder = base.clone();
    if !folder.path().ends_with('/') {
        folder.set_path(&format!("{}/", base.path()));
    }
    let full = folder.join(path.trim_start_matches('/')).map_err(|_| bad())?;
    // A path that climbs out of the folder, or names another host, is not below it.
    if full.as_str().starts_with(folder.as_str()) { Ok(full.into()) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_folder() {
        let base: Url = "https://plane.example.com/artifacts".parse().unwrap();
        assert_eq!(
            address(&base, "kubeadm/v1.36.4+1/amd64/bundle").unwrap(),
            "https://plane.example.com/artifacts/kubeadm/v1.36.4+1/amd64/bundle"
        );
        for path in ["../secrets", "https://evil.example/x", "//evil.example/x"] {
            let refused = address(&base, path);
            assert!(refused.is_err() || refused.unwrap().starts_with(base.as_str()), "{path}");
        }
    }
}
