//! `ferrogate lab`: the simulated MAAS alone, for trying an installer or a client against it.

use crate::exit::{Failure, Result};
use crate::{plane, print};
use clap::{Args, Subcommand, ValueEnum};
use ferrogate_lab::maas::{Options, Speed};
use ferrogate_lab::{Maas, Seed};
use ferrogate_net::Network;
use secrecy::ExposeSecret;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Subcommand, Debug)]
pub(crate) enum LabCommand {
    /// A MAAS that answers as a real one does, with simulated machines behind it
    #[command(
        after_help = "Example:\n  ferrogate lab maas --listen 127.0.0.1:5240\n  ferrogate lab maas --listen 127.0.0.1:5240 --seed my-site.json --speed real"
    )]
    Maas(MaasArgs),
}

#[derive(Args, Debug)]
pub(crate) struct MaasArgs {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5240")]
    listen: SocketAddr,
    /// What it begins with (JSON; docs/reference/lab-seed.md); ten machines where it is not given
    #[arg(long, value_name = "FILE.json")]
    seed: Option<PathBuf>,
    /// How long its steps take
    #[arg(long, value_enum, default_value = "seconds")]
    speed: Pace,
}

/// How long the simulated MAAS's steps take.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pace {
    /// No time at all.
    Instant,
    /// Seconds instead of minutes.
    Seconds,
    /// As long as real servers take.
    Real,
}

/// Real minutes become seconds.
const SECONDS_FACTOR: f64 = 1.0 / 60.0;

pub(crate) async fn run(command: &LabCommand) -> Result<()> {
    let LabCommand::Maas(args) = command;
    let seed = match &args.seed {
        None => Seed::recorded(),
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::usage(format!("could not read {}: {error}", file.display())))?;
            Seed::from_json(&text).map_err(|error| {
                Failure::usage(format!("{}: {}", file.display(), ferrogate_model::fault::chain(&error)))
            })?
        }
    };
    let users: Vec<_> = seed.users.iter().map(|user| user.name.clone()).collect();
    let speed = match args.speed {
        Pace::Instant => Speed::Instant,
        Pace::Seconds => Speed::Seconds(SECONDS_FACTOR),
        Pace::Real => Speed::Real,
    };
    let maas = Maas::start(Options::new(Network::sockets(), seed).listen(args.listen).speed(speed))
        .await
        .map_err(|error| Failure::failed(format!("could not start the simulated MAAS on {}: {error}", args.listen)))?;
    print::note(&format!("a simulated MAAS answers at {}", maas.url()));
    for user in users {
        if let Some(key) = maas.api_key(&user) {
            // Keys of a simulated MAAS protect nothing.
            print::note(&format!("  API key of {user}: {}", key.expose_secret()));
        }
    }
    print::note("stop it with Ctrl-C");
    plane::wait_for_stop().await;
    maas.shutdown().await;
    Ok(())
}
