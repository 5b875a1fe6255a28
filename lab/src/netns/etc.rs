//! `/etc/netns/<name>/`: what programs in a namespace see as `/etc/resolv.conf` and `/etc/hosts`.

use super::{EDGE, MAAS, PLANE, PLANE_NAME, each};
use crate::{control::Namespaces, host::HostError};
use std::{fs, io, path::Path, path::PathBuf};

const PARENT: &str = "/etc/netns";

fn folder(name: &str) -> PathBuf {
    Path::new(PARENT).join(name)
}

/// Writes the files of all three.
pub(super) fn write(names: &Namespaces) -> Result<(), HostError> {
    let local = "127.0.0.1 localhost\n::1 localhost\n";
    let plane = format!("{PLANE} {PLANE_NAME}\n");
    // The installer's host uses the site's own DNS, as any host of a site does that is not MAAS's.
    let asks_edge = format!("nameserver {EDGE}\noptions timeout:2 attempts:2\n");
    // Outside there is no DNS at all: every name that is to be known stands in the hosts file.
    let asks_nobody = "# no DNS here\noptions timeout:1 attempts:1\n";
    let site_hosts = format!("{local}{MAAS} maas-region\n");
    // The plane's name is known outside. In the site only its DNS may say it, and in the `proxy` variant nobody does.
    for (name, hosts, resolv) in [
        (&names.site, site_hosts, asks_edge.as_str()),
        (&names.edge, format!("{local}{plane}"), asks_nobody),
        (&names.plane, format!("{local}{plane}"), asks_nobody),
    ] {
        let folder = folder(name);
        fs::create_dir_all(&folder).map_err(HostError::file("make", &folder))?;
        for (file, text) in [("hosts", hosts.as_str()), ("resolv.conf", resolv)] {
            let path = folder.join(file);
            fs::write(&path, text).map_err(HostError::file("write", &path))?;
        }
    }
    Ok(())
}

/// Removes them, and their parent where nothing else is in it.
pub(super) fn remove(names: &Namespaces) -> Result<(), HostError> {
    for name in each(names) {
        let folder = folder(name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(HostError::file("remove", folder)(error));
            }
            _ => {}
        }
    }
    // Other programs' namespaces may have files there; then it stays.
    let _ = fs::remove_dir(PARENT);
    Ok(())
}
