//! Tries the way to the plane step by step, for a doctor. Says no hello: a real one would supersede the running node.

use super::dial::{CONNECT_DEADLINE, STEP_DEADLINE, secure, step, target, upgrade, words};
use crate::ALPN;
use ferrogate_net::Connector;
use std::sync::Arc;

/// One step on the way to the plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeStep {
    /// What was tried.
    pub title: &'static str,
    /// What was seen, or what is wrong.
    pub result: Result<String, String>,
}

/// Connects, speaks TLS and finds out which carrier would be used. Stops at the first step that fails.
pub async fn probe(plane_url: &url::Url, connector: &dyn Connector, tls: &Arc<rustls::ClientConfig>) -> Vec<ProbeStep> {
    let mut steps = Vec::new();
    let Some(target) = target(plane_url) else {
        let result = Err(format!("{plane_url} is not an https address"));
        return vec![ProbeStep { title: "address of the plane", result }];
    };
    let connected = step("connecting", CONNECT_DEADLINE, connector.connect(&target, CONNECT_DEADLINE)).await;
    let connected = connected.and_then(|connected| Ok(connected?)).map_err(|error| words(&error));
    let result = connected.as_ref().map(|_| format!("reached {target}")).map_err(Clone::clone);
    steps.push(ProbeStep { title: "connection to the plane", result });
    let Ok(io) = connected else { return steps };

    let session = secure(io, &target, tls).await.map_err(|error| words(&error));
    let result = session.as_ref().map(|_| "the plane's certificate is trusted".to_owned()).map_err(Clone::clone);
    steps.push(ProbeStep { title: "TLS", result });
    let Ok(session) = session else { return steps };

    let result = if session.get_ref().1.alpn_protocol() == Some(ALPN) {
        Ok("straight on TLS".to_owned())
    } else {
        match step("the WebSocket upgrade", STEP_DEADLINE, Box::pin(upgrade(session, plane_url))).await {
            Ok(Ok(_)) => Ok("over a WebSocket: something on the way speaks HTTP for the plane".to_owned()),
            Ok(Err(error)) | Err(error) => Err(words(&error)),
        }
    };
    steps.push(ProbeStep { title: "tunnel", result });
    steps
}
