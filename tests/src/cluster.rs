//! c: a cluster through the plane, and everything that people do with one.

use super::{
    failure::Failure,
    process::Program,
    read::Pod,
    scene::{Look, Scene},
};
use std::time::Duration;

/// The cluster's name.
pub(crate) const CLUSTER: &str = "web";
/// What is deployed on it, and its label.
const APP: &str = "app=web";
/// Three machines on two CPUs, one after the other.
const CREATION: Duration = Duration::from_secs(15 * 60);
/// The cluster's DNS is up when the first nodes have been Ready for a while.
const DNS_STARTS: Duration = Duration::from_secs(60);
const ROLLOUT: Duration = Duration::from_secs(180);
/// A port of the plane's namespace that nothing else there uses.
const FORWARDED: u16 = 18080;

/// What `ferrogate create cluster -f` takes.
fn specification(name: &str, workers: u32, ssh_key: &str) -> String {
    let pools = if workers == 0 {
        "[]".to_owned()
    } else {
        format!("\n    - name: workers\n      count: {workers}\n      resource_pool: default")
    };
    let key = serde_json::Value::from(ssh_key.trim());
    format!(
        "name: {name}\naccount: {}\nspec:\n  domain: maas\n  ssh_keys: [{key}]\n  control_plane:\n    count: 1\n    \
         resource_pool: default\n  workers: {pools}\n",
        super::install::GATEWAY
    )
}

/// What is deployed: two pods that never stand on the same node, and a Service before them.
fn manifests(image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  replicas: 2\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      terminationGracePeriodSeconds: 3\n      affinity:\n        \
         podAntiAffinity:\n          requiredDuringSchedulingIgnoredDuringExecution:\n            - topologyKey: kubernetes.io/hostname\n              \
         labelSelector: {{matchLabels: {{app: web}}}}\n      containers:\n        - name: web\n          image: {image}\n          \
         imagePullPolicy: IfNotPresent\n          ports: [{{containerPort: 8080}}]\n          \
         readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 2}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec:\n  selector: {{app: web}}\n  ports: [{{port: 80, targetPort: 8080}}]\n"
    )
}

impl Scene {
    /// Asks for a cluster of one control-plane node and some workers, and does not wait.
    pub(crate) fn create_cluster(&self, name: &str, workers: u32) -> Result<Program, Failure> {
        let key = &self.site.first.files.ssh_public_key;
        let key = std::fs::read_to_string(key)
            .map_err(|error| Failure::new("the public key", format!("{}: {error}", key.display())))?;
        let file = self.evidence.keep(&format!("{name}.yaml"), &specification(name, workers, &key))?;
        Ok(self.person(&["create", "cluster", "--file"]).arg(file))
    }

    /// Creates a cluster and waits until it runs.
    pub(crate) async fn cluster_runs(&self, name: &str, workers: u32) -> Result<(), Failure> {
        let minutes = (CREATION.as_secs() / 60).to_string();
        let create = self.create_cluster(name, workers)?.args(["--wait", "--timeout", &minutes]).within(CREATION);
        let ran = self.run("create-cluster", create).await?;
        self.holds(&format!("cluster {name} is created"), ran.code == Some(0), ran.said())?;
        let cluster = self.cluster(name).await?;
        let seen =
            format!("{}, {}/{}: {}", cluster.state, cluster.running_machines, cluster.desired_machines, cluster.reason);
        let well = cluster.state == "Running" && cluster.running_machines == workers + 1;
        self.holds(&format!("cluster {name} is Running with all its machines"), well, seen)
    }

    /// The real kubectl sees this many nodes, all Ready.
    pub(crate) async fn nodes_ready(&self, cluster: &str, count: usize) -> Result<(), Failure> {
        let nodes = self.nodes(cluster).await?;
        let words: Vec<_> = nodes
            .iter()
            .map(|node| format!("{} {}", node.name, if node.ready { "Ready" } else { "not Ready" }))
            .collect();
        let well = nodes.len() == count && nodes.iter().all(|node| node.ready);
        self.holds(
            &format!("kubectl through the plane sees {count} nodes of {cluster}, all Ready"),
            well,
            words.join(", "),
        )
    }
}

/// Scenario c.
pub(crate) async fn used(scene: &Scene) -> Result<(), Failure> {
    scene.cluster_runs(CLUSTER, 2).await?;
    scene.nodes_ready(CLUSTER, 3).await?;
    scene.kubectl(CLUSTER, &["get", "nodes,pods", "-A", "-o", "wide"]).await?;
    let image = preload(scene).await?;
    let file = scene.evidence.keep("web-manifests.yaml", &manifests(&image))?;
    let file = file.to_string_lossy().into_owned();
    scene.kubectl(CLUSTER, &["apply", "-f", &file]).await?;
    let rollout = scene.kubectl_program(CLUSTER, &["rollout", "status", "deployment/web", "--timeout=170s"]).await?;
    let ran = scene.run("kubectl-rollout", rollout.within(ROLLOUT)).await?;
    if ran.code != Some(0) {
        scene.kubectl_tries(CLUSTER, &["describe", "pods"]).await?;
    }
    scene.holds("the Deployment rolls out", ran.code == Some(0), ran.said())?;
    let pods = two_pods(scene).await?;
    reach(scene, &pods).await?;
    forward(scene, &pods).await
}

/// Brings the image to the cluster's machines, since no registry carries it. Answers its name.
async fn preload(scene: &Scene) -> Result<String, Failure> {
    let archive = scene.site.programs.web_image.clone();
    let archive = archive.ok_or_else(|| Failure::new("the web image among the artifacts", "none"))?;
    let tar = Program::new("tar").args(["-xOf"]).arg(&archive).arg("manifest.json");
    let ran = scene.run("web-image", tar).await?.ok("the manifest of the web image")?;
    let image =
        ran.json("the web image's manifest")?.pointer("/0/RepoTags/0").and_then(|tag| tag.as_str().map(str::to_owned));
    let image = image.ok_or_else(|| Failure::new("the web image's name", ran.said()).read(&ran.log))?;
    for machine in scene.machines().await?.iter().filter(|machine| machine.cluster == CLUSTER) {
        let import = ["sudo", "/usr/local/bin/ctr", "-n", "k8s.io", "images", "import", "-"];
        scene.ssh_with(&machine.hostname, &archive, &import).await?;
    }
    Ok(image)
}

async fn two_pods(scene: &Scene) -> Result<[Pod; 2], Failure> {
    let pods = scene.pods(CLUSTER, APP).await?;
    let seen =
        pods.iter().map(|pod| format!("{} on {} at {}", pod.name, pod.node, pod.ip)).collect::<Vec<_>>().join(", ");
    let two = <[Pod; 2]>::try_from(pods).ok().filter(|[a, b]| a.ready && b.ready && a.node != b.node);
    scene.holds("two pods are ready, on two nodes", two.is_some(), seen)?;
    two.ok_or_else(|| Failure::new("two pods", "others"))
}

/// `logs`, `exec`, pod to pod, and the Service from both nodes.
async fn reach(scene: &Scene, pods: &[Pod; 2]) -> Result<(), Failure> {
    for (from, to) in [(&pods[0], &pods[1]), (&pods[1], &pods[0])] {
        let ran = scene.kubectl(CLUSTER, &["exec", &from.name, "--", "/web", "hostname"]).await?;
        scene.holds(&format!("exec runs in {} itself", from.name), ran.out.trim() == from.name, ran.out.trim())?;
        let url = format!("http://{}:8080/", to.ip);
        let ran = scene.kubectl_tries(CLUSTER, &["exec", &from.name, "--", "/web", "get", &url]).await?;
        let name = format!("a pod on {} reaches the pod on {}", from.node, to.node);
        scene.holds(&name, ran.out.trim() == to.name, ran.said())?;
        // By name: the cluster's DNS and the Service's address at once. A cluster is Running when its nodes are; its DNS
        // may still start.
        let name = format!("the Service answers by its name from {}", from.node);
        scene
            .comes(&name, DNS_STARTS, async || {
                let url = "http://web.default.svc.cluster.local/";
                let ran = scene.kubectl_tries(CLUSTER, &["exec", &from.name, "--", "/web", "get", url]).await?;
                let answered = pods.iter().any(|pod| ran.out.trim() == pod.name);
                Ok(if answered { Look::Come(()) } else { Look::NotYet(ran.said()) })
            })
            .await?;
    }
    let ran = scene.kubectl(CLUSTER, &["logs", &pods[1].name]).await?;
    scene.holds("logs shows what the pod wrote", ran.all().contains("listens on"), ran.said())
}

/// `port-forward` with a real request through it.
async fn forward(scene: &Scene, pods: &[Pod; 2]) -> Result<(), Failure> {
    let ports = format!("{FORWARDED}:8080");
    let pod = format!("pod/{}", pods[0].name);
    let program = scene.kubectl_program(CLUSTER, &["port-forward", &pod, &ports]).await?;
    let mut forward = program.start(&scene.evidence, "kubectl-port-forward").await?;
    let answer = scene
        .comes("a request through port-forward is answered by the pod", Duration::from_secs(40), async || {
            let curl = Program::new("curl")
                .args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "10"])
                .arg(format!("http://127.0.0.1:{FORWARDED}/"))
                .netns(scene.site.plane_netns());
            let ran = scene.run("curl-forwarded", curl).await?;
            let come = ran.code == Some(0) && ran.out.trim() == pods[0].name;
            Ok(if come { Look::Come(()) } else { Look::NotYet(ran.said()) })
        })
        .await;
    forward.kill().await?;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_and_the_manifests_are_yaml() {
        let parse = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).unwrap();
        let spec = parse(&specification("web", 2, "ssh-ed25519 AAAA lab\n"));
        assert_eq!(spec["spec"]["workers"][0]["count"], 2);
        assert_eq!(spec["spec"]["ssh_keys"][0], "ssh-ed25519 AAAA lab");
        assert_eq!(parse(&specification("one", 0, "k"))["spec"]["workers"], serde_json::json!([]));
        let (deployment, service) = {
            let text = manifests("ferrogate.test/web:1");
            let (a, b) = text.split_once("---\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            (parse(&a), parse(&b))
        };
        assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "ferrogate.test/web:1");
        let anti =
            "/spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/topologyKey";
        assert_eq!(deployment.pointer(anti).unwrap(), "kubernetes.io/hostname");
        assert_eq!(service["spec"]["ports"][0]["targetPort"], 8080);
    }
}
