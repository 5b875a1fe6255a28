//! `cargo xtask`: the doors of the project. Each command does one whole job on a fresh machine.

mod bench;
mod check;
mod generated;
mod image;
mod lab;
mod layers;
mod licences;
mod run;
mod setup;
mod sizes;
mod suite;
mod tiers;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's doors", arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plane, simulated MAAS, installer, gateway and a cluster on this computer, over real sockets
    #[command(disable_help_flag = true)]
    Demo {
        /// Handed to `ferrogate demo` (`--once --json` runs it through and cleans up)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Sets up what the tests need, then runs them all
    Test {
        /// Only the tests of these packages (`ferrogate-tunnel` …)
        #[arg(short, long)]
        package: Vec<String>,
        /// Do not install missing Debian packages, only name them
        #[arg(long)]
        no_install: bool,
    },
    /// Format, lints, layers, file sizes, licences, advisories, generated files
    Check,
    /// Writes the generated files: the OpenAPI document and the command reference
    Openapi {
        /// Only say whether they are fresh
        #[arg(long)]
        check: bool,
    },
    /// Shows rooms, lines, arrows and circles of files, and checks who may use whom
    Layers(layers::Options),
    /// Packs the gateway into a container image (static binary, from scratch), without Docker
    Image {
        /// Where to put the archive
        #[arg(long, default_value = "target/image")]
        out: std::path::PathBuf,
    },
    /// Real machines, real Kubernetes and a real firewall on this computer
    #[command(subcommand)]
    Lab(lab::Lab),
    /// Measures; prints ratios against a peer in the same run
    Bench {
        /// What to measure: `tunnel`
        what: bench::What,
        /// Handed to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

#[expect(clippy::print_stderr, reason = "errors belong to stderr")]
fn main() -> std::process::ExitCode {
    let done = match Args::parse().command {
        Command::Demo { args } => suite::demo(&args),
        Command::Test { package, no_install } => suite::test(&package, no_install),
        Command::Check => check::all(),
        Command::Openapi { check } => generated::run(check),
        Command::Layers(options) => layers::run(&options),
        Command::Image { out } => image::build(&out),
        Command::Lab(command) => lab::run(&command),
        Command::Bench { what, args } => bench::run(what, &args),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
