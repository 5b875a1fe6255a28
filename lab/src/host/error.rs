//! What can be wrong with this computer.

use super::Tool;
use crate::hardware::HardwareError;
use ferrogate_model::{Explain, Fault, Retry};
use std::{collections::BTreeSet, io, path::PathBuf, time::Duration};

/// Why a part of a real site could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Not root.
    #[error("a real site is made of network namespaces, which only root may make")]
    NotRoot,
    /// Programs are missing.
    #[error("this computer lacks {}", names(tools))]
    Missing {
        /// Which.
        tools: Vec<Tool>,
    },
    /// A program failed.
    #[error("`{command}` failed: {why}")]
    Command {
        /// As people would write it.
        command: String,
        /// What it said.
        why: String,
    },
    /// A program took too long.
    #[error("`{command}` did not end within {} s", deadline.as_secs())]
    Silent {
        /// As people would write it.
        command: String,
        /// How long it had.
        deadline: Duration,
    },
    /// A program that was to stay ended, or never got ready.
    #[error("{program} did not get ready: {why}")]
    NotReady {
        /// Which.
        program: String,
        /// What it said.
        why: String,
    },
    /// A file.
    #[error("could not {verb} {}", path.display())]
    File {
        /// Such as `write`.
        verb: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The site is up already.
    #[error("the site `{site}` is up already (process {pid})")]
    Up {
        /// Its name.
        site: String,
        /// The process that holds it; 0 where that is not known.
        pid: u32,
    },
    /// A name that cannot be a site's.
    #[error("`{name}` cannot be a site's name")]
    Name {
        /// The name.
        name: String,
    },
    /// Something of an earlier run could not be taken away.
    #[error("{what} of an earlier run could not be removed: {why}")]
    Leftover {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// The machines.
    #[error(transparent)]
    Machines(#[from] HardwareError),
    /// Artifacts are missing.
    #[error("the lab's artifacts are not built: {why}")]
    Artifacts {
        /// What is missing.
        why: String,
    },
    /// A part of the site could not be started.
    #[error("the site's {part} could not be started: {why}")]
    Part {
        /// Which.
        part: &'static str,
        /// Why.
        why: String,
    },
}

fn names(tools: &[Tool]) -> String {
    tools.iter().map(|tool| format!("`{}`", tool.name())).collect::<Vec<_>>().join(", ")
}

impl HostError {
    /// For `map_err`: a file operation that failed.
    pub fn file(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { verb, path, source }
    }
}

impl Explain for HostError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotRoot => "lab_not_root",
            Self::Missing { .. } => "lab_missing_program",
            Self::Command { .. } | Self::Silent { .. } => "lab_command",
            Self::NotReady { .. } | Self::Part { .. } => "lab_part",
            Self::File { .. } => "lab_file",
            Self::Up { .. } => "lab_up",
            Self::Name { .. } => "lab_name",
            Self::Leftover { .. } => "lab_leftover",
            Self::Machines(error) => error.code(),
            Self::Artifacts { .. } => "lab_artifacts",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NotReady { .. } | Self::Part { .. } => Fault::Ferrogate,
            Self::Machines(error) => error.fault(),
            _ => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Silent { .. } | Self::NotReady { .. } => Retry::Later,
            Self::Machines(error) => error.retry(),
            _ => Retry::No,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run it as root, such as with sudo".into()),
            Self::Missing { tools } => {
                let packages: BTreeSet<&str> = tools.iter().map(|tool| tool.package()).collect();
                Some(format!("apt-get install {}", packages.into_iter().collect::<Vec<_>>().join(" ")))
            }
            Self::Up { site, .. } => {
                Some(format!("look at it with `cargo xtask lab status --site {site}`, or end it with `… down`"))
            }
            Self::Name { .. } => Some("take 1 to 20 small letters, digits and hyphens".into()),
            Self::Leftover { .. } => Some("end what uses it, then `cargo xtask lab down`".into()),
            Self::Command { .. } | Self::Silent { .. } => {
                Some("`cargo xtask lab down` removes what is left of the site; then try again".into())
            }
            Self::Artifacts { .. } => Some("build them once with `cargo xtask lab build`".into()),
            Self::Machines(error) => error.hint(),
            Self::NotReady { .. } | Self::File { .. } | Self::Part { .. } => None,
        }
    }
}
