//! Everything secret and lasting about a cluster, made before its first machine boots: certificate authorities, the key
//! that signs service accounts, and the tokens with which machines join. Each machine is handed its part by cloud-init, so
//! nobody signs in to a machine, and whoever holds the materials can reach the API with a certificate made on the spot.

mod issue;
mod secret_text;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ferrogate_files::hex;
use ferrogate_model::{Explain, Fault, Retry, Timestamp};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The Kubernetes group that may do everything.
pub const MASTERS: &str = "system:masters";

/// A certificate authority: its certificate and its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authority {
    /// The certificate, PEM, with a final line break.
    pub certificate_pem: String,
    /// The private key, PEM (PKCS #8).
    #[serde(with = "secret_text")]
    pub key_pem: SecretString,
}

/// A client's certificate and key.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The private key, PEM (PKCS #8).
    pub key_pem: SecretString,
}

/// The secrets of one cluster. The serialised form holds them in the clear: it belongs into a sealed column or file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterMaterials {
    /// When they were made; no certificate is valid much earlier.
    pub created: Timestamp,
    /// Signs what the API servers present.
    pub server_ca: Authority,
    /// Signs what clients of the API present.
    pub client_ca: Authority,
    /// Signs what the aggregation layer presents.
    pub request_header_ca: Authority,
    /// Signs what etcd presents to its clients, and they to it.
    pub etcd_server_ca: Authority,
    /// Signs what etcd members present to each other.
    pub etcd_peer_ca: Authority,
    /// Signs service-account tokens: PEM (PKCS #8). Kubernetes reads the public half from a file of its own.
    #[serde(with = "secret_text")]
    pub service_account_key: SecretString,
    /// What only servers know; the key that encrypts Secrets is made of it.
    #[serde(with = "secret_text")]
    pub server_token: SecretString,
    /// What every node knows; the token with which nodes join is made of it, and it does not let anybody join as a server.
    #[serde(with = "secret_text")]
    pub agent_token: SecretString,
}

/// A certificate or key that could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum MaterialsError {
    /// The random source or the signing failed, or a stored key is damaged.
    #[error("could not make or read a key or certificate of {whom}")]
    Certificate {
        /// Whose.
        whom: String,
        /// What the certificate library says.
        #[source]
        source: rcgen::Error,
    },
}

impl Explain for MaterialsError {
    fn code(&self) -> &'static str {
        "cluster_materials_unusable"
    }

    fn fault(&self) -> Fault {
        Fault::Ferrogate
    }

    fn retry(&self) -> Retry {
        Retry::No
    }
}

impl ClusterMaterials {
    /// New materials for a cluster of this name.
    ///
    /// # Errors
    /// The random source failed.
    pub fn generate(cluster: &str, now: Timestamp) -> Result<Self, MaterialsError> {
        let authority = |role: &str| issue::authority(&format!("ferrogate {cluster} {role} CA"), now);
        Ok(Self {
            created: now,
            server_ca: authority("server")?,
            client_ca: authority("client")?,
            request_header_ca: authority("request header")?,
            etcd_server_ca: authority("etcd server")?,
            etcd_peer_ca: authority("etcd peer")?,
            service_account_key: issue::service_account_key()?,
            server_token: random_token(),
            agent_token: random_token(),
        })
    }

    /// A client certificate for the Kubernetes API, valid from the making of the materials until `lifetime` after `now`.
    ///
    /// Certificates cannot be taken back: give short lifetimes.
    ///
    /// # Errors
    /// The stored authority is damaged.
    pub fn client_identity(
        &self,
        user: &str,
        group: &str,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<ClientIdentity, MaterialsError> {
        issue::client(&self.client_ca, user, group, self.created, now, lifetime)
    }

    /// An administrator's certificate: group [`MASTERS`].
    ///
    /// # Errors
    /// The stored authority is damaged.
    pub fn admin_identity(&self, now: Timestamp, lifetime: Duration) -> Result<ClientIdentity, MaterialsError> {
        self.client_identity("ferrogate-admin", MASTERS, now, lifetime)
    }

    /// The token with which nodes of a kubeadm cluster join, `ID.SECRET`, made of the agents' token: it does not let anybody
    /// join as a server, because a server also needs the authorities' keys.
    #[must_use]
    pub fn bootstrap_token(&self) -> SecretString {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let digest = derived("bootstrap token", &self.agent_token);
        let mut letters = digest.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
        let id: String = letters.by_ref().take(6).collect();
        let secret: String = letters.take(16).collect();
        format!("{id}.{secret}").into()
    }

    /// The key with which API servers keep Secrets in etcd, in base64, made of the servers' token.
    #[must_use]
    pub fn secrets_encryption_key(&self) -> SecretString {
        STANDARD.encode(derived("encryption of secrets", &self.server_token)).into()
    }

    /// The public half of the key that signs service-account tokens, PEM.
    ///
    /// # Errors
    /// The stored key is damaged.
    pub fn service_account_public_pem(&self) -> Result<String, MaterialsError> {
        issue::public_half(&self.service_account_key)
    }
}

/// 32 bytes for one purpose from a token that serves another.
fn derived(purpose: &str, token: &SecretString) -> [u8; 32] {
    Sha256::new()
        .chain_update("ferrogate ")
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(token.expose_secret())
        .finalize()
        .into()
}

/// 128 bits of chance.
fn random_token() -> SecretString {
    let mut bytes = [0_u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    hex(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::pem::PemObject;

    fn materials() -> ClusterMaterials {
        ClusterMaterials::generate("prod", "2026-11-23T08:00:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn no_secret_is_shown() {
        let materials = materials();
        let shown = format!("{materials:?}");
        for secret in [&materials.server_token, &materials.agent_token, &materials.service_account_key] {
            assert!(!shown.contains(secret.expose_secret()), "{shown}");
        }
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
        let identity = materials.admin_identity(materials.created, Duration::from_secs(60)).unwrap();
        assert!(!format!("{identity:?}").contains("PRIVATE KEY"));
    }

    #[test]
    fn materials_survive_being_stored() {
        let materials = materials();
        let stored = serde_json::to_string(&materials).unwrap();
        let read: ClusterMaterials = serde_json::from_str(&stored).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), stored);
        assert_eq!(read.bootstrap_token().expose_secret(), materials.bootstrap_token().expose_secret());
        read.admin_identity(materials.created, Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn what_is_derived_has_the_form_that_kubernetes_wants_and_shows_no_token() {
        let materials = materials();
        let token = materials.bootstrap_token();
        let (id, secret) = token.expose_secret().split_once('.').unwrap();
        assert_eq!((id.len(), secret.len()), (6, 16));
        assert!((id.to_owned() + secret).bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        assert_eq!(STANDARD.decode(materials.secrets_encryption_key().expose_secret()).unwrap().len(), 32);
        assert!(!materials.agent_token.expose_secret().contains(secret));
    }

    #[test]
    fn the_public_half_is_that_of_the_key_that_signs() {
        let materials = materials();
        let public = materials.service_account_public_pem().unwrap();
        let der = rustls_pki_types::SubjectPublicKeyInfoDer::from_pem_slice(public.as_bytes()).unwrap();
        let (_, info) =
            <x509_parser::prelude::SubjectPublicKeyInfo<'_> as x509_parser::prelude::FromDer<'_, _>>::from_der(&der)
                .unwrap();
        let x509_parser::public_key::PublicKey::EC(point) = info.parsed().unwrap() else { panic!("{info:?}") };
        let private = materials.service_account_key.expose_secret();
        // Kubernetes' reader takes elliptic keys in this form and in an older one.
        assert!(private.starts_with("-----BEGIN PRIVATE KEY-----\n"), "not PKCS #8");
        let body: String = private.lines().filter(|line| !line.starts_with("---")).collect();
        assert!(STANDARD.decode(body).unwrap().ends_with(point.data()));
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n") && !public.contains('\r'), "{public}");
        let damaged = ClusterMaterials { service_account_key: "no key".into(), ..materials };
        assert!(damaged.service_account_public_pem().is_err());
    }

    #[test]
    fn an_administrators_certificate_is_signed_by_the_client_authority_and_by_no_other() {
        let materials = materials();
        let identity = materials.admin_identity(materials.created, Duration::from_secs(3600)).unwrap();
        let leaf = rustls_pki_types::CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
        assert_eq!(parsed.subject().to_string(), "O=system:masters, CN=ferrogate-admin");
        assert_eq!(parsed.issuer().to_string(), "CN=ferrogate prod client CA");
        for (authority, signed) in [(&materials.client_ca, true), (&materials.server_ca, false)] {
            let ca = rustls_pki_types::CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes()).unwrap();
            let (_, ca) = x509_parser::parse_x509_certificate(&ca).unwrap();
            assert_eq!(parsed.verify_signature(Some(ca.public_key())).is_ok(), signed);
            assert!(ca.is_ca());
        }
        assert_eq!(parsed.validity().not_after.timestamp(), materials.created.as_second() + 3600);
    }
}
