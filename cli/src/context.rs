//! Which plane is meant and with what credentials: flags, then environment, then the saved contexts.

use crate::exit::{Exit, Failure, Result};
use clap::Args;
use ferrogate_api::{Client, ClientOptions};
use ferrogate_model::fault;
use ferrogate_model::proxy::ProxySettings;
use ferrogate_net::{Fingerprint, Trust};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use url::Url;

/// Options every command that talks to a plane has.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PlaneArgs {
    /// Address of the plane, such as https://plane.example.com
    #[arg(long, global = true, env = "FERROGATE_SERVER", value_name = "URL", help_heading = "Plane")]
    pub(crate) server: Option<Url>,
    /// File with an API token (`-` reads standard input)
    #[arg(long, global = true, env = "FERROGATE_TOKEN_FILE", value_name = "FILE", help_heading = "Plane")]
    pub(crate) token_file: Option<PathBuf>,
    /// CA certificates (PEM) to trust beside the system's
    #[arg(long, global = true, env = "FERROGATE_CA_FILE", value_name = "FILE", help_heading = "Plane")]
    pub(crate) ca_file: Option<PathBuf>,
    /// SHA-256 of the plane's certificate or its CA (`sha256:…`), where no public CA vouches for it
    #[arg(long, global = true, env = "FERROGATE_FINGERPRINT", value_name = "SHA256", help_heading = "Plane")]
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Saved context to use
    #[arg(long, global = true, env = "FERROGATE_CONTEXT", value_name = "NAME", help_heading = "Plane")]
    pub(crate) context: Option<String>,
}

/// The saved contexts. The file is mode 0600: it holds session tokens.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The context used when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// One plane and one set of credentials.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    pub(crate) server: Url,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<ferrogate_api::Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_pem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
}

/// Where the contexts are saved.
pub(crate) fn path() -> Result<PathBuf> {
    if let Some(file) = std::env::var_os("FERROGATE_CONFIG") {
        return Ok(file.into());
    }
    let folder = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")))
        .ok_or_else(|| {
            Failure::usage("neither HOME nor XDG_CONFIG_HOME is set; say with FERROGATE_CONFIG where to keep contexts")
        })?;
    Ok(folder.join("ferrogate/config.toml"))
}

impl Contexts {
    pub(crate) fn load() -> Result<Self> {
        let path = path()?;
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| {
                Failure::usage(format!("{} is not understood: {}", path.display(), error.message()))
                    .with_hint("mend it, or move it away and run `ferrogate login` again")
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::failed(format!("could not read {}: {error}", path.display()))),
        }
    }

    /// Writes the file anew beside the old one and swaps, so that an interruption loses nothing.
    pub(crate) fn save(&self) -> Result<()> {
        self.save_to(&path()?)
    }

    pub(crate) fn save_to(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(folder)?;
            let text = toml::to_string(self).map_err(std::io::Error::other)?;
            ferrogate_files::write_private(path, text.as_bytes())
        };
        write().map_err(|error| Failure::failed(format!("could not write {}: {error}", path.display())))
    }

    fn pick(&self, name: Option<&str>) -> Result<Option<&Context>> {
        match name.or(self.current.as_deref()) {
            None => Ok(None),
            Some(name) => self.contexts.get(name).map(Some).ok_or_else(|| {
                let known: Vec<_> = self.contexts.keys().cloned().collect();
                Failure::new(Exit::NotFound, format!("there is no context `{name}`")).with_hint(format!(
                    "known contexts: {}",
                    if known.is_empty() { "none".into() } else { known.join(", ") }
                ))
            }),
        }
    }
}

/// Reads a secret from a file, or standard input for `-`; surrounding white space is not part of it.
pub(crate) fn read_secret(file: &Path) -> Result<SecretString> {
    let text =
        if file.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.map_err(|error| Failure::usage(format!("could not read {}: {error}", file.display())))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::usage(format!("{} is empty", file.display())));
    }
    Ok(SecretString::from(text.to_owned()))
}

fn read_text(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("could not read {}: {error}", file.display())))
}

/// The proxy of the environment, as other tools use it.
pub(crate) fn proxy_from_environment() -> Result<ProxySettings> {
    let read =
        |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let parse = |value: Option<String>| {
        value
            .map(|text| text.parse())
            .transpose()
            .map_err(|error| Failure::usage(format!("in the environment: {error}")))
    };
    Ok(ProxySettings {
        https: parse(read(["https_proxy", "HTTPS_PROXY"]))?,
        http: parse(read(["http_proxy", "HTTP_PROXY"]))?,
        no_proxy: read(["no_proxy", "NO_PROXY"]).unwrap_or_default().parse().unwrap_or_default(),
    })
}

impl PlaneArgs {
    /// Whom to believe, of flags alone.
    pub(crate) fn trust(&self) -> Result<Trust> {
        let mut trust = Trust::system();
        if let Some(file) = &self.ca_file {
            trust = trust.with_ca(read_text(file)?);
        }
        trust.fingerprint = self.fingerprint;
        Ok(trust)
    }

    /// A client for the plane that is meant.
    pub(crate) fn client(&self) -> Result<Client> {
        let contexts = Contexts::load()?;
        let saved = if self.server.is_some() && self.context.is_none() {
            None
        } else {
            contexts.pick(self.context.as_deref())?
        };
        let url = self.server.clone().or_else(|| saved.map(|context| context.server.clone())).ok_or_else(|| {
            Failure::usage("no plane is named")
                .with_hint("sign in once with `ferrogate login URL`, or give --server and --token-file")
        })?;
        let mut trust = self.trust()?;
        let mut token = None;
        if let Some(context) = saved {
            if let Some(pem) = &context.ca_pem {
                trust = trust.with_ca(pem.clone());
            }
            if trust.fingerprint.is_none() {
                trust.fingerprint = context.fingerprint.as_deref().and_then(|text| text.parse().ok());
            }
            token = context.token.clone().map(ferrogate_api::Secret::into_inner);
        }
        if let Some(file) = &self.token_file {
            token = Some(read_secret(file)?);
        }
        client(url, token, trust)
    }
}

/// A client of a plane over ordinary sockets and the environment's proxy.
pub(crate) fn client(url: Url, token: Option<SecretString>, trust: Trust) -> Result<Client> {
    if url.scheme() != "https" {
        return Err(Failure::usage(format!("{url} does not begin with https://; a plane is always reached by TLS")));
    }
    let options = ClientOptions {
        url,
        token,
        trust,
        proxy: proxy_from_environment()?,
        hosts: Vec::new(),
        user_agent: concat!("ferrogate/", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    Client::new(options).map_err(|error| Failure::usage(fault::chain(&error)))
}
