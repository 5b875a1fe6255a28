//! Making certificates.

use super::{Authority, ClientIdentity, MaterialsError};
use ferrogate_model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// Clocks of machines that have just booted may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
/// How long an authority is valid: ten years, as kubeadm gives its own.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);

pub(super) fn authority(name: &str, now: Timestamp) -> Result<Authority, MaterialsError> {
    let failed = |source| MaterialsError::Certificate { whom: name.to_owned(), source };
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, now, AUTHORITY_LIFETIME);
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(Authority { certificate_pem: unix_lines(&certificate.pem()), key_pem: unix_lines(&key.serialize_pem()).into() })
}

pub(super) fn client(
    authority: &Authority,
    user: &str,
    group: &str,
    created: Timestamp,
    now: Timestamp,
    lifetime: Duration,
) -> Result<ClientIdentity, MaterialsError> {
    let failed = |source| MaterialsError::Certificate { whom: user.to_owned(), source };
    let authority_key = KeyPair::from_pem(authority.key_pem.expose_secret()).map_err(failed)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate_pem, authority_key).map_err(failed)?;
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.distinguished_name.push(DnType::CommonName, user);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, created, now, lifetime);
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    Ok(ClientIdentity {
        certificate_pem: unix_lines(&certificate.pem()),
        key_pem: unix_lines(&key.serialize_pem()).into(),
    })
}

const SERVICE_ACCOUNTS: &str = "service accounts";

pub(super) fn service_account_key() -> Result<SecretString, MaterialsError> {
    let failed = |source| MaterialsError::Certificate { whom: SERVICE_ACCOUNTS.to_owned(), source };
    Ok(unix_lines(&KeyPair::generate().map_err(failed)?.serialize_pem()).into())
}

/// The public half of a key, PEM.
pub(super) fn public_half(key: &SecretString) -> Result<String, MaterialsError> {
    let failed = |source| MaterialsError::Certificate { whom: SERVICE_ACCOUNTS.to_owned(), source };
    Ok(unix_lines(&KeyPair::from_pem(key.expose_secret()).map_err(failed)?.public_key_pem()))
}

/// The PEM writer ends lines as Windows does; nodes hash the file, so its bytes must be the same everywhere.
fn unix_lines(pem: &str) -> String {
    pem.replace("\r\n", "\n")
}

/// Valid from a little before `from` until `lifetime` after `now`.
fn set_validity(params: &mut CertificateParams, from: Timestamp, now: Timestamp, lifetime: Duration) {
    let at = |time: Timestamp| {
        date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(time.as_second()).unwrap_or_default())
    };
    params.not_before = at(from) - CLOCK_SKEW;
    params.not_after = at(now) + lifetime;
}
