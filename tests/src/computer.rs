//! What runs of the lab leave on this computer: namespaces, processes, folders. Looked at before a run and after it.

use ferrogate_lab::folder::{DISK_FOLDER, RUN_FOLDER};
use std::{fs, path::Path};

/// Where `ip netns` keeps the names.
const NAMESPACES: &str = "/run/netns";
/// Where the names are that its programs look up.
const NAMES: &str = "/etc/netns";

/// What belongs to these sites and is there now, in words.
pub(crate) fn left_of(sites: &[String]) -> Vec<String> {
    let own = std::process::id();
    let mut left = Vec::new();
    for site in sites {
        for name in names_in(Path::new(NAMESPACES)) {
            if is_namespace_of(&name, site) {
                left.push(format!("network namespace {name} (`ip netns delete {name}` removes it)"));
            }
        }
        for above in [RUN_FOLDER, DISK_FOLDER] {
            let folder = Path::new(above).join(site);
            if folder.exists() {
                left.push(format!("folder {}", folder.display()));
            }
        }
        for name in names_in(Path::new(NAMES)).iter().filter(|name| is_namespace_of(name, site)) {
            left.push(format!("folder {NAMES}/{name}"));
        }
        for (pid, line) in processes() {
            if pid != own && names_site(&line, site) {
                left.push(format!("process {pid}: {}", line.chars().take(120).collect::<String>()));
            }
        }
    }
    left
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn is_namespace_of(name: &str, site: &str) -> bool {
    ["site", "edge", "plane"].iter().any(|part| *name == format!("fg-{site}-{part}"))
}

/// Every process with its command line.
fn processes() -> Vec<(u32, String)> {
    let pids = names_in(Path::new("/proc")).into_iter().filter_map(|name| name.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|bytes| !bytes.is_empty())?;
        Some((pid, String::from_utf8_lossy(&bytes).replace('\0', " ")))
    })
    .collect()
}

/// Whether a command line names a file or namespace of the site.
fn names_site(line: &str, site: &str) -> bool {
    let in_folder = |above: &str| {
        let folder = format!("{above}/{site}");
        line.match_indices(&folder).any(|(at, _)| {
            let rest = &line[at + folder.len()..];
            !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        })
    };
    in_folder(RUN_FOLDER) || in_folder(DISK_FOLDER) || line.split_whitespace().any(|word| is_namespace_of(word, site))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_site_is_told_from_its_neighbours() {
        assert!(is_namespace_of("fg-test-nat-edge", "test-nat"));
        assert!(!is_namespace_of("fg-test-nat-edge", "test"));
        assert!(names_site("/usr/sbin/dnsmasq --conf-file=/run/ferrogate-lab/test/edge/dnsmasq.conf", "test"));
        let machine = "linux.uml mem=1792M umid=m1 uml_dir=/var/lib/ferrogate-lab/test-nat/run/";
        assert!(names_site(machine, "test-nat"));
        assert!(!names_site(machine, "test"));
        assert!(names_site("ip netns exec fg-test-plane ferrogate plane", "test"));
    }

    #[test]
    fn a_site_that_never_was_leaves_nothing() {
        assert_eq!(left_of(&["never-was-there".to_owned()]), Vec::<String>::new());
    }
}
