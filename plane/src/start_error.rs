//! Why a plane does not start.

use ferrogate_model::{Explain, Fault, Retry};
use ferrogate_store::StoreError;
use std::{net::SocketAddr, path::PathBuf};
/// Why a plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file or folder of the plane cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("cannot serve with {}: {detail}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The plane's public address cannot be one.
    #[error("the public address `{url}` cannot be used: {problem}")]
    PublicUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The database is there, but the key that seals its secrets is not.
    #[error("the database {} is there, but its master key {} is missing", database.display(), key.display())]
    KeyLost {
        /// The database.
        database: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "cannot_listen",
            Self::File { .. } => "file_unusable",
            Self::Certificate { .. } => "certificate_unusable",
            Self::PublicUrl { .. } => "bad_public_url",
            Self::KeyLost { .. } => "master_key_lost",
            Self::Store(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Listen { .. }
            | Self::File { .. }
            | Self::Certificate { .. }
            | Self::PublicUrl { .. }
            | Self::KeyLost { .. } => Fault::Caller,
            Self::Store(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Listen { .. }
            | Self::File { .. }
            | Self::Certificate { .. }
            | Self::PublicUrl { .. }
            | Self::KeyLost { .. } => Retry::No,
            Self::Store(error) => error.retry(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, .. } => Some(format!(
                "choose another address, or stop what uses port {}; ports below 1024 need the right to bind them",
                address.port()
            )),
            Self::File { path, .. } => {
                Some(format!("check that the plane's user may read and write {}", path.display()))
            }
            Self::Certificate { .. } => None,
            Self::PublicUrl { .. } => Some("write it as https://HOST or https://HOST:PORT".into()),
            Self::KeyLost { database, .. } => Some(format!(
                "put the key file back from its copy; without it the secrets in {} cannot be read by anybody",
                database.display()
            )),
            Self::Store(error) => error.hint(),
        }
    }
}
