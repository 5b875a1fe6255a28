//! Signatures as the recording made them, also the wrong ones.

use super::exchange::Exchange;
use std::sync::atomic::{AtomicU64, Ordering};

/// The keys of the recorded site, which are also in its seed: consumer key, token key, token secret.
const ADMIN: [&str; 3] = ["AdminConsumerKey01", "AdminTokenKey00001", "AdminTokenSecret0000000000000001"];
const BOB: [&str; 3] = ["BobConsumerKey0001", "BobTokenKey000001", "BobTokenSecret000000000000000001"];
/// The nonce that the recording uses twice.
const TWICE: &str = "3f9ee0fa3ecc4830ac0f489cf65f5374";

static NONCES: AtomicU64 = AtomicU64::new(1);

/// What may be left out or changed in a signature.
struct Parts {
    key: [String; 3],
    nonce: String,
    timestamp: i64,
    version: Option<&'static str>,
    method: &'static str,
    leave_out: Option<&'static str>,
    encoded: bool,
}

impl Parts {
    fn new(key: [&str; 3], now: i64) -> Self {
        Self {
            key: key.map(str::to_owned),
            nonce: format!("nonce{}", NONCES.fetch_add(1, Ordering::Relaxed)),
            timestamp: now,
            version: Some("1.0"),
            method: "PLAINTEXT",
            leave_out: None,
            encoded: true,
        }
    }

    fn parameters(&self) -> Vec<String> {
        let [consumer, token, secret] = &self.key;
        let signature = if self.encoded { format!("%26{secret}") } else { format!("&{secret}") };
        let all = [
            ("oauth_nonce", self.nonce.clone()),
            ("oauth_timestamp", self.timestamp.to_string()),
            ("oauth_version", self.version.unwrap_or_default().to_owned()),
            ("oauth_signature_method", self.method.to_owned()),
            ("oauth_consumer_key", consumer.clone()),
            ("oauth_token", token.clone()),
            ("oauth_signature", signature),
        ];
        let kept = all.into_iter().filter(|(name, value)| self.leave_out != Some(*name) && !value.is_empty());
        kept.map(|(name, value)| format!("{name}=\"{value}\"")).collect()
    }

    fn header(&self) -> String {
        format!("OAuth {}", self.parameters().join(", "))
    }
}

/// A good signature of `admin` or `bob`.
pub(crate) fn header(user: &str, now: i64) -> String {
    Parts::new(if user == "bob" { BOB } else { ADMIN }, now).header()
}

/// The signature a recorded request bore, as its note describes it.
pub(super) fn recorded(exchange: &Exchange, now: i64) -> Option<String> {
    let mut parts = Parts::new(if exchange.auth == "bob" { BOB } else { ADMIN }, now);
    let note = exchange.note.as_deref().unwrap_or_default();
    match note {
        "wrong consumer key" => parts.key[0] = "WrongConsumerKey01".into(),
        "wrong token key" => parts.key[1] = "WrongTokenKey00001".into(),
        "wrong token secret" | "wrong token secret, other resource" => parts.key[2] = "wrong".into(),
        "bob's consumer with admin's token" => parts.key[0] = BOB[0].into(),
        "timestamp 1000 s old" => parts.timestamp -= 1000,
        "timestamp 1000 s ahead" => parts.timestamp += 1000,
        "nonce first use" | "nonce used twice" => parts.nonce = TWICE.into(),
        "without oauth_nonce" => parts.leave_out = Some("oauth_nonce"),
        "without oauth_timestamp" => parts.leave_out = Some("oauth_timestamp"),
        "without oauth_version" => parts.version = None,
        "without oauth_signature_method" => parts.leave_out = Some("oauth_signature_method"),
        "without oauth_consumer_key" => parts.leave_out = Some("oauth_consumer_key"),
        "without oauth_token" => parts.leave_out = Some("oauth_token"),
        "without oauth_signature" => parts.leave_out = Some("oauth_signature"),
        "oauth_version 2.0" => parts.version = Some("2.0"),
        "signature method HMAC-SHA256" => parts.method = "HMAC-SHA256",
        "signature not percent-encoded in the header" => parts.encoded = false,
        "with a realm, last" => return Some(format!("{}, realm=\"OAuth\"", parts.header())),
        "with an empty realm first" => {
            return Some(format!("OAuth realm=\"\", {}", parts.parameters().join(", ")));
        }
        "scheme in lower case" => return Some(format!("oauth {}", parts.parameters().join(", "))),
        "no space after commas" => return Some(format!("OAuth {}", parts.parameters().join(","))),
        "Bearer" => return Some("Bearer abcdef".into()),
        "Basic" => return Some("Basic YWRtaW46cHc=".into()),
        _ if exchange.auth == "none" => return None,
        _ => assert!(exchange.auth != "other", "nobody said how {note:?} is signed"),
    }
    Some(parts.header())
}
