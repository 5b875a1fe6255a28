//! `ferrogate-gateway`: the one program that runs on a gateway node.
//!
//! Exit codes: 0 ended in order · 1 failed · 2 wrong arguments · 64 the configuration is not usable · 77 the plane
//! revoked this node.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's answers and its last words")]

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use ferrogate_gateway::{RunError, RunOptions, VERSION, doctor, run};
use ferrogate_join::gateway_config::GATEWAY_CONFIG_PATH;
use ferrogate_model::Explain;
use std::{io::IsTerminal, net::IpAddr, path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The configuration is not usable (`EX_USAGE` of sysexits.h).
const EXIT_CONFIG: u8 = 64;
/// The plane revoked this node (`EX_NOPERM` of sysexits.h).
const EXIT_REVOKED: u8 = 77;

/// A gateway node: opens connections outward to the plane and carries what its allow-list permits.
#[derive(Parser)]
#[command(name = "ferrogate-gateway", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run until a signal says to stop; streams then get 20 s to end.
    Run {
        #[command(flatten)]
        common: Common,
        /// What the log looks like.
        #[arg(long, env = "FERROGATE_LOG_FORMAT", default_value = "auto")]
        log_format: LogFormat,
    },
    /// Try each step between this node and the plane and say which one fails.
    Doctor {
        #[command(flatten)]
        common: Common,
    },
    /// Print the version.
    Version,
}

#[derive(clap::Args)]
struct Common {
    /// The configuration file.
    #[arg(long, default_value = GATEWAY_CONFIG_PATH)]
    config: PathBuf,
    /// The machine's address, for the admin endpoints.
    #[arg(long, env = "HOST_IP")]
    host_ip: Option<IpAddr>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Human to a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

fn main() -> ExitCode {
    match answer(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let run_error = error.downcast_ref::<RunError>();
            if let Some(hint) = run_error.and_then(Explain::hint) {
                eprintln!("hint: {hint}");
            }
            match run_error {
                Some(RunError::Config(_)) => ExitCode::from(EXIT_CONFIG),
                Some(RunError::Revoked) => ExitCode::from(EXIT_REVOKED),
                Some(RunError::Listen { .. }) | None => ExitCode::FAILURE,
            }
        }
    }
}

fn answer(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Version => {
            println!("ferrogate-gateway {VERSION}");
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { common, log_format } => {
            start_log(log_format);
            runtime()?.block_on(run_until_signal(options(common)))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor { common } => {
            let checks = runtime()?.block_on(doctor::examine(&options(common)));
            for check in &checks {
                match &check.result {
                    Ok(seen) => println!("✔ {}: {seen}", check.title),
                    Err(problem) => println!("✖ {}: {problem}", check.title),
                }
            }
            let good = checks.iter().all(|check| check.result.is_ok());
            Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn options(common: Common) -> RunOptions {
    RunOptions { host_ip: common.host_ip, ..RunOptions::new(common.config) }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")
}

async fn run_until_signal(options: RunOptions) -> anyhow::Result<()> {
    let cancel = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("listening for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for signals")?;
    let running = run(options, cancel.clone());
    let mut running = std::pin::pin!(running);
    tokio::select! {
        ended = &mut running => return Ok(ended?),
        _ = terminate.recv() => tracing::info!("told to stop; streams get a little time to end"),
        _ = interrupt.recv() => tracing::info!("interrupted; streams get a little time to end"),
    }
    cancel.cancel();
    // A second signal does not wait.
    tokio::select! {
        ended = running => Ok(ended?),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// `FERROGATE_LOG` chooses what is logged, as `RUST_LOG` does elsewhere.
fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("FERROGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let human = match format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only fails where a log was started before, which is as good.
    let _ = if human { builder.try_init() } else { builder.json().try_init() };
}
