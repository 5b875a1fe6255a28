//! The program `kubelet`: the static pods of its folder at once, and the node's part in its cluster when it has a
//! certificate, which it asks for by itself.

use super::{
    KUBELET_CONFIG, KUBERNETES, containerd, read, schema,
    static_pods::{self, Place},
    version_of, write,
};
use crate::{
    kubernetes::{
        kubeconfig::{Credentials, Kubeconfig},
        kubelet::{Kubelet, pods::mirror::OwnPods},
        pki,
        rbac::{CERTIFICATES, NODES},
        registration::{Taint, check_label},
    },
    machine::{self, Machine, Process},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};
use std::{net::IpAddr, sync::Arc};

/// Where the network of pods is described.
const NETWORKS: &str = "/etc/cni/net.d";

/// What it is told on its command line.
struct Arguments {
    bootstrap: Option<String>,
    kubeconfig: String,
    config: String,
    name: String,
    address: IpAddr,
    labels: Vec<(String, String)>,
    taints: Vec<Taint>,
}

/// Runs until it is cancelled.
pub(super) async fn run(machine: &Arc<Machine>, path: &str, process: &Process) -> Result<(), String> {
    let arguments = Arguments::parse(machine, &process.argv[1..])?;
    let text = read(machine, &arguments.config)?;
    let config: Value = serde_saphyr::from_str(&text).unwrap_or_default();
    if config["kind"] != "KubeletConfiguration" {
        return Err(format!(
            "failed to load kubelet config file {}: it holds no KubeletConfiguration",
            arguments.config
        ));
    }
    schema::check(&config).map_err(|why| format!("failed to load kubelet config file {KUBELET_CONFIG}: {why}"))?;
    if !machine::is_active(machine, containerd::UNIT) {
        return Err("validate service connection: dial /run/containerd/containerd.sock: connection refused".into());
    }
    let files = [arguments.bootstrap.as_ref(), Some(&arguments.kubeconfig)];
    if !files.into_iter().flatten().any(|file| machine.disk.exists(file)) {
        return Err(format!("neither {} nor a bootstrap kubeconfig is there", arguments.kubeconfig));
    }
    let version = version_of(machine, path);
    machine.console.say("kubelet", format!("starting kubelet {version}, node {}", arguments.name));
    let folder = config["staticPodPath"].as_str().unwrap_or_default().to_owned();
    let own = OwnPods::default();
    let place = Place {
        machine: Arc::clone(machine),
        node: arguments.name.clone(),
        address: arguments.address,
        own: own.clone(),
    };
    let pods = static_pods::run(place, folder);
    tokio::select! {
        () = pods => Err("the static pods ended".into()),
        ended = member(machine, &arguments, version, own) => ended,
    }
}

/// The node's part in its cluster.
async fn member(machine: &Arc<Machine>, arguments: &Arguments, version: String, own: OwnPods) -> Result<(), String> {
    let timing = machine.site.options.timing;
    let mut said = String::new();
    let kubeconfig = loop {
        let why = match identity(machine, arguments).await {
            Ok(kubeconfig) => break kubeconfig,
            Err(why) => why,
        };
        if said != why {
            machine.console.say("kubelet", &why);
            said = why;
        }
        tokio::time::sleep(timing.heartbeat).await;
    };
    let kubelet = Arc::new(Kubelet {
        machine: Arc::clone(machine),
        caller: kubeconfig.caller(machine.connector())?,
        name: arguments.name.clone(),
        address: arguments.address,
        version,
        images: containerd::IMAGES,
        networks: Some(NETWORKS),
        own,
        labels: arguments.labels.clone(),
        taints: arguments.taints.clone(),
        timing,
    });
    kubelet.run().await;
    Err("the kubelet ended".into())
}

/// As whom it asks: what it has, or what it is given for its bootstrap token.
async fn identity(machine: &Arc<Machine>, arguments: &Arguments) -> Result<Kubeconfig, String> {
    let own = read(machine, &arguments.kubeconfig).and_then(|text| Kubeconfig::parse(&text));
    let why = match own {
        Ok(own) => return Ok(own),
        Err(why) => format!("{}: {why}", arguments.kubeconfig),
    };
    // One that cannot be used is as good as none, if it can ask for another.
    let path = arguments.bootstrap.as_ref().filter(|path| machine.disk.exists(path)).ok_or(why)?;
    let bootstrap = Kubeconfig::parse(&read(machine, path)?).map_err(|why| format!("{path}: {why}"))?;
    let caller = bootstrap.caller(machine.connector())?;
    let user = format!("system:node:{}", arguments.name);
    let (request, key) = pki::request(&user, NODES, machine.clock.now())?;
    let requests = format!("/apis/{CERTIFICATES}/v1/certificatesigningrequests");
    let object = json!({
        "apiVersion": format!("{CERTIFICATES}/v1"), "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "node-csr-"},
        "spec": {"request": STANDARD.encode(request), "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"]},
    });
    let failed = |why: String| format!("bootstrap: cannot get a certificate: {why}");
    let made = caller.call(Method::POST, &requests, Some(&object)).await.map_err(|error| failed(error.why))?;
    let name = made["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mine = format!("{requests}/{name}");
    let certificate = super::until(machine, "kubelet", std::time::Duration::from_secs(60), || {
        Box::pin(async {
            let now = caller.call(Method::GET, &mine, None).await.map_err(|error| error.why)?;
            let signed = now["status"]["certificate"].as_str().and_then(|text| STANDARD.decode(text).ok());
            signed.and_then(|pem| String::from_utf8(pem).ok()).ok_or_else(|| "nobody has signed the request".to_owned())
        })
    });
    let certificate = certificate.await.map_err(failed)?;
    let mut own = bootstrap.clone();
    own.user = Credentials::Certificate(certificate, key.into());
    write(machine, &arguments.kubeconfig, &own.text("default-auth"), 0o600)?;
    Ok(own)
}

impl Arguments {
    fn parse(machine: &Machine, words: &[String]) -> Result<Self, String> {
        let own = &machine.boot.addresses;
        let mut all = Self {
            bootstrap: None,
            kubeconfig: format!("{KUBERNETES}/kubelet.conf"),
            config: String::new(),
            name: machine.hostname().to_lowercase(),
            address: *own.first().ok_or("this machine has no address")?,
            labels: Vec::new(),
            taints: Vec::new(),
        };
        for word in words {
            let (flag, value) = word.split_once('=').ok_or(format!("unknown flag: {word}"))?;
            match flag {
                "--bootstrap-kubeconfig" => all.bootstrap = Some(value.to_owned()),
                "--kubeconfig" => value.clone_into(&mut all.kubeconfig),
                "--config" => value.clone_into(&mut all.config),
                "--hostname-override" => value.clone_into(&mut all.name),
                "--container-runtime-endpoint" if value == containerd::SOCKET => {}
                "--node-ip" => {
                    all.address = value.parse().map_err(|_| format!("node-ip `{value}` is no address"))?;
                    if !own.contains(&all.address) {
                        return Err(format!("node-ip {value} is not an address of this machine"));
                    }
                }
                "--node-labels" => {
                    for label in value.split(',') {
                        let (key, value) = label.split_once('=').ok_or(format!("`{label}` is not a label"))?;
                        check_label("node-labels", key, value)?;
                        all.labels.push((key.to_owned(), value.to_owned()));
                    }
                }
                "--register-with-taints" => {
                    all.taints = value.split(',').map(Taint::parse).collect::<Result<_, _>>()?;
                }
                other => return Err(format!("unknown flag: {other} (or not simulated with `{value}`)")),
            }
        }
        Ok(all)
    }
}
