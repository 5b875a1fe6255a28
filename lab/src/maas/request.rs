//! A request to MAAS: query, body in each encoding MAAS reads, and where `op` may stand.

use super::answer::Answer;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{StatusCode, header, request::Parts};
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use serde_json::{Map, Value};

/// Names and values in the order in which they came.
pub(crate) type Pairs = Vec<(String, String)>;

/// What the body was.
#[derive(Debug)]
pub(crate) enum Body {
    /// A form, or nothing.
    Form(Pairs),
    /// A JSON object or another JSON value.
    Json(Value),
    /// Announced as JSON, and is not.
    BadJson,
    /// Something MAAS does not read.
    Other,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path, repeated slashes made single.
    pub(crate) path: String,
    pub(crate) query: Pairs,
    pub(crate) body: Body,
    pub(crate) authorization: Option<SecretString>,
    pub(crate) op: Option<String>,
}

impl Request {
    /// Reads a request whose body is complete.
    pub(crate) fn read(parts: &Parts, bytes: &Bytes) -> Self {
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let query = parse_urlencoded(parts.uri.query().unwrap_or_default());
        let content_type = header(header::CONTENT_TYPE).unwrap_or_default();
        let body = read_body(content_type, bytes);
        let mut path = parts.uri.path().to_owned();
        while path.contains("//") {
            path = path.replace("//", "/");
        }
        let path = percent_decode_str(&path).decode_utf8_lossy().into_owned();
        let from_form = || match &body {
            Body::Form(form) => find(form, "op").map(str::to_owned),
            Body::Json(_) | Body::BadJson | Body::Other => None,
        };
        let mut op = find(&query, "op").map(str::to_owned).or_else(from_form);
        // An older spelling: the operation as the path's last part.
        let mut path = path;
        if let Some((start, last)) = path.rsplit_once("/op-") {
            op = Some(last.trim_end_matches('/').to_owned());
            path = format!("{start}/");
        }
        Self {
            method: parts.method.as_str().to_owned(),
            path,
            query,
            body,
            authorization: header(header::AUTHORIZATION).map(SecretString::from),
            op,
        }
    }

    /// The value of a query parameter; the last one counts.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// Every value of a query parameter.
    pub(crate) fn query_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a query parameter says yes.
    pub(crate) fn query_flag(&self, name: &str, default: bool) -> bool {
        self.query(name).map_or(default, |value| matches!(value.to_lowercase().as_str(), "true" | "1" | "yes" | "on"))
    }

    /// The body as a form: what most operations take.
    ///
    /// # Errors
    /// The 400 or 500 that MAAS gives for other bodies.
    pub(crate) fn form(&self) -> Result<Form, Answer> {
        match &self.body {
            Body::Form(pairs) => Ok(Form { pairs: pairs.clone() }),
            Body::Json(_) => Err(Answer::server_error("'dict' object has no attribute 'lists'")),
            Body::BadJson => Err(Answer::plain(StatusCode::BAD_REQUEST, "Bad Request")),
            Body::Other => Err(Answer::server_error("'NoneType' object has no attribute 'lists'")),
        }
    }

    /// The body as a form where JSON is read too, as in PUT.
    ///
    /// # Errors
    /// 400 for JSON that is not.
    pub(crate) fn form_or_json(&self) -> Result<Form, Answer> {
        match &self.body {
            Body::Json(Value::Object(map)) => Ok(Form { pairs: flatten(map) }),
            Body::Json(_) | Body::Other => Ok(Form { pairs: Vec::new() }),
            Body::Form(_) | Body::BadJson => self.form(),
        }
    }
}

/// A form.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pairs: Pairs,
}

impl Form {
    /// The value of a field; the last one counts.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        find(&self.pairs, name)
    }

    /// The value of a field that is not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Every value of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Fields with their values, each field once, in the order of their first appearance, without `op`.
    pub(crate) fn lists(&self) -> Vec<(&str, Vec<&str>)> {
        let mut lists: Vec<(&str, Vec<&str>)> = Vec::new();
        for (name, value) in self.pairs.iter().filter(|(name, _)| name != "op") {
            match lists.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(value),
                None => lists.push((name, vec![value])),
            }
        }
        lists
    }
}

fn find<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn flatten(map: &Map<String, Value>) -> Pairs {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    map.iter()
        .flat_map(|(name, value)| match value {
            Value::Array(values) => values.iter().map(|value| (name.clone(), text(value))).collect(),
            value => vec![(name.clone(), text(value))],
        })
        .collect()
}

fn read_body(content_type: &str, bytes: &Bytes) -> Body {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => Body::Form(parse_urlencoded(&String::from_utf8_lossy(bytes))),
        "multipart/form-data" => {
            Body::Form(boundary(content_type).map(|b| parse_multipart(bytes, &b)).unwrap_or_default())
        }
        "application/json" => serde_json::from_slice(bytes).map_or(Body::BadJson, Body::Json),
        // No content type, no form: MAAS does not look at the body.
        "" => Body::Form(Vec::new()),
        _ => Body::Other,
    }
}

/// Names and values of a urlencoded text; `+` is a blank.
pub(crate) fn parse_urlencoded(text: &str) -> Pairs {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').map_or((decode(pair), String::new()), |(k, v)| (decode(k), decode(v))))
        .collect()
}

fn boundary(content_type: &str) -> Option<String> {
    let value = content_type.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
    Some(value.trim_matches('"').to_owned())
}

/// The parts of a multipart body. Parts in base64 are decoded, as other MAAS clients send them.
fn parse_multipart(bytes: &[u8], boundary: &str) -> Pairs {
    let delimiter = format!("--{boundary}");
    let mut pairs = Vec::new();
    for part in split(bytes, delimiter.as_bytes()).into_iter().skip(1) {
        if part.starts_with(b"--") {
            break;
        }
        let part = part.strip_prefix(b"\r\n").or_else(|| part.strip_prefix(b"\n")).unwrap_or(part);
        let Some((head, content)) = split_once(part, b"\r\n\r\n").or_else(|| split_once(part, b"\n\n")) else {
            continue;
        };
        let content = content.strip_suffix(b"\r\n").or_else(|| content.strip_suffix(b"\n")).unwrap_or(content);
        let head = String::from_utf8_lossy(head);
        let Some(name) = head
            .split([';', '\r', '\n'])
            .find_map(|piece| piece.trim().strip_prefix("name="))
            .map(|name| name.trim_matches('"').to_owned())
        else {
            continue;
        };
        let base64 = head.lines().any(|line| {
            line.split_once(':').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("content-transfer-encoding") && value.trim().eq_ignore_ascii_case("base64")
            })
        });
        let content = if base64 {
            let packed: Vec<u8> = content.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            BASE64_STANDARD.decode(&packed).unwrap_or(packed)
        } else {
            content.to_vec()
        };
        pairs.push((name, String::from_utf8_lossy(&content).into_owned()));
    }
    pairs
}

fn split<'a>(bytes: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while let Some((piece, after)) = split_once(rest, delimiter) {
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn split_once<'a>(bytes: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some((&bytes[..at], &bytes[at + delimiter.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(content_type: &str, body: &str) -> Request {
        let request = http::Request::post("/MAAS//api/2.0/machines/?op=allocate&a=1&a=2")
            .header(header::CONTENT_TYPE, content_type)
            .body(())
            .unwrap();
        Request::read(&request.into_parts().0, &Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn parts_in_base64_are_decoded() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"zone\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                    em9uZS1i\r\n\r\n--x\r\nContent-Disposition: form-data; name=\"pool\"\r\n\r\nblue\r\n--x--\r\n";
        let form = request("multipart/form-data; boundary=\"x\"", body).form().unwrap();
        assert_eq!(form.get("zone"), Some("zone-b"));
        assert_eq!(form.get("pool"), Some("blue"));
    }

    #[test]
    fn the_last_of_several_values_counts_and_all_can_be_had() {
        let request = request("application/x-www-form-urlencoded", "tags=gpu&tags=big+one&op=release");
        assert_eq!(request.path, "/MAAS/api/2.0/machines/");
        assert_eq!(request.op.as_deref(), Some("allocate"));
        assert_eq!(request.query("a"), Some("2"));
        assert_eq!(request.form().unwrap().lists(), [("tags", vec!["gpu", "big one"])]);
    }

    #[test]
    fn a_json_body_is_an_error_where_a_form_is_wanted() {
        let answer = request("application/json; charset=utf-8", "{\"zone\": \"zone-b\"}").form().unwrap_err();
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
