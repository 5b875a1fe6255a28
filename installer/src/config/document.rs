//! pcg.yaml as text: read strictly, every complaint with its line and column and with what was probably meant.

use super::{Extras, deadlines};
use crate::{
    InstallError,
    answers::{self, Answers},
    error::ConfigError,
    files,
    questions::Question,
    seal::{self, Sealer},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_saphyr::{Error as YamlError, Spanned};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

type Text = Option<Spanned<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    version: Option<Spanned<u32>>,
    install_type: Text,
    cloud_type: Text,
    name: Text,
    #[serde(default)]
    plane: PlaneSection,
    #[serde(default)]
    environment: EnvironmentSection,
    #[serde(default)]
    maas: MaasSection,
    #[serde(default)]
    placement: PlacementSection,
    #[serde(default)]
    installer: InstallerSection,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PlaneSection {
    endpoint: Text,
    username: Text,
    password: Text,
    pairing_code: Text,
    fingerprint: Text,
    ca_file: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EnvironmentSection {
    https_proxy: Text,
    http_proxy: Text,
    no_proxy: Text,
    pod_cidr: Text,
    svc_ip_range: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MaasSection {
    endpoint: Text,
    api_key: Text,
    ca_file: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PlacementSection {
    domain: Text,
    zone: Text,
    resource_pool: Text,
    nodes: Option<Spanned<u32>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct InstallerSection {
    dns_servers: Vec<Spanned<String>>,
    deadlines: DeadlinesSection,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DeadlinesSection {
    overall: Text,
    machines: Text,
    register: Text,
    cleanup: Text,
    blocked: Text,
}

/// A configuration file that was read. Its secrets are still sealed.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it stands.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// The answers it has, secrets as they stand there.
    pub raw: BTreeMap<Question, String>,
    /// Line and column of each answer.
    pub places: BTreeMap<Question, (u64, u64)>,
    /// What it says beside the answers.
    pub extras: Extras,
}

impl Document {
    /// Reads and checks a file, all but its secrets.
    ///
    /// # Errors
    /// The file cannot be read, or something in it cannot be used: with line, column and remedy.
    pub fn load(path: &Path) -> Result<Self, InstallError> {
        Self::parse(path, files::read_text(path)?)
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// Something in it cannot be used.
    pub fn parse(path: &Path, text: String) -> Result<Self, InstallError> {
        let bad = |at: Option<(u64, u64)>, message: String, hint: Option<String>| {
            InstallError::Config(ConfigError { path: path.to_owned(), at, message, hint })
        };
        let options = serde_saphyr::options! { with_snippet: false };
        let sections: Sections =
            serde_saphyr::from_str_with_options(&text, options).map_err(|error| explain(path, &text, &error))?;
        match &sections.version {
            Some(version) if version.value != VERSION => {
                let message =
                    format!("version {} is not understood; this installer writes version {VERSION}", version.value);
                return Err(bad(Some(place(version)), message, Some("use the installer that wrote the file".into())));
            }
            _ => {}
        }
        let mut raw = BTreeMap::new();
        let mut places = BTreeMap::new();
        let extras = sections.extras(&bad)?;
        for (question, value) in sections.answers() {
            places.insert(question, place(&value));
            raw.insert(question, value.value);
        }
        Ok(Self { path: path.to_owned(), text, raw, places, extras })
    }

    /// The folder that relative paths begin at, and that the key file stands in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// The gateway's name, to which the seals are bound.
    #[must_use]
    pub fn name(&self) -> &str {
        self.raw.get(&Question::Name).map_or("", |name| name.trim())
    }

    /// The answers with their secrets opened, each checked by itself. `given` answers (command line, environment) stand
    /// in for the file's, whose sealed values then need not open.
    ///
    /// # Errors
    /// A sealed value that does not open, a secret that is not sealed, an answer that cannot be used, or one missing.
    pub fn answers(&self, given: &Answers, sealer: &Sealer) -> Result<Answers, InstallError> {
        let mut answers = Answers::default();
        for (question, text) in &self.raw {
            if given.has(*question) {
                continue;
            }
            if (question.is_secret() && !text.is_empty()) || text.starts_with(seal::PREFIX) {
                answers.set_secret(*question, self.open(*question, text, sealer)?);
            } else {
                answers.set(*question, text);
            }
            answers::check(*question, answers.or_default(*question))
                .map_err(|problem| super::in_file(InstallError::Answer { question: *question, problem }, self))?;
        }
        answers.overlay(given);
        let missing = answers.missing();
        if let Some(first) = missing.first() {
            let fields: Vec<_> = missing.iter().map(|question| question.field()).collect();
            return Err(InstallError::Config(ConfigError {
                path: self.path.clone(),
                at: None,
                message: format!("{} {} missing", fields.join(", "), if fields.len() == 1 { "is" } else { "are" }),
                hint: Some(if first.is_secret() {
                    self.update_hint()
                } else {
                    format!("add it, or give {}", first.argument())
                }),
            }));
        }
        Ok(answers)
    }

    fn open(&self, question: Question, text: &str, sealer: &Sealer) -> Result<SecretString, InstallError> {
        let field = question.field();
        let message = if text.starts_with(seal::PREFIX) {
            match sealer.open(self.name(), field, text) {
                Ok(secret) => return Ok(secret),
                Err(seal::DoesNotOpen) => {
                    format!("{field} was changed by hand: the sealed value does not open for gateway `{}`", self.name())
                }
            }
        } else {
            format!("{field} is not sealed; secrets cannot be written into the file by hand")
        };
        Err(InstallError::Config(ConfigError {
            path: self.path.clone(),
            at: self.places.get(&question).copied(),
            message,
            hint: Some(self.update_hint()),
        }))
    }

    fn update_hint(&self) -> String {
        format!("give the secrets anew: ferrogate install --config {} --update-secrets", self.path.display())
    }
}

/// The version of the file's layout that this installer reads and writes.
pub const VERSION: u32 = 1;

impl Sections {
    fn answers(self) -> impl Iterator<Item = (Question, Spanned<String>)> {
        let nodes = self.placement.nodes.map(|nodes| Spanned {
            value: nodes.value.to_string(),
            referenced: nodes.referenced,
            defined: nodes.defined,
        });
        [
            (Question::InstallType, self.install_type),
            (Question::CloudType, self.cloud_type),
            (Question::Name, self.name),
            (Question::Endpoint, self.plane.endpoint),
            (Question::Username, self.plane.username),
            (Question::Password, self.plane.password),
            (Question::PairingCode, self.plane.pairing_code),
            (Question::HttpsProxy, self.environment.https_proxy),
            (Question::HttpProxy, self.environment.http_proxy),
            (Question::NoProxy, self.environment.no_proxy),
            (Question::PodCidr, self.environment.pod_cidr),
            (Question::ServiceRange, self.environment.svc_ip_range),
            (Question::MaasEndpoint, self.maas.endpoint),
            (Question::MaasKey, self.maas.api_key),
            (Question::Domain, self.placement.domain),
            (Question::Zone, self.placement.zone),
            (Question::ResourcePool, self.placement.resource_pool),
            (Question::Nodes, nodes),
        ]
        .into_iter()
        .filter_map(|(question, value)| value.map(|value| (question, value)))
    }

    fn extras(
        &self,
        bad: &dyn Fn(Option<(u64, u64)>, String, Option<String>) -> InstallError,
    ) -> Result<Extras, InstallError> {
        let mut extras = Extras::default();
        if let Some(text) = self.plane.fingerprint.as_ref().filter(|text| !text.value.is_empty()) {
            let parsed = text.value.parse();
            extras.fingerprint =
                Some(parsed.map_err(|error| bad(Some(place(text)), format!("plane.fingerprint: {error}"), None))?);
        }
        let path =
            |text: &Text| text.as_ref().filter(|text| !text.value.is_empty()).map(|text| PathBuf::from(&text.value));
        extras.ca_file = path(&self.plane.ca_file);
        extras.maas_ca_file = path(&self.maas.ca_file);
        for server in &self.installer.dns_servers {
            let parsed = crate::args::dns_server(&server.value);
            let parsed =
                parsed.map_err(|error| bad(Some(place(server)), format!("installer.dns_servers: {error}"), None))?;
            extras.dns_servers.push(parsed);
        }
        let section = &self.installer.deadlines;
        for (name, text, target) in [
            ("overall", &section.overall, &mut extras.deadlines.overall),
            ("machines", &section.machines, &mut extras.deadlines.machines),
            ("register", &section.register, &mut extras.deadlines.register),
            ("cleanup", &section.cleanup, &mut extras.deadlines.cleanup),
            ("blocked", &section.blocked, &mut extras.deadlines.blocked),
        ] {
            if let Some(text) = text {
                let parsed = deadlines::parse(&text.value);
                *target = parsed
                    .map_err(|error| bad(Some(place(text)), format!("installer.deadlines.{name}: {error}"), None))?;
            }
        }
        Ok(extras)
    }
}

fn place<T>(value: &Spanned<T>) -> (u64, u64) {
    (value.referenced.line(), value.referenced.column())
}

/// The parser's complaint in our words; never with a value of the file in it, since that may be a secret.
fn explain(path: &Path, text: &str, error: &YamlError) -> InstallError {
    let error = error.without_snippet();
    let at = error.location().map(|location| (location.line(), location.column()));
    let (message, hint) = match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            let nearest = nearest(field, expected).map(|name| format!("did you mean `{name}`?"));
            (format!("unknown key `{field}`"), nearest.or_else(|| Some(format!("known here: {}", expected.join(", ")))))
        }
        YamlError::DuplicateMappingKey { key, .. } => {
            let key = key.as_ref().map(|key| format!(" `{key}`")).unwrap_or_default();
            (format!("the key{key} stands there twice"), Some("remove one of the two".into()))
        }
        YamlError::InvalidScalar { ty, .. } => {
            (format!("{} must be {}", key_at(text, at), article(ty)), Some("see the comment beside it".into()))
        }
        YamlError::SerdeInvalidType { expected, .. } | YamlError::SerdeInvalidValue { expected, .. } => {
            (format!("{} must be {}", key_at(text, at), article(expected)), None)
        }
        YamlError::Unexpected { expected, .. } => (format!("{} must be {}", key_at(text, at), article(expected)), None),
        other => (format!("this is not YAML as it should be: {}", first_line(&other.render())), None),
    };
    InstallError::Config(ConfigError { path: path.to_owned(), at, message, hint })
}

/// The known name that is most like what was written.
fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(written, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= (name.len() / 2).max(2))
        .map(|(_, name)| name)
}

/// The key that stands on the line the complaint is about.
fn key_at(text: &str, at: Option<(u64, u64)>) -> String {
    let line =
        at.and_then(|(line, _)| usize::try_from(line).ok()?.checked_sub(1)).and_then(|line| text.lines().nth(line));
    let key = line.and_then(|line| line.trim_start().split_once(':')).map(|(key, _)| key.trim_start_matches("- "));
    key.filter(|key| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .map_or_else(|| "the value".to_owned(), |key| format!("`{key}`"))
}

fn article(expected: &str) -> String {
    match expected {
        "u32" => "a whole number".into(),
        "string" | "string scalar" => "a text".into(),
        other if other.contains("mapping") => "a section with keys below it".into(),
        other if other.contains("sequence") => "a list".into(),
        other if other.starts_with("struct") => "a section with keys below it".into(),
        other => format!("a {other}"),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
