//! From an answer to its meaning.

use super::{MaasError, MaasFailure};
use crate::key::ApiKey;
use ferrogate_model::{SystemId, Timestamp};
use http::{HeaderMap, StatusCode, header};
use std::collections::BTreeMap;

/// Seconds a signed request may be old; MAAS's own threshold.
const MAX_AGE: i64 = 300;

/// How much of MAAS's words is kept, in characters.
const MAX_WORDS: usize = 600;

/// An answer that is not a success, and what is needed to understand it.
pub(crate) struct Answer<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// The endpoint, for messages.
    pub(crate) place: &'a str,
    /// Our clock when the answer arrived.
    pub(crate) now: Timestamp,
    /// Never to appear in words.
    pub(crate) key: &'a ApiKey,
    /// Whether an address was reserved or released: some statuses mean something else there.
    pub(crate) about_address: bool,
}

pub(crate) fn classify(call: &str, answer: &Answer<'_>) -> MaasError {
    let page = answer.page();
    let words = if page.is_some() { None } else { answer.words() };
    let failure = match answer.status.as_u16() {
        200..=299 => match page {
            Some(page) => answer.not_maas(page),
            None => MaasFailure::Undecodable("it is no JSON".into()),
        },
        300..=399 => answer.not_maas(answer.redirect()),
        400 => answer.bad_request(page, words.as_deref()),
        401 => answer.unauthorised(page, words.as_deref()),
        403 => match (page, words.as_deref()) {
            (Some(page), _) => answer.intercepted(page),
            (None, Some(text)) if answer.about_address => MaasFailure::AddressTaken(text.to_owned()),
            (None, _) => MaasFailure::NotAllowed,
        },
        404 | 410 => answer.not_found(page, words.as_deref()),
        409 => match page {
            // MAAS's own page, the only one it sends to a client of its API.
            Some(page) if page.contains("Conflict Error") => MaasFailure::Collided,
            Some(page) => answer.intercepted(page),
            None => conflict(words.as_deref().unwrap_or_default()),
        },
        500 => MaasFailure::Internal,
        status @ 502..=504 => match (page, words.as_deref()) {
            (Some(page), _) => answer.intercepted(page),
            (None, Some(text)) if status == 503 && is_exhaustion(text) => MaasFailure::Exhausted(text.to_owned()),
            (None, _) => MaasFailure::Unavailable(status),
        },
        status => match page {
            Some(page) => answer.intercepted(page),
            None => answer.not_maas(format!("the status {status}")),
        },
    };
    MaasError { call: call.to_owned(), failure: Box::new(failure), status: Some(answer.status), words }
}

impl Answer<'_> {
    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.body).trim().to_owned()
    }

    /// The web page the answer is, by its title, if it is one. The content type is no proof: MAAS calls some plain texts
    /// `text/html`.
    fn page(&self) -> Option<String> {
        let text = self.text();
        let lower = text.to_ascii_lowercase();
        let is_page = ["<!doctype", "<html", "<head", "<?xml"].iter().any(|start| lower.starts_with(start));
        if !is_page {
            return None;
        }
        let title = lower.find("<title>").and_then(|start| {
            let start = start + "<title>".len();
            let end = lower[start..].find("</title>")?;
            // Lower case in ASCII keeps every byte where it was.
            text.get(start..start + end)
        });
        Some(title.map_or_else(|| "a web page".into(), |title| format!("a web page titled `{}`", one_line(title, 120))))
    }

    /// MAAS's own words on one line, without secrets: for a wrong signature MAAS repeats the right one.
    fn words(&self) -> Option<String> {
        let mut text = self.text();
        if let Some(place) = text.find("signature base string") {
            text.truncate(place + "signature base string".len());
            text.push_str(": ***");
        }
        for secret in [self.key.secret(), self.key.token()] {
            text = text.replace(secret, "***");
        }
        let text = one_line(&text, MAX_WORDS);
        (!text.is_empty()).then_some(text)
    }

    fn not_maas(&self, seen: String) -> MaasFailure {
        MaasFailure::NotMaas { place: self.place.to_owned(), seen }
    }

    fn intercepted(&self, seen: String) -> MaasFailure {
        MaasFailure::Intercepted { status: self.status.as_u16(), seen }
    }

    fn redirect(&self) -> String {
        let target = self.header(header::LOCATION).unwrap_or("nowhere").split('?').next().unwrap_or_default();
        format!("a redirection to {}", one_line(target, 200))
    }

    fn bad_request(&self, page: Option<String>, words: Option<&str>) -> MaasFailure {
        if let Some(page) = page {
            return self.not_maas(format!("400 and {page}"));
        }
        if let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(self.body) {
            return MaasFailure::Invalid(fields.into_iter().map(|(name, value)| field(name, &value)).collect());
        }
        let words = words.unwrap_or("no reason given");
        if self.about_address && words.contains("does not exist, is not the correct type") {
            return MaasFailure::NotFound;
        }
        MaasFailure::Invalid(BTreeMap::from([(String::new(), vec![words.to_owned()])]))
    }

    fn unauthorised(&self, page: Option<String>, words: Option<&str>) -> MaasFailure {
        if let Some(page) = page {
            return self.intercepted(page);
        }
        let words = words.unwrap_or_default();
        if words.contains("Nonce already used") {
            return self.intercepted("the request arrived at MAAS twice".into());
        }
        if let Some(seconds) = expired(words).or_else(|| self.skew()) {
            return MaasFailure::ClockSkew { seconds };
        }
        let asks = self.header(header::WWW_AUTHENTICATE);
        if asks.is_some_and(|scheme| !scheme.starts_with("OAuth")) {
            return self.intercepted(words.to_owned());
        }
        MaasFailure::KeyRefused
    }

    /// Our clock minus theirs, where that alone explains a refusal.
    fn skew(&self) -> Option<i64> {
        let theirs = jiff::fmt::rfc2822::parse(self.header(header::DATE)?).ok()?.timestamp();
        let seconds = self.now.as_second() - theirs.as_second();
        // A date in the future passes MAAS's check, so only a clock that is behind can be the cause.
        (seconds < -MAX_AGE).then_some(seconds)
    }

    fn not_found(&self, page: Option<String>, words: Option<&str>) -> MaasFailure {
        let place = self.place.to_owned();
        if let Some(page) = page {
            // The region's web server in front of the application, when the path does not begin with /MAAS.
            return if page.contains("No Such Resource") {
                MaasFailure::WrongPath { place }
            } else {
                self.not_maas(format!("{} and {page}", self.status.as_u16()))
            };
        }
        let words = words.unwrap_or_default();
        if words.starts_with("Unknown API endpoint") || words.contains("API is no longer available") {
            return MaasFailure::WrongPath { place };
        }
        if words.contains("matches the given query") {
            return MaasFailure::NotFound;
        }
        if self.about_address && !words.is_empty() {
            return MaasFailure::AddressTaken(words.to_owned());
        }
        if self.headers.contains_key("x-maas-api-hash") {
            return MaasFailure::NotFound;
        }
        self.not_maas(format!("the status {}", self.status.as_u16()))
    }
}

/// The three texts of an allocation that finds nothing; everything else is about a machine's state.
fn conflict(words: &str) -> MaasFailure {
    if words.starts_with("No machine available") {
        return MaasFailure::NoneFree;
    }
    if let Some(id) = words.strip_prefix("No machine with system ID ").and_then(|rest| rest.split(' ').next()) {
        return MaasFailure::MachineNotFree(SystemId(id.to_owned()));
    }
    if words.starts_with("No available machine matches constraints") {
        let resolved = words.rsplit_once("(resolved to \"").and_then(|(_, tail)| tail.strip_suffix("\")"));
        return MaasFailure::NoneFits { constraints: resolved.unwrap_or(words).to_owned() };
    }
    MaasFailure::WrongState(if words.is_empty() { "no reason given".into() } else { words.to_owned() })
}

fn is_exhaustion(words: &str) -> bool {
    let lower = words.to_ascii_lowercase();
    ["no more ips available", "required auto ip", "exhaust"].iter().any(|sign| lower.contains(sign))
}

fn field(name: String, value: &serde_json::Value) -> (String, Vec<String>) {
    let text = |value: &serde_json::Value| {
        value.as_str().map_or_else(|| one_line(&value.to_string(), MAX_WORDS), |text| one_line(text, MAX_WORDS))
    };
    let messages = value.as_array().map_or_else(|| vec![text(value)], |all| all.iter().map(text).collect());
    // Django's name for "no field in particular".
    (if name == "__all__" { String::new() } else { name }, messages)
}

/// Ours minus theirs, from `Expired timestamp: given 1795336132 and now 1795337132 has a greater difference …`.
fn expired(words: &str) -> Option<i64> {
    let rest = words.split("Expired timestamp: given ").nth(1)?;
    let (given, rest) = rest.split_once(" and now ")?;
    let theirs: i64 = rest.split(' ').next()?.parse().ok()?;
    let given: i64 = given.parse().ok()?;
    Some(given - theirs)
}

fn one_line(text: &str, max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max { line } else { line.chars().take(max).chain("…".chars()).collect() }
}
