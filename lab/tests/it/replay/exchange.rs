//! One recorded exchange, and the request it makes to the simulated MAAS.

use super::{NOW, compare::Ids, sign};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::Request;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fs, fs::File, io::Read, path::PathBuf};
use url::form_urlencoded::Serializer;

/// The recordings are those the MAAS client is tested with.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/maas/tests/recordings")
}

/// The names of all recordings.
pub(super) fn files() -> Vec<String> {
    let mut files: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".jsonl.gz"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "there are no recordings");
    files
}

/// The exchanges of one recording.
pub(super) fn read(file: &str) -> Vec<Exchange> {
    let mut text = String::new();
    GzDecoder::new(File::open(folder().join(file)).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A request and its answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    pub(super) n: u32,
    pub(super) note: Option<String>,
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) query: Vec<(String, String)>,
    pub(super) auth: String,
    pub(super) request_content_type: Option<String>,
    pub(super) form: Option<Vec<(String, String)>>,
    pub(super) request_body: Option<String>,
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) headers: BTreeMap<String, String>,
    /// The body where it was JSON; `null` is a body too, so absence is told apart.
    #[serde(default, deserialize_with = "present")]
    pub(super) json: Option<Value>,
    pub(super) body: Option<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

const BOUNDARY: &str = "----------------------------recorded";

impl Exchange {
    /// The same request to the simulated MAAS, ids that it gave itself put in place of the recorded ones.
    pub(super) fn request(&self, url: &str, ids: &Ids) -> Request<Bytes> {
        let root = url.strip_suffix("/MAAS").unwrap();
        let mut uri = format!("{root}{}", ids.path(&self.path));
        if !self.query.is_empty() {
            let mut query = Serializer::new(String::new());
            query.extend_pairs(self.query.iter().map(|(name, value)| (name, ids.word(value))));
            uri = format!("{uri}?{}", query.finish());
        }
        let mut request = Request::builder().method(self.method.as_str()).uri(uri);
        if let Some(header) = sign::recorded(self, NOW) {
            request = request.header("authorization", header);
        }
        let pairs: Vec<(String, String)> =
            self.form.iter().flatten().map(|(name, value)| (name.clone(), ids.word(value))).collect();
        let body = match self.request_content_type.as_deref() {
            Some("multipart/form-data") => {
                request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
                multipart(&pairs)
            }
            Some(other) => {
                request = request.header("content-type", other);
                match &self.request_body {
                    Some(body) => body.clone(),
                    None => Serializer::new(String::new()).extend_pairs(&pairs).finish(),
                }
            }
            None => self.request_body.clone().unwrap_or_default(),
        };
        request.body(Bytes::from(body)).unwrap()
    }
}

fn multipart(pairs: &[(String, String)]) -> String {
    let mut body = String::new();
    for (name, value) in pairs {
        body += &format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body + &format!("--{BOUNDARY}--\r\n")
}
