//! Request bodies. MAAS reads forms; most of its calls answer JSON bodies with an internal error.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng as _;

/// The unreserved characters of RFC 3986 stay as they are, in a form, a query and a path segment alike.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names and values, in order; a name may stand more than once.
pub(crate) type Fields = Vec<(String, String)>;

/// A body and its content type.
pub(crate) struct Body {
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
}

/// Escapes a piece of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// `name=value&name=value`.
pub(crate) fn query<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> =
        fields.into_iter().map(|(name, value)| format!("{}={}", segment(name), segment(value))).collect();
    pairs.join("&")
}

pub(crate) fn urlencoded(fields: &[(String, String)]) -> Body {
    Body {
        content_type: "application/x-www-form-urlencoded".into(),
        bytes: query(fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))).into(),
    }
}

/// For long values: nothing is escaped, so nothing grows.
pub(crate) fn multipart(fields: &[(String, String)]) -> Body {
    let boundary = loop {
        let candidate = format!("ferrogate-{:032x}", rand::rng().random::<u128>());
        if !fields.iter().any(|(_, value)| value.contains(&candidate)) {
            break candidate;
        }
    };
    let mut text = String::new();
    for (name, value) in fields {
        text.push_str(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    text.push_str(&format!("--{boundary}--\r\n"));
    Body { content_type: format!("multipart/form-data; boundary={boundary}"), bytes: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_form_is_escaped() {
        let fields = [("a b".to_owned(), "x&y=z+ü%".to_owned()), ("a b".to_owned(), "/".to_owned())];
        assert_eq!(urlencoded(&fields).bytes, "a%20b=x%26y%3Dz%2B%C3%BC%25&a%20b=%2F");
    }

    #[test]
    fn a_multipart_body_holds_its_values_unchanged() {
        let body = multipart(&[("user_data", "I2Nsb3Vk\n+/=").into_owned()]);
        let text = String::from_utf8(body.bytes.to_vec()).unwrap();
        let boundary = body.content_type.split("boundary=").nth(1).unwrap();
        assert_eq!(
            text,
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"user_data\"\r\n\r\nI2Nsb3Vk\n+/=\r\n--{boundary}--\r\n"
            )
        );
    }

    trait IntoOwned {
        fn into_owned(self) -> (String, String);
    }

    impl IntoOwned for (&str, &str) {
        fn into_owned(self) -> (String, String) {
            (self.0.into(), self.1.into())
        }
    }
}
