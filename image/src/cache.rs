//! The folder of finished artifacts. An artifact is built in a folder of its own and renamed when it is whole, so what
//! is in the cache is always complete; a lock lets one build work at a time.

use crate::error::{BuildError, Context, Result};
use crate::key::DIGITS;
use crate::workshop::{Step, Workshop, spoken};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a second build waits for the first: as long as a cold build may take on a busy computer.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);
/// How often a waiting build looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// What unfinished artifacts are called.
const UNFINISHED: &str = ".building-";

/// The cache, held by this build alone.
pub struct Cache {
    folder: PathBuf,
    /// Names of the artifacts that this build asked for.
    used: RefCell<BTreeSet<String>>,
    step: Cell<usize>,
    steps: usize,
    _lock: File,
}

impl Cache {
    /// Waits for another build to end, and removes what an interrupted one left. `steps` is the number of artifacts.
    ///
    /// # Errors
    /// When the folder cannot be written, or another build does not end.
    pub fn open(folder: &Path, steps: usize) -> Result<Self> {
        let folder = folder.to_owned();
        std::fs::create_dir_all(folder.join("logs")).with_context(|| format!("creating {}", folder.display()))?;
        let lock = lock(&folder.join("lock"))?;
        for name in names(&folder)? {
            if name.starts_with(UNFINISHED) {
                remove(&folder.join(name))?;
            }
        }
        Ok(Self { folder, used: RefCell::default(), step: Cell::new(0), steps, _lock: lock })
    }

    /// The cache's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of an artifact, built by `build` if these inputs were not built before.
    ///
    /// # Errors
    /// What `build` says.
    #[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
    pub fn artifact<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        step: &Step,
        key: &str,
        build: impl FnOnce(&Workshop) -> Result<(), E>,
    ) -> Result<PathBuf> {
        self.step.set(self.step.get() + 1);
        let place = format!("[{}/{}] {}", self.step.get(), self.steps, step.name);
        let name = format!("{}-{key}", step.name);
        let finished = self.folder.join(&name);
        self.used.borrow_mut().insert(name.clone());
        if finished.exists() {
            eprintln!("{place}: there already");
            return Ok(finished);
        }
        let log = self.folder.join("logs").join(format!("{}.log", step.name));
        eprintln!("{place}: building, about {} on two idle processors; log {}", spoken(step.expected), log.display());
        let workshop = Workshop::open(&self.folder.join(format!("{UNFINISHED}{name}")), step, place.clone(), log)?;
        build(&workshop).with_context(|| format!("building {}", step.name))?;
        let took = workshop.elapsed();
        std::fs::rename(workshop.out(), &finished)
            .with_context(|| format!("putting {} into the cache", finished.display()))?;
        workshop.close()?;
        eprintln!("{place}: built in {}", spoken(took));
        Ok(finished)
    }

    /// The folder of an artifact where it is there; it counts as used.
    pub fn find(&self, step: &Step, key: &str) -> Option<PathBuf> {
        let name = format!("{}-{key}", step.name);
        let finished = self.folder.join(&name);
        finished.exists().then(|| {
            self.used.borrow_mut().insert(name);
            finished
        })
    }

    /// Removes the artifacts that this build did not ask for. Nobody may be using them any more.
    ///
    /// # Errors
    /// When one cannot be removed.
    #[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
    pub fn prune(&self) -> Result<()> {
        for name in names(&self.folder)? {
            if is_artifact(&name) && !self.used.borrow().contains(&name) {
                remove(&self.folder.join(&name))?;
                eprintln!("removed {name}");
            }
        }
        Ok(())
    }
}

/// Whether a name in the cache's folder is that of an artifact: `kernel-0123456789abcdef`.
fn is_artifact(name: &str) -> bool {
    name.rsplit_once('-')
        .is_some_and(|(_, key)| key.len() == DIGITS && key.bytes().all(|digit| digit.is_ascii_hexdigit()))
        && !name.starts_with('.')
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}

/// Removes a folder of ours. A tool that was killed may have left the computer's own /dev or /sys mounted in it: what is
/// mounted is never gone into.
fn remove(folder: &Path) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("reading what is mounted")?;
    if let Some(mount) = mounted_below(&mounts, folder) {
        let what = format!("{} is still mounted, so {} is not removed", mount.display(), folder.display());
        return Err(BuildError::new(what)
            .with_hint(format!("when the tool that mounted it has ended: umount {}", mount.display())));
    }
    std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}

/// The first mount in or below a folder.
fn mounted_below(mounts: &str, folder: &Path) -> Option<PathBuf> {
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        // The kernel writes a blank as its octal number.
        .map(|place| PathBuf::from(place.replace("\\040", " ")))
        .find(|place| place.starts_with(folder))
}

#[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
fn lock(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))?;
    // Nobody ever sends: receiving with a deadline is a pause.
    let (_sender, pause) = mpsc::channel::<()>();
    let started = Instant::now();
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if started.elapsed() < PATIENCE => {
                if !said {
                    eprintln!("another build holds {}: waiting for it to end", path.display());
                    said = true;
                }
                let _ = pause.recv_timeout(LOOK_AGAIN);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(BuildError::new(format!("another build held {} for {}", path.display(), spoken(PATIENCE)))
                    .with_hint("end it, then start again"));
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_below_a_folder_is_found() {
        let mounts = "sysfs /sys sysfs ro 0 0\nsysfs /cache/my\\040kernel-1/tree/sys sysfs ro 0 0\n";
        let found = mounted_below(mounts, Path::new("/cache/my kernel-1"));
        assert_eq!(found.as_deref(), Some(Path::new("/cache/my kernel-1/tree/sys")));
        assert_eq!(mounted_below(mounts, Path::new("/cache/my kernel")), None);
    }

    #[test]
    fn only_what_a_build_made_is_pruned() {
        assert!(is_artifact("kernel-0123456789abcdef"));
        assert!(is_artifact("go-kubernetes-0123456789abcdef"));
        assert!(!is_artifact("logs"));
        assert!(!is_artifact("my-notes"));
        assert!(!is_artifact(".building-kernel-0123456789abcdef"));
    }

    const STEPS: [Step; 2] = [
        Step { name: "kernel", expected: Duration::from_secs(1) },
        Step { name: "root-image", expected: Duration::from_secs(1) },
    ];

    /// Builds what sources of these keys are made of.
    fn build(folder: &Path, keys: [&str; 2]) -> Cache {
        let cache = Cache::open(folder, STEPS.len()).unwrap();
        for (step, key) in STEPS.iter().zip(keys) {
            let write = |shop: &Workshop| std::fs::write(shop.out().join("content"), key);
            let made = cache.artifact(step, key, write).unwrap();
            assert_eq!(std::fs::read_to_string(made.join("content")).unwrap(), key);
        }
        cache
    }

    fn content(folder: &Path) -> BTreeSet<String> {
        names(folder).unwrap().into_iter().collect()
    }

    #[test]
    fn exactly_what_the_sources_no_longer_use_is_pruned() {
        let root = std::env::temp_dir().join(format!("ferrogate-prune-{}", std::process::id()));
        let folder = root.join("cache");
        std::fs::create_dir_all(folder.join("my-notes")).unwrap();
        std::fs::write(folder.join("artifacts.json"), "{}").unwrap();
        drop(build(&folder, ["00000000000000aa", "00000000000000bb"]));
        // A build that was killed.
        std::fs::create_dir_all(folder.join(format!("{UNFINISHED}kernel-00000000000000cc/out"))).unwrap();
        let cache = build(&folder, ["00000000000000dd", "00000000000000bb"]);
        let mut there: BTreeSet<String> = [
            "artifacts.json",
            "kernel-00000000000000aa",
            "kernel-00000000000000dd",
            "lock",
            "logs",
            "my-notes",
            "root-image-00000000000000bb",
        ]
        .map(str::to_owned)
        .into();
        assert_eq!(content(&folder), there);

        cache.prune().unwrap();
        there.remove("kernel-00000000000000aa");
        assert_eq!(content(&folder), there);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
