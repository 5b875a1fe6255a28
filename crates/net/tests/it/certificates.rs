//! Certificates made for a test, and servers that present them.

use ferrogate_net::{BoxIo, Fingerprint, Listener, trust};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A certificate and its key.
pub(crate) struct Made {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
    pub(crate) key_pem: String,
}

impl Made {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }
}

pub(crate) struct Ca {
    pub(crate) made: Made,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let made = Made { pem: certificate.pem(), der: certificate.der().to_vec(), key_pem: key.serialize_pem() };
        Self { made, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn sign(&self, names: &[&str]) -> Made {
        self.sign_with(names, |_| ())
    }

    pub(crate) fn sign_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Made {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { pem: certificate.pem(), der: certificate.der().to_vec(), key_pem: key.serialize_pem() }
    }
}

/// A server's side of TLS that presents `leaf` and sends `chain` along.
pub(crate) fn acceptor(leaf: &Made, chain: &[&Made], clients_of: Option<&Ca>) -> TlsAcceptor {
    let key = KeyPair::from_pem(&leaf.key_pem).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let certificates = std::iter::once(leaf).chain(chain.iter().copied()).map(|made| made.der.clone().into()).collect();
    let builder = ServerConfig::builder_with_provider(trust::provider()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients_of {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(ca.made.der.clone().into()).unwrap();
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), trust::provider()).build().unwrap(),
            )
        }
    };
    let mut config = builder.with_single_cert(certificates, key).unwrap();
    config.alpn_protocols = vec![b"ferrogate/1".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Accepts one connection and speaks TLS on it.
pub(crate) async fn accept(listener: &Listener, acceptor: &TlsAcceptor) -> std::io::Result<TlsStream<BoxIo>> {
    let (io, _) = listener.accept().await?;
    acceptor.accept(io).await
}
