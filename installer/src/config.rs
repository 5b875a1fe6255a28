//! The configuration of one installation: what pcg.yaml says, checked and typed.
//!
//! The file belongs to the person: it is written once, before anything is installed, and changed afterwards by nobody but
//! the person, and by `--update-secrets`. What the installer notes on its way stands in [`crate::state`].

pub mod deadlines;
pub mod document;
pub mod render;
pub mod secrets;

pub use deadlines::Deadlines;

use crate::{
    InstallError,
    answers::{self, Answers},
    args::GivenArgs,
    error::ConfigError,
    questions::{Problem, Question},
};
use ferrogate_maas::{ApiKey, Endpoint};
use ferrogate_model::{
    Name,
    cluster::{ClusterSpec, PoolSpec, control_plane_name},
    proxy::{NoProxy, ProxySettings, ProxyUrl},
};
use ferrogate_net::{Fingerprint, Trust};
use ipnet::IpNet;
use secrecy::SecretString;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use url::Url;

/// Name of the configuration file in its folder.
pub const FILE_NAME: &str = "pcg.yaml";

/// What the file says beside the answers to the questions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The plane's certificate or CA, by its digest.
    pub fingerprint: Option<Fingerprint>,
    /// CA certificates for the plane; relative paths begin at the file's folder.
    pub ca_file: Option<PathBuf>,
    /// CA certificates for MAAS.
    pub maas_ca_file: Option<PathBuf>,
    /// DNS servers to ask instead of this host's own.
    pub dns_servers: Vec<SocketAddr>,
    /// How long to wait for what.
    pub deadlines: Deadlines,
}

impl Extras {
    /// What the command line and the environment say.
    ///
    /// # Errors
    /// A fingerprint that is none.
    pub fn given(args: &GivenArgs) -> Result<Self, InstallError> {
        let fingerprint = args.fingerprint.as_deref().map(str::parse::<Fingerprint>).transpose();
        Ok(Self {
            fingerprint: fingerprint.map_err(|bad| InstallError::Argument {
                argument: "--fingerprint",
                problem: Problem::new(bad.to_string()).hint("copy it from the page that shows the pairing code"),
            })?,
            ca_file: args.ca_file.clone(),
            maas_ca_file: args.maas_ca_file.clone(),
            dns_servers: args.dns_servers.clone(),
            deadlines: Deadlines::default(),
        })
    }

    /// Takes over what `other` says. Deadlines are said only in the file.
    pub fn overlay(&mut self, other: Self) {
        self.fingerprint = other.fingerprint.or(self.fingerprint);
        self.ca_file = other.ca_file.or(self.ca_file.take());
        self.maas_ca_file = other.maas_ca_file.or(self.maas_ca_file.take());
        if !other.dns_servers.is_empty() {
            self.dns_servers = other.dns_servers;
        }
    }
}

/// How the plane is reached and what it is shown to let this installation in.
#[derive(Clone, Debug)]
pub struct PlaneConfig {
    /// Base address.
    pub endpoint: Url,
    /// Sign-in e-mail; `None` where the pairing code alone is used.
    pub username: Option<String>,
    /// The password that belongs to it.
    pub password: Option<SecretString>,
    /// The pairing code.
    pub pairing_code: SecretString,
    /// Whom to believe.
    pub trust: Trust,
    /// The fingerprint, where one was given.
    pub fingerprint: Option<Fingerprint>,
}

/// How MAAS is reached.
#[derive(Clone, Debug)]
pub struct MaasConfig {
    /// API endpoint.
    pub endpoint: Endpoint,
    /// API key.
    pub api_key: ApiKey,
    /// CA certificates (PEM) of a MAAS behind a private CA.
    pub ca_pem: Option<String>,
    /// Whom to believe.
    pub trust: Trust,
}

/// Everything an installation needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway's name.
    pub name: Name,
    /// The plane.
    pub plane: PlaneConfig,
    /// The site's proxies, as given; `no_proxy` is not yet completed.
    pub proxy: ProxySettings,
    /// Range of the pods.
    pub pod_cidr: IpNet,
    /// Range of the services.
    pub service_cidr: IpNet,
    /// MAAS.
    pub maas: MaasConfig,
    /// MAAS domain of the machines.
    pub domain: String,
    /// MAAS availability zone of the machines.
    pub zone: String,
    /// MAAS resource pool of the machines.
    pub resource_pool: String,
    /// 1 or 3.
    pub nodes: u32,
    /// DNS servers to ask instead of this host's own.
    pub dns_servers: Vec<SocketAddr>,
    /// How long to wait for what.
    pub deadlines: Deadlines,
}

impl Config {
    /// Puts the answers together. `folder` is where relative paths begin.
    ///
    /// # Errors
    /// The first answer that cannot be used, or a CA file that cannot be read.
    pub fn assemble(given: &Answers, extras: &Extras, folder: &Path) -> Result<Self, InstallError> {
        let (usual, _) =
            answers::usual(given).map_err(|(question, problem)| InstallError::Answer { question, problem })?;
        let ca_pem = read_ca("--ca-file", extras.ca_file.as_deref(), folder)?;
        let maas_ca_pem = read_ca("--maas-ca-file", extras.maas_ca_file.as_deref(), folder)?;
        let usable = |question: Question| -> Unusable { Unusable(question) };
        let secret =
            |question: Question| usual.secret(question).cloned().filter(|_| !usual.or_default(question).is_empty());
        Ok(Self {
            name: usable(Question::Name).parse(&usual)?,
            plane: PlaneConfig {
                endpoint: usable(Question::Endpoint).parse(&usual)?,
                username: usual.get(Question::Username).filter(|name| !name.is_empty()).map(str::to_owned),
                password: secret(Question::Password),
                pairing_code: secret(Question::PairingCode).unwrap_or_default(),
                trust: plane_trust(extras.fingerprint, ca_pem),
                fingerprint: extras.fingerprint,
            },
            proxy: proxy_settings(&usual)?,
            pod_cidr: usable(Question::PodCidr).parse(&usual)?,
            service_cidr: usable(Question::ServiceRange).parse(&usual)?,
            maas: MaasConfig {
                endpoint: maas_endpoint(&usual)?,
                api_key: usable(Question::MaasKey).parse(&usual)?,
                trust: maas_trust(maas_ca_pem.as_deref()),
                ca_pem: maas_ca_pem,
            },
            domain: usual.or_default(Question::Domain).to_owned(),
            zone: usual.or_default(Question::Zone).to_owned(),
            resource_pool: usual.or_default(Question::ResourcePool).to_owned(),
            nodes: usable(Question::Nodes).parse(&usual)?,
            dns_servers: extras.dns_servers.clone(),
            deadlines: extras.deadlines,
        })
    }

    /// The gateway's own cluster as the engine is asked for it.
    #[must_use]
    pub fn spec(&self) -> ClusterSpec {
        use crate::questions::inventory::{MIN_CPU, MIN_DISK_GIB, MIN_MEMORY_MIB};
        ClusterSpec {
            domain: self.domain.clone(),
            kubernetes_version: None,
            image: None,
            ssh_keys: Vec::new(),
            ntp_servers: Vec::new(),
            pod_cidr: self.pod_cidr,
            service_cidr: self.service_cidr,
            control_plane: PoolSpec {
                name: control_plane_name(),
                count: self.nodes,
                resource_pool: self.resource_pool.clone(),
                zones: vec![self.zone.clone()],
                min_cpu: Some(MIN_CPU),
                min_memory_mib: Some(MIN_MEMORY_MIB),
                min_disk_gib: Some(MIN_DISK_GIB),
                tags: Vec::new(),
                labels: std::collections::BTreeMap::new(),
                taints: Vec::new(),
            },
            workers: Vec::new(),
        }
    }
}

/// Whom to believe when the plane is asked.
#[must_use]
pub fn plane_trust(fingerprint: Option<Fingerprint>, ca_pem: Option<String>) -> Trust {
    match (fingerprint, ca_pem) {
        (Some(fingerprint), _) => Trust::pinned(fingerprint),
        (None, Some(pem)) => Trust::system().with_ca(pem),
        (None, None) => Trust::system(),
    }
}

/// Whom to believe when MAAS is asked.
#[must_use]
pub fn maas_trust(ca_pem: Option<&str>) -> Trust {
    ca_pem.map_or_else(Trust::system, |pem| Trust::system().with_ca(pem))
}

/// The proxies that the answers name.
///
/// # Errors
/// One of them is no address.
pub fn proxy_settings(answers: &Answers) -> Result<ProxySettings, InstallError> {
    let proxy = |question: Question| -> Result<Option<ProxyUrl>, InstallError> {
        if answers.or_default(question).is_empty() {
            return Ok(None);
        }
        Unusable(question).parse(answers).map(Some)
    };
    Ok(ProxySettings {
        https: proxy(Question::HttpsProxy)?,
        http: proxy(Question::HttpProxy)?,
        no_proxy: answers.or_default(Question::NoProxy).parse::<NoProxy>().unwrap_or_default(),
    })
}

fn maas_endpoint(answers: &Answers) -> Result<Endpoint, InstallError> {
    let question = Question::MaasEndpoint;
    match Endpoint::parse(answers.or_default(question)) {
        Ok((endpoint, _)) => Ok(endpoint),
        Err(bad) => Err(InstallError::Answer { question, problem: Problem::new(bad.to_string()) }),
    }
}

/// Reads a file of CA certificates.
///
/// # Errors
/// It cannot be read, or holds no certificate.
pub fn read_ca(argument: &'static str, path: Option<&Path>, folder: &Path) -> Result<Option<String>, InstallError> {
    let Some(path) = path else { return Ok(None) };
    let path = folder.join(path);
    let pem = crate::files::read_text(&path)?;
    Trust::ca(pem.clone()).check().map_err(|bad| InstallError::Argument {
        argument,
        problem: Problem { message: format!("{}: {bad}", path.display()), hint: ferrogate_model::Explain::hint(&bad) },
    })?;
    Ok(Some(pem))
}

struct Unusable(Question);

impl Unusable {
    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&self, answers: &Answers) -> Result<T, InstallError> {
        let question = self.0;
        answers
            .or_default(question)
            .parse()
            .map_err(|bad: T::Err| InstallError::Answer { question, problem: Problem::new(bad.to_string()) })
    }
}

/// Says where in the file an answer stands that cannot be used.
#[must_use]
pub fn in_file(error: InstallError, document: &document::Document) -> InstallError {
    match error {
        InstallError::Answer { question, problem } => InstallError::Config(ConfigError {
            path: document.path.clone(),
            at: document.places.get(&question).copied(),
            message: format!("{}: {}", question.field(), problem.message),
            hint: problem.hint,
        }),
        other => other,
    }
}
