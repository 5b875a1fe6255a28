//! Probes over HTTP.

use bytes::Bytes;
use ferrogate_net::{Connector, HttpClient, Limits};
use http::Request;
use serde_json::Value;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// When a probe runs and what it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    path: String,
    port: u16,
    pub(super) delay: Duration,
    pub(super) period: Duration,
    timeout: Duration,
    pub(super) failures: u32,
}

impl Probe {
    /// Reads a probe; `Ok(None)` where there is none.
    ///
    /// # Errors
    /// It is of a kind that is not simulated, or names no port.
    pub(super) fn parse(value: &Value, ports: &Value) -> Result<Option<Self>, String> {
        if value.is_null() {
            return Ok(None);
        }
        let get = &value["httpGet"];
        let named = |name: &str| {
            let ports = ports.as_array().into_iter().flatten();
            ports.into_iter().find(|port| port["name"] == name).and_then(|port| port["containerPort"].as_u64())
        };
        let port = get["port"].as_u64().or_else(|| named(get["port"].as_str()?));
        let port =
            port.and_then(|port| u16::try_from(port).ok()).ok_or("only httpGet probes with a port are simulated")?;
        let seconds = |field: &str, default| Duration::from_secs(value[field].as_u64().unwrap_or(default));
        Ok(Some(Self {
            path: get["path"].as_str().unwrap_or("/").to_owned(),
            port,
            // Kubernetes' defaults.
            delay: seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 10).max(Duration::from_secs(1)),
            timeout: seconds("timeoutSeconds", 1).max(Duration::from_secs(1)),
            failures: value["failureThreshold"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(3),
        }))
    }

    /// Asks once.
    pub(super) async fn ask(&self, connector: Arc<dyn Connector>, address: IpAddr) -> Result<(), String> {
        let url = format!("http://{}{}", SocketAddr::new(address, self.port), self.path);
        let client = HttpClient::builder(connector).build().map_err(|error| error.to_string())?;
        let request = Request::get(&url)
            .header("user-agent", "kube-probe/1.34")
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let limits = Limits { deadline: self.timeout, max_body: 64 * 1024 };
        match client.send(request, limits).await {
            Ok(answer) if (200..400).contains(&answer.status().as_u16()) => Ok(()),
            Ok(answer) => Err(format!("HTTP probe failed with statuscode: {}", answer.status().as_u16())),
            Err(error) => Err(format!("Get \"{url}\": {error}")),
        }
    }
}
