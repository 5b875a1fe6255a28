//! Certificates of a server: the authorities it is handed, and what it issues from them.

use super::datastore::Files;
use crate::machine::Disk;
use ferrogate_model::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{RootCertStore, ServerConfig, crypto::ring::default_provider, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Where k3s takes custom authorities from.
pub(crate) const TLS: &str = "/var/lib/rancher/k3s/server/tls";
/// The authorities, each a certificate and a key.
const AUTHORITIES: [&str; 5] = ["server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca"];
/// The key that signs service-account tokens.
const SERVICE_KEY: &str = "service.key";
/// How long what a server issues is valid, as k3s's own: a year.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// Clocks differ; certificates are valid a little before they are made.
const BACKDATED: Duration = Duration::from_secs(3600);

/// The authorities of a cluster, checked.
#[derive(Clone)]
pub(crate) struct Authorities {
    /// The serving authority's file, as `/cacerts` answers it.
    pub(crate) server_ca_pem: String,
    server_ca_key: String,
    client_ca_pem: String,
    client_ca_key: String,
}

/// Reads the custom authorities from the disk and checks them, as files that a further server is handed too.
///
/// # Errors
/// One line: which file, and what is wrong with it.
pub(crate) fn load(disk: &Disk, now: Timestamp) -> Result<(Authorities, Files), String> {
    let mut files = Files::new();
    let mut names: Vec<String> =
        AUTHORITIES.iter().flat_map(|name| [format!("{name}.crt"), format!("{name}.key")]).collect();
    names.push(SERVICE_KEY.to_owned());
    let missing: Vec<&String> = names.iter().filter(|name| !disk.exists(&format!("{TLS}/{name}"))).collect();
    if missing.len() == names.len() {
        return Err(format!("there are no authorities in {TLS}; a simulated k3s makes none of its own"));
    }
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.into_iter().map(String::as_str).collect();
        return Err(format!("custom authorities are incomplete: {TLS} lacks {}", missing.join(", ")));
    }
    for name in names {
        let path = format!("{TLS}/{name}");
        let bytes = disk.read(&path).map_err(|error| format!("{path}: {error}"))?;
        if name.ends_with(".key") {
            let (_, mode) = disk.stat(&path).map_err(|error| format!("{path}: {error}"))?;
            if mode & 0o077 != 0 {
                return Err(format!("{path}: everybody can read this key (mode {mode:04o})"));
            }
        }
        files.insert(name, bytes);
    }
    Ok((from_files(&files, now)?, files))
}

/// Checks the files a server was handed by another one, or read.
pub(crate) fn from_files(files: &Files, now: Timestamp) -> Result<Authorities, String> {
    let text = |name: &str| {
        let bytes = files.get(name).ok_or_else(|| format!("{name} is missing"))?;
        String::from_utf8(bytes.clone()).map_err(|_| format!("{name} is not text"))
    };
    for authority in AUTHORITIES {
        let (certificate, key) = (text(&format!("{authority}.crt"))?, text(&format!("{authority}.key"))?);
        check(&certificate, &key, now).map_err(|why| format!("{authority}: {why}"))?;
    }
    PrivateKeyDer::from_pem_slice(text(SERVICE_KEY)?.as_bytes()).map_err(|error| format!("{SERVICE_KEY}: {error}"))?;
    Ok(Authorities {
        server_ca_pem: text("server-ca.crt")?,
        server_ca_key: text("server-ca.key")?,
        client_ca_pem: text("client-ca.crt")?,
        client_ca_key: text("client-ca.key")?,
    })
}

/// A certificate that may sign, its own key, and valid now.
fn check(certificate: &str, key: &str, now: Timestamp) -> Result<(), String> {
    let der =
        CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| format!("certificate: {error}"))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| format!("certificate: {error}"))?;
    let key = KeyPair::from_pem(key).map_err(|error| format!("key: {error}"))?;
    if rcgen::PublicKeyData::subject_public_key_info(&key) != parsed.public_key().raw {
        return Err("the key does not belong to the certificate".into());
    }
    if !parsed.is_ca() {
        return Err("the certificate is not that of an authority (basicConstraints CA)".into());
    }
    let validity = parsed.validity();
    if now.as_second() < validity.not_before.timestamp() || now.as_second() > validity.not_after.timestamp() {
        return Err("the certificate is not valid now".into());
    }
    Ok(())
}

impl Authorities {
    /// TLS settings for the API: a serving certificate for these names, clients checked against the client authority;
    /// a client without a certificate may connect and is anonymous.
    pub(crate) fn serving(&self, names: &[String], now: Timestamp) -> Result<Arc<ServerConfig>, String> {
        let mut params = params("kube-apiserver", &[], now)?;
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (certificate, key) = issue(&params, &self.server_ca_pem, &self.server_ca_key)?;
        let mut chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| e.to_string())?];
        chain.extend(CertificateDer::pem_slice_iter(self.server_ca_pem.as_bytes()).filter_map(Result::ok));
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| error.to_string())?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.client_ca_pem.as_bytes()).filter_map(Result::ok) {
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

    /// A client certificate and its key, as PEM.
    pub(crate) fn client(&self, user: &str, groups: &[&str], now: Timestamp) -> Result<(String, String), String> {
        let mut params = params(user, groups, now)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        issue(&params, &self.client_ca_pem, &self.client_ca_key)
    }
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
    Ok(SanType::DnsName(name.clone().try_into().map_err(|error| format!("tls-san `{name}`: {error}"))?))
}

fn issue(params: &CertificateParams, ca: &str, ca_key: &str) -> Result<(String, String), String> {
    let says = |error: rcgen::Error| error.to_string();
    let issuer = Issuer::from_ca_cert_pem(ca, KeyPair::from_pem(ca_key).map_err(says)?).map_err(says)?;
    let key = KeyPair::generate().map_err(says)?;
    let certificate = params.signed_by(&key, &issuer).map_err(says)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
