//! The site's secrets: made anew for each run, in files for their owner alone.

use crate::{
    folder::Folder,
    host::{HostError, Run, Tool},
    netns,
};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use std::{
    fs::{DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

fn random(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect()
}

/// An API key of MAAS: consumer key, token key and token secret.
pub(super) fn api_key() -> SecretString {
    format!("{}:{}:{}", random(18), random(18), random(32)).into()
}

/// A password of letters and digits: it is put into addresses and files as it is.
pub(super) fn password() -> SecretString {
    random(24).into()
}

/// Makes a folder for its owner alone, and those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), HostError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(HostError::file("make", path))
}

/// Writes a secret to a file for its owner alone.
pub(super) fn write(path: &Path, secret: &SecretString) -> Result<(), HostError> {
    let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    open.and_then(|mut file| writeln!(file, "{}", secret.expose_secret())).map_err(HostError::file("write", path))
}

/// Writes the proxy's address with user name and password.
pub(super) fn write_proxy_url(path: &Path, user: &str, password: &SecretString) -> Result<(), HostError> {
    let (host, port) = (netns::EDGE, netns::PROXY_PORT);
    write(path, &format!("http://{user}:{}@{host}:{port}", password.expose_secret()).into())
}

/// Makes the key pair with which people enter machines.
pub(super) async fn ssh_pair(folder: &Folder) -> Result<(), HostError> {
    let key = folder.ssh_key();
    if let Some(parent) = key.parent() {
        make_folder(parent)?;
    }
    let file = key.display().to_string();
    Run::new(Tool::SshKeygen, ["-q", "-t", "ed25519", "-N", "", "-C", "ferrogate-lab", "-f", file.as_str()])
        .done()
        .await
}
