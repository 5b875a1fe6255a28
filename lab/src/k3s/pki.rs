//! The authorities that k3s is handed in `server/tls`.

use crate::{
    kubernetes::{
        datastore::Files,
        pki::{self, Authority},
    },
    machine::Disk,
};
use ferrogate_model::Timestamp;
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use std::sync::Arc;

/// Where k3s takes custom authorities from.
pub(crate) const TLS: &str = "/var/lib/rancher/k3s/server/tls";
/// The authorities, each a certificate and a key.
const AUTHORITIES: [&str; 5] = ["server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca"];
/// The key that signs service-account tokens.
const SERVICE_KEY: &str = "service.key";

/// The authorities of a cluster, checked.
#[derive(Clone)]
pub(crate) struct Authorities {
    server: Authority,
    client: Authority,
}

/// Reads the custom authorities from the disk and checks them, as files that a further server is handed too.
///
/// # Errors
/// One line: which file, and what is wrong with it.
pub(crate) fn load(disk: &Disk, now: Timestamp) -> Result<(Authorities, Files), String> {
    let mut files = Files::new();
    let mut names: Vec<String> =
        AUTHORITIES.iter().flat_map(|name| [format!("{name}.crt"), format!("{name}.key")]).collect();
    names.push(SERVICE_KEY.to_owned());
    let missing: Vec<&String> = names.iter().filter(|name| !disk.exists(&format!("{TLS}/{name}"))).collect();
    if missing.len() == names.len() {
        return Err(format!("there are no authorities in {TLS}; a simulated k3s makes none of its own"));
    }
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.into_iter().map(String::as_str).collect();
        return Err(format!("custom authorities are incomplete: {TLS} lacks {}", missing.join(", ")));
    }
    for name in names {
        let path = format!("{TLS}/{name}");
        let bytes = disk.read(&path).map_err(|error| format!("{path}: {error}"))?;
        if name.ends_with(".key") {
            let (_, mode) = disk.stat(&path).map_err(|error| format!("{path}: {error}"))?;
            if mode & 0o077 != 0 {
                return Err(format!("{path}: everybody can read this key (mode {mode:04o})"));
            }
        }
        files.insert(name, bytes);
    }
    Ok((from_files(&files, now)?, files))
}

/// Checks the files a server was handed by another one, or read.
pub(crate) fn from_files(files: &Files, now: Timestamp) -> Result<Authorities, String> {
    let text = |name: &str| {
        let bytes = files.get(name).ok_or_else(|| format!("{name} is missing"))?;
        String::from_utf8(bytes.clone()).map_err(|_| format!("{name} is not text"))
    };
    let authority = |name: &str| {
        Authority::new(text(&format!("{name}.crt"))?, text(&format!("{name}.key"))?, now)
            .map_err(|why| format!("{name}: {why}"))
    };
    for name in AUTHORITIES {
        authority(name)?;
    }
    PrivateKeyDer::from_pem_slice(text(SERVICE_KEY)?.as_bytes()).map_err(|error| format!("{SERVICE_KEY}: {error}"))?;
    Ok(Authorities { server: authority("server-ca")?, client: authority("client-ca")? })
}

impl Authorities {
    /// The serving authority's file, as `/cacerts` answers it.
    pub(crate) fn server_ca_pem(&self) -> &str {
        &self.server.certificate_pem
    }

    /// TLS settings for the API: a serving certificate for these names, clients checked against the client authority.
    pub(crate) fn serving(&self, names: &[String], now: Timestamp) -> Result<Arc<ServerConfig>, String> {
        let (certificate, key) = self.server.serving("kube-apiserver", names, now)?;
        pki::tls(&[certificate.as_str(), self.server_ca_pem()].concat(), &key, &self.client.certificate_pem)
    }

    /// A client certificate and its key, as PEM.
    pub(crate) fn client(&self, user: &str, groups: &[&str], now: Timestamp) -> Result<(String, String), String> {
        self.client.client(user, groups, now)
    }
}
