//! The process around the daemon: it makes the networks, starts the daemon inside, and takes everything away at the end.

use crate::SiteArgs;
use ferrogate_lab::{
    command::{Failure, Result, note, own_program, told_to_end},
    control::{Client, ControlError, Namespaces, WayOut},
    daemon::BackendKind,
    folder::Folder,
    host::{self, Child, HostError, Tool},
    netns::{self, Lock},
};
use rustix::process::Signal;
use std::{os::unix::fs::DirBuilderExt, process::Stdio, time::Duration};

/// How long the daemon may take to end everything in an orderly way.
const END_DEADLINE: Duration = Duration::from_secs(45);
/// How long `down` waits for the process that holds the site, after each thing it tries.
const DOWN_DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks whether it is gone.
const LOOK: Duration = Duration::from_millis(100);

/// Makes the site, runs it, and takes it away, whatever happens.
pub(crate) async fn serve(site: &str, args: &SiteArgs) -> Result<()> {
    let options = args.options(site)?;
    let namespaces = netns::namespaces(site)?;
    let folder = Folder::new(site);
    host::need_root()?;
    let mut tools = netns::TOOLS.to_vec();
    if options.way_out == WayOut::Proxy {
        tools.extend(netns::PROXY_TOOLS);
    }
    if matches!(options.backend, BackendKind::Kvm | BackendKind::Emulated) {
        tools.push(Tool::Qemu);
    }
    Tool::need(&tools)?;
    let lock = Lock::take(site)?;
    let words = [vec!["--site".to_owned(), site.to_owned(), "serve".into(), "--inside".into()], args.words()].concat();
    let (names, place) = (namespaces.clone(), folder.clone());
    // A task of its own, so that even a panic in it comes back here.
    let work = tokio::spawn(async move { Box::pin(hold(&names, &place, options.way_out, &words)).await });
    let held = work.await;
    let swept = netns::sweep(&namespaces, &folder).await;
    drop(lock);
    match held {
        Ok(result) => result?,
        Err(error) => return Err(Failure::new(format!("the site ended by a defect: {error}"), None)),
    }
    Ok(swept?)
}

async fn hold(names: &Namespaces, folder: &Folder, way_out: WayOut, words: &[String]) -> Result<()> {
    let end = told_to_end();
    tokio::pin!(end);
    let make = async {
        netns::sweep(names, folder).await?;
        let made = std::fs::DirBuilder::new().mode(0o700).create(folder.root());
        made.map_err(HostError::file("make", folder.root()))?;
        note("network namespaces");
        netns::create(names, way_out).await
    };
    tokio::select! {
        made = make => made?,
        told = &mut end => return told,
    }
    let mut daemon = Child::command(&names.site, &own_program()?)?
        .args(words)
        .stdin(Stdio::piped())
        // Ctrl-C reaches this process alone, and the daemon then ends in order.
        .process_group(0)
        .spawn()
        .map_err(|error| Failure::new(format!("the daemon could not be started: {error}"), None))?;
    let lifeline = daemon.stdin.take();
    let told = tokio::select! {
        ended = daemon.wait() => {
            return match ended {
                Ok(status) if status.success() => Ok(()),
                // It has said why.
                Ok(status) => Err(Failure::new(format!("the site's daemon ended ({status})"), None)),
                Err(error) => Err(Failure::new(format!("the site's daemon was lost: {error}"), None)),
            };
        }
        told = &mut end => told,
    };
    drop(lifeline);
    if tokio::time::timeout(END_DEADLINE, daemon.wait()).await.is_err() {
        note("the daemon did not end in time and is killed");
    }
    told
}

/// Ends the site and removes everything of it, also of one whose processes were killed.
pub(crate) async fn down(site: &str) -> Result<()> {
    let namespaces = netns::namespaces(site)?;
    host::need_root()?;
    let Some(holder) = Lock::holder(site)? else { return sweep(site, &namespaces).await };
    match Client::new(site).shutdown().await {
        Ok(()) => {}
        Err(ControlError::NotUp { .. }) => host::kill(holder, Signal::TERM),
        Err(error) => {
            note(&format!("{error}; its process {holder} is told to end"));
            host::kill(holder, Signal::TERM);
        }
    }
    if !is_free(site).await? {
        note(&format!("process {holder} did not end within {} s and is killed", DOWN_DEADLINE.as_secs()));
        host::kill(holder, Signal::KILL);
        if !is_free(site).await? {
            let what = format!("process {holder}, which holds the site `{site}`, cannot be ended");
            return Err(Failure::new(what, Some("look at it with `ps`, end it, and run this again")));
        }
    }
    sweep(site, &namespaces).await?;
    note(&format!("the site `{site}` is gone"));
    Ok(())
}

async fn is_free(site: &str) -> Result<bool> {
    let deadline = tokio::time::Instant::now() + DOWN_DEADLINE;
    while Lock::holder(site)?.is_some() {
        if tokio::time::Instant::now() > deadline {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(true)
}

async fn sweep(site: &str, namespaces: &Namespaces) -> Result<()> {
    let _lock = Lock::take(site)?;
    Ok(netns::sweep(namespaces, &Folder::new(site)).await?)
}
