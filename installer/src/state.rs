//! What an installation keeps while it is under way: its folder, a lock, and a sealed file with what the plane answered and
//! what the engine remembers. With it an installation goes on after any interruption and takes no machine twice.

use crate::{InstallError, config, files, questions::Question, seal::Sealer};
use ferrogate_api::{PairResponse, Secret};
use ferrogate_engine::Memory;
use ferrogate_model::{Name, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// What every folder of an installation begins with (specification 3.6).
pub const FOLDER_PREFIX: &str = "install-user-defined-MaaS-Gateway_";
/// Name of the sealed progress file.
pub const PROGRESS_FILE: &str = "progress.sealed";
/// Name of the log.
pub const LOG_FILE: &str = "install.log";
const LOCK_FILE: &str = "install.lock";
const PROGRESS_FIELD: &str = "progress";
const FORMAT: u32 = 1;

/// How far an installation is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    format: u32,
    /// The gateway's name; pcg.yaml must not be given another one afterwards.
    pub name: Name,
    /// Sent with the pairing code, so that an answer that was lost on the way can be asked for again.
    pub request_key: Secret,
    /// Whether the code may have been sent: from then on the plane may know of this installation.
    pub pairing_begun: bool,
    /// What the plane answered; without the cluster's keys once the installation is finished.
    pub paired: Option<PairResponse>,
    /// Where machines are taken: MAAS's endpoint at the time of the first machine. Another one would leave them behind.
    pub maas_endpoint: Option<String>,
    /// What the engine remembers.
    #[serde(default)]
    pub memory: Memory,
    /// When the gateway was seen running and healthy.
    pub finished: Option<Timestamp>,
    /// When everything was given back.
    pub cleaned: Option<Timestamp>,
}

impl Progress {
    /// The plane has taken the gateway over. It has the cluster's keys and nobody else needs them, so they are dropped. The
    /// install token stays: how the gateway is, is asked with it, and it is good for nothing else while every node is there.
    pub fn finish(&mut self, now: Timestamp) {
        self.finished = Some(now);
        if let Some(paired) = &mut self.paired {
            paired.materials = Secret::from(String::new());
        }
    }

    /// What the plane answered, where the cluster's keys are still with it.
    #[must_use]
    pub fn paired_with_keys(&self) -> Option<&PairResponse> {
        self.paired.as_ref().filter(|paired| !paired.materials.expose().is_empty())
    }

    fn new(name: Name) -> Self {
        use rand::RngCore;
        let mut key = [0_u8; 32];
        rand::rng().fill_bytes(&mut key);
        Self {
            format: FORMAT,
            name,
            request_key: Secret::from(ferrogate_files::hex(key)),
            pairing_begun: false,
            paired: None,
            maas_endpoint: None,
            memory: Memory::default(),
            finished: None,
            cleaned: None,
        }
    }
}

/// The folder of one installation.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder of a new installation.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn create(state_dir: &Path, name: &str, now: Timestamp) -> Result<Self, InstallError> {
        let stamp = now.strftime("%Y%m%d%H%M%S");
        let path = std::path::absolute(state_dir.join(format!("{FOLDER_PREFIX}{name}-{stamp}")))
            .map_err(|source| InstallError::file("find", state_dir, source))?;
        files::make_private_folder(&path)?;
        Ok(Self { path })
    }

    /// The folder a configuration file stands in.
    #[must_use]
    pub fn of(config: &Path) -> Self {
        let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { path: folder.to_owned() }
    }

    /// The newest folder of an installation, of this name where one is given, that is not finished.
    #[must_use]
    pub fn newest(state_dir: &Path, name: Option<&str>) -> Option<Self> {
        let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(state_dir)
            .ok()?
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let folder = entry.file_name().into_string().ok()?;
                let (of, stamp) = folder.strip_prefix(FOLDER_PREFIX)?.rsplit_once('-')?;
                let wanted = name.is_none_or(|name| name == of) && entry.path().join(config::FILE_NAME).is_file();
                wanted.then(|| (stamp.to_owned(), entry.path()))
            })
            .collect();
        found.sort();
        found.pop().map(|(_, path)| Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the configuration file stands, or will.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join(config::FILE_NAME)
    }

    /// Where the log is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join(LOG_FILE)
    }

    /// Takes the installation for this process alone; dropping the lock gives it back.
    ///
    /// # Errors
    /// Another process has it.
    pub fn lock(&self) -> Result<Lock, InstallError> {
        let path = self.path.join(LOCK_FILE);
        let failed = |source| InstallError::file("lock", &path, source);
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(InstallError::Busy { path: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Whether something was begun here that is neither finished nor cleaned up. A progress file that cannot be opened
    /// counts as begun: its machines may still be there.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        if !self.path.join(PROGRESS_FILE).exists() {
            return false;
        }
        let name = config::document::Document::load(&self.config()).ok().map(|document| document.name().to_owned());
        let progress =
            name.and_then(|name| Sealer::load(&self.path).ok().and_then(|sealer| self.read(&sealer, &name).ok()));
        progress.flatten().is_none_or(|progress| progress.finished.is_none() && progress.cleaned.is_none())
    }

    /// Reads how far things are; `None` where nothing was begun.
    ///
    /// # Errors
    /// The file cannot be read, does not open, or belongs to another gateway.
    pub fn read(&self, sealer: &Sealer, name: &str) -> Result<Option<Progress>, InstallError> {
        let path = self.path.join(PROGRESS_FILE);
        let sealed = match std::fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(InstallError::file("read", &path, source)),
        };
        let unusable = |message: &str| {
            InstallError::Config(crate::error::ConfigError {
                path: path.clone(),
                at: None,
                message: message.to_owned(),
                hint: Some(format!(
                    "put back {} and the `{}` of pcg.yaml as they were when the installation was begun",
                    crate::seal::KEY_FILE,
                    Question::Name.field()
                )),
            })
        };
        let plain = sealer
            .open_bytes(name, PROGRESS_FIELD, &sealed)
            .map_err(|_| unusable(&format!("the notes on this installation do not open for gateway `{name}`")))?;
        let progress: Progress = serde_json::from_slice(&plain)
            .map_err(|error| unusable(&format!("the notes are not understood: {error}")))?;
        if progress.format != FORMAT {
            return Err(unusable(&format!("the notes were written by another version ({})", progress.format)));
        }
        Ok(Some(progress))
    }

    /// Reads how far things are, or begins.
    ///
    /// # Errors
    /// As [`Folder::read`], or the first notes cannot be written.
    pub fn progress(&self, sealer: &Sealer, name: &Name) -> Result<Progress, InstallError> {
        if let Some(progress) = self.read(sealer, name.as_str())? {
            return Ok(progress);
        }
        let progress = Progress::new(name.clone());
        self.keep(sealer, &progress)?;
        Ok(progress)
    }

    /// Keeps how far things are.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, sealer: &Sealer, progress: &Progress) -> Result<(), InstallError> {
        let plain =
            zeroize::Zeroizing::new(serde_json::to_vec(progress).expect("notes have text keys and finite numbers"));
        let sealed = sealer.seal_bytes(progress.name.as_str(), PROGRESS_FIELD, &plain);
        files::write_private(&self.path.join(PROGRESS_FILE), &sealed)
    }
}

/// Holds an installation for this process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(state_dir: &Path, second: i64) -> Folder {
        Folder::create(state_dir, "maas-pcg-1", Timestamp::from_second(1_763_884_800 + second).unwrap()).unwrap()
    }

    #[test]
    fn the_folder_is_named_as_the_specification_says() {
        let state_dir = tempfile::tempdir().unwrap();
        let folder = folder(state_dir.path(), 0);
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(name, "install-user-defined-MaaS-Gateway_maas-pcg-1-20251123080000");
    }

    #[test]
    fn two_installers_never_work_on_the_same_installation() {
        let state_dir = tempfile::tempdir().unwrap();
        let folder = folder(state_dir.path(), 0);
        let lock = folder.lock().unwrap();
        assert!(matches!(folder.lock(), Err(InstallError::Busy { .. })));
        drop(lock);
        folder.lock().unwrap();
    }

    #[test]
    fn progress_survives_and_opens_only_for_its_gateway() {
        let state_dir = tempfile::tempdir().unwrap();
        let folder = folder(state_dir.path(), 0);
        let sealer = Sealer::generate();
        let name: Name = "maas-pcg-1".parse().unwrap();
        let mut progress = folder.progress(&sealer, &name).unwrap();
        progress.pairing_begun = true;
        folder.keep(&sealer, &progress).unwrap();
        let again = folder.progress(&sealer, &name).unwrap();
        assert!(again.pairing_begun);
        assert_eq!(again.request_key.expose(), progress.request_key.expose());
        assert!(folder.read(&sealer, "other").is_err());
        assert!(folder.read(&Sealer::generate(), "maas-pcg-1").is_err());
    }

    #[test]
    fn the_newest_folder_of_a_name_is_found() {
        let state_dir = tempfile::tempdir().unwrap();
        let folders = [folder(state_dir.path(), 0), folder(state_dir.path(), 60)];
        assert!(Folder::newest(state_dir.path(), None).is_none(), "folders without a configuration do not count");
        for folder in &folders {
            files::write_private(&folder.config(), b"name: maas-pcg-1\n").unwrap();
        }
        assert_eq!(Folder::newest(state_dir.path(), Some("maas-pcg-1")).unwrap().path(), folders[1].path());
        assert!(Folder::newest(state_dir.path(), Some("other")).is_none());
    }
}
