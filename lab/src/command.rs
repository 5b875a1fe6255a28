//! What the lab's programs have in common: how they end, what they say, and where they find each other.

use ferrogate_model::{Explain, Fault, fault::chain};
use std::{
    fmt,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// The one error type that reaches the end of `main`: what happened, whose fault it is, and what to do next.
#[derive(Debug)]
pub struct Failure {
    what: String,
    next: Option<String>,
}

/// What a command comes to.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// What happened, and what to do next.
    pub fn new(what: impl Into<String>, next: Option<&str>) -> Self {
        Self { what: what.into(), next: next.map(str::to_owned) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.next.as_ref().map_or(Ok(()), |next| write!(f, "\nhint: {next}"))
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        let whose = match error.fault() {
            Fault::Caller => String::new(),
            other => format!(" (cause: {other})"),
        };
        Self { what: format!("{}{whose}", chain(&error)), next: error.hint() }
    }
}

/// A line for the person.
#[expect(clippy::print_stderr, reason = "everything but data belongs to standard error")]
pub fn note(text: &str) {
    eprintln!("{text}");
}

/// Data for the person or the next program.
pub fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe (`| head`) ends the program quietly, as other tools do.
    if out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// The program that runs.
///
/// # Errors
/// When the computer does not say where it lies.
pub fn own_program() -> Result<PathBuf> {
    std::env::current_exe()
        .map_err(|error| Failure::new(format!("where this program lies is not known: {error}"), None))
}

/// Another program of the same build: the file that is named, or that lies beside this one.
///
/// # Errors
/// When there is none; the hint says how it is built and with which option it is named.
pub fn find_program(name: &str, given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => own_program()?.with_file_name(name),
    };
    let path = std::path::absolute(&path).unwrap_or(path);
    if path.is_file() {
        return Ok(path);
    }
    let next = format!("build it with `cargo build --package {name}`, or name it with --{name}");
    Err(Failure::new(format!("there is no program {}", path.display()), Some(&next)))
}

/// Runs a program's work on a runtime made for it and says on standard error what went wrong.
pub fn run_program(runtime: &mut tokio::runtime::Builder, work: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            note(&format!("error: could not start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(Box::pin(work));
    runtime.shutdown_timeout(Duration::from_secs(2));
    result.unwrap_or_else(|failure| {
        note(&format!("error: {failure}"));
        ExitCode::FAILURE
    })
}

/// Until the person, the service manager or a lost terminal says so.
///
/// # Errors
/// When signals cannot be listened for.
pub async fn told_to_end() -> Result<()> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}"), None));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hangup = listen(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
