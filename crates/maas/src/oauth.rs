//! OAuth 1.0 with the PLAINTEXT signature, which is all MAAS needs: the secret is the signature.

use crate::key::ApiKey;
use ferrogate_model::Timestamp;
use http::HeaderValue;
use oauth1_request::{Builder, Credentials, Plaintext, Token};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng as _;
use std::{fmt, num::NonZeroU64};

/// What RFC 3986 calls unreserved stands for itself, everything else is escaped (RFC 5849 section 3.6).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The signature as a header's parameter. The library writes this one as it is, while RFC 5849 section 3.5.1 wants it escaped
/// like all the others.
#[derive(Default)]
struct Escaped(String);

impl fmt::Write for Escaped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        Ok(())
    }
}

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        utf8_percent_encode(&self.0, ESCAPED).fmt(f)
    }
}

/// The `Authorization` header of one request. The nonce is fresh: MAAS refuses one it has seen.
pub(crate) fn header(key: &ApiKey, now: Timestamp) -> Option<HeaderValue> {
    let nonce: u128 = rand::rng().random();
    signed(key, now, &format!("{nonce:032x}"))
}

/// The header with this nonce. With this signature it does not depend on the request; `None` for a time before 1970 and
/// a key that no header can carry.
fn signed(key: &ApiKey, now: Timestamp, nonce: &str) -> Option<HeaderValue> {
    let now = NonZeroU64::new(now.as_second().try_into().ok()?)?;
    let token = Token::new(Credentials::new(key.consumer(), ""), Credentials::new(key.token(), key.secret()));
    let mut builder = Builder::with_token(token, Plaintext::<Escaped>::with_buf());
    builder.nonce(nonce).timestamp(now).version(true);
    let mut value = HeaderValue::from_str(&builder.authorize("GET", "", &())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_what_maas_takes_letter_by_letter() {
        let key = "Ckey:Tkey:Secret".parse().unwrap();
        let now = Timestamp::from_second(1_795_337_132).unwrap();
        assert_eq!(
            signed(&key, now, "00ff").unwrap().to_str().unwrap(),
            "OAuth oauth_consumer_key=\"Ckey\",oauth_nonce=\"00ff\",oauth_signature_method=\"PLAINTEXT\",\
             oauth_timestamp=\"1795337132\",oauth_token=\"Tkey\",oauth_version=\"1.0\",oauth_signature=\"%26Secret\""
        );
    }

    #[test]
    fn every_header_has_its_own_nonce_and_the_given_time() {
        let key = "Ckey:Tkey:Secret".parse().unwrap();
        let now = Timestamp::from_second(1_795_337_132).unwrap();
        let texts: Vec<String> = (0..2).map(|_| header(&key, now).unwrap().to_str().unwrap().to_owned()).collect();
        assert_ne!(texts[0], texts[1]);
        for text in &texts {
            assert!(text.starts_with("OAuth "), "MAAS takes no other spelling: {text}");
            assert!(text.contains("oauth_signature=\"%26Secret\""));
            assert!(text.contains("oauth_timestamp=\"1795337132\""));
        }
        assert!(format!("{:?}", header(&key, now)).contains("Sensitive"));
    }
}
