//! The check of OAuth 1.0 PLAINTEXT signatures, with MAAS's words for what is wrong.

use super::{
    answer::Answer,
    request::Request,
    state::{Id, State},
};
use ferrogate_model::Timestamp;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;

/// How old a signature may be, in seconds.
const MAX_AGE: i64 = 300;

/// How many signatures are remembered before the old ones are dropped.
const REMEMBERED_NONCES: usize = 50_000;

/// The parameters of a signature.
#[derive(Default)]
pub(crate) struct Signature {
    parameters: BTreeMap<String, String>,
}

impl Signature {
    /// Reads the signature of a request, from its header or its query.
    pub(crate) fn of(request: &Request) -> Self {
        let mut parameters = BTreeMap::new();
        if let Some(rest) = authorization(request).and_then(|text| text.strip_prefix("OAuth ")) {
            for part in rest.split(',') {
                if let Some((name, value)) = part.trim().split_once('=') {
                    let value = percent_decode_str(value.trim().trim_matches('"')).decode_utf8_lossy().into_owned();
                    parameters.insert(name.trim().to_owned(), value);
                }
            }
        } else {
            // Values in a query are decoded twice: MAAS takes them as it takes those of a header.
            let from_query = request.query.iter().filter(|(name, _)| name.starts_with("oauth_"));
            let decode = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
            parameters.extend(from_query.map(|(name, value)| (name.clone(), decode(value))));
        }
        Self { parameters }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Whether it is a signature at all: without these, MAAS takes the request as one of nobody.
    fn is_complete(&self) -> bool {
        ["oauth_consumer_key", "oauth_token", "oauth_signature_method", "oauth_timestamp", "oauth_nonce"]
            .iter()
            .all(|name| self.parameters.contains_key(*name))
    }
}

fn authorization(request: &Request) -> Option<&str> {
    request.authorization.as_ref().map(ExposeSecret::expose_secret)
}

/// Who signed a request: nobody where it bears no signature.
///
/// # Errors
/// 401 for a signature that is wrong, 400 for one that is not understood.
pub(crate) fn check(state: &mut State, request: &Request, now: Timestamp) -> Result<Option<Id>, Answer> {
    if authorization(request).is_some_and(|text| text.starts_with("oauth ")) {
        return Err(Answer::error(StatusCode::BAD_REQUEST, "'Bad Request: Parameter not found: oauth_consumer_key'"));
    }
    let signature = Signature::of(request);
    if !signature.is_complete() {
        return Ok(None);
    }
    let get = |name| signature.get(name).unwrap_or_default();
    let wrong = |text: String| Err(Answer::bad_signature(&text));
    if let Some(version) = signature.get("oauth_version").filter(|version| *version != "1.0") {
        return wrong(format!("'OAuth version {version} not supported.'"));
    }
    let consumer = get("oauth_consumer_key");
    if !state.keys.iter().any(|key| key.consumer == consumer) {
        return wrong("Invalid API key.".into());
    }
    let token = get("oauth_token");
    let Some(key) = state.keys.iter().find(|key| key.token == token) else {
        return wrong(format!("'Invalid access token: {token}'"));
    };
    let (user, secret) = (key.user, key.secret.clone());
    let given: i64 = get("oauth_timestamp").parse().unwrap_or_default();
    let now = now.as_second();
    if now.saturating_sub(given) > MAX_AGE {
        return wrong(format!(
            "'Expired timestamp: given {given} and now {now} has a greater difference than threshold {MAX_AGE}'"
        ));
    }
    let nonce = get("oauth_nonce");
    if state.nonces.len() >= REMEMBERED_NONCES {
        // An older signature is refused for its age anyway.
        state.nonces.retain(|_, time| now.saturating_sub(*time) <= MAX_AGE);
    }
    if state.nonces.insert((token.to_owned(), nonce.to_owned()), given).is_some() {
        return wrong(format!("'Nonce already used: {nonce}'"));
    }
    let method = get("oauth_signature_method");
    if method != "PLAINTEXT" {
        return wrong(format!(
            "'Signature method {method} not supported try one of the following: PLAINTEXT, HMAC-SHA1'"
        ));
    }
    let Some(given) = signature.get("oauth_signature") else {
        return wrong("'Missing signature.'".into());
    };
    let expected = format!("&{}", secret.expose_secret());
    if given != expected {
        // A real MAAS says the secret it expected, which is why its answers must never be logged.
        return wrong(format!("'Invalid signature. Expected signature base string: {expected}'"));
    }
    Ok(Some(user))
}
