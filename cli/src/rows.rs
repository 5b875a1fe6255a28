//! How each thing looks as a row.

use crate::output::{Row, age};
use ferrogate_api::{Account, Cluster, Event, Gateway, GatewayNode, Machine, Operation, Orphan, PairingCode};
use ferrogate_model::{Clock, SystemClock, Timestamp};

fn ago(at: Timestamp) -> String {
    age(at, SystemClock.now())
}

fn ago_or_dash(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), ago)
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

impl Row for Gateway {
    const COLUMNS: &'static [&'static str] =
        &["name", "status", "health", "nodes", "version", "cloud", "last seen", "age", "reason"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.state.to_string(),
            self.health.to_string(),
            format!("{}/{}", self.connected_nodes, self.desired_nodes),
            or_dash(&self.version),
            self.cloud_type.clone(),
            ago_or_dash(self.last_seen_at),
            ago(self.created_at),
            // Who is missed tells more than why it once came into its state.
            if self.health_reason.is_empty() { &self.reason } else { &self.health_reason }.clone(),
        ]
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

impl Row for GatewayNode {
    const COLUMNS: &'static [&'static str] =
        &["node", "connected", "version", "carriers", "streams", "refused", "last seen"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            if self.revoked_at.is_some() {
                "revoked"
            } else if self.connected {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
            self.version.clone(),
            self.carriers.to_string(),
            self.streams.to_string(),
            self.refused_dials.to_string(),
            ago_or_dash(self.last_seen_at),
        ]
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Row for Account {
    const COLUMNS: &'static [&'static str] = &["name", "state", "gateway", "endpoint", "clusters", "age", "reason"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            format!("{:?}", self.state),
            self.gateway.to_string(),
            self.endpoint.clone(),
            self.clusters.to_string(),
            ago(self.created_at),
            self.reason.clone(),
        ]
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

impl Row for Orphan {
    const COLUMNS: &'static [&'static str] =
        &["id", "maas name", "host name", "gateway", "cluster id", "maas", "recorded by", "age", "reason"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            or_dash(&self.hostname),
            self.gateway.to_string(),
            self.cluster_id.to_string(),
            self.maas_endpoint.clone(),
            self.recorded_by.clone(),
            ago(self.recorded_at),
            self.reason.clone(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Row for Cluster {
    const COLUMNS: &'static [&'static str] = &["name", "status", "machines", "kubernetes", "account", "age", "reason"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.state.to_string(),
            format!("{}/{}", self.running_machines, self.desired_machines),
            self.kubernetes_version.clone(),
            self.account.to_string(),
            ago(self.created_at),
            self.reason.clone(),
        ]
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

impl Row for Machine {
    const COLUMNS: &'static [&'static str] =
        &["machine", "status", "cluster", "pool", "zone", "addresses", "since", "reason"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.hostname.clone(),
            self.state.to_string(),
            self.cluster.to_string(),
            self.pool.clone(),
            self.zone.clone(),
            or_dash(&self.addresses.join(",")),
            ago(self.since),
            self.reason.clone(),
        ]
    }

    fn name(&self) -> String {
        self.hostname.clone()
    }
}

impl Row for Operation {
    const COLUMNS: &'static [&'static str] = &["operation", "kind", "subject", "status", "by", "age", "reason"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.kind.as_str().to_owned(),
            self.subject.clone(),
            self.state.to_string(),
            self.created_by.clone(),
            ago(self.created_at),
            self.reason.clone(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Row for Event {
    const COLUMNS: &'static [&'static str] = &["at", "severity", "object", "reason", "message"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            self.severity.to_string(),
            format!("{}/{}", self.subject_kind, self.subject),
            self.reason.clone(),
            self.message.clone(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Row for PairingCode {
    const COLUMNS: &'static [&'static str] = &["id", "state", "note", "expires in", "used for"];

    fn cells(&self) -> Vec<String> {
        let left = if self.state == ferrogate_api::PairingCodeState::Active {
            age(SystemClock.now(), self.expires_at)
        } else {
            "-".to_owned()
        };
        vec![
            self.id.to_string(),
            format!("{:?}", self.state),
            or_dash(self.note.as_deref().unwrap_or_default()),
            left,
            self.gateway_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
