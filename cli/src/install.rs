//! `ferrogate install` and `ferrogate install cleanup`: the installer on this computer's terminal.

use crate::exit::{Exit, Failure, Result};
use crate::{plane, print};
use ferrogate_firstboot::Kubeadm;
use ferrogate_installer::{Host, InstallArgs, InstallCommand, InstallError, Prompter, Terminal, screen};
use std::io::IsTerminal;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Somebody who can be asked, where there is somebody.
fn prompter() -> Option<Terminal> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    Terminal::open().ok()
}

fn failure(error: &InstallError) -> Failure {
    let exit = match error.exit_code() {
        2 => Exit::Usage,
        3 => Exit::NotFound,
        4 => Exit::Denied,
        5 => Exit::Unreachable,
        124 => Exit::TimedOut,
        130 => Exit::Interrupted,
        _ => Exit::Failed,
    };
    Failure::explained(exit, error)
}

pub(crate) async fn run(args: InstallArgs) -> Result<()> {
    let cancel = CancellationToken::new();
    let interrupt = {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            plane::wait_for_stop().await;
            cancel.cancel();
        })
    };
    let host = Host::this(cancel, Arc::new(Kubeadm));
    let screen = screen::standard();
    let mut terminal = prompter();
    let asked = terminal.as_mut().map(|terminal| terminal as &mut dyn Prompter);
    let result = match args.command.clone() {
        None => ferrogate_installer::install(args, asked, screen.as_ref(), &host).await.map(drop),
        Some(InstallCommand::Cleanup(cleanup)) => {
            ferrogate_installer::cleanup(cleanup, asked, screen.as_ref(), &host).await.map(|cleaned| {
                if !cleaned.plane_told {
                    print::note("the plane was not told; delete the gateway there if it is still listed");
                }
            })
        }
    };
    interrupt.abort();
    result.map_err(|error| failure(&error))
}
