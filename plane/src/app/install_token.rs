//! The installer's token, and the key of its request by which the same installer is known again.

use crate::auth::secret::{self, CredentialKind};
use ferrogate_api::PairRequest;
use ferrogate_model::GatewayId;
use secrecy::{ExposeSecret as _, SecretString};

/// Fewest characters of a request key: 128 bits in base64.
pub(crate) const MIN_REQUEST_KEY: usize = 22;

/// How the plane knows the same installer again.
pub(crate) fn request_key_hash(request: &PairRequest) -> String {
    secret::hash_text(request.request_key.expose())
}

/// The installer's token. Derived, not drawn, so that the same installer can be told it again although only its hash is
/// kept; as hard to guess as the request key, which nobody else knows.
pub(crate) fn derive(gateway: GatewayId, code: &SecretString, request: &PairRequest) -> SecretString {
    let parts = ["ferrogate-install-token-1", &gateway.to_string(), code.expose_secret(), request.request_key.expose()];
    format!("{}{}", CredentialKind::Install.prefix(), secret::hash_text(&parts.join("\n"))).into()
}
