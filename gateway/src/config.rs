//! Reads the configuration file, wholly, before anything is started.

use ferrogate_join::gateway_config::{GATEWAY_ADMIN_PORT, GatewayConfig};
use ferrogate_model::{Explain, Fault, Retry, proxy::ProxySettings};
use ferrogate_tunnel::AllowList;
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// A configuration file that cannot be used. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Line in the file, counted from 1, where that is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration {} is not usable", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl Explain for ConfigError {
    fn code(&self) -> &'static str {
        "gateway_config_invalid"
    }

    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::No
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// A configuration whose every value was looked at.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The file's content.
    pub file: GatewayConfig,
    /// What may be reached.
    pub allow: AllowList,
    /// The way to the plane.
    pub proxy: ProxySettings,
    /// Where the admin endpoints listen.
    pub admin: SocketAddr,
}

/// Reads `path`; `root`, where given, is put before every path, this one included. `host_ip` is where the admin
/// endpoints listen when the file does not say.
///
/// # Errors
/// [`ConfigError`] names what is wrong, and the line where that is known.
pub fn read(path: &Path, root: Option<&Path>, host_ip: Option<IpAddr>) -> Result<Checked, ConfigError> {
    let fail = |problem: String, hint: Option<&str>| ConfigError {
        path: path.to_owned(),
        line: None,
        problem,
        hint: hint.map(Into::into),
    };
    let text = std::fs::read_to_string(below(root, path)).map_err(|error| fail(error.to_string(), None))?;
    let mut file: GatewayConfig = toml::from_str(&text).map_err(|error| from_toml(path, &text, &error))?;
    file.state_dir = below(root, &file.state_dir);
    file.enrolment_token_file = below(root, &file.enrolment_token_file);
    file.plane_ca_file = file.plane_ca_file.map(|ca| below(root, &ca));
    check(file, host_ip, fail)
}

fn check(
    file: GatewayConfig,
    host_ip: Option<IpAddr>,
    fail: impl Fn(String, Option<&str>) -> ConfigError,
) -> Result<Checked, ConfigError> {
    let url = &file.plane_url;
    if url.scheme() != "https" || url.host_str().is_none() {
        return Err(fail(
            "`plane_url` is not an https address".into(),
            Some("write https://HOST or https://HOST:PORT"),
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fail("`plane_url` has a user name or password in it".into(), Some("leave only host and port")));
    }
    let allow = AllowList::new(&file.allow).map_err(|error| fail(error.to_string(), error.hint().as_deref()))?;
    let https = file.https_proxy.as_deref().map(str::parse).transpose();
    let https = https.map_err(|error| fail(format!("`https_proxy`: {error}"), None))?;
    let no_proxy = file.no_proxy.parse().map_err(|error| fail(format!("`no_proxy`: {error}"), None))?;
    let proxy = ProxySettings { https, no_proxy, ..ProxySettings::default() };
    let admin = file.admin_listen.or_else(|| host_ip.map(|address| SocketAddr::new(address, GATEWAY_ADMIN_PORT)));
    let admin = admin.ok_or_else(|| {
        let hint = "set `admin_listen`, or the environment's HOST_IP to the machine's address";
        fail("it does not say where the admin endpoints listen".into(), Some(hint))
    })?;
    Ok(Checked { file, allow, proxy, admin })
}

/// `path` as seen through `root`.
pub(crate) fn below(root: Option<&Path>, path: &Path) -> PathBuf {
    match root {
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    }
}

fn from_toml(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    // Only the parser's own words: its longer form repeats the line, which may hold a proxy's password.
    let problem = error.message().to_owned();
    let hint = nearest(&problem).map(|name| format!("did you mean `{name}`?"));
    ConfigError { path: path.to_owned(), line, problem, hint }
}

/// Of the names the parser expected, the one most like the one it found.
fn nearest(problem: &str) -> Option<String> {
    let names: Vec<&str> = problem.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2).collect();
    let (found, expected) = names.split_first()?;
    let like = |name: &&str| strsim::jaro_winkler(found, name);
    let best = expected.iter().copied().max_by(|one, other| like(one).total_cmp(&like(other)))?;
    (like(&best) > 0.7).then(|| best.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
plane_url = "https://plane.example"
node_name = "gw-1"
state_dir = "/var/lib/ferrogate"
enrolment_token_file = "/etc/ferrogate/enrolment-token"
allow = [{ host = "10.20.0.0/22", ports = [6443] }]
"#;

    fn try_read(text: &str) -> Result<Checked, ConfigError> {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("gateway.toml"), text).unwrap();
        read(Path::new("/gateway.toml"), Some(root.path()), Some("127.0.0.1".parse().unwrap()))
    }

    #[test]
    fn paths_lie_below_the_root_and_the_admin_address_comes_from_the_environment() {
        let checked = try_read(GOOD).unwrap();
        assert!(checked.file.state_dir.ends_with("var/lib/ferrogate"));
        assert!(!checked.file.state_dir.starts_with("/var"));
        assert_eq!(checked.admin.to_string(), "127.0.0.1:9470");
    }

    #[test]
    fn each_mistake_is_named_with_its_line_and_what_to_do() {
        let with = |line: &str| format!("{line}\n{GOOD}");
        for (text, line, problem, hint) in [
            (with("node_nam = \"x\""), Some(1), "unknown field `node_nam`", "did you mean `node_name`?"),
            (GOOD.replace("[6443]", "[\"x\"]"), Some(6), "invalid type", ""),
            (GOOD.replace("[6443]", "[]"), None, "no port", "at least one port"),
            (GOOD.replace("https://", "http://"), None, "not an https address", "https://HOST"),
            (GOOD.replace("plane.example", "me:secret@plane.example"), None, "user name or password", ""),
            (with("https_proxy = \"ftp://x\""), None, "`https_proxy`", ""),
            (GOOD.replace("gw-1", "GW 1"), Some(3), "only a-z", ""),
            ("[".into(), Some(1), "", ""),
        ] {
            let error = try_read(&text).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.problem.contains(problem), "{error}");
            assert!(error.hint.clone().unwrap_or_default().contains(hint), "{error:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_proxy_password_never_shows_in_an_error() {
        let error = try_read(&format!("https_proxy = \"http://u:hunter2@\" x\n{GOOD}")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
