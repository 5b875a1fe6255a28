//! Whom to believe: the system's authorities, private ones, or one certificate known by its fingerprint.

mod fingerprint;
mod pin;

pub use fingerprint::{BadFingerprint, Fingerprint};

use ferrogate_model::{Explain, Fault, Retry};
use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

/// Which servers are believed, and who we say we are.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Whether the authorities the host trusts are trusted.
    pub system_roots: bool,
    /// Further authorities, each one or more PEM certificates.
    pub extra_ca_pem: Vec<String>,
    /// Where set, it alone decides: the server must present this certificate, as its own or as an issuer that really
    /// signed its own. Authorities are then not asked.
    pub fingerprint: Option<Fingerprint>,
    /// Our own certificate chain and private key, both PEM, for servers that ask for one.
    pub client_identity: Option<(String, SecretString)>,
}

impl Default for Trust {
    fn default() -> Self {
        Self::system()
    }
}

/// Why a trust setting cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TrustError {
    /// A private CA is not PEM certificates.
    #[error("the CA certificate is not usable: {0}")]
    Ca(String),
    /// The client certificate or its key cannot be used.
    #[error("the client certificate or its key is not usable: {0}")]
    Identity(String),
    /// Neither the host nor the caller named an authority to trust.
    #[error("no trusted certificate authority is known on this host")]
    NoAuthorities,
}

impl Explain for TrustError {
    fn code(&self) -> &'static str {
        match self {
            Self::Ca(_) => "ca_not_usable",
            Self::Identity(_) => "client_certificate_not_usable",
            Self::NoAuthorities => "no_trusted_authorities",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::No
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Ca(_) => "give a file with one or more `-----BEGIN CERTIFICATE-----` blocks".into(),
            Self::Identity(_) => "give a PEM certificate and the PEM private key that belongs to it".into(),
            Self::NoAuthorities => "install the package `ca-certificates`, or give a CA file with --ca-file".into(),
        })
    }
}

impl Trust {
    /// The authorities the host trusts.
    #[must_use]
    pub const fn system() -> Self {
        Self { system_roots: true, extra_ca_pem: Vec::new(), fingerprint: None, client_identity: None }
    }

    /// Only this private authority.
    #[must_use]
    pub fn ca(pem: impl Into<String>) -> Self {
        Self { system_roots: false, extra_ca_pem: vec![pem.into()], ..Self::system() }
    }

    /// Only chains with this certificate in them.
    #[must_use]
    pub fn pinned(fingerprint: Fingerprint) -> Self {
        Self { system_roots: false, fingerprint: Some(fingerprint), ..Self::system() }
    }

    /// These authorities beside those already trusted.
    #[must_use]
    pub fn with_ca(mut self, pem: impl Into<String>) -> Self {
        self.extra_ca_pem.push(pem.into());
        self
    }

    /// Presents this certificate chain and key (PEM) to servers that ask.
    #[must_use]
    pub fn with_identity(mut self, certificates_pem: impl Into<String>, key_pem: SecretString) -> Self {
        self.client_identity = Some((certificates_pem.into(), key_pem));
        self
    }

    /// The same authorities for something else on the way, such as the forward proxy: a pin and our own certificate are
    /// meant for the server alone.
    #[must_use]
    pub fn authorities(&self) -> Self {
        let pinned = self.fingerprint.is_some();
        Self { system_roots: self.system_roots || pinned, extra_ca_pem: self.extra_ca_pem.clone(), ..Self::system() }
    }

    /// What a TLS client needs. TLS 1.2 and 1.3; `alpn` in order of preference.
    ///
    /// # Errors
    /// A certificate or key cannot be read, or nothing at all would be trusted.
    pub fn client_config(&self, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TrustError> {
        self.config_for(self.verifier()?, alpn)
    }

    /// The same for a client that has one TLS configuration for the server and for a forward proxy that is itself reached
    /// by TLS: a pin is asked about the server, and [`Trust::authorities`] about the proxy. Where both are the same host,
    /// the pin alone decides.
    ///
    /// # Errors
    /// As [`Trust::client_config`].
    pub fn client_config_via(
        &self,
        proxy: &str,
        server: &str,
        alpn: &[&[u8]],
    ) -> Result<Arc<ClientConfig>, TrustError> {
        let Ok(proxy_name) = ServerName::try_from(proxy.to_owned()) else { return self.client_config(alpn) };
        let Some(fingerprint) = self.fingerprint.filter(|_| !proxy.eq_ignore_ascii_case(server)) else {
            return self.client_config(alpn);
        };
        let verifier =
            pin::PinVerifier::new(fingerprint, provider()).with_proxy(proxy_name, self.authorities().verifier()?);
        self.config_for(Arc::new(verifier), alpn)
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, TrustError> {
        let provider = provider();
        if let Some(fingerprint) = self.fingerprint {
            return Ok(Arc::new(pin::PinVerifier::new(fingerprint, provider)));
        }
        let roots = self.roots()?;
        if roots.is_empty() {
            return Err(TrustError::NoAuthorities);
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(verifier.map_err(|error| TrustError::Ca(error.to_string()))?)
    }

    fn config_for(
        &self,
        verifier: Arc<dyn ServerCertVerifier>,
        alpn: &[&[u8]],
    ) -> Result<Arc<ClientConfig>, TrustError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Identity(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match self.identity()? {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|error| TrustError::Identity(error.to_string()))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Reads what was given, without asking the host for its authorities.
    ///
    /// # Errors
    /// As [`Trust::client_config`], except for a host without authorities.
    pub fn check(&self) -> Result<(), TrustError> {
        self.extra_roots(&mut RootCertStore::empty())?;
        self.identity().map(|_| ())
    }

    fn roots(&self) -> Result<RootCertStore, TrustError> {
        let mut roots = RootCertStore::empty();
        self.extra_roots(&mut roots)?;
        if self.system_roots {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::debug!(%error, "a trusted certificate of the host could not be read");
            }
            roots.add_parsable_certificates(found.certs);
        }
        Ok(roots)
    }

    fn extra_roots(&self, roots: &mut RootCertStore) -> Result<(), TrustError> {
        for pem in &self.extra_ca_pem {
            for certificate in certificates(pem).map_err(TrustError::Ca)? {
                roots.add(certificate).map_err(|error| TrustError::Ca(error.to_string()))?;
            }
        }
        Ok(())
    }

    fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, TrustError> {
        let Some((chain, key)) = &self.client_identity else { return Ok(None) };
        let chain = certificates(chain).map_err(TrustError::Identity)?;
        let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
            .map_err(|_| TrustError::Identity("the private key is not PEM".into()))?;
        Ok(Some((chain, key)))
    }
}

/// The one cryptography provider of Ferrogate; never the process default, which a library could have set.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("it is not PEM: {error}"))?;
    if all.is_empty() { Err("there is no certificate in it".into()) } else { Ok(all) }
}
