//! What runs in the containers of the simulated machines: the real gateway.

use async_trait::async_trait;
use ferrogate_gateway::RunOptions;
use ferrogate_lab::programs::{Container, Programs};
use ferrogate_model::fault;
use std::path::PathBuf;

/// Runs our gateway for its image, and nothing else.
#[derive(Debug)]
pub(crate) struct GatewayProgram {
    /// The image's name and tag.
    pub(crate) image: String,
}

/// The configuration file of `run --config FILE`.
fn config_of(args: &[String]) -> Result<PathBuf, String> {
    match args {
        [run, flag, file] if run == "run" && flag == "--config" => Ok(PathBuf::from(file)),
        other => Err(format!("ferrogate-gateway does not understand the arguments {other:?}")),
    }
}

#[async_trait]
impl Programs for GatewayProgram {
    async fn start(&self, container: Container) -> Result<(), String> {
        if container.image != self.image {
            return Err(format!("there is no program for image `{}`", container.image));
        }
        let host_ip = container.env.get("HOST_IP").and_then(|text| text.parse().ok());
        let mut options = RunOptions::new(config_of(&container.args)?);
        options.root = Some(container.root);
        options.connector = Some(container.connector);
        options.host_ip = host_ip;
        ferrogate_gateway::run(options, container.cancel).await.map_err(|error| fault::chain(&error))
    }
}
