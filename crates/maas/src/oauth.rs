//! OAuth 1.0 with the PLAINTEXT signature, which is all MAAS needs: the secret is the signature.

use crate::key::ApiKey;
use ferrogate_model::Timestamp;
use http::HeaderValue;
use rand::Rng as _;

/// The `Authorization` header of one request. The nonce is fresh: MAAS refuses one it has seen.
pub(crate) fn header(key: &ApiKey, now: Timestamp) -> Option<HeaderValue> {
    let nonce: u128 = rand::rng().random();
    // All three parts of a key are letters and digits, so nothing but the ampersand needs to be escaped.
    let text = format!(
        "OAuth oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"{}\", \
         oauth_token=\"{}\", oauth_signature=\"%26{}\", oauth_nonce=\"{nonce:032x}\", oauth_timestamp=\"{}\"",
        key.consumer(),
        key.token(),
        key.secret(),
        now.as_second(),
    );
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

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
