//! The plane as a program in its own namespace, and its first set-up.

use super::keys;
use crate::{
    artifacts::Artifacts,
    folder::Folder,
    host::{Child, HostError, Run},
    netns,
    release::Simulated,
};
use secrecy::SecretString;
use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStderr,
    sync::oneshot,
};

/// How long the plane may take from its start to its address: it makes keys and a database at first.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long the first set-up may take: hashing a password on a busy computer is the longest of it.
const SETUP_DEADLINE: Duration = Duration::from_secs(60);
/// Sign-in name of the lab's admin.
const ADMIN: &str = "admin@lab.test";
/// How the one-time set-up token begins.
const TOKEN: &str = "fg_setup_";
/// In front of the fingerprint.
const FINGERPRINT: &str = "fingerprint";

/// The site's plane, running or not.
#[derive(Debug)]
pub(super) struct Plane {
    program: PathBuf,
    namespace: String,
    folder: Folder,
    release: PathBuf,
    mirror: PathBuf,
    child: Option<Child>,
    fingerprint: String,
}

/// What the plane says when it is ready.
#[derive(Debug, Default)]
struct Greeting {
    fingerprint: Option<String>,
    token: Option<SecretString>,
}

/// The plane's address.
pub(super) fn url() -> String {
    format!("https://{}", netns::PLANE_NAME)
}

/// Writes the release of simulated machines beside the plane; where the document and the files are.
fn simulated_release(folder: &Folder) -> Result<(PathBuf, PathBuf), HostError> {
    let (document, mirror) = (folder.root().join("release.json"), folder.root().join("mirror"));
    let simulated = Simulated::new();
    simulated.write(&mirror).map_err(HostError::file("write", &mirror))?;
    let text = serde_json::to_vec_pretty(&simulated.release).expect("a release is made of texts");
    std::fs::write(&document, text).map_err(HostError::file("write", &document))?;
    Ok((document, mirror))
}

impl Plane {
    /// Without artifacts the machines are simulated, and so is what is installed on them.
    pub(super) fn new(
        program: &Path,
        namespace: &str,
        folder: &Folder,
        artifacts: Option<&Artifacts>,
    ) -> Result<Self, HostError> {
        let (release, mirror) = match artifacts {
            Some(artifacts) => (artifacts.release.clone(), artifacts.mirror_dir.clone()),
            None => simulated_release(folder)?,
        };
        Ok(Self {
            program: program.to_owned(),
            namespace: namespace.to_owned(),
            folder: folder.clone(),
            release,
            mirror,
            child: None,
            fingerprint: String::new(),
        })
    }

    /// SHA-256 of its CA; empty before the first start.
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(Child::is_running)
    }

    pub(super) fn pid(&mut self) -> Option<u32> {
        if self.is_running() { self.child.as_ref()?.pid() } else { None }
    }

    /// Starts it and waits until it takes connections; a fresh one is set up and signed in to.
    pub(super) async fn start(&mut self) -> Result<(), HostError> {
        let log = self.folder.plane_log();
        let mut command = Child::command(&self.namespace, &self.program)?;
        let listen = format!("{}:443", netns::PLANE);
        command.arg("plane").arg("--data-dir").arg(self.folder.plane()).args(["--listen", &listen]);
        command.args(["--public-url", &url()]);
        command.arg("--release").arg(&self.release).arg("--mirror-dir").arg(&self.mirror);
        command.env("FERROGATE_LOG", "info").stdout(Stdio::null()).stderr(Stdio::piped());
        let not_started = |why: String| HostError::Part { part: "plane", why };
        let mut process = command.spawn().map_err(|error| not_started(error.to_string()))?;
        let stderr = process.stderr.take();
        let mut child = Child::adopt("the plane", &log, process);
        let open = OpenOptions::new().append(true).create(true).mode(0o600).open(&log);
        let file = open.map_err(HostError::file("open", &log))?;
        let (greeting, greeted) = oneshot::channel();
        if let Some(stderr) = stderr {
            tokio::spawn(copy(stderr, file, greeting));
        }
        let greeting = match tokio::time::timeout(READY_DEADLINE, greeted).await {
            Ok(Ok(greeting)) => greeting,
            _ => {
                child.kill().await;
                return Err(child.not_ready());
            }
        };
        self.child = Some(child);
        if let Some(fingerprint) = greeting.fingerprint {
            self.fingerprint = fingerprint;
        }
        match greeting.token {
            Some(token) => self.set_up(&token).await,
            None => Ok(()),
        }
    }

    /// Makes the first admin and saves the sign-in where people's commands find it.
    async fn set_up(&self, token: &SecretString) -> Result<(), HostError> {
        let (password, once) = (self.folder.admin_password(), self.folder.plane().join("setup-token"));
        keys::write(&password, &keys::password())?;
        keys::write(&once, token)?;
        let file = |path: &Path| path.display().to_string();
        let words = [
            "setup".to_owned(),
            url(),
            "--fingerprint".into(),
            self.fingerprint.clone(),
            "--setup-token-file".into(),
            file(&once),
            "--email".into(),
            ADMIN.into(),
            "--password-file".into(),
            file(&password),
            "--save-as".into(),
            "lab".into(),
        ];
        let done = Run::within(&self.namespace, &file(&self.program), words)
            .env("FERROGATE_CONFIG", file(&self.folder.cli_config()))
            .deadline(SETUP_DEADLINE)
            .done()
            .await;
        // Used or not, it is good for nothing any more.
        let _ = std::fs::remove_file(&once);
        done
    }

    /// Kills it, as a crash would.
    pub(super) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await;
        }
    }

    /// Ends it the orderly way.
    pub(super) async fn end(mut self) {
        if let Some(child) = self.child.take() {
            child.end().await;
        }
    }
}

/// Writes what the plane says to its log, all but the one-time token, and tells when it is ready: the fingerprint is the
/// last that every start says, and a fresh plane's last line is how to use the token.
async fn copy(stderr: ChildStderr, mut log: File, greeting: oneshot::Sender<Greeting>) {
    let mut waiting = Some(greeting);
    let mut said = Greeting::default();
    let mut lines = BufReader::new(stderr).lines();
    let mut more = true;
    while more {
        // After the fingerprint a fresh plane goes on at once.
        let line = if said.fingerprint.is_some() && waiting.is_some() {
            tokio::time::timeout(Duration::from_millis(500), lines.next_line()).await.ok()
        } else {
            Some(lines.next_line().await)
        };
        let mut ready = line.is_none();
        match line {
            Some(Ok(Some(line))) => {
                let words: Vec<&str> = line.split_whitespace().collect();
                if let [FINGERPRINT, fingerprint] = words[..] {
                    said.fingerprint = Some(fingerprint.to_owned());
                }
                let shown = if let [token] = words[..]
                    && token.starts_with(TOKEN)
                {
                    said.token = Some(token.to_owned().into());
                    ready = true;
                    "  (the one-time token is not logged)"
                } else {
                    line.as_str()
                };
                let _ = writeln!(log, "{shown}");
            }
            Some(_) => more = false,
            None => {}
        }
        if ready && let Some(waiting) = waiting.take() {
            let _ = waiting.send(std::mem::take(&mut said));
        }
    }
}
