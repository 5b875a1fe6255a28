//! `ferrogate demo`: the whole product on one computer. A plane, a simulated MAAS with eight machines, the real
//! installer, a real gateway and a cluster, over real sockets, through a proxy that is the site's only way out.

mod environment;
mod kubectl;
mod outcome;
mod programs;
mod steps;
mod verify;

use crate::exit::{Exit, Failure, Result};
use crate::{output, plane, print};
use clap::Args;
use environment::Environment;
use ferrogate_installer::screen::{self, Screen};
use outcome::Report;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Run it through, delete everything, prove that nothing is left, and end
    #[arg(long)]
    once: bool,
    /// Print one JSON object with the result on standard output
    #[arg(long)]
    json: bool,
    /// Keep the demo's folder (logs, configuration, database) afterwards
    #[arg(long)]
    keep: bool,
}

/// What the demo's parts are given to work with.
pub(crate) struct Controls {
    pub(crate) screen: Arc<dyn Screen>,
    pub(crate) cancel: CancellationToken,
}

pub(crate) async fn run(args: &DemoArgs) -> Result<()> {
    let controls = Controls { screen: screen::standard(), cancel: CancellationToken::new() };
    let interrupt = {
        let cancel = controls.cancel.clone();
        tokio::spawn(async move {
            plane::wait_for_stop().await;
            cancel.cancel();
        })
    };
    let mut report = Report::default();
    let mut environment = None;
    let result = Box::pin(run_steps(args, &controls, &mut report, &mut environment)).await;
    if let Some(mut environment) = environment {
        if args.keep || result.is_err() {
            print::note(&format!("the demo's files are kept in {}", environment.keep_folder().display()));
        }
        environment.shutdown().await;
    }
    interrupt.abort();
    report.finish(&result);
    if args.json {
        print::data(&output::json(&report)?);
    }
    result
}

async fn run_steps(
    args: &DemoArgs,
    controls: &Controls,
    report: &mut Report,
    slot: &mut Option<Environment>,
) -> Result<()> {
    if !args.json {
        print::note("Ferrogate on this computer. MAAS and its machines are simulated; the plane, the");
        print::note("installer, the gateway, the tunnel and every socket between them are real.\n");
    }
    let environment = slot.insert(until_cancelled(controls, Box::pin(steps::raise(controls, report))).await?);
    until_cancelled(controls, Box::pin(steps::gateway(environment, controls, report))).await?;
    until_cancelled(controls, Box::pin(steps::cluster(environment, controls, report))).await?;
    if args.once {
        until_cancelled(controls, steps::delete(environment, controls, report)).await?;
        return verify::nothing_is_left(environment, controls, report);
    }
    environment.print_what_next()?;
    controls.cancel.cancelled().await;
    print::note("\nstopping; everything of the demo goes with it");
    Ok(())
}

/// Ctrl-C ends the demo at any point; what was started is stopped by the caller.
async fn until_cancelled<T>(controls: &Controls, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        result = work => result,
        () = controls.cancel.cancelled() => Err(Failure::new(Exit::Interrupted, "interrupted; the demo is stopped and leaves nothing behind")),
    }
}
