//! The cluster's nodes, listed through the plane: by the real `kubectl` where it is installed, else by our own client.

use super::environment::{CLUSTER, Environment, PLANE_NAME};
use crate::exit::{Failure, Result};
use ferrogate_api::KubeconfigCreate;
use ferrogate_net::{Direct, HttpClient, Limits, Trust};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

const DEADLINE: Duration = Duration::from_secs(30);

/// The cluster's nodes.
pub(super) struct Listed {
    /// Names, sorted.
    pub(super) nodes: Vec<String>,
    /// Lines to show.
    pub(super) table: Vec<String>,
    /// What listed them.
    pub(super) by: String,
}

/// kubectl knows nothing of the demo's name for the plane: it gets the address, and the name to expect in the
/// certificate.
fn for_this_computer(environment: &Environment, kubeconfig: &str) -> String {
    let named = environment.plane_url().as_str().trim_end_matches('/');
    let mut out = Vec::new();
    for line in kubeconfig.lines() {
        out.push(line.replace(named, &environment.plane_direct()));
        if let Some(indent) = line.find("server:") {
            out.push(format!("{}tls-server-name: {PLANE_NAME}", " ".repeat(indent)));
        }
    }
    out.join("\n") + "\n"
}

pub(super) async fn nodes(environment: &Environment) -> Result<Listed> {
    let created = environment.admin.create_kubeconfig(CLUSTER, &KubeconfigCreate::default()).await?;
    let file = environment.path("web.kubeconfig");
    {
        use std::io::Write;
        let mut opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file)?;
        opened.write_all(for_this_computer(environment, created.kubeconfig.expose()).as_bytes())?;
    }
    match with_kubectl(&file).await {
        Ok(listed) => Ok(listed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            with_our_client(environment, created.kubeconfig.expose()).await
        }
        Err(error) => Err(Failure::failed(format!("kubectl: {error}"))),
    }
}

async fn with_kubectl(kubeconfig: &Path) -> std::io::Result<Listed> {
    let run = |arguments: &'static [&'static str]| async move {
        let child = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(DEADLINE, child)
            .await
            .map_err(|_| std::io::Error::other(format!("no answer within {} s", DEADLINE.as_secs())))??;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
        }
    };
    let table = run(&["get", "nodes"]).await?;
    let names = run(&["get", "nodes", "-o", "name"]).await?;
    let mut nodes: Vec<_> = names.lines().filter_map(|line| line.strip_prefix("node/")).map(str::to_owned).collect();
    nodes.sort();
    Ok(Listed { nodes, table: table.lines().map(str::to_owned).collect(), by: "kubectl".to_owned() })
}

/// The kubeconfig's token, used the way kubectl uses it.
async fn with_our_client(environment: &Environment, kubeconfig: &str) -> Result<Listed> {
    let field = |name: &str| {
        kubeconfig
            .lines()
            .find_map(|line| line.trim().strip_prefix(name).map(|value| value.trim().trim_matches('"').to_owned()))
            .ok_or_else(|| Failure::failed(format!("the kubeconfig has no `{name}`")))
    };
    let (server, token) = (field("server:")?, field("token:")?);
    let trust = Trust::ca(environment.ca_pem().to_owned());
    let client = HttpClient::builder(Arc::new(Direct::new().with_hosts([(PLANE_NAME, environment.plane_ip())])))
        .trust(trust)
        .build()
        .map_err(|error| Failure::failed(error.to_string()))?;
    let request = http::Request::get(format!("{server}/api/v1/nodes"))
        .header("authorization", format!("Bearer {token}"))
        .body(bytes::Bytes::new())
        .map_err(|error| Failure::failed(error.to_string()))?;
    let answer = client
        .send(request, Limits { deadline: DEADLINE, ..Limits::default() })
        .await
        .map_err(|error| Failure::failed(error.to_string()))?;
    let list: serde_json::Value = serde_json::from_slice(answer.body())
        .map_err(|error| Failure::failed(format!("HTTP {} is not a list of nodes: {error}", answer.status())))?;
    let mut nodes: Vec<_> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|node| node["metadata"]["name"].as_str())
        .map(str::to_owned)
        .collect();
    nodes.sort();
    Ok(Listed { table: nodes.clone(), nodes, by: "ferrogate (kubectl is not installed)".to_owned() })
}
