//! `ferrogate-lab test`: the scenarios.

use crate::{
    failure::{Failure, Result},
    note, outside,
    table::data,
};
use clap::Args;
use ferrogate_lab::{
    artifacts::Artifacts,
    host::{self, Tool},
    netns,
    scenario::{self, Options, Scenario},
};
use ferrogate_model::{Clock, SystemClock};
use std::{path::PathBuf, process::ExitCode};
use tokio_util::sync::CancellationToken;

#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Only these and what they build on, such as `a,c`
    #[arg(long, value_name = "LETTERS", value_delimiter = ',')]
    only: Vec<Scenario>,
    /// List the scenarios and stop
    #[arg(long)]
    list: bool,
    /// Leave a site on which something failed up, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    /// Folder for the logs; one below the system's folder for temporary files where it is not given
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Folder with the artifacts
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// The ferrogate program; the one beside this program where it is not given
    #[arg(long, value_name = "FILE")]
    ferrogate: Option<PathBuf>,
    /// Handed to `ferrogate-lab serve`, such as `-- --machine-memory 2048`
    #[arg(last = true, value_name = "ARGS")]
    serve: Vec<String>,
}

/// Runs what was asked for; the exit code tells whether all of it passed.
pub(crate) async fn run(args: TestArgs) -> Result<ExitCode> {
    if args.list {
        for scenario in Scenario::ALL {
            data(&format!("{scenario}  {}", scenario.title()));
        }
        return Ok(ExitCode::SUCCESS);
    }
    // Said once and before anything is begun, not by each of the sites.
    host::need_root()?;
    Tool::need(&[&netns::TOOLS[..], &netns::PROXY_TOOLS[..]].concat())?;
    let artifacts = args.artifacts.unwrap_or_else(Artifacts::folder);
    Artifacts::load(&artifacts)?;
    scenario::vacant(&args.only)?;
    let lab = outside::own_program()?;
    let stamp = SystemClock.now().strftime("%Y%m%d%H%M%S");
    let options = Options {
        only: args.only,
        keep: args.keep,
        logs: args.logs.unwrap_or_else(|| std::env::temp_dir().join(format!("ferrogate-lab-test-{stamp}"))),
        ferrogate: outside::find_ferrogate(args.ferrogate.as_deref())?,
        artifacts,
        lab,
        serve: args.serve,
    };
    let cancel = CancellationToken::new();
    let interrupt = tokio::spawn(interrupted(cancel.clone()));
    // On the thread that stays: what it starts is bound to the life of the thread that starts it.
    let report = Box::pin(scenario::run(&options, &cancel)).await;
    interrupt.abort();
    if args.json {
        let text = serde_json::to_string_pretty(&report);
        data(&text.map_err(|error| Failure::new(format!("the report cannot be shown: {error}"), None))?);
    } else {
        data(&report.render());
    }
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whatever tells a program to end, ends the run; everything it started is stopped first.
async fn interrupted(cancel: CancellationToken) {
    if let Err(failure) = outside::told_to_end().await {
        note(&format!("{failure}"));
        return std::future::pending().await;
    }
    note("interrupted: stopping what was started");
    cancel.cancel();
}
