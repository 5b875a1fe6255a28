//! The daemon's process, inside the site's network namespace.

use ferrogate_lab::{
    command::{Result, note},
    daemon::{self, Options},
    folder::Folder,
    host::HostError,
};
use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, sync::Mutex};
use tokio::io::AsyncReadExt;

/// Runs the site until its standard input ends: whoever started it holds the other end, and lets go of it in every way of
/// ending.
pub(crate) async fn serve(options: Options) -> Result<()> {
    start_log(&Folder::new(&options.site))?;
    let until_let_go = async {
        let mut byte = [0];
        // Nothing is ever written to it.
        while let Ok(1..) = tokio::io::stdin().read(&mut byte).await {}
    };
    let done = daemon::run(options, until_let_go, note).await;
    if let Err(error) = &done {
        tracing::error!(%error, "the site could not be started");
    }
    Ok(done?)
}

fn start_log(folder: &Folder) -> Result<(), HostError> {
    let path = folder.daemon_log();
    let open = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let file = open.map_err(HostError::file("open", &path))?;
    let filter = tracing_subscriber::EnvFilter::try_from_env("FERROGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file)).init();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "a defect");
        before(panic);
    }));
    Ok(())
}
