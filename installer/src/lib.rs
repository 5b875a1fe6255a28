//! The installer: asks what it has to know, writes pcg.yaml, checks everything, pairs with the plane, has the engine build
//! the gateway on machines of MAAS, and waits until the plane calls it healthy. It can be stopped at any moment and goes
//! on where it stopped, or gives everything back.
//!
//! It does no work of its own on MAAS: that is the engine's, which the plane runs too. Nothing stays on the host but the
//! folder with pcg.yaml, its key, the sealed notes and the log.

pub mod answers;
pub mod args;
pub mod config;
pub mod dns;
pub mod error;
pub mod files;
pub mod host;
pub mod probes;
pub mod prompt;
pub mod questions;
pub mod run;
pub mod screen;
pub mod seal;
pub mod state;

pub use args::{CleanupArgs, GivenArgs, InstallArgs, InstallCommand};
pub use config::Config;
pub use error::{ConfigError, InstallError};
pub use host::Host;
pub use prompt::{Prompter, Terminal};
pub use run::{Cleaned, Outcome, cleanup, install};
pub use screen::Screen;
