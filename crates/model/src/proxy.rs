//! Forward-proxy settings and the rules of `NO_PROXY`.

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// A proxy's address; its user name and password are never shown.
#[derive(Clone)]
pub struct ProxyUrl {
    url: SecretString,
    /// Host name or address of the proxy.
    host: String,
    /// TCP port of the proxy.
    port: u16,
}

/// Why a text is not a proxy's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy address is not usable: {0}; write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT")]
pub struct BadProxyUrl(String);

impl ProxyUrl {
    /// The proxy's host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The proxy's port; 80 for `http` and 443 for `https` where none was written.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection to the proxy itself is TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.expose_secret().starts_with("https://")
    }

    /// User name and password, decoded, where the address has them.
    #[must_use]
    pub fn credentials(&self) -> Option<(String, SecretString)> {
        let url = url::Url::parse(self.url.expose_secret()).ok()?;
        if url.username().is_empty() {
            return None;
        }
        let decode = |text: &str| url_decode(text);
        Some((decode(url.username()), SecretString::from(decode(url.password().unwrap_or_default()))))
    }

    /// The whole address with its password: only for sealed files and for the machines that need it.
    #[must_use]
    pub const fn expose(&self) -> &SecretString {
        &self.url
    }
}

fn url_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let decoded = (first == b'%' && tail.len() >= 2)
            .then(|| std::str::from_utf8(&tail[..2]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()))
            .flatten();
        if let Some(byte) = decoded {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl FromStr for ProxyUrl {
    type Err = BadProxyUrl;

    fn from_str(text: &str) -> Result<Self, BadProxyUrl> {
        let text = text.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        // The parser's own messages do not repeat the text, so no password can travel in them.
        let url = url::Url::parse(&full).map_err(|error| BadProxyUrl(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadProxyUrl(format!("the scheme `{}` is not http or https", url.scheme())));
        }
        let host =
            url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| BadProxyUrl("it has no host".into()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or_else(|| BadProxyUrl("it has no port".into()))?;
        Ok(Self { host, port, url: SecretString::from(full) })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "https" } else { "http" };
        let user = if self.credentials().is_some() { "***@" } else { "" };
        write!(f, "{scheme}://{user}{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for ProxyUrl {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret()
    }
}

impl Eq for ProxyUrl {}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exclusion {
    Everything,
    Range(IpNet),
    /// A domain without its leading dot; matches itself and everything below it.
    Domain(String),
}

/// The destinations that are reached without the proxy: addresses, ranges, host names and domains, as `NO_PROXY` writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<(String, Exclusion)>);

impl NoProxy {
    /// Adds entries; one that is there already is not added again.
    pub fn add<T: AsRef<str>>(&mut self, entries: impl IntoIterator<Item = T>) {
        for entry in entries {
            let text = entry.as_ref().trim();
            if !text.is_empty() && !self.0.iter().any(|(have, _)| have.eq_ignore_ascii_case(text)) {
                self.0.push((text.to_owned(), Exclusion::parse(text)));
            }
        }
    }

    /// Whether `host` (a name or a literal address) is reached without the proxy.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        self.0.iter().any(|(_, exclusion)| match exclusion {
            Exclusion::Everything => true,
            Exclusion::Range(range) => address.is_some_and(|address| range.contains(&address)),
            Exclusion::Domain(domain) => {
                address.is_none()
                    && (host == *domain || host.strip_suffix(domain.as_str()).is_some_and(|front| front.ends_with('.')))
            }
        })
    }

    /// The entries as written.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(text, _)| text.as_str())
    }

    /// Completes the list with what every site needs (specification 3.3): pods, services, the ranges MAAS manages, names
    /// inside the cluster, loopback and the metadata address.
    #[must_use]
    pub fn completed(&self, pods: IpNet, services: IpNet, maas_ranges: &[IpNet], maas_host: &str) -> Self {
        let mut all = self.clone();
        all.add(["127.0.0.0/8", "::1", "localhost", "169.254.169.254", ".svc", ".cluster.local"]);
        all.add([pods.to_string(), services.to_string(), maas_host.to_owned()]);
        all.add(maas_ranges.iter().map(ToString::to_string));
        all
    }
}

impl Exclusion {
    fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        if text == "*" {
            return Self::Everything;
        }
        if let Ok(range) = text.parse::<IpNet>() {
            return Self::Range(range);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::Range(address.into());
        }
        Self::Domain(text.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.').to_owned())
    }
}

impl FromStr for NoProxy {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut list = Self::default();
        list.add(text.split([',', ' ']));
        Ok(list)
    }
}

impl fmt::Display for NoProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entries().collect::<Vec<_>>().join(","))
    }
}

impl Serialize for NoProxy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NoProxy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {}))
    }
}

/// Which proxy a site uses (specification 3.3). The default uses none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// Proxy for `https` destinations and for the tunnel.
    pub https: Option<ProxyUrl>,
    /// Proxy for `http` destinations.
    pub http: Option<ProxyUrl>,
    /// Destinations that are reached directly.
    pub no_proxy: NoProxy,
}

impl ProxySettings {
    /// The proxy on the way to `host`, if there is one. `tls` tells whether the destination itself speaks TLS.
    #[must_use]
    pub fn for_host(&self, host: &str, tls: bool) -> Option<&ProxyUrl> {
        let proxy = if tls { self.https.as_ref() } else { self.http.as_ref() }?;
        (!self.no_proxy.matches(host)).then_some(proxy)
    }

    /// Whether no proxy is used at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.https.is_none() && self.http.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_password_is_never_shown() {
        let proxy: ProxyUrl = "http://site:s%40cret@proxy.local:3128".parse().unwrap();
        assert_eq!(format!("{proxy} {proxy:?}"), "http://***@proxy.local:3128 http://***@proxy.local:3128");
        let (user, password) = proxy.credentials().unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("site", "s@cret"));
        let error = "ftp://user:hunter2@x".parse::<ProxyUrl>().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_proxy_without_scheme_or_port_is_completed() {
        let proxy: ProxyUrl = "10.0.0.1:3128".parse().unwrap();
        assert_eq!((proxy.host(), proxy.port(), proxy.is_tls()), ("10.0.0.1", 3128, false));
        assert_eq!("https://p".parse::<ProxyUrl>().unwrap().port(), 443);
    }

    #[test]
    fn no_proxy_knows_addresses_ranges_names_and_domains() {
        let list: NoProxy = "maas.company.com,10.10.0.0/16, .svc,127.0.0.1,*.lab".parse().unwrap();
        for host in
            ["maas.company.com", "x.maas.company.com", "10.10.200.1", "web.default.svc", "127.0.0.1", "a.lab", "LAB"]
        {
            assert!(list.matches(host), "{host}");
        }
        for host in ["notmaas.company.com", "10.11.0.1", "127.0.0.2", "collab"] {
            assert!(!list.matches(host), "{host}");
        }
        assert!("*".parse::<NoProxy>().unwrap().matches("anything"));
    }

    #[test]
    fn no_proxy_is_completed_once() {
        let list: NoProxy = "localhost".parse().unwrap();
        let pods = "192.168.0.0/16".parse().unwrap();
        let services = "10.43.0.0/16".parse().unwrap();
        let full = list.completed(pods, services, &["10.20.0.0/22".parse().unwrap()], "10.20.0.2");
        assert_eq!(full.completed(pods, services, &[], "10.20.0.2"), full);
        for host in
            ["192.168.7.7", "10.43.0.1", "10.20.3.9", "kubernetes.default.svc", "a.cluster.local", "169.254.169.254"]
        {
            assert!(full.matches(host), "{host}");
        }
    }
}
