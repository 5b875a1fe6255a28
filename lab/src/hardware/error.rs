//! Why real machines cannot be had on this computer.

use ferrogate_model::{Explain, Fault, Retry};
use std::{io, path::PathBuf};

/// Why the machines of a backend could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum HardwareError {
    /// A file or folder could not be read or written.
    #[error("cannot {doing} `{path}`")]
    File {
        /// What was to be done, such as `create`.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A path that the hypervisor's options cannot carry.
    #[error("the path `{path}` {why}")]
    Path {
        /// Which path.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another process has machines in the same folder.
    #[error("another process runs machines in `{folder}`")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The network namespace cannot be entered.
    #[error("cannot enter the network namespace `{namespace}`")]
    Namespace {
        /// Its name.
        namespace: String,
        /// Why not.
        source: io::Error,
    },
    /// A program that is needed did not do its work.
    #[error("`{program}` failed: {why}")]
    Program {
        /// Which program.
        program: String,
        /// What it said.
        why: String,
    },
    /// The root image is not what machines can boot from.
    #[error("the root image `{image}` cannot be used: {why}")]
    Image {
        /// The image.
        image: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The hypervisor does not run here.
    #[error("{what} does not run on this computer: {why}")]
    Unsupported {
        /// Which hypervisor.
        what: &'static str,
        /// What was tried and seen.
        why: String,
    },
}

impl HardwareError {
    /// For `map_err`: a file that could not be worked with.
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}

impl Explain for HardwareError {
    fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "lab_file",
            Self::Path { .. } => "lab_path",
            Self::InUse { .. } => "lab_in_use",
            Self::Namespace { .. } => "lab_namespace",
            Self::Program { .. } => "lab_program",
            Self::Image { .. } => "lab_image",
            Self::Unsupported { .. } => "lab_unsupported",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Later
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File { .. } => "run as root, with free space on that file system".into(),
            Self::Path { .. } => "choose another folder for the lab".into(),
            Self::InUse { .. } => "end the other lab, or give this one another name".into(),
            Self::Namespace { .. } => "run as root, and bring the site's network up first".into(),
            Self::Program { program, .. } => {
                format!("install the package that holds `{program}`, or mend what it names")
            }
            Self::Image { .. } => "build the root image anew".into(),
            Self::Unsupported { .. } => {
                "choose another kind of machine (`--backend`); `uml` needs no support of the processor".into()
            }
        })
    }
}
