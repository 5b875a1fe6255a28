//! `ferrogate`: the one binary. It signs in to a plane and works with it, installs gateways, and can be the plane, a
//! simulated MAAS, or the whole product at once (`demo`).

mod account;
mod cluster;
mod context;
mod demo;
mod doctor;
mod exit;
mod follow;
mod get;
mod install;
mod kubeconfig;
mod lab;
mod login;
mod output;
mod pairing;
mod plane;
mod print;
mod reference;
mod rows;

use clap::{CommandFactory, Parser, Subcommand};
use context::PlaneArgs;
use exit::{Exit, Result};
use std::process::ExitCode;

/// Kubernetes on bare metal in private sites, from one place.
#[derive(Parser, Debug)]
#[command(
    name = "ferrogate",
    version,
    about,
    arg_required_else_help = true,
    propagate_version = true,
    after_help = "Exit codes: 0 done · 1 refused or failed · 2 wrong use · 3 not found · 4 denied · 5 unreachable · 124 timed out · 130 interrupted"
)]
struct Cli {
    /// More detail on standard error (-v, -vv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Install a gateway on machines of this site's MAAS
    Install(Box<ferrogate_installer::InstallArgs>),
    /// Try the whole product on this computer: plane, simulated MAAS, gateway, cluster
    Demo(demo::DemoArgs),
    /// Run a plane
    Plane(plane::PlaneServeArgs),
    /// Set up a fresh plane: first tenant and admin
    Setup {
        #[command(flatten)]
        plane: PlaneArgs,
        #[command(flatten)]
        args: login::SetupArgs,
    },
    /// Sign in to a plane and remember it
    Login {
        #[command(flatten)]
        plane: PlaneArgs,
        #[command(flatten)]
        args: login::LoginArgs,
    },
    /// End the session and forget the plane
    Logout {
        #[command(flatten)]
        plane: PlaneArgs,
    },
    /// Make, list and revoke the codes with which gateways are installed
    Pairing {
        #[command(flatten)]
        plane: PlaneArgs,
        #[command(subcommand)]
        command: pairing::PairingCommand,
    },
    /// Change a cloud account: the MAAS that clusters are built in
    Account {
        #[command(flatten)]
        plane: PlaneArgs,
        #[command(subcommand)]
        command: account::AccountCommand,
    },
    /// List gateways, accounts, clusters, machines, operations or events
    Get {
        #[command(flatten)]
        plane: PlaneArgs,
        #[command(flatten)]
        args: get::GetArgs,
    },
    /// Show all of one thing
    Describe {
        #[command(flatten)]
        plane: PlaneArgs,
        #[command(flatten)]
        args: get::DescribeArgs,
    },
    /// Ask for something new
    Create {
        #[command(flatten)]
        plane: PlaneArgs,
        #[command(subcommand)]
        command: cluster::CreateCommand,
    },
    /// Change how many machines a pool has
    Scale {
        #[command(flatten)]
        plane: PlaneArgs,
        #[command(subcommand)]
        command: cluster::ScaleCommand,
    },
    /// Delete something, and give its machines back
    Delete {
        #[command(flatten)]
        plane: PlaneArgs,
        #[command(subcommand)]
        command: cluster::DeleteCommand,
    },
    /// Get a kubeconfig that reaches a cluster through the plane
    Kubeconfig {
        #[command(flatten)]
        plane: PlaneArgs,
        #[command(flatten)]
        args: kubeconfig::KubeconfigArgs,
    },
    /// Find out what is wrong before, or after, it goes wrong
    Doctor {
        #[command(subcommand)]
        command: doctor::DoctorCommand,
    },
    /// Parts of the simulated site, alone
    Lab {
        #[command(subcommand)]
        command: lab::LabCommand,
    },
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print generated reference files
    #[command(hide = true)]
    Reference {
        #[command(subcommand)]
        command: reference::ReferenceCommand,
    },
}

/// Log lines go to standard error: warnings always, more with `-v`. `FERROGATE_LOG` takes the usual filter syntax.
fn start_log(verbose: u8, quiet: bool) {
    let default = match verbose {
        0 if quiet => "off",
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("FERROGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if std::env::var("FERROGATE_LOG_FORMAT").is_ok_and(|format| format == "json") {
        format.json().init();
    } else {
        format.with_ansi(print::is_watched() && console::colors_enabled_stderr()).init();
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Install(args) => install::run(*args).await,
        Command::Demo(args) => demo::run(&args).await,
        Command::Plane(args) => plane::run(args).await,
        Command::Setup { plane, args } => login::setup(&plane, &args).await,
        Command::Login { plane, args } => login::login(&plane, &args).await,
        Command::Logout { plane } => login::logout(&plane).await,
        Command::Pairing { plane, command } => pairing::run(&plane, &command).await,
        Command::Account { plane, command } => account::run(&plane, &command).await,
        Command::Get { plane, args } => get::get(&plane, &args).await,
        Command::Describe { plane, args } => get::describe(&plane, &args).await,
        Command::Create { plane, command } => cluster::create(&plane, &command).await,
        Command::Scale { plane, command } => cluster::scale(&plane, &command).await,
        Command::Delete { plane, command } => cluster::delete(&plane, &command).await,
        Command::Kubeconfig { plane, args } => kubeconfig::run(&plane, &args).await,
        Command::Doctor { command } => doctor::run(&command).await,
        Command::Lab { command } => lab::run(&command).await,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ferrogate", &mut script);
            print::data(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
        Command::Reference { command } => reference::run(&command, Cli::command()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The demo, the plane and the installer show their own progress; warnings of theirs would tear it.
    start_log(cli.verbose, matches!(cli.command, Command::Demo(_) | Command::Install(_)));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print::error(&exit::Failure::failed(format!("could not start: {error}")));
            return ExitCode::from(Exit::Usage as u8);
        }
    };
    // Commands that hold something clean up after an interruption themselves; the others can simply end.
    let own_interrupt =
        matches!(cli.command, Command::Demo(_) | Command::Install(_) | Command::Plane(_) | Command::Lab { .. });
    let result = runtime.block_on(async {
        if own_interrupt {
            return Box::pin(run(cli.command)).await;
        }
        tokio::select! {
            result = Box::pin(run(cli.command)) => result,
            _ = tokio::signal::ctrl_c() => Err(exit::Failure::new(Exit::Interrupted, "interrupted")),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::error(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn walk(command: &clap::Command, path: &str) {
            for sub in command.get_subcommands() {
                let path = format!("{path} {}", sub.get_name());
                assert!(sub.get_about().is_some(), "{path} has no description");
                for argument in sub.get_arguments() {
                    assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
                }
                walk(sub, &path);
            }
        }
        walk(&Cli::command(), "ferrogate");
    }
}
