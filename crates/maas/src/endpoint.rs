//! The address of a MAAS, and what people type instead.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use url::{Host, Url};

/// The port a MAAS region listens on unless told otherwise.
const MAAS_PORT: u16 = 5240;

/// The base address of a MAAS, such as `http://10.11.12.13:5240/MAAS`: no trailing slash, no API path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(Url);

/// Something that was changed in an address before it was used. Its text is a sentence for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// There was no `http://` or `https://`.
    SchemeAdded(&'static str),
    /// There was no port where one is needed.
    PortAdded(u16),
    /// There was no `/MAAS`.
    MaasAdded,
    /// It was written `/maas`.
    CaseCorrected(String),
    /// Something followed `/MAAS`, such as the path of the web interface or of the API.
    PathRemoved(String),
    /// Slashes at the end or doubled.
    SlashesRemoved,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SchemeAdded(scheme) => write!(f, "`{scheme}://` was missing in front of the address; it was added."),
            Self::PortAdded(port) => write!(f, "The port was missing; MAAS's own port {port} was added."),
            Self::MaasAdded => f.write_str("`/MAAS` was missing at the end of the address; it was added."),
            Self::CaseCorrected(written) => write!(f, "`/{written}` was changed to `/MAAS`."),
            Self::PathRemoved(path) => {
                write!(f, "`/{path}` behind `/MAAS` does not belong to the address; it was removed.")
            }
            Self::SlashesRemoved => f.write_str("Superfluous slashes in the address were removed."),
        }
    }
}

/// A text that cannot be made the address of a MAAS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the address of a MAAS: {reason}; write it as http://10.11.12.13:5240/MAAS")]
pub struct BadEndpoint {
    text: String,
    reason: String,
}

impl Endpoint {
    /// Reads what a person typed and says what had to be changed.
    ///
    /// # Errors
    /// It is no address even with good will.
    pub fn parse(text: &str) -> Result<(Self, Vec<Repair>), BadEndpoint> {
        let text = text.trim();
        let mut repairs = Vec::new();
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            let scheme = if guess_tls(text) { "https" } else { "http" };
            repairs.push(Repair::SchemeAdded(scheme));
            format!("{scheme}://{}", text.trim_start_matches('/'))
        };
        let bad = |reason: &str| BadEndpoint { text: shown(text), reason: reason.to_owned() };
        let mut url = Url::parse(&full).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("it does not begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("a user name or password does not belong in it; the API key is asked for separately"));
        }
        match url.host() {
            Some(Host::Domain("")) | None => return Err(bad("it names no host")),
            Some(_) => {}
        }
        if url.port().is_none() && repairs.contains(&Repair::SchemeAdded("http")) {
            url.set_port(Some(MAAS_PORT)).map_err(|()| bad("it can have no port"))?;
            repairs.push(Repair::PortAdded(MAAS_PORT));
        }
        let (path, more) = repair_path(&url);
        repairs.extend(more);
        url.set_path(&path);
        url.set_query(None);
        url.set_fragment(None);
        Ok((Self(url), repairs))
    }

    /// The address as a URL, without a trailing slash.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        self.0.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned()
    }

    /// The port, written or implied.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(MAAS_PORT)
    }

    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }
}

/// Ports on which MAAS or a proxy in front of it speaks TLS: 443 by habit, 5443 by MAAS's documentation.
fn guess_tls(text: &str) -> bool {
    let authority = text.split(['/', '?', '#']).next().unwrap_or_default();
    authority.ends_with(":443") || authority.ends_with(":5443")
}

/// Keeps what leads to `/MAAS`, adds it where it is missing, drops what follows it.
fn repair_path(url: &Url) -> (String, Vec<Repair>) {
    let mut repairs = Vec::new();
    let path = url.path();
    let mut kept: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if path.contains("//") || (path.ends_with('/') && path.len() > 1) {
        repairs.push(Repair::SlashesRemoved);
    }
    let mut removed = Vec::new();
    if let Some(place) = kept.iter().position(|part| part.eq_ignore_ascii_case("MAAS")) {
        if kept[place] != "MAAS" {
            repairs.push(Repair::CaseCorrected(kept[place].to_owned()));
        }
        removed = kept.split_off(place + 1);
        kept.pop();
    } else {
        // `http://host:5240/api/2.0` is an address of the API, with the middle left out.
        if let Some(place) = kept.iter().position(|part| *part == "api") {
            removed = kept.split_off(place);
        }
        repairs.push(Repair::MaasAdded);
    }
    let mut tail = removed.join("/");
    if let Some(query) = url.query() {
        tail.push('?');
        tail.push_str(query);
    }
    if let Some(fragment) = url.fragment() {
        tail.push('#');
        tail.push_str(fragment);
    }
    if !tail.is_empty() {
        repairs.push(Repair::PathRemoved(tail));
    }
    kept.push("MAAS");
    (format!("/{}", kept.join("/")), repairs)
}

/// What may be repeated of a text that was refused: never a password.
fn shown(text: &str) -> String {
    let hidden = text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, host)| format!("***@{host}"));
    hidden.chars().take(200).collect()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    /// Repairs without saying so: for addresses that were repaired before.
    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        Self::parse(text).map(|(endpoint, _)| endpoint)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
