//! What machines are built from: the files the releases name, from the mirror folder, from the plane's own files, or
//! fetched once from their publisher and checked before anybody gets a byte.

use crate::failure::{Failure, Outcome};
use ferrogate_api::client::Downloads;
use ferrogate_model::{
    Fault,
    fault::chain,
    release::{Artifact, Release},
};
use ferrogate_store::{Page, Store, StoreError, clusters};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime},
};
use tokio::{fs, io::AsyncWriteExt as _, sync::watch, time::timeout};
use tokio_util::task::TaskTracker;
use url::Url;

/// Longest download of one file.
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(900);
/// Longest wait for the first byte, and between two pieces.
pub(crate) const PIECE_DEADLINE: Duration = Duration::from_secs(60);
/// Largest file that is fetched.
const MAX_SIZE: u64 = 2 * 1024 * 1024 * 1024;

/// How a download ended; `None` while it runs.
type Ended = Option<Result<(), String>>;

/// The files of all releases in use.
#[derive(Debug)]
pub struct Artifacts {
    files: Mutex<BTreeMap<String, Artifact>>,
    folders: Vec<PathBuf>,
    cache: PathBuf,
    publishers: Downloads,
    downloads: Mutex<HashMap<String, watch::Receiver<Ended>>>,
    checked: Mutex<HashMap<PathBuf, Checked>>,
    tasks: TaskTracker,
}

/// A file of the mirror whose checksum was computed, and what it looked like then.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Checked {
    length: u64,
    modified: Option<SystemTime>,
    sha256: String,
}

/// A file that can be sent.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The file.
    pub(crate) file: fs::File,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its SHA-256.
    pub(crate) sha256: String,
}

impl Artifacts {
    /// Serves from `folders` first (the mirror, then the plane's own images), then from `cache` and the publishers.
    pub(crate) fn new(folders: Vec<PathBuf>, cache: PathBuf, publishers: Downloads, tasks: TaskTracker) -> Self {
        Self {
            files: Mutex::default(),
            folders,
            cache,
            publishers,
            downloads: Mutex::default(),
            checked: Mutex::default(),
            tasks,
        }
    }

    /// Lets the files of a release be served.
    pub(crate) fn add(&self, release: &Release) {
        let mut files = self.files.lock().expect("nothing panics while it holds this lock");
        for architecture in &release.architectures {
            for artifact in architecture.artifacts() {
                files.insert(artifact.path.clone(), artifact.clone());
            }
        }
    }

    /// Whether a file is here or can be fetched; what is in it is looked at when somebody asks for it.
    pub(crate) fn has(&self, artifact: &Artifact) -> bool {
        let mut here = self.folders.iter().flat_map(|folder| candidates(folder, &artifact.path));
        artifact.upstream.is_some() || here.any(|file| file.is_file()) || self.cache.join(&artifact.sha256).is_file()
    }

    /// Opens the file that releases call `path`.
    pub(crate) async fn open(self: &std::sync::Arc<Self>, path: &str) -> Outcome<Opened> {
        let artifact = self.files.lock().expect("nothing panics while it holds this lock").get(path).cloned();
        let Some(artifact) = artifact else {
            return Err(Failure::new(404, "artifact_not_found", format!("no release names a file `{path}`")));
        };
        for folder in &self.folders {
            for candidate in candidates(folder, path) {
                if let Some(opened) = self.in_folder(&candidate, &artifact).await? {
                    return Ok(opened);
                }
            }
        }
        let cached = self.cache.join(&artifact.sha256);
        if let Some(opened) = open_file(&cached, &artifact.sha256).await? {
            return Ok(opened);
        }
        let Some(upstream) = artifact.upstream.clone() else {
            return Err(Failure::new(404, "artifact_missing", format!("this plane does not have the file `{path}`"))
                .hint("put the file into the plane's mirror folder"));
        };
        self.download(&artifact, upstream).await?;
        open_file(&cached, &artifact.sha256)
            .await?
            .ok_or_else(|| Failure::internal(format!("{} vanished after its download", cached.display())))
    }

    /// A file of a folder, where it is there and what the release says it is.
    async fn in_folder(&self, path: &Path, artifact: &Artifact) -> Outcome<Option<Opened>> {
        let Ok(metadata) = fs::metadata(path).await else { return Ok(None) };
        if !metadata.is_file() {
            return Ok(None);
        }
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        let known = self.checked.lock().expect("nothing panics while it holds this lock").get(path).cloned();
        let sha256 = match known.filter(|known| known.length == length && known.modified == modified) {
            Some(known) => known.sha256,
            None => {
                let owned = path.to_owned();
                let sha256 = tokio::task::spawn_blocking(move || ferrogate_files::sha256_of(&owned))
                    .await
                    .map_err(|error| Failure::internal(error.to_string()))?
                    .map_err(|error| Failure::internal(chain(&error)))?;
                let checked = Checked { length, modified, sha256: sha256.clone() };
                self.checked.lock().expect("nothing panics while it holds this lock").insert(path.to_owned(), checked);
                sha256
            }
        };
        if sha256 != artifact.sha256 {
            tracing::error!(path = %path.display(), expected = artifact.sha256, seen = sha256, "a mirrored file is not the one the release names");
            return Err(Failure::new(
                502,
                "artifact_damaged",
                format!("the mirrored file `{}` does not have the checksum the release names", artifact.path),
            )
            .hint("replace the file in the plane's mirror folder"));
        }
        open_file(path, &sha256).await
    }

    /// Waits for the one download of this file, beginning it where nobody has.
    async fn download(self: &std::sync::Arc<Self>, artifact: &Artifact, upstream: Url) -> Outcome<()> {
        let mut result = {
            let mut downloads = self.downloads.lock().expect("nothing panics while it holds this lock");
            match downloads.get(&artifact.sha256) {
                Some(running) => running.clone(),
                None => {
                    let (done, result) = watch::channel(None);
                    downloads.insert(artifact.sha256.clone(), result.clone());
                    let (this, artifact) = (std::sync::Arc::clone(self), artifact.clone());
                    self.tasks.spawn(async move {
                        let outcome = timeout(DOWNLOAD_DEADLINE, this.fetch(&artifact, upstream)).await;
                        let outcome = outcome.unwrap_or_else(|_| Err("it took too long".to_owned()));
                        if let Err(error) = &outcome {
                            tracing::warn!(
                                path = artifact.path,
                                error,
                                "a file could not be fetched from its publisher"
                            );
                        }
                        this.downloads
                            .lock()
                            .expect("nothing panics while it holds this lock")
                            .remove(&artifact.sha256);
                        let _ = done.send(Some(outcome));
                    });
                    result
                }
            }
        };
        let outcome = result.wait_for(Option::is_some).await.map(|outcome| outcome.clone().unwrap_or(Ok(())));
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(unfetched(artifact, &cause)),
            Err(_) => Err(unfetched(artifact, "the plane shuts down")),
        }
    }

    async fn fetch(&self, artifact: &Artifact, upstream: Url) -> Result<(), String> {
        let mut body = self.publishers.get(&upstream).await?;
        let words = |error: std::io::Error| format!("writing it to the plane's cache: {error}");
        fs::create_dir_all(&self.cache).await.map_err(words)?;
        let draft = self.cache.join(format!("{}.part", artifact.sha256));
        let mut file = fs::File::create(&draft).await.map_err(words)?;
        let (mut hasher, mut length) = (Sha256::new(), 0_u64);
        while let Some(piece) = body.chunk().await? {
            length += piece.len() as u64;
            if length > MAX_SIZE {
                return Err(format!("it is larger than {MAX_SIZE} bytes"));
            }
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(words)?;
        }
        file.sync_all().await.map_err(words)?;
        drop(file);
        let seen = ferrogate_files::hex(hasher.finalize());
        if seen != artifact.sha256 {
            let _ = fs::remove_file(&draft).await;
            return Err(format!("its checksum is {seen}, not {}", artifact.sha256));
        }
        fs::rename(&draft, self.cache.join(&artifact.sha256)).await.map_err(words)
    }
}

/// Where a folder may have a file of a release: under its path, or under its name alone.
fn candidates(folder: &Path, path: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let name = Path::new(path).file_name().map(|name| folder.join(name));
    [Some(folder.join(path)), name].into_iter().flatten()
}

async fn open_file(path: &Path, sha256: &str) -> Outcome<Option<Opened>> {
    let file = match fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::internal(format!("opening {}: {error}", path.display()))),
    };
    let length = file.metadata().await.map_err(|error| Failure::internal(error.to_string()))?.len();
    Ok(Some(Opened { file, length, sha256: sha256.to_owned() }))
}

fn unfetched(artifact: &Artifact, cause: &str) -> Failure {
    Failure::new(502, "artifact_not_fetched", format!("`{}` could not be fetched from its publisher", artifact.path))
        .hint("let the plane reach the publisher, or put the file into the plane's mirror folder")
        .because(cause)
        .retry_after(Duration::from_secs(15))
        .fault(Fault::Plane)
}

/// The releases of all clusters that are not deleted.
///
/// # Errors
/// What the store said.
pub(crate) async fn releases_in_use(store: &Store) -> Result<Vec<Release>, StoreError> {
    let mut releases: Vec<Release> = Vec::new();
    let mut page = Page::first(Page::MAX);
    loop {
        let list = clusters::list(store, &clusters::Filter::default(), &page).await?;
        for cluster in list.items {
            if !releases.contains(&cluster.release) {
                releases.push(cluster.release);
            }
        }
        match list.next {
            Some(next) => page.after = Some(next),
            None => return Ok(releases),
        }
    }
}
