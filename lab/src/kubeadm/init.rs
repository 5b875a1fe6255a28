//! `kubeadm init`: the first server of a cluster.

use super::{
    Flags,
    certificates::{Authorities, local_server},
    configuration::{Cluster, Documents, Registration, Timeouts, endpoint},
    first_objects::FirstObjects,
    manifests, node,
    preflight::Preflight,
};
use crate::{kubernetes::rbac::NODES, machine::Machine};
use serde_json::Value;
use std::sync::Arc;

/// What may be left out.
const PHASES: [&str; 5] = ["show-join-command", "addon", "addon/coredns", "addon/kube-proxy", "bootstrap-token"];

/// Makes the files of one phase alone: `certs` or `kubeconfig`.
pub(super) fn files(machine: &Machine, phase: &str, flags: &Flags) -> Result<(), String> {
    let documents = Documents::parse(&super::read(machine, &flags.config)?)?;
    let cluster = documents.get("ClusterConfiguration").ok_or("no ClusterConfiguration is in the file")?;
    let cluster = Cluster::parse(cluster)?;
    let init = documents.get("InitConfiguration").unwrap_or(&Value::Null);
    let registration = Registration::parse(&init["nodeRegistration"])?;
    let (name, at) = node::identity(machine, &registration, endpoint(&init["localAPIEndpoint"])?)?;
    let authorities = Authorities::load(machine)?;
    if phase == "certs" {
        return authorities.issue(machine, &cluster, &name, at);
    }
    authorities.kubeconfigs(machine, &cluster, at, true)?;
    let user = format!("system:node:{name}");
    authorities.kubeconfig(machine, "kubelet", &local_server(at), (&user, &[NODES]))
}

/// Runs it.
pub(super) async fn run(machine: &Arc<Machine>, version: &str, flags: &Flags) -> Result<(), String> {
    let documents = Documents::parse(&super::read(machine, &flags.config)?)?;
    documents.only(&["InitConfiguration", "ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration"])?;
    let (init, cluster) = (documents.get("InitConfiguration"), documents.get("ClusterConfiguration"));
    let cluster_document = cluster.ok_or("no ClusterConfiguration is in the file, and there is no network to ask")?;
    let init = init.unwrap_or(&Value::Null);
    let mut skipped = flags.skipped.clone();
    let of_file = init["skipPhases"].as_array().into_iter().flatten();
    skipped.extend(of_file.filter_map(|phase| phase.as_str().map(str::to_owned)));
    if let Some(unknown) = skipped.iter().find(|phase| !PHASES.contains(&phase.as_str())) {
        return Err(format!("invalid phase name: {unknown} (or leaving it out is not simulated)"));
    }
    let cluster = Cluster::parse(cluster_document)?;
    if !same_minor(version, &cluster.version) {
        return Err(format!("this version of kubeadm ({version}) cannot make a cluster of {}", cluster.version));
    }
    let registration = Registration::parse(&init["nodeRegistration"])?;
    let timeouts = Timeouts::parse(&init["timeouts"])?;
    let (name, at) = node::identity(machine, &registration, endpoint(&init["localAPIEndpoint"])?)?;
    let images = cluster_images(&cluster);
    Preflight { is_server: true, joins: false, images: &images }.check(machine, &registration)?;
    machine.console.say("kubeadm", format!("[init] Using Kubernetes version: {}", cluster.version));

    let authorities = Authorities::load(machine)?;
    authorities.issue(machine, &cluster, &name, at)?;
    authorities.kubeconfigs(machine, &cluster, at, true)?;
    let user = format!("system:node:{name}");
    authorities.kubeconfig(machine, "kubelet", &local_server(at), (&user, &[NODES]))?;
    machine.disk.create_dirs(super::ETCD_DATA).map_err(|error| format!("{}: {error}", super::ETCD_DATA))?;
    manifests::etcd(machine, &cluster, (&name, at), &[])?;
    manifests::control_plane(machine, &cluster, at)?;
    node::start_kubelet(machine, &registration, timeouts, documents.get("KubeletConfiguration")).await?;
    node::wait_for_api(machine, at, timeouts, "super-admin").await?;
    let objects = FirstObjects { machine, cluster: &cluster, name: &name, timeouts };
    objects.make(cluster_document, &documents, init, &registration, &skipped).await?;
    machine.console.say("kubeadm", "Your Kubernetes control-plane has initialized successfully!");
    Ok(())
}

/// What a server runs by itself, and what it is given to run.
pub(super) fn cluster_images(cluster: &Cluster) -> Vec<String> {
    let mut images: Vec<String> =
        ["kube-apiserver", "kube-controller-manager", "kube-scheduler"].map(|name| cluster.image(name)).to_vec();
    images.push(cluster.etcd_image());
    if cluster.proxy {
        images.push(cluster.image("kube-proxy"));
    }
    images.extend(cluster.dns_tag.iter().map(|tag| format!("registry.k8s.io/coredns/coredns:{tag}")));
    images
}

/// Whether two versions differ in no more than their last number.
pub(super) fn same_minor(one: &str, other: &str) -> bool {
    let front = |version: &str| version.rsplit_once('.').map(|(front, _)| front.to_owned());
    front(one) == front(other)
}
