//! Certificates: an authority that was handed over, and what is issued from it.

use ferrogate_model::Timestamp;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{RootCertStore, ServerConfig, crypto::ring::default_provider, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How long what a server issues is valid: a year, as kubeadm has it.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// Clocks differ; certificates are valid a little before they are made.
const BACKDATED: Duration = Duration::from_secs(3600);

/// An authority, checked.
#[derive(Clone)]
pub(crate) struct Authority {
    /// The certificate's file.
    pub(crate) certificate_pem: String,
    key_pem: String,
}

impl Authority {
    /// Takes a certificate that may sign, its own key, and valid now.
    ///
    /// # Errors
    /// One line: what is wrong with them.
    pub(crate) fn new(certificate_pem: String, key_pem: String, now: Timestamp) -> Result<Self, String> {
        check(&certificate_pem, &key_pem, now)?;
        Ok(Self { certificate_pem, key_pem })
    }

    /// A serving certificate for these names, and its key.
    pub(crate) fn serving(
        &self,
        common_name: &str,
        names: &[String],
        now: Timestamp,
    ) -> Result<(String, String), String> {
        let mut params = params(common_name, &[], now)?;
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    /// A client certificate and its key, as PEM.
    pub(crate) fn client(&self, user: &str, groups: &[&str], now: Timestamp) -> Result<(String, String), String> {
        let mut params = params(user, groups, now)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    /// The client certificate that was asked for by a node of this group.
    pub(crate) fn sign(&self, request_pem: &str, group: &str, now: Timestamp) -> Result<String, String> {
        let mut request = CertificateSigningRequestParams::from_pem(request_pem).map_err(|error| error.to_string())?;
        let subject = request.params.distinguished_name.clone();
        let name = match subject.get(&DnType::CommonName) {
            Some(DnValue::Utf8String(name)) if name.starts_with("system:node:") => name.clone(),
            _ => return Err("the request is not for a node".into()),
        };
        let wanted = params(&name, &[group], now)?;
        if subject != wanted.distinguished_name {
            return Err(format!("the request is not for {name} of {group} alone"));
        }
        request.params = wanted;
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(request.signed_by(&self.issuer()?).map_err(|error| error.to_string())?.pem())
    }

    fn issue(&self, params: &CertificateParams) -> Result<(String, String), String> {
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let certificate = params.signed_by(&key, &self.issuer()?).map_err(|error| error.to_string())?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, String> {
        let key = KeyPair::from_pem(&self.key_pem).map_err(|error| error.to_string())?;
        Issuer::from_ca_cert_pem(&self.certificate_pem, key).map_err(|error| error.to_string())
    }
}

/// A request for a client certificate of this user of this group, and its key, as PEM.
pub(crate) fn request(user: &str, group: &str, now: Timestamp) -> Result<(String, String), String> {
    let key = KeyPair::generate().map_err(|error| error.to_string())?;
    let request = params(user, &[group], now)?.serialize_request(&key).map_err(|error| error.to_string())?;
    Ok((request.pem().map_err(|error| error.to_string())?, key.serialize_pem()))
}

/// TLS settings for an API: a serving certificate, clients checked against the client authorities; a client without a
/// certificate may connect and is anonymous.
pub(crate) fn tls(chain_pem: &str, key_pem: &str, client_ca_pem: &str) -> Result<Arc<ServerConfig>, String> {
    let chain: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(chain_pem.as_bytes()).filter_map(Result::ok).collect();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| format!("serving key: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(client_ca_pem.as_bytes()).filter_map(Result::ok) {
        roots.add(certificate).map_err(|error| format!("client-ca: {error}"))?;
    }
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| format!("client-ca: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| format!("serving certificate: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whether a certificate and a key can be read and belong together.
pub(crate) fn pair(certificate_pem: &str, key_pem: &str) -> Result<(), String> {
    let der =
        CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|error| format!("certificate: {error}"))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| format!("certificate: {error}"))?;
    let key = KeyPair::from_pem(key_pem).map_err(|error| format!("key: {error}"))?;
    if rcgen::PublicKeyData::subject_public_key_info(&key) != parsed.public_key().raw {
        return Err("the key does not belong to the certificate".into());
    }
    Ok(())
}

/// A certificate that may sign, its own key, and valid now.
fn check(certificate: &str, key: &str, now: Timestamp) -> Result<(), String> {
    let der =
        CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| format!("certificate: {error}"))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| format!("certificate: {error}"))?;
    pair(certificate, key)?;
    if !parsed.is_ca() {
        return Err("the certificate is not that of an authority (basicConstraints CA)".into());
    }
    let validity = parsed.validity();
    if now.as_second() < validity.not_before.timestamp() || now.as_second() > validity.not_after.timestamp() {
        return Err("the certificate is not valid now".into());
    }
    Ok(())
}

fn params(name: &str, groups: &[&str], now: Timestamp) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    for group in groups {
        subject.push(DnType::OrganizationName, *group);
    }
    params.distinguished_name = subject;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    let edge = |at: Result<Timestamp, jiff::Error>| {
        let at = at.map_err(|error| error.to_string())?;
        std::time::UNIX_EPOCH
            .checked_add(Duration::from_secs(at.as_second().unsigned_abs()))
            .ok_or_else(|| "the time is out of range".to_owned())
    };
    params.not_before = edge(now.checked_sub(BACKDATED))?.into();
    params.not_after = edge(now.checked_add(LIFETIME))?.into();
    Ok(params)
}

fn alternative(name: &str) -> Result<SanType, String> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let name = name.to_owned();
    Ok(SanType::DnsName(
        name.clone().try_into().map_err(|error| format!("the name `{name}` cannot be in a certificate: {error}"))?,
    ))
}
