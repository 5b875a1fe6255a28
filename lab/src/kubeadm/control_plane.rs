//! The programs of a server's static pods: etcd, the API server, its controllers, the scheduler.

use super::{MEMBER, join::peers, read, static_pods::Place};
use crate::{
    kubernetes::{
        controllers::{self, Controllers},
        datastore::{self, Datastore, Member},
        handler::ApiServer,
        kubeconfig::Kubeconfig,
        objects::Objects,
        pki::{self, Authority},
        serve,
    },
    machine::Machine,
};
use ipnet::IpNet;
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// How long a program waits for etcd beside it before it gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// The value of `--name=value`.
fn argument<'a>(command: &'a [String], name: &str) -> Result<&'a str, String> {
    let found = command.iter().find_map(|word| word.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='));
    found.ok_or_else(|| format!("required flag(s) \"{name}\" not set"))
}

/// Every file that a program is told of must be there and hold something.
fn check_files(machine: &Machine, command: &[String]) -> Result<(), String> {
    for word in command.iter().skip(1) {
        let Some((name, path)) = word.split_once('=').filter(|(_, value)| value.starts_with('/')) else { continue };
        if name == "--data-dir" {
            continue;
        }
        if read(machine, path)?.trim().is_empty() {
            return Err(format!("{name}: {path} is empty"));
        }
    }
    Ok(())
}

/// etcd: a member of a new cluster, of one that told it to come, or of the one it is a member of already.
pub(super) async fn etcd(place: &Place, command: &[String]) -> Result<(), String> {
    let machine = &place.machine;
    check_files(machine, command)?;
    for kind in ["", "peer-"] {
        let file = |what: &str| read(machine, argument(command, &format!("{kind}{what}"))?);
        pki::pair(&file("cert-file")?, &file("key-file")?)?;
    }
    let member = member(place, command)?;
    machine.console.say("etcd", format!("member {} is up", place.node));
    while member.datastore.is_member(&place.node) {
        tokio::time::sleep(machine.site.options.timing.round).await;
    }
    Err("the member has been permanently removed from the cluster".into())
}

fn member(place: &Place, command: &[String]) -> Result<Member, String> {
    let machine = &place.machine;
    let stores = &machine.site.datastores;
    let name = argument(command, "name")?;
    let here = datastore::Place { disk: &machine.disk, file: MEMBER, node: name, address: place.address };
    let authority = read(machine, argument(command, "peer-trusted-ca-file")?)?.into_bytes();
    if let Some((cluster, node)) = stores.of_disk(&machine.disk) {
        let store = stores.find(&cluster).ok_or("the cluster of this member does not exist any more")?;
        return store.resume(&datastore::Place { node: &node, ..here });
    }
    if argument(command, "initial-cluster-state")? == "new" {
        let store = stores.create(authority);
        return store.begin(&here);
    }
    let peers = peers(argument(command, "initial-cluster")?, name);
    let store = peers.into_iter().find_map(|peer| stores.at(peer)).ok_or("no peer of the initial cluster answers")?;
    if store.authority != authority {
        return Err("remote error: tls: bad certificate (the peers have another authority)".into());
    }
    store.resume(&here)
}

/// The datastore beside a server's programs, once its etcd is up.
async fn store_beside(place: &Place) -> Result<Arc<Datastore>, String> {
    let stores = &place.machine.site.datastores;
    super::until(&place.machine, "kube-apiserver", PATIENCE, || {
        let store = stores.at(place.address).filter(|store| store.is_up(&place.node));
        let store = store.ok_or_else(|| "dial 127.0.0.1:2379: connect: connection refused (etcd)".to_owned());
        Box::pin(std::future::ready(store))
    })
    .await
}

/// Ends when the etcd beside it does.
async fn while_etcd_is_up(place: &Place, store: &Datastore) -> String {
    while store.is_up(&place.node) {
        tokio::time::sleep(place.machine.site.options.timing.heartbeat).await;
    }
    "etcd is gone".to_owned()
}

/// The API server.
pub(super) async fn api_server(place: &Place, image: &str, command: &[String]) -> Result<(), String> {
    let machine = &place.machine;
    check_files(machine, command)?;
    let file = |name: &str| read(machine, argument(command, name)?);
    let tls = pki::tls(&file("tls-cert-file")?, &file("tls-private-key-file")?, &file("client-ca-file")?)?;
    let at = argument(command, "advertise-address")?.parse().map_err(|_| "advertise-address: it is no address")?;
    let port = argument(command, "secure-port")?.parse().map_err(|_| "secure-port: it is no port")?;
    let address = SocketAddr::new(at, port);
    let services: IpNet = argument(command, "service-cluster-ip-range")?
        .parse()
        .map_err(|_| "service-cluster-ip-range: it is no range of addresses")?;
    let service = ferrogate_model::address::nth(&services, 1).ok_or("service-cluster-ip-range: it is empty")?;
    let store = store_beside(place).await?;
    let listener = machine.site.options.network.listen(address);
    let listener = listener.map_err(|error| format!("failed to listen on {address}: {error}"))?;
    let server = Arc::new(ApiServer {
        store: Arc::clone(&store),
        bootstrap_tokens: argument(command, "enable-bootstrap-token-auth").is_ok_and(|value| value == "true"),
        logs: machine.site.logs.clone(),
        clock: Arc::clone(&machine.clock),
        version: image.rsplit(':').next().unwrap_or_default().to_owned(),
        address: address.to_string(),
    });
    super::until(machine, "kube-apiserver", PATIENCE, || {
        let objects = Objects { store: &store, now: machine.clock.now() };
        let made = controllers::first_objects(objects, &service.to_string());
        Box::pin(std::future::ready(made.map_err(|refusal| refusal.status()["message"].to_string())))
    })
    .await?;
    machine.console.say("kube-apiserver", format!("API server listens on https://{address}"));
    tokio::select! {
        () = serve::serve(listener, tls, server) => Err("the API server ended".into()),
        why = while_etcd_is_up(place, &store) => Err(why),
    }
}

/// The controllers, and the signing of nodes' first certificates.
pub(super) async fn controller_manager(place: &Place, command: &[String]) -> Result<(), String> {
    let machine = &place.machine;
    check_files(machine, command)?;
    let file = |name: &str| read(machine, argument(command, name)?);
    Kubeconfig::parse(&file("kubeconfig")?)?;
    let (certificate, key) = (file("cluster-signing-cert-file")?, file("cluster-signing-key-file")?);
    let authority = Authority::new(certificate, key, machine.clock.now())?;
    let store = store_beside(place).await?;
    let timing = machine.site.options.timing;
    let mut controllers =
        Controllers::new(Arc::clone(&store), Arc::clone(&machine.clock), place.node.clone(), timing.grace);
    let rounds = async {
        loop {
            controllers.round();
            if store.is_leader(&place.node) {
                controllers::certificates::round(Objects { store: &store, now: machine.clock.now() }, &authority);
            }
            tokio::time::sleep(timing.round).await;
        }
    };
    tokio::select! {
        never = rounds => never,
        why = while_etcd_is_up(place, &store) => Err(why),
    }
}

/// The scheduler: pods of the lab are bound to their nodes by whoever makes them.
pub(super) async fn scheduler(place: &Place, command: &[String]) -> Result<(), String> {
    Kubeconfig::parse(&read(&place.machine, argument(command, "kubeconfig")?)?)?;
    std::future::pending().await
}
