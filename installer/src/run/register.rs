//! Waiting until the plane calls the gateway running and healthy, and telling it meanwhile how far things are.

use super::{build::Watcher, pairing::may_pass, steps::Live};
use crate::InstallError;
use async_trait::async_trait;
use ferrogate_api::{ApiError, Client, EnrolmentTokenCreate, InstallProgress, InstallStatus};
use ferrogate_engine::{Enrolment, EnrolmentError};
use ferrogate_model::{
    GatewayId, Name, Retry,
    state::{GatewayHealth, GatewayState, OperationState},
};
use secrecy::SecretString;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How often the plane is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Telling the plane how far things are must not hold up the work.
const TELL_DEADLINE: Duration = Duration::from_secs(5);

/// Whether the gateway is as it should be, with every node.
pub(crate) fn is_well(status: &InstallStatus) -> bool {
    status.state == GatewayState::Running && status.health == GatewayHealth::Healthy
}

/// The plane, for one gateway, with its install token.
#[derive(Debug)]
pub(crate) struct GatewayClient {
    pub(crate) client: Client,
    pub(crate) gateway: GatewayId,
    told: Mutex<String>,
}

impl GatewayClient {
    pub(crate) const fn new(client: Client, gateway: GatewayId) -> Self {
        Self { client, gateway, told: Mutex::new(String::new()) }
    }

    /// Tells the plane how far things are, as far as it listens.
    pub(crate) async fn tell(&self, step: &str, state: OperationState, detail: &str) {
        let progress = InstallProgress { step: step.into(), state, detail: detail.into() };
        match tokio::time::timeout(TELL_DEADLINE, self.client.report_install(self.gateway, &progress)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the plane was not told how far things are"),
            Err(_) => tracing::debug!("the plane was not told in time how far things are"),
        }
    }

    /// How the gateway is.
    ///
    /// # Errors
    /// What the plane said, or that it did not answer.
    pub(crate) async fn status(&self) -> Result<InstallStatus, ApiError> {
        self.client.install_status(self.gateway).await
    }

    /// Waits until the gateway is running and healthy.
    ///
    /// # Errors
    /// The plane gave the gateway up, or does not know it any more.
    pub(crate) async fn healthy(&self, live: &Live) -> Result<InstallStatus, InstallError> {
        loop {
            match self.client.install_status(self.gateway).await {
                Ok(status) if is_well(&status) => {
                    return Ok(status);
                }
                Ok(status) if status.state == GatewayState::Failed || status.state.is_ending() => {
                    return Err(InstallError::Blocked {
                        cause: format!("the plane calls the gateway {}: {}", status.state, status.reason),
                        hint: Some("look at the gateway's events in the plane".into()),
                    });
                }
                Ok(status) => live.say(format!(
                    "the plane calls it {}, {}; {} of {} nodes are connected{}",
                    status.state,
                    status.health,
                    status.connected_nodes.len(),
                    status.desired_nodes,
                    if status.reason.is_empty() { String::new() } else { format!(": {}", status.reason) }
                )),
                Err(error) if may_pass(&error) => live.say(ferrogate_model::fault::chain(&error)),
                Err(error) => return Err(InstallError::plane("the plane does not tell how the gateway is", error)),
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

#[async_trait]
impl Watcher for GatewayClient {
    async fn passed(&self, detail: &str) {
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if *told == detail {
                return;
            }
            detail.clone_into(&mut told);
        }
        self.tell("machines", OperationState::Running, detail).await;
    }
}

/// Asks the plane for each machine's enrolment token.
#[derive(Debug)]
pub(crate) struct PlaneEnrolment {
    pub(crate) client: Client,
    pub(crate) gateway: GatewayId,
}

#[async_trait]
impl Enrolment for PlaneEnrolment {
    async fn token(&self, node: &Name) -> Result<SecretString, EnrolmentError> {
        let request = EnrolmentTokenCreate { node_name: node.clone() };
        match self.client.create_enrolment_token(self.gateway, &request).await {
            Ok(created) => Ok(created.token.into_inner()),
            Err(error) => Err(EnrolmentError {
                node: node.to_string(),
                detail: ferrogate_model::fault::chain(&error),
                retry: if may_pass(&error) { Retry::Later } else { Retry::No },
            }),
        }
    }
}
