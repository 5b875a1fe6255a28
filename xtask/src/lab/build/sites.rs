//! Which sites of the lab are up on this computer. A site's daemon holds a lock in the lab's folder as long as it lives
//! (`lab/src/netns/lock.rs`).

use anyhow::{Context, Result, bail};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// Where the lab's daemons have their locks.
pub(super) const RUN_FOLDER: &str = "/run/ferrogate-lab";

/// # Errors
/// When a site is up, whose machines start from the artifacts.
pub(super) fn none_up(run_folder: &Path) -> Result<()> {
    if let Some(site) = up(run_folder)?.first() {
        bail!(
            "the artifacts are built, and none was removed: the lab's site `{site}` is up, and machines start from them; \
             end it with `cargo xtask lab down --site {site}`, then prune again"
        );
    }
    Ok(())
}

/// The names of the sites that are up; where there never was one, there is no folder.
///
/// # Errors
/// When the locks cannot be looked at.
fn up(run_folder: &Path) -> Result<Vec<String>> {
    let failed = || format!("looking for sites of the lab that are up, in {}", run_folder.display());
    let entries = match std::fs::read_dir(run_folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(failed),
    };
    let mut up = Vec::new();
    for entry in entries {
        let path = entry.with_context(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            // Its site ended meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(failed),
        };
        // Shared, so that a look beside ours is not taken for a site.
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                up.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
    }
    Ok(up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_pruned_while_a_lab_is_up() {
        let folder = std::env::temp_dir().join(format!("ferrogate-sites-{}", std::process::id()));
        none_up(&folder).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        let held = File::create(folder.join("lab.lock")).unwrap();
        held.try_lock().unwrap();
        let error = none_up(&folder).unwrap_err().to_string();
        assert!(error.contains("the lab's site `lab` is up"), "{error}");
        drop(held);
        none_up(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
