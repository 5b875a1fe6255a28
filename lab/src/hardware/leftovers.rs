//! What an earlier run left behind because it was killed together with everything that would have tidied up.

use super::{HardwareError, launcher::Launcher};
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, io, os::unix::ffi::OsStrExt as _, path::Path, time::Duration};
use tokio::time::Instant;

/// Taps of machines are named so, and nothing else in a site's network is.
pub(crate) const TAP_PREFIX: &str = "fgt-";
/// Files of a DHCP server's folder that are ours are named so.
pub(crate) const HOST_PREFIX: &str = "machine-";
/// How long killed processes may take to be gone.
const DEADLINE: Duration = Duration::from_secs(10);

/// Kills every process that has an argument beginning with `marker`, and waits until they are gone.
pub(crate) async fn end_processes(marker: &str) -> Result<(), HardwareError> {
    let started = Instant::now();
    loop {
        let found = with_argument(marker).map_err(HardwareError::file("read", "/proc"))?;
        if found.is_empty() {
            return Ok(());
        }
        for pid in &found {
            tracing::info!(pid = pid.as_raw_nonzero().get(), "a machine of an earlier run is ended");
            // One that has ended meanwhile is as good.
            let _ = kill_process(*pid, Signal::KILL);
        }
        if started.elapsed() > DEADLINE {
            let why = format!("processes {found:?} of an earlier run do not end");
            return Err(HardwareError::Program { program: "kill".into(), why });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn with_argument(marker: &str) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        // A process may end while it is looked at.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        if line.split(|byte| *byte == 0).any(|argument| argument.starts_with(marker.as_bytes())) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Removes the taps that machines had.
pub(crate) async fn remove_taps(launcher: &Launcher) -> Result<(), HardwareError> {
    let listed = launcher.run(&["ip", "-o", "link", "show"]).await?;
    for name in taps(&listed) {
        launcher.run(&["ip", "link", "del", name]).await?;
    }
    Ok(())
}

/// The names of our taps in what `ip -o link` prints: `5: name: <…` or `5: name@other: <…`.
fn taps(listed: &str) -> impl Iterator<Item = &str> {
    let names = listed.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next());
    names.filter(|name| name.starts_with(TAP_PREFIX))
}

/// Removes our files from a DHCP server's folder; a folder that is not there has none.
pub(crate) fn remove_hosts(folder: &Path) -> Result<(), HardwareError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_name().as_bytes().starts_with(HOST_PREFIX.as_bytes()) {
            fs::remove_file(entry.path()).map_err(HardwareError::file("remove", entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_taps_are_found() {
        let listed = "1: lo: <LOOPBACK> mtu 65536\n2: br0: <BROADCAST>\n7: fgt-abc123: <BROADCAST,UP> master br0\n\
                      8: fgt-x@if3: <BROADCAST>\n";
        assert_eq!(taps(listed).collect::<Vec<_>>(), ["fgt-abc123", "fgt-x"]);
    }

    #[tokio::test]
    async fn processes_are_found_by_their_argument_and_ended() {
        let marker = format!("marker-of-a-test-{}", std::process::id());
        let script = "import time; time.sleep(600)";
        let Ok(mut child) = std::process::Command::new("python3").args(["-c", script, &marker]).spawn() else {
            println!("SKIPPED: there is no python3 to start");
            return;
        };
        let pid = child.id();
        let reaped = tokio::task::spawn_blocking(move || child.wait());
        while with_argument(&marker).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        end_processes(&marker).await.unwrap();
        reaped.await.unwrap().unwrap();
        assert!(with_argument(&marker).unwrap().is_empty(), "{pid} lives");
    }
}
