//! The plane's one listener and its life from start to drain.

mod identity;
mod listener;
mod options;
mod running;
mod start;

pub use crate::start_error::StartError;
pub use options::{CertificateFiles, Options};
pub use running::Running;

/// The plane.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Opens the store, binds the listener, starts the hub and the reconcilers, and returns once connections are taken.
    ///
    /// # Errors
    /// [`StartError`] names the file or address that was in the way.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        start::start(options).await
    }
}
