//! Static pods: what stands in the kubelet's folder runs, whether there is an API server or not.

use super::{containerd, control_plane};
use crate::{
    kubernetes::kubelet::pods::{
        BuiltIn,
        container::{environment, texts},
        mirror::OwnPods,
        volumes,
    },
    machine::Machine,
    programs::Container,
};
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The node they run on.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) machine: Arc<Machine>,
    pub(super) node: String,
    pub(super) address: IpAddr,
    pub(super) own: OwnPods,
}

struct Running {
    manifest: Vec<u8>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

/// Makes what runs agree with the folder, for as long as this is polled.
pub(super) async fn run(place: Place, folder: String) {
    let mut running: BTreeMap<String, Running> = BTreeMap::new();
    loop {
        let disk = &place.machine.disk;
        let names = disk.list(&folder);
        let read = |name: &String| disk.read(&format!("{folder}/{name}")).ok();
        running.retain(|name, pod| {
            let stays = read(name).as_ref() == Some(&pod.manifest);
            if !stays {
                place.own.remove(name);
            }
            stays
        });
        for name in names.iter().filter(|name| name.ends_with(".yaml")) {
            let (false, Some(manifest)) = (running.contains_key(name), read(name)) else { continue };
            let stop = CancellationToken::new();
            let work = pod(place.clone(), name.clone(), manifest.clone(), stop.clone());
            running.insert(name.clone(), Running { manifest, stop, task: tokio::spawn(work) });
        }
        tokio::time::sleep(place.machine.site.options.timing.heartbeat).await;
    }
}

/// Runs one, again and again.
async fn pod(place: Place, file: String, manifest: Vec<u8>, stop: CancellationToken) {
    let console = &place.machine.console;
    let text = String::from_utf8_lossy(&manifest).into_owned();
    let pod: Value = serde_saphyr::from_str(&text).unwrap_or_default();
    if pod["kind"] != "Pod" || !pod["metadata"]["name"].is_string() {
        console.say("kubelet", format!("couldn't parse as pod, please check config file {file}: it holds no Pod"));
        return;
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    place.own.put(&file, pod.clone());
    let mut restarts = 0;
    loop {
        let why = Box::pin(once(&place, name, &pod, &stop)).await.err();
        let why = why.unwrap_or_else(|| "the program ended".to_owned());
        console.say("kubelet", format!("static pod {name}: {why}"));
        let pause = place.machine.site.options.timing.restart * (1 << restarts.min(5));
        restarts += 1;
        tokio::time::sleep(pause).await;
    }
}

async fn once(place: &Place, name: &str, pod: &Value, stop: &CancellationToken) -> Result<(), String> {
    let machine = &place.machine;
    let sandbox = containerd::sandbox_image(machine)?;
    let container = &pod["spec"]["containers"][0];
    let image = container["image"].as_str().unwrap_or_default();
    for image in [sandbox.as_str(), image] {
        if !containerd::has(machine, image) {
            return Err(format!("failed to pull image {image}: there is no registry in the lab"));
        }
    }
    let command = texts(&container["command"]);
    match command.first().map(String::as_str) {
        Some("etcd") => control_plane::etcd(place, &command).await,
        Some("kube-apiserver") => control_plane::api_server(place, image, &command).await,
        Some("kube-controller-manager") => control_plane::controller_manager(place, &command).await,
        Some("kube-scheduler") => control_plane::scheduler(place, &command).await,
        _ => {
            let program = BuiltIn::of(image).ok_or_else(|| format!("the image {image} is not simulated"))?;
            let root = volumes::mount(&machine.disk, &format!("static-{name}"), pod, container)?;
            let container = Container {
                image: image.to_owned(),
                args: command.into_iter().chain(texts(&container["args"])).collect(),
                env: environment(place.address, &place.node, pod, container),
                root,
                node_address: place.address,
                connector: machine.connector(),
                cancel: stop.child_token(),
            };
            program.run(Arc::clone(machine), container).await.map(drop)
        }
    }
}
