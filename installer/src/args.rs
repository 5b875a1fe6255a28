//! What can be said on the command line and in the environment. Secrets are never arguments: they come from the
//! environment, from a file, or from the prompt.

use crate::{InstallError, answers::Answers, questions::Question};
use clap::{Args, Subcommand};
use secrecy::SecretString;
use std::{net::SocketAddr, path::PathBuf};

/// Where the folders of installations are made unless `--state-dir` says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/tmp";

/// `ferrogate install`: builds a gateway on machines of MAAS, or takes one apart again.
#[derive(Args, Clone, Debug, Default)]
#[command(args_conflicts_with_subcommands = true)]
pub struct InstallArgs {
    /// What to do instead of installing.
    #[command(subcommand)]
    pub command: Option<InstallCommand>,
    /// Configuration file of an earlier run (pcg.yaml): no questions are asked, and what was begun is resumed
    #[arg(short = 'c', long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask nothing (`-s true -c FILE` is the same as `--config FILE`)
    #[arg(short = 's', long = "silent", value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    pub silent: Option<bool>,
    /// Write the configuration file and stop
    #[arg(long, visible_alias = "config_only")]
    pub config_only: bool,
    /// Give the secrets of an existing configuration file anew, seal them, and stop
    #[arg(long, visible_alias = "update_secrets", requires = "config")]
    pub update_secrets: bool,
    /// Begin without asking for confirmation
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Folder in which the folder of this installation is made
    #[arg(long, alias = "state_dir", value_name = "DIR", env = "FERROGATE_STATE_DIR", default_value = DEFAULT_STATE_DIR)]
    pub state_dir: PathBuf,
    /// Answers given beforehand.
    #[command(flatten)]
    pub given: GivenArgs,
}

/// What can be done beside installing.
#[derive(Subcommand, Clone, Debug)]
pub enum InstallCommand {
    /// Give back every machine and address that an installation took, and nothing else
    Cleanup(CleanupArgs),
}

/// `ferrogate install cleanup`.
#[derive(Args, Clone, Debug, Default)]
pub struct CleanupArgs {
    /// Configuration file of the installation (pcg.yaml)
    #[arg(short = 'c', long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of the gateway, to find its newest folder below the state folder
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub name: Option<String>,
    /// Do not ask for the gateway's name before giving machines back
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Folder in which the folders of installations are
    #[arg(long, alias = "state_dir", value_name = "DIR", env = "FERROGATE_STATE_DIR", default_value = DEFAULT_STATE_DIR)]
    pub state_dir: PathBuf,
}

/// Answers given on the command line or in the environment.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Answers (asked for where they are missing)")]
pub struct GivenArgs {
    /// Name of the gateway, such as maas-pcg-1
    #[arg(long, value_name = "NAME", env = "FERROGATE_NAME")]
    pub name: Option<String>,
    /// Address of the plane, such as https://plane.example.com
    #[arg(long, value_name = "URL", env = "FERROGATE_ENDPOINT")]
    pub endpoint: Option<String>,
    /// Sign-in e-mail of a local tenant admin; blank where the pairing code alone is used
    #[arg(long, value_name = "EMAIL", env = "FERROGATE_USERNAME")]
    pub username: Option<String>,
    /// File with the password (or FERROGATE_PASSWORD)
    #[arg(long, alias = "password_file", value_name = "FILE", env = "FERROGATE_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
    /// File with the pairing code (or FERROGATE_PAIRING_CODE)
    #[arg(long, alias = "pairing_code_file", value_name = "FILE", env = "FERROGATE_PAIRING_CODE_FILE")]
    pub pairing_code_file: Option<PathBuf>,
    /// Fingerprint of the plane's certificate or CA, as the plane shows it beside the pairing code
    #[arg(long, value_name = "sha256:…", env = "FERROGATE_FINGERPRINT")]
    pub fingerprint: Option<String>,
    /// CA certificates (PEM) to trust for the plane beside the system's
    #[arg(long, alias = "ca_file", value_name = "FILE", env = "FERROGATE_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// HTTPS proxy of the site; where it wants a password, rather use FERROGATE_HTTPS_PROXY
    #[arg(long, alias = "https_proxy", value_name = "URL", env = "FERROGATE_HTTPS_PROXY", hide_env_values = true)]
    pub https_proxy: Option<String>,
    /// HTTP proxy of the site; where it wants a password, rather use FERROGATE_HTTP_PROXY
    #[arg(long, alias = "http_proxy", value_name = "URL", env = "FERROGATE_HTTP_PROXY", hide_env_values = true)]
    pub http_proxy: Option<String>,
    /// Addresses, ranges, hosts and domains reached without the proxy, separated by commas
    #[arg(long, alias = "no_proxy", value_name = "LIST", env = "FERROGATE_NO_PROXY")]
    pub no_proxy: Option<String>,
    /// Range the gateway cluster's pods get their addresses from
    #[arg(long, alias = "pod_cidr", value_name = "CIDR", env = "FERROGATE_POD_CIDR")]
    pub pod_cidr: Option<String>,
    /// Range the gateway cluster's services get their addresses from
    #[arg(long, alias = "svc_ip_range", value_name = "CIDR", env = "FERROGATE_SVC_IP_RANGE")]
    pub svc_ip_range: Option<String>,
    /// MAAS API endpoint, such as http://10.11.12.13:5240/MAAS
    #[arg(long, alias = "maas_endpoint", value_name = "URL", env = "FERROGATE_MAAS_ENDPOINT")]
    pub maas_endpoint: Option<String>,
    /// File with the MAAS API key (or FERROGATE_MAAS_API_KEY)
    #[arg(long, alias = "maas_api_key_file", value_name = "FILE", env = "FERROGATE_MAAS_API_KEY_FILE")]
    pub maas_api_key_file: Option<PathBuf>,
    /// CA certificates (PEM) to trust for MAAS beside the system's
    #[arg(long, alias = "maas_ca_file", value_name = "FILE", env = "FERROGATE_MAAS_CA_FILE")]
    pub maas_ca_file: Option<PathBuf>,
    /// MAAS domain in which the machines' names stand
    #[arg(long, value_name = "DOMAIN", env = "FERROGATE_DOMAIN")]
    pub domain: Option<String>,
    /// MAAS availability zone to take the machines from
    #[arg(long, value_name = "ZONE", env = "FERROGATE_ZONE")]
    pub zone: Option<String>,
    /// MAAS resource pool to take the machines from
    #[arg(long, alias = "resource_pool", value_name = "POOL", env = "FERROGATE_RESOURCE_POOL")]
    pub resource_pool: Option<String>,
    /// Number of nodes: 1 (no high availability) or 3
    #[arg(long, value_name = "1|3", env = "FERROGATE_NODES")]
    pub nodes: Option<String>,
    /// DNS server to ask instead of this host's own, as ADDRESS or ADDRESS:PORT; may be given several times
    #[arg(long = "dns-server", alias = "dns_server", value_name = "ADDRESS", env = "FERROGATE_DNS_SERVERS", value_delimiter = ',', value_parser = dns_server)]
    pub dns_servers: Vec<SocketAddr>,
}

/// Reads `ADDRESS` or `ADDRESS:PORT`; the port is 53 where none is written.
///
/// # Errors
/// Says what is wrong with the text.
pub fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    text.parse::<SocketAddr>()
        .or_else(|_| text.trim_matches(['[', ']']).parse::<std::net::IpAddr>().map(|ip| SocketAddr::new(ip, 53)))
        .map_err(|_| format!("`{text}` is not an IP address, nor ADDRESS:PORT"))
}

/// Looks up a variable of the environment; a closure, so that tests need not change the real one.
pub type Variables<'a> = &'a (dyn Fn(&str) -> Option<String> + Send + Sync);

/// The process's own environment.
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl GivenArgs {
    /// The answers that were given, with the secrets read from their variables and files.
    ///
    /// # Errors
    /// A file that was named but cannot be read.
    pub fn answers(&self, variables: Variables<'_>) -> Result<Answers, InstallError> {
        let mut answers = Answers::default();
        for (question, value) in [
            (Question::Name, &self.name),
            (Question::Endpoint, &self.endpoint),
            (Question::Username, &self.username),
            (Question::HttpsProxy, &self.https_proxy),
            (Question::HttpProxy, &self.http_proxy),
            (Question::NoProxy, &self.no_proxy),
            (Question::PodCidr, &self.pod_cidr),
            (Question::ServiceRange, &self.svc_ip_range),
            (Question::MaasEndpoint, &self.maas_endpoint),
            (Question::Domain, &self.domain),
            (Question::Zone, &self.zone),
            (Question::ResourcePool, &self.resource_pool),
            (Question::Nodes, &self.nodes),
        ] {
            if let Some(value) = value {
                answers.set(question, value.trim());
            }
        }
        for (question, file) in [
            (Question::Password, &self.password_file),
            (Question::PairingCode, &self.pairing_code_file),
            (Question::MaasKey, &self.maas_api_key_file),
        ] {
            let secret = match (variables(question.variable()), file) {
                (Some(value), _) if !value.trim().is_empty() => Some(value),
                (_, Some(path)) => Some(crate::files::read_text(path)?),
                _ => None,
            };
            if let Some(secret) = secret {
                answers.set_secret(question, SecretString::from(secret.trim()));
            }
        }
        Ok(answers)
    }

    /// Whether a password stands in an argument, where every user of this host can read it. `arguments` are the
    /// process's own.
    #[must_use]
    pub fn shows_a_password(&self, arguments: impl Iterator<Item = String>) -> bool {
        let secret = [&self.https_proxy, &self.http_proxy];
        let secret: Vec<_> = secret.into_iter().flatten().filter(|url| url.contains('@')).collect();
        !secret.is_empty() && arguments.into_iter().any(|argument| secret.iter().any(|url| argument.contains(*url)))
    }
}
