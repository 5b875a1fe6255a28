//! An installation from its first question to its last page, and the way back.

use crate::{CleanupArgs, Host, InstallArgs, InstallError, Prompter, screen::Screen};
use ferrogate_model::GatewayId;
use std::path::PathBuf;

/// How an installation ended well.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The gateway is running and healthy.
    Installed {
        /// The gateway.
        gateway: GatewayId,
        /// Its configuration file.
        config: PathBuf,
    },
    /// The configuration was written, as was asked for.
    Written {
        /// The configuration file.
        config: PathBuf,
    },
    /// The secrets were sealed anew, as was asked for.
    SecretsUpdated {
        /// The configuration file.
        config: PathBuf,
    },
}

/// What a clean-up did.
#[derive(Clone, Debug, Default)]
pub struct Cleaned {
    /// Names of the machines that were given back.
    pub machines: Vec<String>,
    /// Whether the plane knows that the gateway was abandoned; `false` where it was not reached or refused.
    pub plane_told: bool,
}

/// Installs a gateway. `prompter` is `None` where there is nobody to ask.
///
/// # Errors
/// [`InstallError`]; whatever was begun is kept and can be resumed or cleaned up, and the screen says how.
pub async fn install(
    args: InstallArgs,
    prompter: Option<&mut dyn Prompter>,
    screen: &dyn Screen,
    host: &Host,
) -> Result<Outcome, InstallError> {
    let _ = (args, prompter, screen, host);
    Err(InstallError::Left)
}

/// Gives back what an installation took.
///
/// # Errors
/// [`InstallError`]; can be run again.
pub async fn cleanup(
    args: CleanupArgs,
    prompter: Option<&mut dyn Prompter>,
    screen: &dyn Screen,
    host: &Host,
) -> Result<Cleaned, InstallError> {
    let _ = (args, prompter, screen, host);
    Err(InstallError::Left)
}
