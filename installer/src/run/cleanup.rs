//! The way back: every machine and address this installation took is given back, and the plane is told.

use super::{
    Cleaned,
    build::Passes,
    log::Log,
    pairing, prepare,
    register::GatewayClient,
    site_subnets::SiteSubnets,
    steps::{Live, Step, Steps},
};
use crate::{
    CleanupArgs, Host, InstallError, Prompter,
    answers::Answers,
    config::Extras,
    prompt::{Heading, Reply, Tone},
    questions::Problem,
    screen::Screen,
    state::{Folder, Progress},
};
use ferrogate_api::PairResponse;
use ferrogate_model::state::GatewayState;
use prepare::Installation;
use std::{path::PathBuf, time::Duration};

/// The plane may be gone for good: giving back the machines of an unfinished installation does not wait for it.
const PLANE_DEADLINE: Duration = Duration::from_secs(20);

/// There is nothing to give back, and nothing to tell.
const NOTHING_BEGUN: Cleaned = Cleaned { machines: Vec::new(), plane_told: true };

/// Gives back what an installation took.
///
/// # Errors
/// [`InstallError`]; can be run again.
pub async fn cleanup(
    args: CleanupArgs,
    mut prompter: Option<&mut dyn Prompter>,
    screen: &dyn Screen,
    host: &Host,
) -> Result<Cleaned, InstallError> {
    let file = find(&args)?;
    let (installation, lock) = prepare::open(&file, &Answers::default(), Extras::default())?;
    let log = Log::open(&installation.folder)?;
    let Some(progress) = installation.folder.read(&installation.sealer, installation.config.name.as_str())? else {
        screen.line(Tone::Good, "Nothing was begun with this configuration, so nothing was taken.");
        return Ok(NOTHING_BEGUN);
    };
    if !progress.pairing_begun {
        screen.line(Tone::Good, "No machine was taken, and the plane knows nothing of this installation.");
        return Ok(NOTHING_BEGUN);
    }
    confirm(&args, &installation, &mut prompter, screen).await?;
    if let Some(prompter) = prompter {
        prompter.release().map_err(InstallError::Terminal)?;
    }
    let result = log.record(Box::pin(give_back(&installation, progress, screen, host))).await;
    if result.is_err() {
        screen.line(Tone::Plain, "");
        screen.line(Tone::Plain, "What is left is still marked as ours. Run the same again:");
        screen.line(Tone::Plain, &format!("  ferrogate install cleanup --config {}", file.display()));
        screen.line(Tone::Plain, &format!("Log: {}", installation.folder.log().display()));
    }
    drop(lock);
    result
}

/// The configuration that was named, or the newest of the name, or the only one there is.
fn find(args: &CleanupArgs) -> Result<PathBuf, InstallError> {
    if let Some(file) = &args.config {
        return Ok(file.clone());
    }
    let missing = || InstallError::NoInstallation { name: args.name.clone(), state_dir: args.state_dir.clone() };
    Folder::newest(&args.state_dir, args.name.as_deref()).map(|folder| folder.config()).ok_or_else(missing)
}

/// A person at a terminal types the gateway's name. Without one, naming the file, or `--yes`, says enough.
async fn confirm(
    args: &CleanupArgs,
    installation: &Installation,
    prompter: &mut Option<&mut dyn Prompter>,
    screen: &dyn Screen,
) -> Result<(), InstallError> {
    if args.yes {
        return Ok(());
    }
    let name = installation.config.name.as_str();
    let Some(prompter) = prompter.as_deref_mut() else {
        if args.config.is_some() {
            return Ok(());
        }
        return Err(InstallError::Argument {
            argument: "--yes",
            problem: Problem::new(format!("{} was found, but not named", installation.folder.config().display()))
                .hint("name it with --config, or add --yes"),
        });
    };
    let mut heading = Heading {
        title: format!("Give back every machine of {name}?"),
        help: format!("They are wiped as MAAS is set to. Type the gateway's name to go on: {name}"),
        ..Heading::default()
    };
    loop {
        match prompter.text(&heading, "").await.map_err(InstallError::Terminal)? {
            Reply::Value(text) if text.trim() == name => {
                prompter.answered("Clean up", name).map_err(InstallError::Terminal)?;
                return Ok(());
            }
            Reply::Value(_) => heading.problem = Some(Problem::new(format!("that is not `{name}`"))),
            Reply::Back | Reply::Quit => {
                screen.line(Tone::Plain, "Nothing was changed.");
                return Err(InstallError::Left);
            }
        }
    }
}

async fn give_back(
    installation: &Installation,
    mut progress: Progress,
    screen: &dyn Screen,
    host: &Host,
) -> Result<Cleaned, InstallError> {
    let Installation { config, folder, sealer } = installation;
    pairing::unchanged(config, &progress)?;
    let steps = Steps::new(screen, host.cancel.clone(), config.deadlines.cleanup + PLANE_DEADLINE * 2);
    let site = site(installation, host).await;
    let Some(paired) = paired_or_asked(installation, &site, &mut progress, screen).await? else {
        screen.line(Tone::Good, "No machine was taken: the plane never answered the pairing code.");
        return Ok(Cleaned::default());
    };
    let gateway_client = super::gateway_client(config, &site, &paired)?;
    refuse_a_running_gateway(installation, &progress, &gateway_client).await?;
    let live = Live::default();
    let step = Step {
        title: "Giving machines back",
        goal: "the release of every machine and address".into(),
        within: config.deadlines.cleanup,
    };
    let engine = super::engine(config, &gateway_client, host)?;
    let materials = pairing::materials_or_nobodys(&progress, config, host)?;
    let desired = super::desired(config, &site, &paired, materials, true)?;
    let before: Vec<String> = progress.memory.views.iter().map(|machine| machine.hostname.clone()).collect();
    let passes = Passes {
        builder: &engine,
        watcher: &Silent,
        clock: host.clock.as_ref(),
        folder,
        sealer,
        screen,
        live: &live,
        patience: config.deadlines.blocked,
    };
    let machines = steps
        .run(&step, &live, async {
            passes.until_converged(&desired, &mut progress).await?;
            let word = if before.is_empty() { "nothing of ours is left".to_owned() } else { before.join(", ") };
            Ok((before.clone(), Tone::Good, word))
        })
        .await?;
    let plane_told = tell_plane(&gateway_client, installation, screen).await;
    progress.cleaned = Some(host.clock.now());
    progress.finished = None;
    folder.keep(sealer, &progress)?;
    screen.line(Tone::Plain, "");
    screen.line(Tone::Good, "Every machine and address this installation took was given back to MAAS.");
    screen.line(Tone::Plain, &format!("The folder may be removed: {}", folder.path().display()));
    Ok(Cleaned { machines, plane_told })
}

/// The ranges of MAAS's subnets; only needed for no-proxy, so a MAAS that does not tell is no obstacle here.
async fn site(installation: &Installation, host: &Host) -> SiteSubnets {
    let subnets = match super::maas(&installation.config, host) {
        Ok(maas) => maas.subnets().await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    SiteSubnets { subnets: subnets.iter().map(|subnet| subnet.cidr).collect() }
}

/// What the plane answered to the pairing code. Where its answer was lost it is asked once more: it may have a record.
async fn paired_or_asked(
    installation: &Installation,
    site: &SiteSubnets,
    progress: &mut Progress,
    screen: &dyn Screen,
) -> Result<Option<PairResponse>, InstallError> {
    if let Some(paired) = &progress.paired {
        return Ok(Some(paired.clone()));
    }
    let client = super::plane(&installation.config, site)?;
    let request = pairing::request(&installation.config, site, progress);
    match tokio::time::timeout(PLANE_DEADLINE, client.pair(&request)).await {
        Ok(Ok(paired)) => {
            progress.paired = Some(paired.clone());
            installation.folder.keep(&installation.sealer, progress)?;
            Ok(Some(paired))
        }
        // It refuses the code: then it never took it, or has given the gateway up.
        Ok(Err(error)) if error.problem().is_some() => Ok(None),
        _ => {
            let text = format!(
                "the plane was not reached; should it list `{}` as Provisioning, delete it there",
                installation.config.name
            );
            screen.line(Tone::Warning, &text);
            Ok(None)
        }
    }
}

/// A gateway that runs is taken apart by the plane, which knows what depends on it. One that was finished here counts as
/// running until the plane says otherwise: that it cannot be asked says nothing about the clusters behind the gateway.
async fn refuse_a_running_gateway(
    installation: &Installation,
    progress: &Progress,
    gateway_client: &GatewayClient,
) -> Result<(), InstallError> {
    let name = &installation.config.name;
    let asked =
        tokio::time::timeout(PLANE_DEADLINE, gateway_client.client.install_status(gateway_client.gateway)).await;
    let is_in_use = match asked {
        Ok(Ok(status)) => {
            // The plane calls it running when the first of its nodes has connected.
            let is_complete =
                status.connected_nodes.len() >= usize::try_from(status.desired_nodes).unwrap_or(usize::MAX);
            matches!(status.state, GatewayState::Running | GatewayState::Updating)
                && (progress.finished.is_some() || is_complete)
        }
        // Its token ends with the gateway.
        Ok(Err(error)) if error.problem().is_some_and(|problem| matches!(problem.status, 401 | 404)) => false,
        _ if progress.finished.is_some() => {
            return Err(InstallError::Blocked {
                cause: format!(
                    "gateway `{name}` was installed, and the plane does not say whether clusters depend on it"
                ),
                hint: Some(
                    "try again when the plane answers; if it is gone for good, release the machines in MAAS".into(),
                ),
            });
        }
        _ => false,
    };
    if is_in_use {
        return Err(InstallError::Blocked {
            cause: format!("gateway `{name}` is installed and running; clusters may depend on it"),
            hint: Some(format!("delete it in the plane: ferrogate delete gateway {name}")),
        });
    }
    Ok(())
}

async fn tell_plane(gateway_client: &GatewayClient, installation: &Installation, screen: &dyn Screen) -> bool {
    let told =
        tokio::time::timeout(PLANE_DEADLINE, gateway_client.client.abandon_install(gateway_client.gateway)).await;
    let why = match told {
        Ok(Ok(())) => {
            screen.line(Tone::Good, "The plane knows that the gateway was given up.");
            return true;
        }
        Ok(Err(error)) if error.problem().is_some_and(|problem| problem.status == 404) => {
            screen.line(Tone::Good, "The plane has no such gateway any more.");
            return true;
        }
        Ok(Err(error)) => ferrogate_model::fault::chain(&error),
        Err(_) => format!("no answer within {} s", PLANE_DEADLINE.as_secs()),
    };
    screen.line(Tone::Warning, &format!("the plane could not be told: {why}"));
    let name = &installation.config.name;
    screen.line(Tone::Plain, &format!("  Delete it there when it is back: ferrogate delete gateway {name}"));
    false
}

/// A clean-up reports to nobody.
struct Silent;

#[async_trait::async_trait]
impl super::build::Watcher for Silent {
    async fn passed(&self, _detail: &str) {}
}
