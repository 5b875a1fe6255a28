//! The program `/usr/local/bin/k3s` of simulated machines: [`crate::kubernetes`] in one process, and the way by which nodes
//! join. What k3s refuses to start with it refuses too.

mod config;
mod join;
mod manifests;
mod peek;
mod pki;
mod server;
pub(crate) mod supervisor;

use crate::{
    kubernetes::{
        caller::Caller,
        images,
        kubelet::{Kubelet, pods::mirror::OwnPods},
    },
    machine::{Exit, Machine, Process},
};
use config::{Config, Role};
use ferrogate_model::fault::chain;
use ferrogate_net::{HttpClient, Trust};
use futures::future::BoxFuture;
use join::{Joining, Token};
use secrecy::SecretString;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Where the settings are.
const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
/// Where image archives are imported from.
const IMAGES: &str = "/var/lib/rancher/k3s/agent/images";
/// Where a server keeps which cluster it is a member of.
const MEMBER: &str = "/var/lib/rancher/k3s/server/db/etcd/member";
/// What a binary without a version in it counts as.
const UNKNOWN_VERSION: &str = "v0.0.0+k3s0";

/// A file that stands for the k3s binary of a version, such as `v1.34.2+k3s1`: what a plane hands out to simulated
/// machines. A real binary does as well; its version is found in it.
#[must_use]
pub fn simulated_binary(version: &str) -> Vec<u8> {
    format!("#!simulated\nThis file stands for k3s {version} on the simulated machines of Ferrogate's lab.\n")
        .into_bytes()
}

/// Runs k3s until it is cancelled or fails.
pub(crate) async fn run(machine: Arc<Machine>, path: &str, process: Process) -> Exit {
    let role = match process.argv.get(1).map(String::as_str) {
        Some("server") => Role::Server,
        Some("agent") => Role::Agent,
        Some(other) => return Exit::failure(1, format!("FATA No help topic for '{other}'")),
        None => return Exit::failure(1, "FATA a command is needed: server or agent"),
    };
    if let Some(extra) = process.argv.get(2) {
        return Exit::failure(1, format!("FATA `{extra}`: simulated k3s takes its settings from {CONFIG} only"));
    }
    match start(&machine, path, role, &process).await {
        Ok(never) => match never {},
        Err(why) => Exit::failure(1, format!("level=fatal msg=\"{why}\"")),
    }
}

async fn start(
    machine: &Arc<Machine>,
    path: &str,
    role: Role,
    process: &Process,
) -> Result<std::convert::Infallible, String> {
    let version = version_of(machine, path)?;
    let text = if machine.disk.exists(CONFIG) {
        machine.disk.read_text(CONFIG).map_err(|error| format!("{CONFIG}: {error}"))?
    } else {
        String::new()
    };
    let config = Config::parse(&text, role)?;
    let node = Node::new(machine, &config, version)?;
    machine.console.say("k3s", format!("starting k3s {} as {role:?}, node {}", node.version, node.name));
    match role {
        Role::Server => server::run(machine, &config, node, process).await,
        Role::Agent => agent(machine, &config, node, process).await,
    }
}

/// What a node is called and where it is.
struct Node {
    name: String,
    address: IpAddr,
    version: String,
}

impl Node {
    fn new(machine: &Machine, config: &Config, version: String) -> Result<Self, String> {
        let name = config.node_name.clone().unwrap_or_else(|| machine.hostname()).to_lowercase();
        let own = &machine.boot.addresses;
        let address = match config.node_ip {
            Some(address) if own.contains(&address) => address,
            Some(address) => return Err(format!("node-ip {address} is not an address of this machine")),
            None => *own.first().ok_or("this machine has no address")?,
        };
        Ok(Self { name, address, version })
    }
}

/// The node's part that runs containers; works until it is dropped.
async fn run_kubelet(
    machine: &Arc<Machine>,
    config: &Config,
    node: Node,
    (server, ca_pem, identity): (&str, &str, (String, SecretString)),
    is_server: bool,
    registered: impl FnOnce(),
) -> Result<std::convert::Infallible, String> {
    for line in images::complaints(&machine.disk, IMAGES) {
        machine.console.say("k3s", line);
    }
    let trust = Trust::ca(ca_pem).with_identity(identity.0, identity.1);
    let client = HttpClient::builder(machine.connector()).trust(trust).build().map_err(|error| chain(&error))?;
    let mut labels = vec![("node.kubernetes.io/instance-type".to_owned(), "k3s".to_owned())];
    if is_server {
        let roles = ["control-plane", "etcd", "master"];
        labels.extend(roles.map(|role| (format!("node-role.kubernetes.io/{role}"), "true".to_owned())));
    }
    labels.extend(config.node_labels.iter().cloned());
    let annotations = vec![
        ("k3s.io/hostname".to_owned(), machine.hostname()),
        ("k3s.io/internal-ip".to_owned(), node.address.to_string()),
    ];
    let provider = format!("k3s://{}", node.name);
    let kubelet = Arc::new(Kubelet {
        machine: Arc::clone(machine),
        caller: Caller::new(client, server),
        name: node.name,
        address: node.address,
        version: node.version,
        images: IMAGES,
        networks: None,
        learns: true,
        source: "k3s",
        own: OwnPods::default(),
        provider: Some(provider),
        annotations,
        labels,
        taints: config.node_taints.clone(),
        timing: machine.site.options.timing,
    });
    kubelet.run(registered).await;
    Err("the kubelet ended".into())
}

/// An agent: joins, and tries again for as long as it takes, as the real one does.
async fn agent(
    machine: &Arc<Machine>,
    config: &Config,
    node: Node,
    process: &Process,
) -> Result<std::convert::Infallible, String> {
    let server = config.server.clone().unwrap_or_default();
    let attempt = || -> BoxFuture<'_, _> {
        Box::pin(async {
            let joining = Joining::begin(Arc::clone(machine), &server, token(machine, config)?).await?;
            let identity = joining.kubelet(&node.name).await?;
            Ok((joining, identity))
        })
    };
    let (joining, identity) = retry(machine, attempt).await;
    machine.console.say("k3s", format!("joined {server}"));
    process.ready.send_replace(true);
    run_kubelet(machine, config, node, (&server, &joining.ca_pem, identity), false, || ()).await
}

/// Does something until it succeeds; each new reason for a failure goes to the console once.
async fn retry<'a, T>(machine: &Machine, mut work: impl FnMut() -> BoxFuture<'a, Result<T, String>>) -> T {
    let mut said = String::new();
    loop {
        match work().await {
            Ok(done) => return done,
            Err(why) => {
                if said != why {
                    machine.console.say("k3s", format!("level=error msg=\"{why}\"; trying again"));
                    said = why;
                }
            }
        }
        // The real agent waits 5 s; a quick lab has no reason to.
        tokio::time::sleep((machine.site.options.timing.heartbeat * 2).min(Duration::from_secs(5))).await;
    }
}

/// The token from the settings or the file they name.
fn token(machine: &Machine, config: &Config) -> Result<Token, String> {
    let text = match (&config.token, &config.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(path)) => read_secret(machine, path)?,
        (None, None) => return Err("no token is set; a simulated k3s makes none of its own".into()),
    };
    Token::parse(&text)
}

fn read_secret(machine: &Machine, path: &str) -> Result<String, String> {
    Ok(machine.disk.read_text(path).map_err(|error| format!("{path}: {error}"))?.trim().to_owned())
}

/// The version that a binary names: `v1.34.2+k3s1`.
fn version_of(machine: &Machine, path: &str) -> Result<String, String> {
    let content = machine.disk.read(path).map_err(|error| format!("{path}: {error}"))?;
    let found = content.windows(4).position(|four| four == b"+k3s").and_then(|plus| {
        let part = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        let front = content[..plus].iter().rposition(|byte| !part(*byte))?;
        let end = content[plus + 4..].iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(0);
        let text = std::str::from_utf8(&content[front..plus + 4 + end]).ok()?;
        (text.starts_with('v') && text.matches('.').count() == 2).then(|| text.to_owned())
    });
    Ok(found.unwrap_or_else(|| UNKNOWN_VERSION.to_owned()))
}
