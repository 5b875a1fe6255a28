//! Running a program on a simulated machine: finding it, giving it its surroundings, its exit code.

use super::{Machine, coreutils, curl, files, find, systemctl};
use crate::kubeadm;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Where programs are looked for that are named without a path, as systemd and cloud-init do.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Programs of the stock image that are simulated.
const STOCK: [&str; 15] = [
    "curl",
    "sha256sum",
    "install",
    "systemctl",
    "mkdir",
    "chmod",
    "ln",
    "sync",
    "true",
    "false",
    "tar",
    "cp",
    "rm",
    "find",
    "chattr",
];
/// Where the stock image has its programs (`/bin` and `/sbin` are links).
const STOCK_FOLDERS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
/// What a shell answers for a program that is not there.
const NOT_FOUND: u8 = 127;
/// What a shell answers for a program that cannot be run.
const NOT_EXECUTABLE: u8 = 126;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Zero for success.
    pub(crate) code: u8,
    /// What it said last; empty after success.
    pub(crate) why: String,
}

impl Exit {
    pub(crate) const SUCCESS: Self = Self { code: 0, why: String::new() };

    pub(crate) fn failure(code: u8, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// A program that is about to run.
#[derive(Debug)]
pub(crate) struct Process {
    /// Who started it, for the console.
    pub(crate) source: String,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) working_directory: String,
    /// Cancelled when it is to end.
    pub(crate) cancel: CancellationToken,
    /// Set to true by a program that reports that it is ready (`sd_notify`).
    pub(crate) ready: watch::Sender<bool>,
}

impl Process {
    pub(crate) fn new(source: &str, argv: Vec<String>, cancel: CancellationToken) -> Self {
        Self {
            source: source.to_owned(),
            argv,
            environment: BTreeMap::new(),
            working_directory: "/".into(),
            cancel,
            ready: watch::Sender::new(false),
        }
    }

    /// An argument made absolute.
    pub(crate) fn path(&self, argument: &str) -> String {
        if argument.starts_with('/') {
            argument.to_owned()
        } else {
            format!("{}/{argument}", self.working_directory.trim_end_matches('/'))
        }
    }
}

/// Runs a program to its end. What it complains about goes to the console too.
pub(crate) async fn run(machine: &Arc<Machine>, process: Process) -> Exit {
    let Some(program) = process.argv.first().cloned() else {
        return Exit::failure(NOT_FOUND, "no program is given");
    };
    let source = format!("{}[{}]", process.source, program.rsplit('/').next().unwrap_or(&program));
    let cancel = process.cancel.clone();
    let exit = tokio::select! {
        exit = dispatch(machine, &program, process) => exit,
        () = cancel.cancelled() => Exit::failure(143, "terminated"),
    };
    if exit.code != 0 && !exit.why.is_empty() {
        machine.console.say(&source, &exit.why);
    }
    exit
}

/// Why a program cannot be run, if it cannot.
pub(crate) fn check(machine: &Machine, program: &str) -> Result<Found, Exit> {
    find(machine, program)
}

/// What stands behind a program's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A program of the stock image.
    Stock(String),
    /// One of those that a kubeadm bundle brings.
    Kubeadm(kubeadm::Program, String),
}

fn find(machine: &Machine, program: &str) -> Result<Found, Exit> {
    let candidates: Vec<String> = if program.contains('/') {
        vec![program.to_owned()]
    } else {
        PATH.iter().map(|folder| format!("{folder}/{program}")).collect()
    };
    for path in &candidates {
        if machine.disk.exists(path) && !machine.disk.is_dir(path) {
            return on_disk(machine, path);
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        if STOCK_FOLDERS.contains(&folder) && STOCK.contains(&name) {
            return Ok(Found::Stock(name.to_owned()));
        }
    }
    Err(Exit::failure(NOT_FOUND, format!("{program}: no such program on this machine")))
}

fn on_disk(machine: &Machine, path: &str) -> Result<Found, Exit> {
    match machine.disk.stat(path) {
        Ok((_, mode)) if mode & 0o111 == 0 => {
            Err(Exit::failure(NOT_EXECUTABLE, format!("{path}: permission denied (the file is not executable)")))
        }
        Ok((0, _)) => Err(Exit::failure(NOT_EXECUTABLE, format!("{path}: exec format error (the file is empty)"))),
        Ok(_) => match kubeadm::Program::of(path) {
            Some(program) => Ok(Found::Kubeadm(program, path.to_owned())),
            None => Err(Exit::failure(NOT_EXECUTABLE, format!("{path}: this program is not simulated"))),
        },
        Err(error) => Err(Exit::failure(NOT_EXECUTABLE, format!("{path}: {error}"))),
    }
}

async fn dispatch(machine: &Arc<Machine>, program: &str, process: Process) -> Exit {
    let found = match find(machine, program) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    match found {
        Found::Kubeadm(program, path) => program.run(Arc::clone(machine), &path, process).await,
        Found::Stock(name) => match name.as_str() {
            "curl" => curl::run(machine, &process).await,
            "systemctl" => systemctl::run(machine, &process).await,
            "find" => find::run(machine, &process).await,
            "tar" | "cp" | "rm" | "chattr" => files::run(machine, &name, &process),
            _ => coreutils::run(machine, &name, &process),
        },
    }
}
