//! `ferrogate demo`: the whole product on one computer. A plane, a simulated MAAS with eight machines, the real
//! installer, a real gateway and a cluster, over real sockets, through a proxy that is the site's only way out.

mod kubectl;
mod outcome;
mod programs;
mod stage;
mod story;
mod verify;

use crate::exit::{Exit, Failure, Result};
use crate::{output, plane, print};
use clap::Args;
use ferrogate_installer::screen::{self, Screen};
use outcome::Report;
use stage::Stage;
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
pub(crate) struct Set {
    pub(crate) screen: Arc<dyn Screen>,
    pub(crate) cancel: CancellationToken,
}

pub(crate) async fn run(args: &DemoArgs) -> Result<()> {
    let set = Set { screen: screen::standard(), cancel: CancellationToken::new() };
    let interrupt = {
        let cancel = set.cancel.clone();
        tokio::spawn(async move {
            plane::wait_for_stop().await;
            cancel.cancel();
        })
    };
    let mut report = Report::default();
    let mut stage = None;
    let played = Box::pin(play(args, &set, &mut report, &mut stage)).await;
    if let Some(mut stage) = stage {
        if args.keep || played.is_err() {
            print::note(&format!("the demo's files are kept in {}", stage.keep_folder().display()));
        }
        stage.shutdown().await;
    }
    interrupt.abort();
    report.finish(&played);
    if args.json {
        print::data(&output::json(&report)?);
    }
    played
}

async fn play(args: &DemoArgs, set: &Set, report: &mut Report, place: &mut Option<Stage>) -> Result<()> {
    if !args.json {
        print::note("Ferrogate on this computer. MAAS and its machines are simulated; the plane, the");
        print::note("installer, the gateway, the tunnel and every socket between them are real.\n");
    }
    let stage = place.insert(until_cancelled(set, Box::pin(story::raise(set, report))).await?);
    until_cancelled(set, Box::pin(story::gateway(stage, set, report))).await?;
    until_cancelled(set, Box::pin(story::cluster(stage, set, report))).await?;
    if args.once {
        until_cancelled(set, story::delete(stage, set, report)).await?;
        return verify::nothing_is_left(stage, set, report);
    }
    stage.print_what_next()?;
    set.cancel.cancelled().await;
    print::note("\nstopping; everything of the demo goes with it");
    Ok(())
}

/// Ctrl-C ends the demo at any point; what was started is stopped by the caller.
async fn until_cancelled<T>(set: &Set, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        result = work => result,
        () = set.cancel.cancelled() => Err(Failure::new(Exit::Interrupted, "interrupted; the demo is stopped and leaves nothing behind")),
    }
}
