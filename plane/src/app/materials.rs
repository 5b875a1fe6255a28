//! What a cluster's identity is made of: its CAs, tokens and keys.

use crate::failure::{Failure, Outcome};
use ferrogate_join::materials::ClusterMaterials;
use ferrogate_model::{Timestamp, fault::chain};
use secrecy::SecretString;

/// New CAs, tokens and keys of a cluster, as the engine writes them. Making keys takes a while of a processor.
pub(crate) async fn generate(cluster: String, now: Timestamp) -> Outcome<SecretString> {
    tokio::task::spawn_blocking(move || {
        let materials = ClusterMaterials::generate(&cluster, now).map_err(|error| chain(&error))?;
        serde_json::to_string(&materials).map(SecretString::from).map_err(|error| error.to_string())
    })
    .await
    .map_err(|error| Failure::internal(error.to_string()))?
    .map_err(|cause| Failure::internal(format!("making a cluster's keys: {cause}")))
}
