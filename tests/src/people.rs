//! What people do: `ferrogate` and `kubectl` beside the plane, and what they read from the answers.

use super::{
    failure::Failure,
    process::{Program, Ran},
    read::{self, Account, Cluster, Gateway, Machine, Node, Pod},
    scene::Scene,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

/// One question to the plane.
const QUESTION: Duration = Duration::from_secs(45);

impl Scene {
    /// `ferrogate …` as somebody outside the site, signed in.
    pub(crate) fn person(&self, args: &[&str]) -> Program {
        Program::new(&self.site.programs.ferrogate)
            .args(args)
            .env("FERROGATE_CONFIG", &self.site.first.files.cli_config)
            .netns(self.site.plane_netns())
            .within(QUESTION)
    }

    /// `ferrogate …`, which must end well.
    pub(crate) async fn ferrogate(&self, args: &[&str]) -> Result<Ran, Failure> {
        let shown = format!("`ferrogate {}` to end well", args.join(" "));
        self.run(&args.join("-"), self.person(args)).await?.ok(&shown)
    }

    async fn list<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, Failure> {
        let ran = self.ferrogate(&["get", kind, "-o", "json"]).await?;
        let expected = format!("a list of {kind}");
        read::items(&ran.json(&expected)?).map_err(|error| Failure::new(expected, error).read(ran.log))
    }

    pub(crate) async fn gateways(&self) -> Result<Vec<Gateway>, Failure> {
        self.list("gateways").await
    }

    /// The one gateway.
    pub(crate) async fn gateway(&self) -> Result<Gateway, Failure> {
        let mut found = self.gateways().await?;
        match (found.pop(), found.len()) {
            (Some(gateway), 0) => Ok(gateway),
            (_, more) => Err(Failure::new("one gateway", format!("{} of them", more + 1))),
        }
    }

    pub(crate) async fn accounts(&self) -> Result<Vec<Account>, Failure> {
        self.list("accounts").await
    }

    pub(crate) async fn clusters(&self) -> Result<Vec<Cluster>, Failure> {
        self.list("clusters").await
    }

    pub(crate) async fn machines(&self) -> Result<Vec<Machine>, Failure> {
        let mut machines: Vec<Machine> = self.list("machines").await?;
        machines.sort();
        Ok(machines)
    }

    /// The cluster of this name.
    pub(crate) async fn cluster(&self, name: &str) -> Result<Cluster, Failure> {
        let found = self.clusters().await?.into_iter().find(|cluster| cluster.name == name);
        found.ok_or_else(|| Failure::new(format!("cluster {name}"), "no such cluster"))
    }

    /// The kubeconfig of a cluster, fetched once.
    async fn kubeconfig(&self, cluster: &str) -> Result<PathBuf, Failure> {
        let file = self.site.folder.join(format!("{cluster}.kubeconfig"));
        if !file.exists() {
            let name = file.to_string_lossy().into_owned();
            self.ferrogate(&["kubeconfig", cluster, "--file", &name]).await?;
        }
        Ok(file)
    }

    /// The real `kubectl`, through the plane.
    pub(crate) async fn kubectl_program(&self, cluster: &str, args: &[&str]) -> Result<Program, Failure> {
        let kubeconfig = self.kubeconfig(cluster).await?;
        Ok(Program::new("kubectl")
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(args)
            // What it remembers between runs stays in the run's folder.
            .env("HOME", &self.site.folder)
            .netns(self.site.plane_netns())
            .within(QUESTION))
    }

    /// `kubectl …`, whatever comes of it.
    pub(crate) async fn kubectl_tries(&self, cluster: &str, args: &[&str]) -> Result<Ran, Failure> {
        let program = self.kubectl_program(cluster, args).await?;
        self.run(&format!("kubectl-{}", args.join("-")), program).await
    }

    /// `kubectl …`, which must end well.
    pub(crate) async fn kubectl(&self, cluster: &str, args: &[&str]) -> Result<Ran, Failure> {
        let shown = format!("`kubectl {}` on cluster {cluster} to end well", args.join(" "));
        self.kubectl_tries(cluster, args).await?.ok(&shown)
    }

    async fn kubectl_json(&self, cluster: &str, args: &[&str]) -> Result<Value, Failure> {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        self.kubectl(cluster, &args).await?.json("an answer of kubectl")
    }

    pub(crate) async fn nodes(&self, cluster: &str) -> Result<Vec<Node>, Failure> {
        Ok(read::nodes(&self.kubectl_json(cluster, &["get", "nodes"]).await?))
    }

    /// The pods with this label.
    pub(crate) async fn pods(&self, cluster: &str, label: &str) -> Result<Vec<Pod>, Failure> {
        Ok(read::pods(&self.kubectl_json(cluster, &["get", "pods", "-l", label]).await?))
    }

    /// Keeps how everything is, for whoever reads the logs. What does not answer is left out.
    pub(crate) async fn portrait(&self) {
        for kind in ["gateways", "accounts", "clusters", "machines", "operations", "events"] {
            let _ = self.run(&format!("portrait-{kind}"), self.person(&["get", kind])).await;
        }
        for gateway in self.gateways().await.unwrap_or_default() {
            let _ = self.run("portrait-gateway", self.person(&["describe", "gateway", &gateway.name])).await;
        }
        for cluster in self.clusters().await.unwrap_or_default() {
            if cluster.state == "Running" || cluster.state == "Degraded" {
                let _ = self.kubectl_tries(&cluster.name, &["get", "nodes,pods,services", "-A", "-o", "wide"]).await;
            }
        }
    }
}
