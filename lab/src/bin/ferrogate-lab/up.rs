//! `up`: starts the site in the background, shows how it comes up, and says what to try.

use crate::{SiteArgs, table};
use ferrogate_lab::{
    command::{Failure, Result, data, note, own_program, told_to_end},
    control::{Client, Status, WayOut},
    host::{self, HostError},
    netns::Lock,
};
use rustix::process::Signal;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::Instant,
};

/// How long a site may take to come up: the plane makes keys, a backend prepares its image.
const UP_DEADLINE: Duration = Duration::from_secs(240);
/// How long a site that is not wanted any more may take to clean up.
const CLEAN_DEADLINE: Duration = Duration::from_secs(60);
/// The line that the daemon ends its start with.
const READY: &str = "ready";

pub(crate) async fn up(site: &str, args: &SiteArgs) -> Result<()> {
    // Said here already, so that nothing is started for it.
    args.options(site)?;
    host::need_root()?;
    if let Some(pid) = Lock::holder(site)? {
        return Err(HostError::Up { site: site.to_owned(), pid }.into());
    }
    let begun = Instant::now();
    let mut daemon = Command::new(own_program()?)
        .args(["--site", site, "serve"])
        .args(args.words())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| Failure::new(format!("the daemon could not be started: {error}"), None))?;
    let ready = tokio::select! {
        ready = watch(&mut daemon) => ready,
        told = told_to_end() => told.and(Err(Failure::new("interrupted", None))),
        () = tokio::time::sleep(UP_DEADLINE) => {
            Err(Failure::new(format!("the site was not up within {} s", UP_DEADLINE.as_secs()), None))
        }
    };
    if let Err(failure) = ready {
        if let Some(pid) = daemon.id() {
            host::kill(pid, Signal::TERM);
        }
        if tokio::time::timeout(CLEAN_DEADLINE, daemon.wait()).await.is_err() {
            note("the daemon does not end; `down` removes what is left");
        }
        return Err(failure);
    }
    let status = Client::new(site).status().await?;
    note(&format!("the site `{site}` is up, {:.1} s\n", begun.elapsed().as_secs_f64()));
    data(&table::summary(&status));
    data(&what_to_try(&status));
    Ok(())
}

/// Shows the daemon's steps until it is ready.
async fn watch(daemon: &mut Child) -> Result<()> {
    let stderr = daemon.stderr.take().ok_or_else(|| Failure::new("the daemon has no standard error", None))?;
    let mut lines = BufReader::new(stderr).lines();
    let mut last: Vec<String> = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == READY {
            return Ok(());
        }
        if last.is_empty() && !line.starts_with("error: ") {
            note(&format!("  · {line}"));
        } else {
            last.push(line);
        }
    }
    let text = last.join("\n");
    // What the process inside said comes first; that it ended is known by then.
    let first = text.split("\nerror: ").next().unwrap_or_default().trim_start_matches("error: ");
    let (what, next) = first.split_once("\nhint: ").map_or((first, None), |(what, next)| (what, Some(next)));
    Err(Failure::new(if what.is_empty() { "the daemon ended without a word" } else { what }, next))
}

/// Commands for somebody who is here for the first time.
fn what_to_try(status: &Status) -> String {
    let lab = |rest: &str| {
        let (command, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let site = if status.site == "lab" { String::new() } else { format!(" --site {}", status.site) };
        format!("  cargo xtask lab {command}{site} {rest}").trim_end().to_owned()
    };
    let mut lines = vec!["What to try:".to_owned(), String::new(), "  # who is there".into(), lab("status")];
    if status.plane_running {
        lines.extend([
            "  # a code for the first gateway, then the gateway: it asks for what it needs, plane, MAAS and key are known".into(),
            lab("run plane -- ferrogate pairing create -o name"),
            lab("run site -- ferrogate install"),
            "  # what the plane knows".into(),
            lab("run plane -- ferrogate get gateways"),
        ]);
    }
    lines.extend([
        "  # a session on a deployed machine, its console, its power".into(),
        lab("ssh amber-heron"),
        lab("console amber-heron"),
        lab("cut amber-heron"),
        "  # cut the site off from the plane for half a minute".into(),
        lab("partition --seconds 30"),
        "  # end it and remove everything".into(),
        lab("down"),
    ]);
    if status.way_out == WayOut::Proxy {
        lines.push(String::new());
        lines.push("Only the proxy leads out; `run site` hands its address with the password to the installer.".into());
    }
    lines.join("\n")
}
