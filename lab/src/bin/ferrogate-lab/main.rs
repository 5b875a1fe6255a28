//! `ferrogate-lab`: a real site on this computer. Network namespaces, machines with kernels of their own, MAAS, DNS, a
//! firewall or a proxy, and a plane; all of it ends with the program that made it.

mod commands;
mod inside;
mod outside;
mod table;
mod up;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ferrogate_lab::{
    artifacts::Artifacts,
    command::{Result, find_program, run_program},
    control::{Delegation, WayOut},
    daemon::{BackendKind, Options},
};
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// A real site on this computer: machines, MAAS, firewall and plane.
#[derive(Parser, Debug)]
#[command(name = "ferrogate-lab", version, about, arg_required_else_help = true)]
struct Cli {
    /// Name of the site; several may be up side by side
    #[arg(long, global = true, env = "FERROGATE_LAB_SITE", default_value = "lab", value_name = "NAME")]
    site: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start the site in the background and say what to try
    Up(SiteArgs),
    /// Start the site and stay with it until Ctrl-C
    Serve {
        #[command(flatten)]
        site: SiteArgs,
        /// The part that runs in the site's own network namespace; started by `serve` itself
        #[arg(long, hide = true)]
        inside: bool,
    },
    /// Show machines, plane and network
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Open a session on a machine, or run a command there
    Ssh {
        /// Host name or system id
        machine: String,
        /// The command; a shell where it is not given
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Print what a machine wrote to its console
    Console {
        /// Host name or system id
        machine: String,
    },
    /// Take a machine's power away at once
    Cut {
        /// Host name or system id
        machine: String,
    },
    /// Switch a machine on; its disk stays
    PowerOn {
        /// Host name or system id
        machine: String,
    },
    /// Cut site and plane off from each other, silently
    Partition {
        /// End by itself after this time; without it, until `partition --end`
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
        /// End it
        #[arg(long, conflicts_with = "seconds")]
        end: bool,
    },
    /// Run a program as a host of the site, or as somebody who works with the plane
    Run {
        /// Where
        place: Place,
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Say what machines, addresses and names are in use
    Leftovers,
    /// End the site and remove everything of it
    Down,
}

/// A network namespace to run something in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Place {
    /// Beside MAAS and the machines: where a gateway is installed from
    Site,
    /// Beside the plane: where people and kubectl are
    Plane,
}

/// The only way out of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// A router that masks addresses and lets nothing in
    Nat,
    /// An HTTP proxy with a password
    Proxy,
}

/// How MAAS's domain is delegated in the site's DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dns {
    /// To MAAS
    Correct,
    /// Not at all
    Missing,
    /// To an address where no DNS answers
    Wrong,
}

#[derive(Args, Clone, Debug)]
struct SiteArgs {
    /// The only way out of the site
    #[arg(long, value_enum, default_value = "nat")]
    way_out: Way,
    /// How MAAS's domain is delegated in the site's own DNS
    #[arg(long, value_enum, default_value = "correct")]
    delegation: Dns,
    /// What machines are: uml, kvm, emulated (as kvm, without its support of the processor; slow) or simulated
    #[arg(long, default_value = "uml", value_name = "KIND")]
    backend: BackendKind,
    /// Folder with the artifacts
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// The ferrogate program; the one beside this program where it is not given
    #[arg(long, value_name = "FILE")]
    ferrogate: Option<PathBuf>,
    /// Start no plane
    #[arg(long, conflicts_with = "ferrogate")]
    no_plane: bool,
    /// Most memory a machine may take, in MiB, whatever MAAS says it has
    #[arg(long, value_name = "MIB", default_value_t = 2560)]
    machine_memory: u64,
    /// Seconds that MAAS waits for a machine's report
    #[arg(long, value_name = "N", default_value_t = 300)]
    deploy_timeout: u64,
}

impl SiteArgs {
    fn options(&self, site: &str) -> Result<Options> {
        Ok(Options {
            site: site.to_owned(),
            way_out: match self.way_out {
                Way::Nat => WayOut::Nat,
                Way::Proxy => WayOut::Proxy,
            },
            delegation: match self.delegation {
                Dns::Correct => Delegation::Correct,
                Dns::Missing => Delegation::Missing,
                Dns::Wrong => Delegation::Wrong,
            },
            backend: self.backend,
            artifacts: self.artifacts.clone().unwrap_or_else(Artifacts::folder),
            ferrogate: if self.no_plane { None } else { Some(find_program("ferrogate", self.ferrogate.as_deref())?) },
            machine_memory_mib: self.machine_memory,
            deploy_timeout: Duration::from_secs(self.deploy_timeout),
        })
    }

    /// The same as arguments, for the program that is started with them.
    fn words(&self) -> Vec<String> {
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let mut words = vec![
            "--way-out".to_owned(),
            name(self.way_out.to_possible_value()),
            "--delegation".into(),
            name(self.delegation.to_possible_value()),
            "--backend".into(),
            self.backend.word().into(),
            "--machine-memory".into(),
            self.machine_memory.to_string(),
            "--deploy-timeout".into(),
            self.deploy_timeout.to_string(),
        ];
        for (flag, path) in [("--artifacts", &self.artifacts), ("--ferrogate", &self.ferrogate)] {
            if let Some(path) = path {
                words.extend([flag.to_owned(), path.display().to_string()]);
            }
        }
        if self.no_plane {
            words.push("--no-plane".into());
        }
        words
    }
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let site = cli.site.as_str();
    match cli.command {
        Command::Up(args) => up::up(site, &args).await?,
        Command::Serve { site: args, inside: false } => outside::serve(site, &args).await?,
        Command::Serve { site: args, inside: true } => inside::serve(args.options(site)?).await?,
        Command::Status { json } => commands::status(site, json).await?,
        Command::Ssh { machine, command } => return Err(commands::ssh(site, &machine, &command).await),
        Command::Console { machine } => commands::console(site, &machine).await?,
        Command::Cut { machine } => commands::cut(site, &machine).await?,
        Command::PowerOn { machine } => commands::power_on(site, &machine).await?,
        Command::Partition { seconds, end } => commands::partition(site, seconds, end).await?,
        Command::Run { place, command } => return Err(commands::run(site, place, &command).await),
        Command::Leftovers => return commands::leftovers(site).await,
        Command::Down => outside::down(site).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The programs of a site end with the thread that started them, so they are started on threads that stay: this one,
    // and the two of the daemon's runtime.
    let mut builder = if matches!(cli.command, Command::Serve { inside: true, .. }) {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2);
        builder
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    run_program(&mut builder, run(cli))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_asked_of_up_reaches_the_daemon() {
        let words = ["ferrogate-lab", "up", "--way-out", "proxy", "--delegation", "wrong", "--backend", "simulated"];
        let Command::Up(args) = Cli::parse_from(words).command else { panic!() };
        let again = [vec!["ferrogate-lab".to_owned(), "up".into()], args.words()].concat();
        let Command::Up(again) = Cli::parse_from(again).command else { panic!() };
        assert_eq!((again.way_out, again.delegation, again.backend), (Way::Proxy, Dns::Wrong, BackendKind::Simulated));
    }
}
