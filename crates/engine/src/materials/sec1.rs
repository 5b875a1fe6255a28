//! The older PEM form of elliptic keys (SEC 1, `EC PRIVATE KEY`).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};

/// What a PKCS #8 document of a P-256 key begins with, up to the 32 bytes of the key, as RFC 5208 and RFC 5915 lay it
/// out for this curve.
const PKCS8_FRONT: [u8; 36] = [
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
];
/// Between the private and the public key in PKCS #8.
const PKCS8_MIDDLE: [u8; 5] = [0xa1, 0x44, 0x03, 0x42, 0x00];
/// What the SEC 1 form begins with.
const SEC1_FRONT: [u8; 7] = [0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];
/// Between the private and the public key in SEC 1: the curve's name, then the head of the public key.
const SEC1_MIDDLE: [u8; 17] =
    [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42, 0x00];

/// What a public key of P-256 begins with, up to the point, as RFC 5480 lays it out for this curve.
const SPKI_FRONT: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The SEC 1 PEM form of a P-256 key that is given in PKCS #8; `None` where it is another kind of key.
pub(super) fn from_pkcs8(der: &[u8]) -> Option<SecretString> {
    let rest = der.strip_prefix(&PKCS8_FRONT)?;
    let (private, rest) = rest.split_at_checked(32)?;
    let public = rest.strip_prefix(&PKCS8_MIDDLE)?;
    if public.len() != 65 {
        return None;
    }
    let sec1 = [&SEC1_FRONT, private, &SEC1_MIDDLE, public].concat();
    Some(pem("EC PRIVATE KEY", &sec1).into())
}

/// The public half of a key in the form that [`from_pkcs8`] gives: PEM, `PUBLIC KEY`; `None` where it has another form.
pub(super) fn public_half(key: &SecretString) -> Option<String> {
    let body: String = key.expose_secret().lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(body).ok()?;
    let rest = der.strip_prefix(&SEC1_FRONT)?;
    let (_, rest) = rest.split_at_checked(32)?;
    let public = rest.strip_prefix(&SEC1_MIDDLE)?;
    (public.len() == 65).then(|| pem("PUBLIC KEY", &[&SPKI_FRONT, public].concat()))
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}
