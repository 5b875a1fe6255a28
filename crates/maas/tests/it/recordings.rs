//! The recorded exchanges.

use flate2::read::GzDecoder;
use serde_json::Value;
use std::{fs, io::Read as _, path::Path, sync::LazyLock};

/// One request to a real MAAS, and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// File and number, such as `03/91`.
    pub(crate) name: String,
    pub(crate) method: String,
    /// Behind `/MAAS/api/2.0/`; whole where it does not begin so.
    pub(crate) path: String,
    pub(crate) op: Option<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) form: Vec<(String, String)>,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The answer parsed, where it was JSON.
    pub(crate) json: Option<Value>,
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Array(all) => all.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        Value::Object(all) => all.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        _ => Vec::new(),
    }
}

impl Exchange {
    fn read(file: &str, line: &str) -> Self {
        let record: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        let mut query = pairs(&record["query"]);
        let op = query.iter().position(|(name, _)| name == "op").map(|place| query.remove(place).1);
        let path = text("path");
        let json = record.get("json").filter(|value| !value.is_null()).cloned();
        Self {
            name: format!("{file}/{}", record["n"]),
            method: text("method"),
            path: path.strip_prefix("/MAAS/api/2.0/").map_or(path.clone(), str::to_owned),
            op,
            query,
            form: pairs(&record["form"]),
            status: record["status"].as_u64().unwrap().try_into().unwrap(),
            headers: pairs(&record["headers"]),
            body: json.as_ref().map_or_else(|| record["body"].as_str().unwrap_or("null").to_owned(), Value::to_string),
            json,
        }
    }

    /// The answer as bytes on a connection.
    pub(crate) fn answer(&self) -> String {
        let mut text = format!("HTTP/1.1 {} Recorded\r\n", self.status);
        for (name, value) in &self.headers {
            if !["content-length", "transfer-encoding", "connection"].contains(&name.to_ascii_lowercase().as_str()) {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if self.status == 204 {
            return text + "\r\n";
        }
        let body = if self.json.is_none() && self.body == "null" && self.status != 200 { "" } else { &self.body };
        text + &format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }
}

/// All of them, in the order of files and lines.
pub(crate) fn all() -> &'static [Exchange] {
    static ALL: LazyLock<Vec<Exchange>> = LazyLock::new(read_all);
    &ALL
}

fn read_all() -> Vec<Exchange> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut exchanges = Vec::new();
    for path in files {
        let number = path.file_name().unwrap().to_str().unwrap()[..2].to_owned();
        let mut text = String::new();
        GzDecoder::new(fs::File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
        exchanges.extend(text.lines().map(|line| Exchange::read(&number, line)));
    }
    exchanges
}

/// One by its name.
pub(crate) fn exchange(name: &str) -> &'static Exchange {
    all().iter().find(|exchange| exchange.name == name).unwrap()
}
