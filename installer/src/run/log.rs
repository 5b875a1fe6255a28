//! The log beside pcg.yaml: everything the installer, the engine and the clients say about this run, and no secret, since
//! none of them ever prints one.

use crate::{InstallError, files, state::Folder};
use std::{fs::File, sync::Mutex};
use tracing::{Dispatch, instrument::WithSubscriber};
use tracing_subscriber::EnvFilter;

/// What is kept: our own parts in detail, the libraries' warnings.
const FILTER: &str = "warn,ferrogate_installer=debug,ferrogate_engine=debug,ferrogate_maas=debug,ferrogate_net=debug,ferrogate_api=debug";

/// The log of one run.
pub(crate) struct Log {
    dispatch: Dispatch,
}

impl Log {
    /// Opens the log of an installation.
    pub(crate) fn open(folder: &Folder) -> Result<Self, InstallError> {
        let file: File = files::open_log(&folder.log())?;
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_env_filter(EnvFilter::new(FILTER))
            .with_writer(Mutex::new(file))
            .finish();
        Ok(Self { dispatch: Dispatch::new(subscriber) })
    }

    /// Runs something and keeps what it says.
    pub(crate) async fn record<T>(&self, work: impl Future<Output = T>) -> T {
        work.with_subscriber(self.dispatch.clone()).await
    }
}
