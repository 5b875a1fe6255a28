//! The containers of one pod: image, file tree, environment, program, probes, restarts.

use super::{BuiltIn, Kubelet, tell, volumes};
use crate::{
    kubernetes::{
        images,
        kubelet::{SOURCE, probe::Probe},
    },
    programs::Container,
};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How a pod is, for its status.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) phase: &'static str,
    pub(super) ready: bool,
    pub(super) containers: Value,
}

/// Runs a pod until `stop`. Only its first container runs; nothing of ours has more.
pub(super) fn run(kubelet: Arc<Kubelet>, pod: Value, stop: CancellationToken) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let mut restarts = 0;
        let mut told = "";
        loop {
            let started = Instant::now();
            let ended = once(&kubelet, &pod, restarts, &stop).await;
            if stop.is_cancelled() {
                return;
            }
            let (reason, message) = match ended {
                Ended::Waiting(reason, message) => (reason, message),
                Ended::Exited(why) => {
                    restarts += 1;
                    ("CrashLoopBackOff", why)
                }
                Ended::Over(result) => return over(&kubelet, &pod, restarts, result).await,
            };
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            kubelet.machine.console.say(SOURCE, format!("pod {name}: {reason}: {message}"));
            if told != reason {
                kubelet.event(&pod, "Warning", reason, &message).await;
                told = reason;
            }
            let state = json!({"waiting": {"reason": reason, "message": message}});
            tell(&kubelet, &pod, &outcome(&pod, "Pending", false, restarts, &state)).await;
            // A program that ran for long begins anew with the shortest pause, as in a real kubelet.
            let factor = if started.elapsed() > Duration::from_secs(600) { 1 } else { 1 << restarts.min(5) };
            let pause = kubelet.timing.restart * factor;
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    })
}

enum Ended {
    /// The container could not be started.
    Waiting(&'static str, String),
    /// The program ended, or was ended by its liveness probe.
    Exited(String),
    /// The program of a pod that runs once has ended, well or badly, and said this.
    Over(Result<String, String>),
}

/// A pod that runs once is over.
async fn over(kubelet: &Kubelet, pod: &Value, restarts: u32, result: Result<String, String>) {
    let (phase, code, reason) = if result.is_ok() { ("Succeeded", 0, "Completed") } else { ("Failed", 1, "Error") };
    let said = result.unwrap_or_else(|why| why);
    kubelet.machine.site.logs.put(pod["metadata"]["uid"].as_str().unwrap_or_default(), said);
    let state = json!({"terminated": {"exitCode": code, "reason": reason}});
    tell(kubelet, pod, &outcome(pod, phase, false, restarts, &state)).await;
}

async fn once(kubelet: &Arc<Kubelet>, pod: &Value, restarts: u32, stop: &CancellationToken) -> Ended {
    let spec = &pod["spec"]["containers"][0];
    let image = spec["image"].as_str().unwrap_or_default();
    if !images::is_imported(&kubelet.machine.disk, kubelet.images, image) {
        let never = spec["imagePullPolicy"] == "Never";
        return if never {
            let words = format!("Container image \"{image}\" is not present with pull policy of Never");
            Ended::Waiting("ErrImageNeverPull", words)
        } else {
            Ended::Waiting("ErrImagePull", format!("failed to pull image \"{image}\": there is no registry in the lab"))
        };
    }
    let (root, probes) = match prepare(kubelet, pod, spec).await {
        Ok(prepared) => prepared,
        Err(why) => return Ended::Waiting("CreateContainerError", why),
    };
    let cancel = stop.child_token();
    let container = Container {
        image: image.to_owned(),
        args: texts(&spec["command"]).into_iter().chain(texts(&spec["args"])).collect(),
        env: environment(kubelet.address, &kubelet.name, pod, spec),
        root,
        node_address: kubelet.address,
        connector: kubelet.machine.connector(),
        cancel: cancel.clone(),
    };
    let options = &kubelet.machine.site.options;
    let runs_once = pod["spec"]["restartPolicy"] == "Never";
    let program: BoxFuture<'_, Result<String, String>> = match BuiltIn::of(image) {
        Some(program) => Box::pin(program.run(Arc::clone(&kubelet.machine), container)),
        None => Box::pin(async { options.programs.start(container).await.map(|()| String::new()) }),
    };
    if runs_once {
        return Ended::Over(stop.run_until_cancelled(program).await.unwrap_or_else(|| Err("terminated".into())));
    }
    let watch = probing(kubelet, pod, restarts, probes);
    let ended = tokio::select! {
        ended = program => ended.err().unwrap_or_else(|| "the program ended".into()),
        why = watch => why,
    };
    cancel.cancel();
    Ended::Exited(ended)
}

/// The file tree with the pod's volumes in it, and the probes.
async fn prepare(kubelet: &Kubelet, pod: &Value, spec: &Value) -> Result<(PathBuf, Probes), String> {
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    volumes::fetch(kubelet, pod, uid).await?;
    let root = volumes::mount(&kubelet.machine.disk, uid, pod, spec)?;
    let ports = &spec["ports"];
    let readiness = Probe::parse(&spec["readinessProbe"], ports).map_err(|why| format!("readinessProbe: {why}"))?;
    let liveness = Probe::parse(&spec["livenessProbe"], ports).map_err(|why| format!("livenessProbe: {why}"))?;
    Ok((root, Probes { readiness, liveness }))
}

struct Probes {
    readiness: Option<Probe>,
    liveness: Option<Probe>,
}

/// Tells how the pod is while it runs; returns when the liveness probe has given up.
async fn probing(kubelet: &Kubelet, pod: &Value, restarts: u32, probes: Probes) -> String {
    let running = json!({"running": {"startedAt": crate::kubernetes::objects::time(kubelet.machine.clock.now())}});
    let mut ready = probes.readiness.is_none();
    tell(kubelet, pod, &outcome(pod, "Running", ready, restarts, &running)).await;
    let name = pod["spec"]["containers"][0]["name"].as_str().unwrap_or_default();
    kubelet.event(pod, "Normal", "Started", &format!("Started container {name}")).await;
    let now = Instant::now();
    let first = |probe: &Option<Probe>| probe.as_ref().map(|probe| now + probe.delay);
    let (mut next_ready, mut next_live) = (first(&probes.readiness), first(&probes.liveness));
    let (mut not_ready, mut not_live) = (0, 0);
    loop {
        let at = [next_ready, next_live].into_iter().flatten().min();
        match at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        let now = Instant::now();
        if let (Some(probe), true) = (&probes.readiness, next_ready.is_some_and(|at| at <= now)) {
            let good = probe.ask(kubelet.machine.connector(), kubelet.address).await;
            not_ready = if good.is_ok() { 0 } else { not_ready + 1 };
            let is_ready = good.is_ok() || (ready && not_ready < probe.failures);
            if is_ready != ready {
                ready = is_ready;
                tell(kubelet, pod, &outcome(pod, "Running", ready, restarts, &running)).await;
            }
            // Until it is ready, a node of the lab asks as often as it beats: a demonstration need not wait.
            let period = if ready { probe.period } else { probe.period.min(kubelet.timing.heartbeat) };
            next_ready = Some(Instant::now() + period);
        }
        if let (Some(probe), true) = (&probes.liveness, next_live.is_some_and(|at| at <= now)) {
            match probe.ask(kubelet.machine.connector(), kubelet.address).await {
                Ok(()) => not_live = 0,
                Err(why) => {
                    not_live += 1;
                    if not_live >= probe.failures {
                        return format!("Liveness probe failed: {why}");
                    }
                }
            }
            next_live = Some(Instant::now() + probe.period);
        }
    }
}

fn outcome(pod: &Value, phase: &'static str, ready: bool, restarts: u32, state: &Value) -> Outcome {
    let spec = &pod["spec"]["containers"][0];
    let containers = json!([{"name": spec["name"], "image": spec["image"], "imageID": spec["image"], "ready": ready,
        "started": phase == "Running", "restartCount": restarts, "state": state}]);
    Outcome { phase, ready, containers }
}

/// A list of texts.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The variables of a container on a node of this address and name.
pub(crate) fn environment(node: IpAddr, name: &str, pod: &Value, spec: &Value) -> BTreeMap<String, String> {
    let address = node.to_string();
    let mut environment = BTreeMap::new();
    for variable in spec["env"].as_array().into_iter().flatten() {
        let Some(key) = variable["name"].as_str() else { continue };
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("status.hostIP" | "status.podIP") => address.clone(),
            Some("spec.nodeName") => name.to_owned(),
            Some(field) => {
                let value = field.split('.').fold(pod, |value, part| &value[part]);
                value.as_str().unwrap_or_default().to_owned()
            }
            None => variable["value"].as_str().unwrap_or_default().to_owned(),
        };
        environment.insert(key.to_owned(), value);
    }
    environment
}
