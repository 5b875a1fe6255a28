//! The demo's environment: a plane outside, a site behind its proxy, and an administrator's client.

use super::programs::GatewayProgram;
use crate::context::{Context, Contexts};
use crate::exit::{Failure, Result};
use crate::print;
use ferrogate_api::{Client, ClientOptions, Secret, SetupRequest};
use ferrogate_firstboot::Kubeadm;
use ferrogate_lab::maas::Speed;
use ferrogate_lab::release::Simulated;
use ferrogate_lab::{Lab, LabOptions};
use ferrogate_model::fault;
use ferrogate_model::proxy::ProxySettings;
use ferrogate_net::Trust;
use ferrogate_plane::{Options, Running, Server};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The plane's name: nothing but the site's proxy resolves it, so whatever reaches the plane went through the proxy.
pub(crate) const PLANE_NAME: &str = "plane.demo.internal";
/// The gateway's name.
pub(super) const GATEWAY: &str = "maas-pcg-1";
/// The cluster's name.
pub(super) const CLUSTER: &str = "web";
const PLANE_PORT: u16 = 8443;
/// Real minutes of MAAS take about a hundredth.
const SPEED: Speed = Speed::Seconds(0.01);
const EMAIL: &str = "admin@demo.internal";

/// Everything that runs.
pub(crate) struct Environment {
    folder: tempfile::TempDir,
    pub(crate) lab: Lab,
    plane: Running,
    plane_address: SocketAddr,
    /// The administrator's client, outside the site.
    pub(crate) admin: Client,
    token: Secret,
}

/// A loopback address for the plane, outside every simulated site.
fn free_address() -> Result<SocketAddr> {
    (1..=250)
        .map(|n| SocketAddr::from((Ipv4Addr::new(127, 21, n, 1), PLANE_PORT)))
        .find(|address| TcpListener::bind(address).is_ok())
        .ok_or_else(|| {
            Failure::failed(format!("port {PLANE_PORT} is taken on every loopback address the demo may use"))
                .with_hint("end other demos")
        })
}

impl Environment {
    /// Starts the plane and the site, and sets the plane up through its API.
    pub(crate) async fn raise() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ferrogate-demo-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()?;
        let mirror = folder.path().join("mirror");
        let simulated = Simulated::new();
        simulated.write(&mirror)?;
        let image = simulated.release.images.gateway.to_string();

        let address = free_address()?;
        let url: Url = format!("https://{PLANE_NAME}:{PLANE_PORT}")
            .parse()
            .map_err(|error| Failure::failed(format!("{error}")))?;
        let mut options = Options::new(folder.path().join("plane"), address, simulated.release, Arc::new(Kubeadm));
        options.public_url = Some(url.clone());
        options.extra_names = vec![address.ip().to_string()];
        options.mirror_dir = Some(mirror);
        let plane = Server::start(options).await.map_err(|error| Failure::failed(fault::chain(&error)))?;

        let lab = Lab::start(LabOptions {
            speed: SPEED,
            programs: Arc::new(GatewayProgram { image }),
            proxy_credentials: Some(("site".to_owned(), "only-way-out".to_owned().into())),
            proxy_hosts: BTreeMap::from([(PLANE_NAME.to_owned(), address.ip())]),
            boot_time: Duration::from_millis(300),
            folder: Some(folder.path().to_owned()),
            ..LabOptions::default()
        })
        .await
        .map_err(|error| Failure::failed(fault::chain(&error)))?;

        let client = Client::new(ClientOptions {
            url,
            token: None,
            trust: Trust::ca(plane.ca_pem.clone()),
            proxy: ProxySettings::default(),
            hosts: vec![(PLANE_NAME.to_owned(), address.ip())],
            user_agent: concat!("ferrogate-demo/", env!("CARGO_PKG_VERSION")).to_owned(),
        })?;
        let setup_token =
            plane.setup_token.clone().ok_or_else(|| Failure::failed("the fresh plane has no set-up token"))?;
        let created = client
            .setup(&SetupRequest {
                setup_token: setup_token.into(),
                tenant: "demo".to_owned(),
                email: EMAIL.to_owned(),
                // Thrown away: the session's token is all that the demo uses.
                password: random_password(),
            })
            .await?;
        let admin = client.with_token(Some(created.token.clone().into_inner()));
        Ok(Self { folder, lab, plane, plane_address: address, admin, token: created.token })
    }

    /// A file or folder of the demo's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Fingerprint of the plane's CA.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.plane.fingerprint
    }

    /// The plane's CA, PEM.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.plane.ca_pem
    }

    /// Address of the plane as the site knows it.
    pub(crate) fn plane_url(&self) -> &Url {
        &self.plane.url
    }

    /// Address of the plane for programs that do not know its name.
    pub(crate) fn plane_direct(&self) -> String {
        format!("https://{}", self.plane_address)
    }

    /// The address the plane listens on.
    pub(crate) const fn plane_ip(&self) -> IpAddr {
        self.plane_address.ip()
    }

    /// Leaves the files where they are when everything stops.
    pub(crate) fn keep_folder(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// A context file with which the ordinary commands reach the demo's plane.
    fn write_context(&self) -> Result<PathBuf> {
        let path = self.path("config.toml");
        let server: Url = self.plane_direct().parse().map_err(|error| Failure::failed(format!("{error}")))?;
        let context = Context {
            server,
            token: Some(self.token.clone()),
            ca_pem: Some(self.plane.ca_pem.clone()),
            fingerprint: None,
        };
        let contexts =
            Contexts { current: Some("demo".to_owned()), contexts: BTreeMap::from([("demo".to_owned(), context)]) };
        contexts.save_to(&path)?;
        Ok(path)
    }

    /// Tells the person what can be tried while everything runs.
    pub(crate) fn print_what_next(&self) -> Result<()> {
        let context = self.write_context()?;
        let program =
            std::env::current_exe().map_or_else(|_| "ferrogate".to_owned(), |path| path.display().to_string());
        print::note("\neverything runs until Ctrl-C. In another terminal:\n");
        print::note(&format!("  export FERROGATE_CONFIG={}", context.display()));
        print::note(&format!("  alias ferrogate={program}"));
        print::note("  ferrogate get gateways");
        print::note("  ferrogate describe cluster web");
        print::note("  ferrogate scale cluster web --count 3 --wait");
        print::note("  ferrogate get events --watch");
        print::note(&format!("  kubectl --kubeconfig {} get nodes -o wide", self.path("web.kubeconfig").display()));
        print::note(&format!("\n  plane  {}", self.plane_direct()));
        print::note(&format!("  MAAS   {} (API key in {})", self.lab.maas_endpoint(), self.path("maas.key").display()));
        Ok(())
    }

    /// Stops everything.
    pub(crate) async fn shutdown(self) {
        // The gateways first: they would report a plane that went away.
        self.lab.shutdown().await;
        self.plane.shutdown().await;
    }
}

/// 256 random bits as text.
fn random_password() -> Secret {
    Secret::from(ferrogate_files::hex(rand::random::<[u8; 32]>()))
}
