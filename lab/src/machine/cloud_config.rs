//! User-data, read as cloud-init reads it. What cloud-init's schema calls an error is one here, and the machine's
//! deployment fails with the reason; a real machine would log it and come up half configured.

use base64::Engine as _;
use serde_json::{Map, Value};
use std::io::Read as _;

/// The largest user-data after unpacking, in bytes; far above what any node needs.
const MAX_UNPACKED: u64 = 16 * 1024 * 1024;

/// One file of `write_files`, content decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriteFile {
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: String,
    pub(crate) append: bool,
    pub(crate) defer: bool,
}

/// What the simulated machine obeys of a cloud-config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CloudConfig {
    pub(crate) hostname: Option<String>,
    pub(crate) fqdn: Option<String>,
    pub(crate) ssh_authorized_keys: Vec<String>,
    pub(crate) ntp_servers: Vec<String>,
    pub(crate) write_files: Vec<WriteFile>,
    pub(crate) runcmd: Vec<Vec<String>>,
    /// Keys that are valid and change nothing in a simulated machine.
    pub(crate) without_effect: Vec<String>,
}

/// Top-level keys of cloud-init that are accepted and change nothing here.
const WITHOUT_EFFECT: [&str; 22] = [
    "apt",
    "ca_certs",
    "chpasswd",
    "disable_root",
    "disk_setup",
    "final_message",
    "growpart",
    "keyboard",
    "locale",
    "manage_etc_hosts",
    "output",
    "package_reboot_if_required",
    "package_update",
    "package_upgrade",
    "preserve_hostname",
    "prefer_fqdn_over_hostname",
    "resize_rootfs",
    "ssh_deletekeys",
    "ssh_pwauth",
    "swap",
    "timezone",
    "users",
];
const OBEYED: [&str; 6] = ["hostname", "fqdn", "ssh_authorized_keys", "ntp", "write_files", "runcmd"];

/// Reads user-data as the metadata service handed it out.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub(crate) fn parse(user_data: &[u8]) -> Result<CloudConfig, Vec<String>> {
    let unpacked = if user_data.starts_with(&[0x1f, 0x8b]) {
        gunzip(user_data).map_err(|error| vec![format!("user-data is not valid gzip: {error}")])?
    } else {
        user_data.to_vec()
    };
    let text = String::from_utf8(unpacked).map_err(|error| vec![format!("user-data is not UTF-8 text: {error}")])?;
    let first = text.lines().next().unwrap_or_default();
    if first.trim_end() != "#cloud-config" {
        let shown: String = first.chars().take(60).collect();
        return Err(vec![format!(
            "unhandled non-multipart user-data: it must begin with the line `#cloud-config`, not `{shown}`"
        )]);
    }
    let value: Value = serde_saphyr::from_str(&text)
        .map_err(|error| vec![format!("failed loading yaml: invalid cloud-config: {error}")])?;
    let mut reader = Reader::default();
    let config = reader.document(&value);
    if reader.wrong.is_empty() { Ok(config) } else { Err(reader.wrong) }
}

fn gunzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).take(MAX_UNPACKED).read_to_end(&mut out)?;
    Ok(out)
}

/// Collects everything that is wrong, each with its place.
#[derive(Default)]
struct Reader {
    wrong: Vec<String>,
}

impl Reader {
    fn complain(&mut self, place: &str, what: impl std::fmt::Display) {
        self.wrong.push(format!("invalid cloud-config: {place}: {what}"));
    }

    fn document(&mut self, value: &Value) -> CloudConfig {
        let mut config = CloudConfig::default();
        if value.is_null() {
            return config;
        }
        let Some(map) = self.object("user-data", value) else { return config };
        for (key, value) in map {
            match key.as_str() {
                "hostname" => config.hostname = self.text(key, value),
                "fqdn" => config.fqdn = self.text(key, value),
                "ssh_authorized_keys" => config.ssh_authorized_keys = self.texts(key, value),
                "ntp" => config.ntp_servers = self.ntp(value),
                "write_files" => config.write_files = self.write_files(value),
                "runcmd" => config.runcmd = self.runcmd(value),
                known if WITHOUT_EFFECT.contains(&known) => config.without_effect.push(known.to_owned()),
                other => self.unknown("user-data", other, OBEYED.iter().chain(&WITHOUT_EFFECT)),
            }
        }
        config
    }

    fn ntp(&mut self, value: &Value) -> Vec<String> {
        let mut servers = Vec::new();
        if value.is_null() {
            return servers;
        }
        let Some(map) = self.object("ntp", value) else { return servers };
        const KEYS: [&str; 7] = ["enabled", "ntp_client", "servers", "pools", "peers", "allow", "config"];
        for (key, value) in map {
            let place = format!("ntp.{key}");
            match key.as_str() {
                "servers" | "pools" | "peers" => servers.extend(self.texts(&place, value)),
                "allow" => drop(self.texts(&place, value)),
                "enabled" => drop(self.boolean(&place, value)),
                "ntp_client" => drop(self.text(&place, value)),
                "config" => drop(self.object(&place, value)),
                other => self.unknown("ntp", other, &KEYS),
            }
        }
        servers
    }

    fn write_files(&mut self, value: &Value) -> Vec<WriteFile> {
        let Some(items) = self.array("write_files", value) else { return Vec::new() };
        if items.is_empty() {
            self.complain("write_files", "[] should be non-empty");
        }
        items.iter().enumerate().filter_map(|(n, item)| self.write_file(&format!("write_files.{n}"), item)).collect()
    }

    fn write_file(&mut self, place: &str, value: &Value) -> Option<WriteFile> {
        const KEYS: [&str; 8] = ["path", "content", "encoding", "permissions", "owner", "append", "defer", "source"];
        let map = self.object(place, value)?;
        let mut path = None;
        let (mut content, mut encoding, mut permissions) = (String::new(), None, None);
        let (mut owner, mut append, mut defer) = ("root:root".to_owned(), false, false);
        for (key, value) in map {
            let place = format!("{place}.{key}");
            match key.as_str() {
                "path" => path = self.text(&place, value),
                "content" => content = self.text(&place, value).unwrap_or_default(),
                "encoding" => encoding = self.text(&place, value),
                "permissions" => permissions = self.text(&place, value),
                "owner" => owner = self.text(&place, value).unwrap_or(owner),
                "append" => append = self.boolean(&place, value).unwrap_or_default(),
                "defer" => defer = self.boolean(&place, value).unwrap_or_default(),
                "source" => self.complain(&place, "files from elsewhere are not simulated"),
                other => self.unknown(place.trim_end_matches(&format!(".{key}")), other, &KEYS),
            }
        }
        let Some(path) = path else {
            self.complain(place, "'path' is a required property");
            return None;
        };
        if !path.starts_with('/') {
            self.complain(&format!("{place}.path"), format!("`{path}` is not an absolute path"));
        }
        let mode = self.mode(place, permissions.as_deref());
        let content = match decode(&content, encoding.as_deref()) {
            Ok(content) => content,
            Err(what) => {
                self.complain(&format!("{place} ({path})"), what);
                return None;
            }
        };
        Some(WriteFile { path, content, mode, owner, append, defer })
    }

    fn mode(&mut self, place: &str, permissions: Option<&str>) -> u32 {
        // cloud-init's default.
        let Some(text) = permissions else { return 0o644 };
        let digits = text.strip_prefix("0o").unwrap_or(text);
        match u32::from_str_radix(digits, 8) {
            Ok(mode) if mode <= 0o7777 => mode,
            _ => {
                self.complain(&format!("{place}.permissions"), format!("`{text}` is not an octal mode such as '0644'"));
                0o644
            }
        }
    }

    fn runcmd(&mut self, value: &Value) -> Vec<Vec<String>> {
        let Some(items) = self.array("runcmd", value) else { return Vec::new() };
        if items.is_empty() {
            self.complain("runcmd", "[] should be non-empty");
        }
        let mut commands = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let place = format!("runcmd.{n}");
            match item {
                Value::Null => {}
                // A text is a line for the shell.
                Value::String(line) => commands.push(vec!["/bin/sh".into(), "-c".into(), line.clone()]),
                Value::Array(_) => match self.texts(&place, item) {
                    words if words.is_empty() => self.complain(&place, "the command is empty"),
                    words => commands.push(words),
                },
                other => {
                    self.complain(&place, format!("{} is not a list of texts, a text or null", kind(other)));
                }
            }
        }
        commands
    }

    fn unknown<'a>(&mut self, place: &str, key: &str, known: impl IntoIterator<Item = &'a &'static str>) {
        let near = known.into_iter().find(|known| near(known, key));
        let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
        self.complain(place, format!("additional properties are not allowed ('{key}' was unexpected){hint}"));
    }

    fn object<'a>(&mut self, place: &str, value: &'a Value) -> Option<&'a Map<String, Value>> {
        let map = value.as_object();
        if map.is_none() {
            self.complain(place, format!("{} is not of type 'object'", kind(value)));
        }
        map
    }

    fn array<'a>(&mut self, place: &str, value: &'a Value) -> Option<&'a Vec<Value>> {
        let array = value.as_array();
        if array.is_none() {
            self.complain(place, format!("{} is not of type 'array'", kind(value)));
        }
        array
    }

    fn text(&mut self, place: &str, value: &Value) -> Option<String> {
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.complain(place, format!("{} is not of type 'string'", kind(value)));
        }
        text
    }

    fn texts(&mut self, place: &str, value: &Value) -> Vec<String> {
        let Some(items) = self.array(place, value) else { return Vec::new() };
        items.iter().enumerate().filter_map(|(n, item)| self.text(&format!("{place}.{n}"), item)).collect()
    }

    fn boolean(&mut self, place: &str, value: &Value) -> Option<bool> {
        let boolean = value.as_bool();
        if boolean.is_none() {
            self.complain(place, format!("{} is not of type 'boolean'", kind(value)));
        }
        boolean
    }
}

fn decode(content: &str, encoding: Option<&str>) -> Result<Vec<u8>, String> {
    let from_base64 = || {
        let packed: String = content.chars().filter(|c| !c.is_whitespace()).collect();
        base64::engine::general_purpose::STANDARD
            .decode(packed)
            .map_err(|error| format!("the content is not valid base64: {error}"))
    };
    let unpack = |bytes: Vec<u8>| gunzip(&bytes).map_err(|error| format!("the content is not valid gzip: {error}"));
    match encoding {
        None | Some("text/plain") => Ok(content.as_bytes().to_vec()),
        Some("b64" | "base64") => from_base64(),
        Some("gz+b64" | "gz+base64" | "gzip+b64" | "gzip+base64") => unpack(from_base64()?),
        Some("gz" | "gzip") => unpack(content.as_bytes().to_vec()),
        Some(other) => Err(format!("'{other}' is not one of the encodings cloud-init knows")),
    }
}

/// What a value is, without showing it: it may be a secret.
const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Whether two keys differ only by a slip of the hand: one letter more, less or other, or `-` for `_`.
fn near(known: &str, given: &str) -> bool {
    let given = given.replace('-', "_").to_lowercase();
    if known == given {
        return true;
    }
    let (a, b): (Vec<char>, Vec<char>) = (known.chars().collect(), given.chars().collect());
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    a.len().abs_diff(b.len()) <= 1 && same + tail + 1 >= a.len().max(b.len())
}

#[cfg(test)]
#[path = "cloud_config_tests.rs"]
mod tests;
