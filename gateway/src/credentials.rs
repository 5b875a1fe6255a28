//! The node's key, registration and trust, in files. Everything is read anew for each dial.

use crate::config::Checked;
use async_trait::async_trait;
use ferrogate_model::{GatewayId, Name, NodeId, fault::chain};
use ferrogate_net::Trust;
use ferrogate_tunnel::{Credentials, DialMaterial, Identity, NodeKey};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The node's private key, in the state folder.
const KEY_FILE: &str = "node.key";
/// What the plane said when it registered the key, in the state folder.
const REGISTRATION_FILE: &str = "registration.json";
/// The epoch of the last process, in the state folder.
const EPOCH_FILE: &str = "epoch";

/// The ids the plane gave to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Registration {
    gateway: GatewayId,
    node: NodeId,
}

/// Credentials in the folders that the configuration names.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    state_dir: PathBuf,
    token_file: PathBuf,
    ca_file: Option<PathBuf>,
    node_name: Name,
}

impl Files {
    pub(crate) fn new(checked: &Checked) -> Self {
        let file = &checked.file;
        Self {
            state_dir: file.state_dir.clone(),
            token_file: file.enrolment_token_file.clone(),
            ca_file: file.plane_ca_file.clone(),
            node_name: file.node_name.clone(),
        }
    }

    /// Whom to trust for the plane: the system's CAs and, where there is one, the plane's own.
    pub(crate) fn trust(&self) -> Result<Trust, String> {
        let Some(path) = &self.ca_file else { return Ok(Trust::system()) };
        let pem = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let trust = Trust::system().with_ca(pem);
        trust.check().map_err(|error| format!("{}: {}", path.display(), chain(&error)))?;
        Ok(trust)
    }

    /// The node's key; made where there is none.
    pub(crate) fn key(&self) -> Result<NodeKey, String> {
        NodeKey::load_or_create(&self.state_dir.join(KEY_FILE)).map_err(|error| chain(&error))
    }

    /// Who this node is: registered, or about to register.
    pub(crate) fn identity(&self) -> Result<Identity, String> {
        if let Some(registration) = self.registration()? {
            return Ok(Identity::Known(registration.node));
        }
        let token = std::fs::read_to_string(&self.token_file).map_err(|error| {
            format!(
                "this node is not registered, and its enrolment token {} cannot be read: {error}",
                self.token_file.display()
            )
        })?;
        let token = SecretString::from(token.trim());
        Ok(Identity::Enrol { token, node_name: self.node_name.clone() })
    }

    /// The lowest epoch for a process that starts now: above every earlier one's.
    pub(crate) fn epoch_floor(&self) -> u64 {
        let last = std::fs::read_to_string(self.state_dir.join(EPOCH_FILE)).ok();
        last.and_then(|text| text.trim().parse::<u64>().ok()).map_or(0, |last| last.saturating_add(1))
    }

    /// Keeps this process's epoch for the next one.
    pub(crate) fn keep_epoch(&self, epoch: u64) -> io::Result<()> {
        self.write(&self.state_dir.join(EPOCH_FILE), epoch.to_string().as_bytes())
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.state_dir)?;
        ferrogate_files::write_private(path, content)
    }

    fn registration(&self) -> Result<Option<Registration>, String> {
        let path = self.state_dir.join(REGISTRATION_FILE);
        match std::fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content)
                .map(Some)
                .map_err(|error| format!("the registration {} is damaged: {error}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    fn load_now(&self) -> Result<DialMaterial, String> {
        let tls = self.trust()?.client_config(&[]).map_err(|error| chain(&error))?;
        Ok(DialMaterial { tls, key: Arc::new(self.key()?), identity: self.identity()? })
    }

    fn keep(&self, registration: Registration) -> Result<(), String> {
        if self.registration().ok().flatten() != Some(registration) {
            let path = self.state_dir.join(REGISTRATION_FILE);
            let content = serde_json::to_vec(&registration).map_err(|error| error.to_string())?;
            self.write(&path, &content).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        // Of no use any more, and a secret: but the folder may be mounted read-only.
        remove(&self.token_file);
        Ok(())
    }
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => tracing::info!(path = %path.display(), "removed the used enrolment token"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::debug!(path = %path.display(), %error, "could not remove the used enrolment token"),
    }
}

#[async_trait]
impl Credentials for Files {
    async fn load(&self) -> Result<DialMaterial, String> {
        let files = self.clone();
        blocking(move || files.load_now()).await
    }

    async fn registered(&self, gateway: GatewayId, node: NodeId) -> Result<(), String> {
        let files = self.clone();
        blocking(move || files.keep(Registration { gateway, node })).await
    }
}

/// Small files, but the disk of a machine that suffers can take its time.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Files {
        Files {
            state_dir: folder.join("state"),
            token_file: folder.join("token"),
            ca_file: None,
            node_name: "gw-1".parse().unwrap(),
        }
    }

    #[test]
    fn a_node_registers_once_and_its_token_goes() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert!(files.identity().unwrap_err().contains("not registered"));
        std::fs::write(&files.token_file, "secret-token\n").unwrap();
        assert!(matches!(files.identity(), Ok(Identity::Enrol { .. })));
        let registration = Registration { gateway: GatewayId::new(), node: NodeId::new() };
        files.keep(registration).unwrap();
        assert!(!files.token_file.exists());
        assert!(matches!(files.identity(), Ok(Identity::Known(node)) if node == registration.node));
        files.keep(registration).unwrap();
    }

    #[test]
    fn each_process_has_a_higher_epoch_than_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert_eq!(files.epoch_floor(), 0);
        files.keep_epoch(41).unwrap();
        assert_eq!(files.epoch_floor(), 42);
    }

    #[test]
    fn a_ca_file_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path());
        let path = folder.path().join("plane-ca.pem");
        files.ca_file = Some(path.clone());
        assert!(files.trust().unwrap_err().contains("plane-ca.pem"));
        std::fs::write(&path, "-----BEGIN NOTHING-----").unwrap();
        assert!(files.trust().unwrap_err().contains("plane-ca.pem"));
    }
}
