//! What runs in the containers of the simulated machines: the real gateway.

use async_trait::async_trait;
use ferrogate_gateway::Resolver;
use ferrogate_gateway::RunOptions;
use ferrogate_lab::programs::{Container, Programs};
use ferrogate_model::fault;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

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

/// Everything in the demo's site is reached by its address: a name that is asked about would be this computer's to look up.
#[derive(Debug)]
struct AddressesOnly;

#[async_trait]
impl Resolver for AddressesOnly {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other(format!("the demo looks up no names, and `{host}` is one")))
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
        options.resolver = Some(Arc::new(AddressesOnly));
        options.host_ip = host_ip;
        ferrogate_gateway::run(options, container.cancel).await.map_err(|error| fault::chain(&error))
    }
}
