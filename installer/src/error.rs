//! What can stop an installation, whose fault it is, and what to do.

use crate::questions::{Problem, Question};
use ferrogate_api::ApiError;
use ferrogate_model::{Explain, Fault, Retry};
use std::{
    io,
    path::{Path, PathBuf},
};

/// A place in pcg.yaml that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {message}", path.display(), at.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default())]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// Line and column, counted from 1, where they are known.
    pub at: Option<(u64, u64)>,
    /// Lower case, no full stop; names the field.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Why an installation or a clean-up did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Values are missing and there is nobody to ask.
    #[error("{}", missing_text(questions))]
    Missing {
        /// What is missing.
        questions: Vec<Question>,
    },
    /// An answer given on the command line or in the environment cannot be used.
    #[error("{}: {problem}", named(*question))]
    Answer {
        /// The question.
        question: Question,
        /// What is wrong.
        problem: Problem,
    },
    /// An argument other than an answer cannot be used.
    #[error("{argument}: {problem}")]
    Argument {
        /// The argument.
        argument: &'static str,
        /// What is wrong.
        problem: Problem,
    },
    /// The configuration file cannot be used. Nothing was changed.
    #[error("{0}")]
    Config(ConfigError),
    /// The key that the secrets were sealed with is not there.
    #[error("the key file {} is missing or damaged", path.display())]
    KeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("could not {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another installer works on the same configuration.
    #[error("another installer is at work on {}", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// No folder of an installation was found.
    #[error("no installation {}was found in {}", name.as_ref().map(|name| format!("of `{name}` ")).unwrap_or_default(), state_dir.display())]
    NoInstallation {
        /// The name looked for.
        name: Option<String>,
        /// Where was looked.
        state_dir: PathBuf,
    },
    /// The terminal is gone.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[source] io::Error),
    /// The person left before anything was begun.
    #[error("left; nothing was begun")]
    Left,
    /// Stopped by Ctrl-C.
    #[error("interrupted during the step `{during}`")]
    Interrupted {
        /// What was being done.
        during: String,
    },
    /// Checks failed; no machine was touched.
    #[error("{} of the checks failed; no machine was touched: {}", failed.len(), failed.join(", "))]
    Preflight {
        /// Titles of the failed checks.
        failed: Vec<String>,
    },
    /// The plane refused, or was not reached.
    #[error("{doing}: {source}")]
    Plane {
        /// What was being done.
        doing: &'static str,
        /// What the plane said.
        #[source]
        source: Box<ApiError>,
    },
    /// MAAS refused, or was not reached.
    #[error("{doing}: {source}")]
    Maas {
        /// What was being done.
        doing: &'static str,
        /// What MAAS said.
        #[source]
        source: Box<ferrogate_maas::MaasError>,
    },
    /// The engine cannot go on until a person acts.
    #[error("{cause}")]
    Blocked {
        /// Why.
        cause: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {within}{}", seen.as_ref().map(|seen| format!("; last seen: {seen}")).unwrap_or_default())]
    Deadline {
        /// What did not happen.
        what: String,
        /// How long was waited.
        within: String,
        /// The last thing that was seen.
        seen: Option<String>,
    },
    /// What the plane gave cannot be used by this installer.
    #[error("what the plane gave cannot be used by this installer: {0}")]
    Version(String),
}

impl InstallError {
    /// A failed file operation.
    #[must_use]
    pub fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    /// A refusal of the plane.
    #[must_use]
    pub fn plane(doing: &'static str, source: ApiError) -> Self {
        Self::Plane { doing, source: Box::new(source) }
    }

    /// The exit code of the program: 1 refused or failed, 2 usage, 3 not found, 4 denied, 5 unreachable, 124 out of
    /// time, 130 interrupted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { .. }
            | Self::Answer { .. }
            | Self::Argument { .. }
            | Self::Config(_)
            | Self::KeyMissing { .. } => 2,
            Self::NoInstallation { .. } => 3,
            Self::Plane { source, .. } => match source.problem() {
                Some(problem) if matches!(problem.status, 401 | 403) => 4,
                Some(_) => 1,
                None => 5,
            },
            Self::Maas { source, .. } => match source.fault() {
                Fault::Network => 5,
                _ => 1,
            },
            Self::Deadline { .. } => 124,
            Self::Left | Self::Interrupted { .. } => 130,
            Self::File { .. }
            | Self::Busy { .. }
            | Self::Terminal(_)
            | Self::Preflight { .. }
            | Self::Blocked { .. }
            | Self::Version(_) => 1,
        }
    }
}

impl Explain for InstallError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "answers_missing",
            Self::Answer { .. } | Self::Argument { .. } => "answer_not_usable",
            Self::Config(_) => "config_not_usable",
            Self::KeyMissing { .. } => "key_file_missing",
            Self::File { .. } => "file_failed",
            Self::Busy { .. } => "installer_busy",
            Self::NoInstallation { .. } => "installation_not_found",
            Self::Terminal(_) => "terminal_failed",
            Self::Left => "left",
            Self::Interrupted { .. } => "interrupted",
            Self::Preflight { .. } => "preflight_failed",
            Self::Plane { source, .. } => source.code(),
            Self::Maas { source, .. } => source.code(),
            Self::Blocked { .. } => "installation_blocked",
            Self::Deadline { .. } => "installation_timed_out",
            Self::Version(_) => "installer_too_old",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Plane { source, .. } => source.fault(),
            Self::Maas { source, .. } => source.fault(),
            Self::Blocked { .. } | Self::Deadline { .. } => Fault::Maas,
            Self::Version(_) => Fault::Ferrogate,
            _ => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Plane { source, .. } => source.retry(),
            Self::Maas { source, .. } => source.retry(),
            Self::Interrupted { .. } | Self::Deadline { .. } | Self::Busy { .. } | Self::Blocked { .. } => Retry::Later,
            _ => Retry::No,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { questions } => Some(missing_hint(questions)),
            Self::Answer { problem, .. } | Self::Argument { problem, .. } => problem.hint.clone(),
            Self::Config(error) => error.hint.clone(),
            Self::KeyMissing { .. } => {
                Some("copy it beside pcg.yaml, or seal the secrets anew: ferrogate install --config pcg.yaml --update-secrets".into())
            }
            Self::Busy { .. } => Some("wait until it has ended, or end it; two would take machines twice".into()),
            Self::NoInstallation { .. } => Some("name the file: ferrogate install cleanup --config …/pcg.yaml".into()),
            Self::Preflight { .. } => Some("do what stands beside each failed check, then run the installer again".into()),
            Self::Plane { source, .. } => source.hint(),
            Self::Maas { source, .. } => source.hint(),
            Self::Blocked { hint, .. } => hint.clone(),
            Self::Version(_) => Some("use the installer that the plane offers for download".into()),
            Self::File { .. } | Self::Terminal(_) | Self::Left | Self::Interrupted { .. } | Self::Deadline { .. } => None,
        }
    }
}

fn named(question: Question) -> String {
    match question.argument() {
        "" => question.field().to_owned(),
        argument => format!("{} ({argument})", question.title().to_lowercase()),
    }
}

fn missing_text(questions: &[Question]) -> String {
    let names: Vec<_> = questions.iter().map(|question| question.title().to_lowercase()).collect();
    format!("standard input is not a terminal, and values are missing: {}", names.join(", "))
}

fn missing_hint(questions: &[Question]) -> String {
    let ways: Vec<_> =
        questions.iter().map(|question| format!("{} or {}", question.argument(), question.variable())).collect();
    format!("give {}; or all of them in a file with --config", ways.join("; "))
}
