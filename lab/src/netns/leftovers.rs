//! Taking away what a site left on this computer.

use super::{each, etc};
use crate::{
    control::Namespaces,
    folder::Folder,
    host::{HostError, Run, Tool, kill},
};
use std::{io, time::Duration};

/// How long killed processes may take to be gone; one that writes to a slow disk takes a while.
const GONE_DEADLINE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

async fn existing() -> Result<Vec<String>, HostError> {
    let list = Run::new(Tool::Ip, ["netns", "list"]).output().await?;
    // Some lines carry an id behind the name.
    Ok(list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// The processes in a namespace.
///
/// # Errors
/// It could not be asked.
pub async fn pids(namespace: &str) -> Result<Vec<u32>, HostError> {
    let list = Run::new(Tool::Ip, ["netns", "pids", namespace]).output().await?;
    Ok(list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// Ends every process in the site's namespaces and removes namespaces and files. The namespaces bear the site's name and
/// hold nothing but what the lab, or somebody by way of it, started there. Only whoever holds the site's lock may do it.
///
/// # Errors
/// Something could not be removed. Trying again goes on where this ended.
pub async fn sweep(names: &Namespaces, folder: &Folder) -> Result<(), HostError> {
    let known = existing().await?;
    for name in each(names).into_iter().filter(|name| known.iter().any(|known| known == name)) {
        end_processes(name).await?;
        // Links in it go with it, and their other ends too.
        Run::new(Tool::Ip, ["netns", "delete", name]).done().await?;
    }
    etc::remove(names)?;
    for path in [folder.disks(), folder.root()] {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(HostError::file("remove", path)(error))?,
            _ => {}
        }
    }
    Ok(())
}

async fn end_processes(namespace: &str) -> Result<(), HostError> {
    let own = std::process::id();
    let gone = async {
        loop {
            let mut left = pids(namespace).await?;
            left.retain(|pid| *pid != own);
            if left.is_empty() {
                return Ok(());
            }
            for pid in left {
                kill(pid, rustix::process::Signal::KILL);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(GONE_DEADLINE, gone).await.unwrap_or_else(|_| {
        Err(HostError::Leftover {
            what: format!("processes in the namespace {namespace}"),
            why: format!("they were killed and are still there after {} s", GONE_DEADLINE.as_secs()),
        })
    })
}
