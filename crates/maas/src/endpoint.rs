//! The address of a MAAS, and what people type instead.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use url::{Host, Url};

/// The port a MAAS region listens on unless told otherwise.
const MAAS_PORT: u16 = 5240;
/// Longest name of a host (RFC 1035 section 2.3.4, as text). Others bound what they send by it.
const MAX_HOST: usize = 253;

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
            Some(Host::Domain(name)) if name.len() > MAX_HOST => {
                return Err(bad("the name of its host is longer than DNS permits"));
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use Repair::{CaseCorrected, MaasAdded, PathRemoved, PortAdded, SchemeAdded, SlashesRemoved};

    fn repaired(text: &str) -> (String, Vec<Repair>) {
        let (endpoint, repairs) = Endpoint::parse(text).unwrap();
        (endpoint.to_string(), repairs)
    }

    #[test]
    fn a_good_address_is_left_alone() {
        for text in ["http://10.11.12.13:5240/MAAS", "https://maas.company.com/MAAS", "http://[fd00::1]:5240/MAAS"] {
            assert_eq!(repaired(text), (text.to_owned(), vec![]));
        }
        assert_eq!(repaired(" http://h:5240/MAAS\n"), ("http://h:5240/MAAS".to_owned(), vec![]));
    }

    #[test]
    fn what_people_type_is_repaired_and_said() {
        let cut = |path: &str| PathRemoved(path.to_owned());
        let cases = [
            ("http://10.0.0.2:5240", vec![MaasAdded]),
            ("http://10.0.0.2:5240/", vec![MaasAdded]),
            ("http://10.0.0.2:5240/MAAS/", vec![SlashesRemoved]),
            ("http://10.0.0.2:5240//MAAS//", vec![SlashesRemoved]),
            ("http://10.0.0.2:5240/maas", vec![CaseCorrected("maas".to_owned())]),
            ("http://10.0.0.2:5240/MAAS/api/2.0", vec![cut("api/2.0")]),
            ("http://10.0.0.2:5240/MAAS/api/2.0/", vec![SlashesRemoved, cut("api/2.0")]),
            ("http://10.0.0.2:5240/api/2.0", vec![MaasAdded, cut("api/2.0")]),
            ("http://10.0.0.2:5240/MAAS/r/machines", vec![cut("r/machines")]),
            ("http://10.0.0.2:5240/MAAS/#/machines?q=x", vec![SlashesRemoved, cut("#/machines?q=x")]),
            ("http://10.0.0.2:5240/MAAS?next=%2F", vec![cut("?next=%2F")]),
            ("10.0.0.2", vec![SchemeAdded("http"), PortAdded(5240), MaasAdded]),
            ("10.0.0.2:5240/MAAS", vec![SchemeAdded("http")]),
            ("//10.0.0.2:5240/MAAS", vec![SchemeAdded("http")]),
        ];
        for (text, repairs) in cases {
            assert_eq!(repaired(text), ("http://10.0.0.2:5240/MAAS".to_owned(), repairs), "{text}");
        }
    }

    #[test]
    fn a_host_is_no_longer_than_dns_permits() {
        let long = |letters: usize| Endpoint::parse(&format!("http://{}.example/MAAS", "a".repeat(letters)));
        assert!(long(245).is_ok());
        assert!(long(246).unwrap_err().to_string().contains("longer than DNS permits"));
    }

    #[test]
    fn a_port_of_tls_means_https() {
        assert_eq!(
            repaired("maas.lab:5443/MAAS"),
            ("https://maas.lab:5443/MAAS".to_owned(), vec![SchemeAdded("https")])
        );
        assert_eq!(repaired("maas.lab:443").0, "https://maas.lab/MAAS");
        // A scheme that was typed is meant, and so is its port.
        assert_eq!(repaired("http://maas.lab/MAAS"), ("http://maas.lab/MAAS".to_owned(), vec![]));
    }

    #[test]
    fn a_path_in_front_of_maas_is_kept() {
        assert_eq!(
            repaired("https://gate/site-1/MAAS/r/"),
            ("https://gate/site-1/MAAS".to_owned(), vec![SlashesRemoved, PathRemoved("r".to_owned())])
        );
    }

    #[test]
    fn every_repair_is_a_sentence() {
        for repair in repaired("10.0.0.2//").1.into_iter().chain(repaired("http://h/maas/r").1) {
            let text = repair.to_string();
            assert!(
                text.ends_with('.') && text.starts_with(|first: char| first == '`' || first.is_uppercase()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_password_is_repeated() {
        for text in
            ["", "http://", "ftp://h/MAAS", "http://h:99999/MAAS", "https://user:hunter2@h/MAAS", "http://a b/MAAS"]
        {
            let error = Endpoint::parse(text).unwrap_err().to_string();
            assert!(error.contains("http://10.11.12.13:5240/MAAS"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn host_and_port_are_known() {
        let endpoint: Endpoint = "https://[fd00::1]/MAAS".parse().unwrap();
        assert_eq!((endpoint.host().as_str(), endpoint.port(), endpoint.is_tls()), ("fd00::1", 443, true));
    }

    proptest::proptest! {
        #[test]
        fn what_was_repaired_needs_no_repair(text in "(https?://)?[a-zA-Z0-9.\\[\\]:@/?#%_ -]{0,40}(/maas|/MAAS|/api/2.0)?/{0,3}") {
            if let Ok((endpoint, _)) = Endpoint::parse(&text) {
                let again = Endpoint::parse(&endpoint.to_string()).unwrap();
                proptest::prop_assert_eq!(again, (endpoint, vec![]));
            }
        }

        #[test]
        fn no_text_is_too_odd_to_be_refused(text in ".*") {
            let _ = Endpoint::parse(&text);
        }
    }
}
