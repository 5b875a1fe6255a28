//! Believing one certificate.

use super::Fingerprint;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;

/// Accepts a server that presents the pinned certificate: as its own (then names and dates say nothing more, the pin
/// names one key), or as the issuer of its own (then it is the only authority, and names and dates count).
#[derive(Debug)]
pub(super) struct PinVerifier {
    pin: Fingerprint,
    provider: Arc<CryptoProvider>,
    /// A forward proxy on the way and who is asked about it: the pin is meant for the server alone.
    proxy: Option<(ServerName<'static>, Arc<dyn ServerCertVerifier>)>,
}

/// The server presented other certificates than the pinned one.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is not the expected one: expected {expected}, the server presents {presented}")]
struct Mismatch {
    expected: Fingerprint,
    presented: Fingerprint,
}

impl PinVerifier {
    pub(super) const fn new(pin: Fingerprint, provider: Arc<CryptoProvider>) -> Self {
        Self { pin, provider, proxy: None }
    }

    /// The same, but another verifier is asked about the proxy of this name.
    pub(super) fn with_proxy(self, name: ServerName<'static>, verifier: Arc<dyn ServerCertVerifier>) -> Self {
        Self { proxy: Some((name, verifier)), ..self }
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some((_, verifier)) = self.proxy.as_ref().filter(|(proxy, _)| proxy == server_name) {
            return verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        }
        let presented = Fingerprint::of(end_entity);
        if presented == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(issuer) = intermediates.iter().find(|certificate| Fingerprint::of(certificate) == self.pin) else {
            let mismatch = Mismatch { expected: self.pin, presented };
            return Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(mismatch)))));
        };
        // Anyone can send the pinned certificate along: it counts only if it signed the chain that was sent.
        let mut roots = RootCertStore::empty();
        roots.add(issuer.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
