//! A site with a plane, and an installer that knows how to reach both.

use crate::plane::{GOOD_CODE, StubPlane};
use async_trait::async_trait;
use clap::Parser;
use ferrogate_installer::{
    Cleaned, CleanupArgs, GivenArgs, Host, InstallArgs, InstallCommand, InstallError, Outcome, screen::Recorded,
};
use ferrogate_lab::{Container, Lab, LabOptions, Programs, maas::MachineSnapshot};
use ferrogate_model::SystemClock;
use secrecy::ExposeSecret;
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Runs until it is told to stop, as the gateway would.
#[derive(Debug)]
struct Idle;

#[async_trait]
impl Programs for Idle {
    async fn start(&self, container: Container) -> Result<(), String> {
        container.cancel.cancelled().await;
        Ok(())
    }
}

pub(crate) struct World {
    pub(crate) lab: Lab,
    pub(crate) plane: StubPlane,
    pub(crate) state_dir: TempDir,
    pub(crate) screen: Recorded,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: InstallArgs,
}

/// The arguments as clap reads them.
pub(crate) fn parse(line: &[&str]) -> InstallArgs {
    Line::try_parse_from(std::iter::once("install").chain(line.iter().copied())).unwrap().args
}

impl World {
    pub(crate) async fn new() -> Self {
        let lab = Lab::start(LabOptions { programs: Arc::new(Idle), ..LabOptions::default() }).await.unwrap();
        let [a, b, c, _] = lab.subnet().network().octets();
        let plane = StubPlane::start(IpAddr::from([a, b, c, 4]));
        Self { lab, plane, state_dir: tempfile::tempdir().unwrap(), screen: Recorded::default() }
    }

    pub(crate) fn host(&self) -> Host {
        Host {
            connector: self.lab.connector(),
            clock: Arc::new(SystemClock),
            cancel: CancellationToken::new(),
            node_setup: Arc::new(ferrogate_firstboot::Kubeadm),
            variables: |_| None,
        }
    }

    /// Every answer, given beforehand.
    pub(crate) fn given(&self) -> GivenArgs {
        GivenArgs {
            name: Some("maas-pcg-1".into()),
            endpoint: Some(self.plane.url.clone()),
            fingerprint: Some(self.plane.fingerprint.clone()),
            pairing_code_file: Some(self.secret("code", GOOD_CODE)),
            maas_endpoint: Some(self.lab.maas_endpoint()),
            maas_api_key_file: Some(self.secret("key", self.lab.api_key().expose_secret())),
            zone: Some("default".into()),
            resource_pool: Some("default".into()),
            dns_servers: self.lab.dns().into_iter().collect::<Vec<SocketAddr>>(),
            ..GivenArgs::default()
        }
    }

    /// A file with a secret in it.
    pub(crate) fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.state_dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn args(&self) -> InstallArgs {
        InstallArgs {
            state_dir: self.state_dir.path().to_owned(),
            yes: true,
            given: self.given(),
            ..InstallArgs::default()
        }
    }

    pub(crate) async fn install(&self, args: InstallArgs) -> Result<Outcome, InstallError> {
        Box::pin(ferrogate_installer::install(args, None, &self.screen, &self.host())).await
    }

    /// Installs with a configuration that exists, and nothing else.
    pub(crate) async fn install_with(&self, config: &Path) -> Result<Outcome, InstallError> {
        let args = InstallArgs {
            config: Some(config.to_owned()),
            state_dir: self.state_dir.path().to_owned(),
            ..InstallArgs::default()
        };
        self.install(args).await
    }

    pub(crate) async fn cleanup(&self, config: &Path) -> Result<Cleaned, InstallError> {
        let args = CleanupArgs {
            config: Some(config.to_owned()),
            state_dir: self.state_dir.path().to_owned(),
            ..CleanupArgs::default()
        };
        Box::pin(ferrogate_installer::cleanup(args, None, &self.screen, &self.host())).await
    }

    /// Writes pcg.yaml and stops.
    pub(crate) async fn write_config(&self) -> PathBuf {
        match self.install(InstallArgs { config_only: true, ..self.args() }).await.unwrap() {
            Outcome::Written { config } => config,
            other => panic!("{other:?}"),
        }
    }

    /// Installs until a machine is shown as being deployed, then presses Ctrl-C.
    pub(crate) async fn interrupt_while_deploying(&self, config: &Path) -> InstallError {
        let host = self.host();
        let cancel = host.cancel.clone();
        let presses = async {
            while !self.screen.machines().iter().any(|machine| machine.state == "Deploying") {
                tokio::task::yield_now().await;
            }
            cancel.cancel();
            std::future::pending::<()>().await;
        };
        let args = InstallArgs { config: Some(config.to_owned()), ..InstallArgs::default() };
        tokio::select! {
            result = Box::pin(ferrogate_installer::install(args, None, &self.screen, &host)) => result.unwrap_err(),
            () = presses => unreachable!(),
        }
    }

    /// Machines that are not Ready, by name.
    pub(crate) fn taken(&self) -> Vec<String> {
        let taken = |machine: &MachineSnapshot| machine.status != "Ready";
        self.lab
            .maas()
            .machines()
            .iter()
            .filter(|machine| taken(machine))
            .map(|machine| machine.hostname.clone())
            .collect()
    }

    /// How often machines were allocated in all.
    pub(crate) fn allocations(&self) -> u32 {
        self.lab.maas().machines().iter().map(|machine| machine.allocations).sum()
    }
}

/// Replaces a text that must be there.
pub(crate) fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "`{from}` is not in\n{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// As long as no healthy run on this computer needs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

#[test]
fn the_arguments_of_the_specification_are_understood_in_both_spellings() {
    let file = Some(PathBuf::from("pcg.yaml"));
    assert_eq!(parse(&["--config", "pcg.yaml"]).config, file);
    let silent = parse(&["-s", "true", "-c", "pcg.yaml"]);
    assert_eq!((silent.silent, silent.config), (Some(true), file));
    for (dashes, underscores) in [
        ("--https-proxy=http://p:1", "--https_proxy=http://p:1"),
        ("--http-proxy=http://p:1", "--http_proxy=http://p:1"),
        ("--no-proxy=a,b", "--no_proxy=a,b"),
        ("--pod-cidr=10.0.0.0/16", "--pod_cidr=10.0.0.0/16"),
        ("--svc-ip-range=10.1.0.0/16", "--svc_ip_range=10.1.0.0/16"),
    ] {
        assert_eq!(format!("{:?}", parse(&[dashes]).given), format!("{:?}", parse(&[underscores]).given), "{dashes}");
    }
    let cleanup = parse(&["cleanup", "--config", "pcg.yaml"]);
    assert!(matches!(cleanup.command, Some(InstallCommand::Cleanup(_))));
}
