//! A k3s server: authorities, datastore, API, controllers, manifests, and the kubelet beside them.

use super::{
    MEMBER, Node,
    config::Config,
    join::{Joining, Token},
    manifests::Applied,
    pki::{self, Authorities},
    read_secret, retry, run_kubelet,
    supervisor::{Supervisor, Tokens},
    token,
};
use crate::{
    kubernetes::{
        API_PORT,
        controllers::{self, Controllers},
        datastore::{Datastore, Leaving, Member, Place},
        handler::ApiServer,
        objects::Objects,
        rbac::{MASTERS, NODES},
        serve,
    },
    machine::{Machine, Process},
};
use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use std::{net::SocketAddr, sync::Arc};

/// Where the administrator's kubeconfig is written.
const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";

/// What a server begins with.
struct Begun {
    authorities: Authorities,
    member: Member,
    tokens: Tokens,
}

/// Runs a server until it is dropped.
pub(super) async fn run(
    machine: &Arc<Machine>,
    config: &Config,
    node: Node,
    process: &Process,
) -> Result<std::convert::Infallible, String> {
    let begun = begin(machine, config, &node).await?;
    let store = Arc::clone(&begun.member.datastore);
    let address = SocketAddr::new(node.address, API_PORT);
    let url = format!("https://{address}");
    let service_address = ferrogate_model::address::nth(&config.service_cidr, 1).map(|ip| ip.to_string());
    let service_address = service_address.ok_or("service-cidr has no address for the API")?;
    let now = machine.clock.now();
    let tls = begun.authorities.serving(&names(config, &node, &service_address), now)?;
    let listener = machine
        .site
        .options
        .network
        .listen(address)
        .map_err(|error| format!("failed to listen on {address}: {error}"))?;
    write_kubeconfig(machine, config, &begun.authorities, &url)?;
    let identity = begun.authorities.client(&format!("system:node:{}", node.name), &[NODES], now)?;
    let ca_pem = begun.authorities.server_ca_pem().to_owned();
    let server = Arc::new(ApiServer {
        store: Arc::clone(&store),
        supervisor: Some(Supervisor { authorities: begun.authorities, tokens: begun.tokens }),
        bootstrap_tokens: false,
        logs: machine.site.logs.clone(),
        clock: Arc::clone(&machine.clock),
        version: node.version.clone(),
        address: address.to_string(),
    });
    machine.console.say("k3s", format!("API server listens on {url}"));
    let api = serve::serve(listener, tls, Arc::clone(&server));
    let name = node.name.clone();
    let rounds = rounds(machine, &store, &name, &service_address);
    let identity = (identity.0, SecretString::from(identity.1));
    let ready = || {
        process.ready.send_replace(true);
    };
    let kubelet = run_kubelet(machine, config, node, (&url, &ca_pem, identity), true, ready);
    // The member is up for as long as this runs.
    let _member = begun.member;
    tokio::select! {
        () = api => Err("the API server ended".into()),
        why = rounds => Err(why),
        ended = kubelet => ended,
    }
}

/// Starts a new cluster, continues as a member, or joins another server.
async fn begin(machine: &Arc<Machine>, config: &Config, node: &Node) -> Result<Begun, String> {
    let datastores = &machine.site.datastores;
    let now = machine.clock.now();
    let member = datastores.of_disk(&machine.disk);
    if let (Some(url), None) = (&config.server, &member) {
        return join(machine, config, url, node).await;
    }
    let (authorities, files) = pki::load(&machine.disk, now)?;
    let own = token(machine, config)?;
    let agent = match (&config.agent_token, &config.agent_token_file) {
        (Some(token), _) => Some(SecretString::from(token.clone())),
        (None, Some(path)) => Some(read_secret(machine, path)?.into()),
        (None, None) => None,
    };
    let agent = match agent {
        Some(agent) => Token::parse(agent.expose_secret())?.secret,
        None => own.secret.clone(),
    };
    let tokens = Tokens { server: own.secret, agent };
    let member = match member {
        Some((cluster, name)) => {
            let store = datastores.find(&cluster).ok_or("the datastore of this member does not exist any more")?;
            store.resume(&Place { node: &name, ..place(machine, node) })?
        }
        None => {
            let store = datastores.create(Leaving::WithItsNode);
            store.set_bootstrap(files, config.critical.clone());
            store.begin(&place(machine, node))?
        }
    };
    Ok(Begun { authorities, member, tokens })
}

fn place<'a>(machine: &'a Machine, node: &'a Node) -> Place<'a> {
    Place { disk: &machine.disk, file: MEMBER, node: &node.name, address: node.address }
}

/// Joins the cluster of another server as a further member.
async fn join(machine: &Arc<Machine>, config: &Config, url: &str, node: &Node) -> Result<Begun, String> {
    let attempt = || -> BoxFuture<'_, _> {
        Box::pin(async {
            let joining = Joining::begin(Arc::clone(machine), url, token(machine, config)?).await?;
            let bootstrap = joining.bootstrap(&config.critical).await?;
            // The kubelet's certificate is asked for only to have the node's password checked by the others.
            joining.kubelet(&node.name).await?;
            Ok(bootstrap)
        })
    };
    let bootstrap = retry(machine, attempt).await;
    for (name, content) in &bootstrap.files {
        let path = format!("{}/{name}", pki::TLS);
        let mode = if name.ends_with(".key") { 0o600 } else { 0o644 };
        machine.disk.write(&path, content, mode).map_err(|error| format!("{path}: {error}"))?;
    }
    let authorities = pki::from_files(&bootstrap.files, machine.clock.now())?;
    let datastores = &machine.site.datastores;
    let store = datastores.find(&bootstrap.cluster).ok_or("the cluster to join does not exist any more")?;
    let member = store.begin(&place(machine, node))?;
    machine.console.say("k3s", format!("joined {url} as a server"));
    let tokens = Tokens { server: token(machine, config)?.secret, agent: bootstrap.agent_token };
    Ok(Begun { authorities, member, tokens })
}

/// What the serving certificate is good for, as k3s makes it.
fn names(config: &Config, node: &Node, service_address: &str) -> Vec<String> {
    let mut names: Vec<String> = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    names.extend([node.name.clone(), node.address.to_string(), service_address.to_owned()]);
    names.extend(config.tls_san.iter().cloned());
    names.sort();
    names.dedup();
    names
}

fn write_kubeconfig(machine: &Machine, config: &Config, authorities: &Authorities, url: &str) -> Result<(), String> {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let (certificate, key) = authorities.client("system:admin", &[MASTERS], machine.clock.now())?;
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: default\n  cluster:\n    certificate-authority-data: {}\n    \
         server: {url}\ncontexts:\n- name: default\n  context:\n    cluster: default\n    user: default\n\
         current-context: default\nusers:\n- name: default\n  user:\n    client-certificate-data: {}\n    \
         client-key-data: {}\n",
        encode(authorities.server_ca_pem()),
        encode(&certificate),
        encode(&key)
    );
    machine.disk.write(KUBECONFIG, text.as_bytes(), config.kubeconfig_mode).map_err(|e| format!("{KUBECONFIG}: {e}"))
}

/// Controllers and manifests, round after round.
async fn rounds(machine: &Arc<Machine>, store: &Arc<Datastore>, node: &str, service_address: &str) -> String {
    let timing = machine.site.options.timing;
    let mut controllers =
        Controllers::new(Arc::clone(store), Arc::clone(&machine.clock), node.to_owned(), timing.grace);
    let mut applied = Applied::default();
    let mut first = true;
    loop {
        if !store.is_member(node) {
            return "this server has been removed from the cluster".into();
        }
        let objects = Objects { store, now: machine.clock.now() };
        if first {
            first = controllers::first_objects(objects, service_address).is_err();
        }
        if !first {
            applied.round(&machine.disk, objects, &machine.console);
            controllers.round();
        }
        tokio::time::sleep(timing.round).await;
    }
}
