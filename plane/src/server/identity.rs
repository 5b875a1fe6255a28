//! Who the plane is on TLS: its own small certificate authority, kept in the data folder, and the server certificate it
//! issues to itself; or a certificate that somebody else made.
//!
//! Only the authority is kept on disk. The server's own key lives in memory: it is made at every start and replaced long
//! before it expires, so there is nothing to renew by hand and one private key less to protect.

use super::options::CertificateFiles;
use crate::{files, start_error::StartError};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, RwLock},
    time::Duration,
};

/// How long the plane's own authority is valid: longer than hardware lives, because every site pins it.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(20 * 365 * 86_400);
/// How long an issued server certificate is valid.
const SERVER_LIFETIME: Duration = Duration::from_secs(90 * 86_400);
/// After how long it is replaced: a third of its life, so that two missed replacements harm nobody.
pub(super) const SERVER_RENEWAL: Duration = Duration::from_secs(30 * 86_400);
/// How far the clocks of sites may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(86_400);

/// What the listener serves with; the certificate can be replaced while connections are open.
#[derive(Debug)]
pub(super) struct Identity {
    /// Certificate authority (PEM) that clients must trust; empty when the certificate came from outside.
    pub(super) ca_pem: String,
    /// `sha256:<hex>` of the authority, or of the certificate that came from outside.
    pub(super) fingerprint: String,
    names: Vec<String>,
    authority: Option<Authority>,
    current: RwLock<Arc<CertifiedKey>>,
}

#[derive(Debug)]
struct Authority {
    certificate_pem: String,
    key_pem: String,
}

impl Identity {
    /// Reads or makes the authority in `folder` and issues a certificate for `names`.
    pub(super) fn own(folder: &Path, names: BTreeSet<String>, now: Timestamp) -> Result<Self, StartError> {
        let authority = Authority::load_or_create(folder, now)?;
        let names: Vec<String> = names.into_iter().collect();
        let der = CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes())
            .map_err(|error| StartError::Certificate { path: folder.join("ca.pem"), detail: error.to_string() })?;
        let current = authority.issue(&names, &der, now).map_err(|detail| StartError::Certificate {
            path: folder.join("ca.pem"),
            detail: format!("cannot issue a server certificate: {detail}"),
        })?;
        Ok(Self {
            ca_pem: authority.certificate_pem.clone(),
            fingerprint: fingerprint(&der),
            names,
            authority: Some(authority),
            current: RwLock::new(Arc::new(current)),
        })
    }

    /// Reads the chain and key that somebody else made.
    pub(super) fn given(files: &CertificateFiles) -> Result<Self, StartError> {
        let bad = |path: &Path, detail: String| StartError::Certificate { path: path.to_owned(), detail };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.chain)
            .and_then(Iterator::collect)
            .map_err(|error| bad(&files.chain, error.to_string()))?;
        let Some(first) = chain.first() else {
            return Err(bad(&files.chain, "holds no certificate".into()));
        };
        let fingerprint = fingerprint(first);
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, error.to_string()))?;
        let key = any_supported_type(&key).map_err(|error| bad(&files.key, error.to_string()))?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|error| bad(&files.key, error.to_string()))?;
        Ok(Self {
            ca_pem: String::new(),
            fingerprint,
            names: Vec::new(),
            authority: None,
            current: RwLock::new(Arc::new(certified)),
        })
    }

    /// Replaces the server's certificate by a new one; does nothing where it came from outside.
    pub(super) fn renew(&self, now: Timestamp) -> Result<(), String> {
        let Some(authority) = &self.authority else { return Ok(()) };
        let der =
            CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes()).map_err(|error| error.to_string())?;
        let certified = Arc::new(authority.issue(&self.names, &der, now)?);
        *self.current.write().expect("nothing panics while it holds this lock") = certified;
        Ok(())
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().expect("nothing panics while it holds this lock")))
    }
}

impl Authority {
    /// Reads the authority, or makes it where there is none. Of several planes that start at once on one folder one makes
    /// it: it is two files, and each of the planes would take the other's for what a crash left.
    fn load_or_create(folder: &Path, now: Timestamp) -> Result<Self, StartError> {
        let _held = files::lock(folder)?;
        Self::load_or_create_alone(folder, now)
    }

    fn load_or_create_alone(folder: &Path, now: Timestamp) -> Result<Self, StartError> {
        let (certificate_path, key_path) = (folder.join("ca.pem"), folder.join("ca.key"));
        match (files::read(&certificate_path)?, files::read(&key_path)?) {
            (Some(certificate_pem), Some(key_pem)) => Ok(Self { certificate_pem, key_pem }),
            (None, None) => {
                let made = Self::create(now).map_err(|error| StartError::Certificate {
                    path: certificate_path.clone(),
                    detail: error.to_string(),
                })?;
                // The key first: a certificate without its key would lock the plane out of its own sites.
                files::write_secret(&key_path, made.key_pem.as_bytes())?;
                files::write_secret(&certificate_path, made.certificate_pem.as_bytes())?;
                Ok(made)
            }
            // A crash between the two writes of a first start: nobody can have trusted that authority yet.
            (None, Some(_)) => {
                files::remove(&key_path)?;
                Self::load_or_create_alone(folder, now)
            }
            (Some(_), None) => Err(StartError::Certificate {
                path: key_path,
                detail: "is missing while ca.pem is there; restore it from a backup, because every site trusts that \
                         certificate"
                    .into(),
            }),
        }
    }

    fn create(now: Timestamp) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = validity(CertificateParams::default(), now, AUTHORITY_LIFETIME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Ferrogate plane CA");
        let certificate = params.self_signed(&key)?;
        Ok(Self { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    fn issue(&self, names: &[String], ca: &CertificateDer<'_>, now: Timestamp) -> Result<CertifiedKey, String> {
        let text = |error: rcgen::Error| error.to_string();
        let ca_key = KeyPair::from_pem(&self.key_pem).map_err(text)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, ca_key).map_err(text)?;
        let mut params = validity(CertificateParams::new(names.to_vec()).map_err(text)?, now, SERVER_LIFETIME);
        params.distinguished_name.push(DnType::CommonName, "Ferrogate plane");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(text)?;
        let certificate = params.signed_by(&key, &issuer).map_err(text)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
        let signer = any_supported_type(&private).map_err(|error| error.to_string())?;
        // The authority travels with the chain so that a client that knows only its fingerprint can find it.
        Ok(CertifiedKey::new(vec![certificate.der().clone(), ca.clone().into_owned()], signer))
    }
}

/// SHA-256 of a certificate's DER form, as `sha256:<64 hexadecimal digits>`.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    format!("sha256:{}", ferrogate_files::sha256(certificate))
}

fn validity(mut params: CertificateParams, now: Timestamp, lifetime: Duration) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
    params.not_before = epoch + now.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + now + lifetime;
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrogate_model::{Clock as _, SystemClock};

    fn names() -> BTreeSet<String> {
        ["localhost".to_owned(), "127.0.0.1".to_owned()].into()
    }

    #[test]
    fn the_authority_survives_a_restart_and_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::own(folder.path(), names(), SystemClock.now()).unwrap();
        let second = Identity::own(folder.path(), names(), SystemClock.now()).unwrap();
        assert_eq!(first.fingerprint, second.fingerprint);
        assert_eq!(first.ca_pem, second.ca_pem);
        for file in ["ca.pem", "ca.key"] {
            let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn of_many_that_start_at_once_all_have_one_authority() {
        const STARTS: usize = 8;
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let at_once = std::sync::Barrier::new(STARTS);
            let fingerprints = std::thread::scope(|scope| {
                let start = || {
                    at_once.wait();
                    Identity::own(folder.path(), names(), SystemClock.now()).unwrap().fingerprint
                };
                let starts: Vec<_> = (0..STARTS).map(|_| scope.spawn(start)).collect();
                starts.into_iter().map(|start| start.join().unwrap()).collect::<BTreeSet<_>>()
            });
            assert_eq!(fingerprints.len(), 1);
            let kept = Identity::own(folder.path(), names(), SystemClock.now()).unwrap();
            assert!(fingerprints.contains(&kept.fingerprint));
        }
    }

    #[test]
    fn a_lost_key_stops_the_start_instead_of_making_a_new_authority() {
        let folder = tempfile::tempdir().unwrap();
        Identity::own(folder.path(), names(), SystemClock.now()).unwrap();
        std::fs::remove_file(folder.path().join("ca.key")).unwrap();
        let error = Identity::own(folder.path(), names(), SystemClock.now()).unwrap_err();
        assert!(error.to_string().contains("ca.key"), "{error}");
    }

    #[test]
    fn a_renewed_certificate_is_another_one_of_the_same_authority() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::own(folder.path(), names(), SystemClock.now()).unwrap();
        let before = Arc::clone(&identity.current.read().unwrap());
        identity.renew(SystemClock.now()).unwrap();
        let after = Arc::clone(&identity.current.read().unwrap());
        assert_ne!(before.cert[0], after.cert[0]);
        assert_eq!(before.cert[1], after.cert[1]);
    }
}
