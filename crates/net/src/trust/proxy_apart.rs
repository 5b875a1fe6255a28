//! Believing the forward proxy by other means than the server behind it.

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;

/// Asks one verifier about the proxy and another about everybody else, by the name that is spoken to.
#[derive(Debug)]
pub(super) struct ProxyApart {
    proxy: ServerName<'static>,
    of_proxy: Arc<dyn ServerCertVerifier>,
    of_server: Arc<dyn ServerCertVerifier>,
}

impl ProxyApart {
    pub(super) const fn new(
        proxy: ServerName<'static>,
        of_proxy: Arc<dyn ServerCertVerifier>,
        of_server: Arc<dyn ServerCertVerifier>,
    ) -> Self {
        Self { proxy, of_proxy, of_server }
    }
}

impl ServerCertVerifier for ProxyApart {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = if *server_name == self.proxy { &self.of_proxy } else { &self.of_server };
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    // Signatures over a handshake are checked with the key of the certificate, which is all that differs.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.of_server.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.of_server.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.of_server.supported_verify_schemes()
    }
}
