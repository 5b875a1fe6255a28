//! An installation from its first question to its last page, and the way back.

mod build;
mod cleanup;
mod log;
mod pages;
mod pairing;
mod preflight;
mod prepare;
mod register;
mod secrets;
mod site_subnets;
mod steps;

pub use cleanup::cleanup;

use crate::{
    Config, Host, InstallArgs, InstallError, Prompter, config::deadlines::describe, prompt::Tone, screen::Screen,
    state::Progress,
};
use build::Passes;
use ferrogate_api::PairResponse;
use ferrogate_engine::{Checkpoint, Desired, Memory, Pass, preflight::Status};
use ferrogate_join::{ClusterKind, ClusterMaterials, GatewayPayload, NodeConfiguration};
use ferrogate_model::{GatewayId, state::OperationState};
use prepare::Installation;
use register::{GatewayClient, PlaneEnrolment};
use secrecy::SecretString;
use site_subnets::SiteSubnets;
use std::{path::PathBuf, sync::Arc, time::Duration};
use steps::{Live, Step, Steps};
use tracing::Instrument;

/// How long one call to MAAS may take; some of its writes take many seconds.
const MAAS_CALL_DEADLINE: Duration = Duration::from_secs(90);
/// Checks ask plane, proxy, MAAS and DNS, each with a deadline of its own.
const CHECKS_DEADLINE: Duration = Duration::from_secs(180);
const PAIRING_DEADLINE: Duration = Duration::from_secs(120);

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
    mut prompter: Option<&mut dyn Prompter>,
    screen: &dyn Screen,
    host: &Host,
) -> Result<Outcome, InstallError> {
    if args.update_secrets {
        return secrets::update(&args, prompter, host).await;
    }
    let prepared = prepare::prepare(&args, lend(&mut prompter), screen, host).await?;
    if let Some(prompter) = prompter {
        // From here on Ctrl-C is a signal again.
        prompter.release().map_err(InstallError::Terminal)?;
    }
    let (installation, lock) = match prepared {
        prepare::Prepared::Written(config) => return Ok(Outcome::Written { config }),
        prepare::Prepared::Go(installation, lock) => (*installation, lock),
    };
    let log = log::Log::open(&installation.folder)?;
    let result =
        log.record(Box::pin(run(&installation, screen, host)).instrument(tracing::info_span!("install"))).await;
    if let Err(error) = &result {
        pages::kept(&installation, error, screen);
    }
    drop(lock);
    result
}

/// Lends the prompter without giving it away.
fn lend<'a>(prompter: &'a mut Option<&mut dyn Prompter>) -> Option<&'a mut dyn Prompter> {
    match prompter {
        Some(prompter) => Some(&mut **prompter),
        None => None,
    }
}

async fn run(installation: &Installation, screen: &dyn Screen, host: &Host) -> Result<Outcome, InstallError> {
    let Installation { config, folder, sealer } = installation;
    let mut progress = folder.progress(sealer, &config.name)?;
    pairing::unchanged(config, &progress)?;
    progress.cleaned = None;
    let steps = Steps::new(screen, host.cancel.clone(), config.deadlines.overall);
    tracing::info!(gateway = %config.name, overall = %describe(config.deadlines.overall), "an installation goes on");
    let site = checks(config, &progress, host, &steps).await?;
    if let Some(gateway) = installed(installation, &site, &mut progress, screen).await? {
        return Ok(Outcome::Installed { gateway, config: folder.config() });
    }
    let paired_before = progress.paired.is_some();
    let paired = pair(installation, &site, &mut progress, &steps).await?;
    if !paired_before {
        image(config, &progress, host, &steps).await?;
    }
    let (gateway_client, pass) = build(installation, &site, &paired, &mut progress, host, &steps).await?;
    let step = Step {
        title: "Registration",
        goal: format!("gateway `{}` running and healthy on the plane", config.name),
        within: config.deadlines.register,
    };
    let live = Live::default();
    let status = steps
        .run(&step, &live, async {
            let status = gateway_client.healthy(&live).await?;
            let word = format!("{}, {}", status.state, status.health);
            Ok((status, Tone::Good, word))
        })
        .await?;
    gateway_client.tell("registration", OperationState::Succeeded, "the gateway is running and healthy").await;
    progress.finish(host.clock.now());
    folder.keep(sealer, &progress)?;
    pages::finished(installation, &paired, &pass, &status, steps.elapsed(), screen);
    Ok(Outcome::Installed { gateway: paired.gateway_id, config: folder.config() })
}

async fn checks(
    config: &Config,
    progress: &Progress,
    host: &Host,
    steps: &Steps<'_>,
) -> Result<SiteSubnets, InstallError> {
    let step = Step { title: "Checks", goal: "the end of all checks".into(), within: CHECKS_DEADLINE };
    let live = Live::default();
    steps
        .run(&step, &live, async {
            live.say("asking the plane, MAAS and DNS");
            let (site, checks) = Box::pin(preflight::preflight(config, progress, host)).await;
            let word = preflight::show(&checks, steps.screen());
            preflight::judge(&checks)?;
            let warned = checks.iter().any(|check| check.status == Status::Warn);
            Ok((site, if warned { Tone::Warning } else { Tone::Good }, word))
        })
        .await
}

/// The gateway, where it was installed before and is as it should be: then there is nothing to do. Where nodes are missing
/// the installation goes on, and builds them anew.
async fn installed(
    installation: &Installation,
    site: &SiteSubnets,
    progress: &mut Progress,
    screen: &dyn Screen,
) -> Result<Option<GatewayId>, InstallError> {
    let Installation { config, folder, sealer } = installation;
    let (Some(since), Some(paired)) = (progress.finished, progress.paired.clone()) else { return Ok(None) };
    let status = gateway_client(config, site, &paired)?
        .status()
        .await
        .map_err(|error| InstallError::plane("the plane does not say how the gateway is", error))?;
    if !register::is_well(&status) {
        let text = format!("Installed before; now the plane calls it {}, {}", status.state, status.health);
        screen.line(Tone::Warning, &text);
        return Ok(None);
    }
    progress.finish(since);
    folder.keep(sealer, progress)?;
    pages::already(installation, &paired, &status, since, screen);
    Ok(Some(paired.gateway_id))
}

async fn pair(
    installation: &Installation,
    site: &SiteSubnets,
    progress: &mut Progress,
    steps: &Steps<'_>,
) -> Result<PairResponse, InstallError> {
    let Installation { config, folder, sealer } = installation;
    if let Some(paired) = progress.paired_with_keys() {
        steps.screen().line(Tone::Good, &format!("Paired before: gateway {}", paired.gateway_id));
        return Ok(paired.clone());
    }
    let step =
        Step { title: "Pairing", goal: "an answer of the plane to the pairing code".into(), within: PAIRING_DEADLINE };
    let live = Live::default();
    let client = plane(config, site)?;
    progress.pairing_begun = true;
    folder.keep(sealer, progress)?;
    let request = pairing::request(config, site, progress);
    let paired = steps
        .run(&step, &live, async {
            let paired = pairing::pair(&client, &request, |text| live.say(text)).await?;
            pairing::materials(&paired)?;
            progress.paired = Some(paired.clone());
            folder.keep(sealer, progress)?;
            let word = paired.gateway_id.to_string();
            Ok((paired, Tone::Good, word))
        })
        .await?;
    Ok(paired)
}

/// The plane has said what is to be installed: whether MAAS has it, and whether the machines fit it.
async fn image(config: &Config, progress: &Progress, host: &Host, steps: &Steps<'_>) -> Result<(), InstallError> {
    let step = Step { title: "Image", goal: "the check of the image".into(), within: CHECKS_DEADLINE };
    let live = Live::default();
    steps
        .run(&step, &live, async {
            let checks = Box::pin(preflight::after_pairing(config, progress, host)).await;
            let failed: Vec<_> = checks.iter().filter(|check| check.status == Status::Fail).cloned().collect();
            preflight::show(&failed, steps.screen());
            preflight::judge(&failed)?;
            let seen = checks.iter().find(|check| check.id == "image").map(|check| check.seen.clone());
            Ok(((), Tone::Good, seen.unwrap_or_default()))
        })
        .await
}

async fn build(
    installation: &Installation,
    site: &SiteSubnets,
    paired: &PairResponse,
    progress: &mut Progress,
    host: &Host,
    steps: &Steps<'_>,
) -> Result<(GatewayClient, Pass), InstallError> {
    let Installation { config, folder, sealer } = installation;
    let gateway_client = gateway_client(config, site, paired)?;
    let engine = engine(config, &gateway_client, host)?;
    let desired = desired(config, site, paired, pairing::materials(paired)?, false)?;
    progress.maas_endpoint = Some(config.maas.endpoint.to_string());
    folder.keep(sealer, progress)?;
    let nodes =
        if config.nodes == 1 { "the gateway's machine".to_owned() } else { format!("{} machines", config.nodes) };
    let step = Step {
        title: "Machines",
        goal: format!("Kubernetes and the gateway on {nodes}"),
        within: config.deadlines.machines,
    };
    let live = Live::default();
    let passes = Passes {
        builder: &engine,
        watcher: &gateway_client,
        clock: host.clock.as_ref(),
        folder,
        sealer,
        screen: steps.screen(),
        live: &live,
        patience: config.deadlines.blocked,
    };
    // What is remembered is shown until the first pass has looked again.
    passes.remembered(&progress.memory.views);
    let built = steps
        .run(&step, &live, async {
            let pass = passes.until_converged(&desired, progress).await?;
            let names: Vec<_> = pass.machines.iter().map(|machine| machine.hostname.clone()).collect();
            Ok((pass, Tone::Good, names.join(", ")))
        })
        .await;
    match built {
        Ok(pass) => Ok((gateway_client, pass)),
        Err(error) => {
            gateway_client.tell("machines", OperationState::Failed, &ferrogate_model::fault::chain(&error)).await;
            Err(error)
        }
    }
}

/// A client of the site's MAAS.
fn maas(config: &Config, host: &Host) -> Result<ferrogate_maas::Client, ferrogate_maas::MaasError> {
    let maas = &config.maas;
    let (endpoint, key) = (maas.endpoint.clone(), maas.api_key.clone());
    crate::probes::maas_client(host, endpoint, key, maas.trust.clone(), MAAS_CALL_DEADLINE)
}

/// A client of the plane without credentials, by the site's way out.
fn plane(config: &Config, site: &SiteSubnets) -> Result<ferrogate_api::Client, InstallError> {
    let proxy = site.proxy(config);
    crate::probes::plane_client(config.plane.endpoint.clone(), config.plane.trust.clone(), proxy)
        .map_err(|error| InstallError::plane("the plane cannot be asked", error))
}

fn gateway_client(config: &Config, site: &SiteSubnets, paired: &PairResponse) -> Result<GatewayClient, InstallError> {
    let token: SecretString = paired.install_token.clone().into_inner();
    let client = plane(config, site)?.with_token(Some(token));
    Ok(GatewayClient::new(client, paired.gateway_id))
}

fn engine(
    config: &Config,
    gateway_client: &GatewayClient,
    host: &Host,
) -> Result<ferrogate_engine::Engine, InstallError> {
    let maas = maas(config, host)
        .map_err(|error| InstallError::Maas { doing: "MAAS cannot be asked", source: Box::new(error) })?;
    let enrolment = PlaneEnrolment { client: gateway_client.client.clone(), gateway: gateway_client.gateway };
    let (network, clock) = (Arc::clone(&host.connector), Arc::clone(&host.clock));
    Ok(ferrogate_engine::Engine::new(maas, network, clock, Arc::new(enrolment), Arc::clone(&host.node_setup)))
}

fn desired(
    config: &Config,
    site: &SiteSubnets,
    paired: &PairResponse,
    materials: ClusterMaterials,
    absent: bool,
) -> Result<Desired, InstallError> {
    let url = |text: &str| {
        text.parse::<url::Url>()
            .map_err(|error| InstallError::Version(format!("the address `{text}` is none: {error}")))
    };
    // Paths are joined to it, so it must end in a slash.
    let artifacts = format!("{}/", paired.artifacts_url.trim_end_matches('/'));
    Ok(Desired {
        configuration: NodeConfiguration {
            cluster: paired.cluster_id,
            name: config.name.clone(),
            kind: ClusterKind::Gateway,
            spec: config.spec(),
            release: paired.release.clone(),
            materials,
            artifacts_url: url(&artifacts)?,
            plane_ca_pem: paired.plane_ca_pem.clone(),
            proxy: site.proxy(config),
            gateway: Some(GatewayPayload { plane_url: url(&paired.plane_url)?, allow: site.allow(config) }),
        },
        absent,
    })
}

#[async_trait::async_trait]
impl build::Builder for ferrogate_engine::Engine {
    async fn pass(&self, desired: &Desired, memory: &mut Memory, checkpoint: &dyn Checkpoint) -> Pass {
        self.pass_with_checkpoint(desired, memory, checkpoint).await
    }
}
