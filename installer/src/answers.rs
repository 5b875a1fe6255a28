//! Answers as text, before they become a configuration: the same check serves the prompt, the command line, the
//! environment and pcg.yaml, so that a value is judged alike wherever it comes from.

use crate::questions::{Problem, Question};
use ferrogate_maas::{ApiKey, Endpoint};
use ferrogate_model::{Name, address, proxy::ProxyUrl};
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// What has been answered so far. Never shows a value in its `Debug` form, since some are secrets.
#[derive(Clone, Default)]
pub struct Answers(BTreeMap<Question, SecretString>);

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Answers {
    /// Keeps an answer; a blank one says "none".
    pub fn set(&mut self, question: Question, value: &str) {
        self.set_secret(question, SecretString::from(value));
    }

    /// Keeps a secret answer.
    pub fn set_secret(&mut self, question: Question, value: SecretString) {
        self.0.insert(question, value);
    }

    /// Forgets an answer.
    pub fn forget(&mut self, question: Question) {
        self.0.remove(&question);
    }

    /// The answer as text; secrets too, so never for showing.
    #[must_use]
    pub fn get(&self, question: Question) -> Option<&str> {
        self.0.get(&question).map(ExposeSecret::expose_secret)
    }

    /// The answer as a secret.
    #[must_use]
    pub fn secret(&self, question: Question) -> Option<&SecretString> {
        self.0.get(&question)
    }

    /// The answer as text, or the question's default, or a blank.
    #[must_use]
    pub fn or_default(&self, question: Question) -> &str {
        self.get(question).or(question.default()).unwrap_or_default()
    }

    /// Whether the question has an answer, a blank one included.
    #[must_use]
    pub fn has(&self, question: Question) -> bool {
        self.0.contains_key(&question)
    }

    /// The questions that have an answer, in order.
    pub fn given(&self) -> impl Iterator<Item = Question> + '_ {
        self.0.keys().copied()
    }

    /// Takes over every answer that `other` has.
    pub fn overlay(&mut self, other: &Self) {
        self.0.extend(other.0.iter().map(|(question, value)| (*question, value.clone())));
    }

    /// Every question that has neither an answer nor a default, in order.
    #[must_use]
    pub fn missing(&self) -> Vec<Question> {
        Question::ALL
            .into_iter()
            .filter(|question| question.default().is_none() && self.get(*question).is_none_or(str::is_empty))
            .chain(
                (self.wants_password() && self.get(Question::Password).is_none_or(str::is_empty))
                    .then_some(Question::Password),
            )
            .collect()
    }

    /// Whether an account is used beside the pairing code.
    #[must_use]
    pub fn wants_password(&self) -> bool {
        self.get(Question::Username).is_some_and(|username| !username.is_empty())
    }

    /// The answer as a person may see it: secrets as dots, proxies without their password.
    #[must_use]
    pub fn shown(&self, question: Question) -> String {
        let Some(text) = self.get(question) else { return String::new() };
        match question {
            _ if text.is_empty() => match question {
                Question::Username => "(none: pairing code alone)".into(),
                _ => "(none)".into(),
            },
            _ if question.is_secret() => "********".into(),
            _ if question.may_hold_credentials() => {
                text.parse::<ProxyUrl>().map_or_else(|_| "(not usable)".into(), |proxy| proxy.to_string())
            }
            Question::InstallType => "Private Cloud Gateway".into(),
            Question::CloudType => "MAAS".into(),
            Question::Nodes if text == "1" => "1 (no high availability)".into(),
            Question::Nodes => format!("{text} (high availability)"),
            _ => text.to_owned(),
        }
    }
}

/// An answer that can be used: its usual form, and what was repaired to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The answer in its usual form.
    pub text: String,
    /// What was repaired, to be said to the person.
    pub notes: Vec<String>,
}

impl Accepted {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), notes: Vec::new() }
    }
}

/// Checks one answer by itself, without asking anybody.
///
/// # Errors
/// [`Problem`] says what is wrong and how a right answer looks.
pub fn check(question: Question, text: &str) -> Result<Accepted, Problem> {
    let text = text.trim();
    match question {
        Question::InstallType if text == "pcg" => Ok(Accepted::plain(text)),
        Question::InstallType => Err(Problem::new(format!("`{text}` cannot be installed; the only type is `pcg`"))),
        Question::CloudType if text.eq_ignore_ascii_case("maas") => Ok(Accepted::plain("maas")),
        Question::CloudType => Err(Problem::new(format!("`{text}` is not supported; the only cloud type is `maas`"))),
        Question::Name => match text.parse::<Name>() {
            // Node names add a suffix and must be DNS labels themselves.
            Ok(name) if name.as_str().len() > MAX_NAME => {
                Err(Problem::new(format!("the name `{name}` has more than {MAX_NAME} characters")))
            }
            Ok(name) => Ok(Accepted::plain(name.as_str())),
            Err(bad) => Err(Problem::new(bad.to_string()).hint("a name is made of a-z, 0-9 and -, such as maas-pcg-1")),
        },
        Question::Endpoint => plane_endpoint(text),
        Question::Username if text.is_empty() || text.contains('@') => Ok(Accepted::plain(text)),
        Question::Username => Err(Problem::new(format!("`{text}` is not an e-mail address"))
            .hint("leave it blank to use the pairing code alone")),
        Question::Password => Ok(Accepted::plain(text)),
        Question::PairingCode if text.is_empty() => Err(Problem::new("a pairing code is needed")
            .hint("a tenant admin gets one in the plane, or with `ferrogate pairing create`")),
        Question::PairingCode => Ok(Accepted::plain(text)),
        Question::HttpsProxy | Question::HttpProxy if text.is_empty() => Ok(Accepted::plain("")),
        Question::HttpsProxy | Question::HttpProxy => match text.parse::<ProxyUrl>() {
            Ok(proxy) => Ok(Accepted::plain(proxy.expose().expose_secret())),
            Err(bad) => Err(Problem::new(bad.to_string())),
        },
        Question::NoProxy => no_proxy(text),
        Question::PodCidr | Question::ServiceRange => range(question, text),
        Question::MaasEndpoint => maas_endpoint(text),
        Question::MaasKey => match text.parse::<ApiKey>() {
            Ok(_) => Ok(Accepted::plain(text)),
            Err(bad) => Err(Problem::new(bad.to_string())),
        },
        Question::Domain | Question::Zone | Question::ResourcePool if text.is_empty() => {
            Err(Problem::new(format!("the {} is empty", question.title().to_lowercase())))
        }
        Question::Domain | Question::Zone | Question::ResourcePool => Ok(Accepted::plain(text)),
        Question::Nodes if matches!(text, "1" | "3") => Ok(Accepted::plain(text)),
        Question::Nodes => {
            Err(Problem::new(format!("{text} nodes cannot be built")).hint("use 1 (no high availability) or 3"))
        }
    }
}

/// A question and what is wrong with its answer.
pub type Wrong = (Question, Problem);

/// Every answer, or its default, in its usual form; beside them what was repaired to get there.
///
/// # Errors
/// The first answer that cannot be used.
pub fn usual(given: &Answers) -> Result<(Answers, Vec<(Question, String)>), Wrong> {
    let (mut usual, mut notes) = (Answers::default(), Vec::new());
    for question in Question::ALL {
        if question == Question::Password && !given.wants_password() {
            continue;
        }
        let accepted = check(question, given.or_default(question)).map_err(|problem| (question, problem))?;
        usual.set(question, &accepted.text);
        notes.extend(accepted.notes.into_iter().map(|note| (question, note)));
    }
    check_together(&usual, &[])?;
    Ok((usual, notes))
}

/// Longest name of a gateway: node names append `-` and a few characters and are DNS labels of at most 63.
pub const MAX_NAME: usize = 50;

fn plane_endpoint(text: &str) -> Result<Accepted, Problem> {
    let example = "write it as https://plane.example.com";
    if text.is_empty() {
        return Err(Problem::new("the plane's address is empty").hint(example));
    }
    let mut notes = Vec::new();
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        notes.push("https:// was added".to_owned());
        format!("https://{text}")
    };
    let mut url = url::Url::parse(&full)
        .map_err(|error| Problem::new(format!("`{text}` is not a web address: {error}")).hint(example))?;
    if url.scheme() != "https" {
        return Err(Problem::new(format!("the plane is reached by https only, not {}", url.scheme())).hint(example));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem::new("the address has a user name or password in it").hint(example));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        notes.push("what follows the host was cut off".to_owned());
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
    }
    Ok(Accepted { text: url.as_str().trim_end_matches('/').to_owned(), notes })
}

fn no_proxy(text: &str) -> Result<Accepted, Problem> {
    let mut entries = Vec::new();
    for entry in text.split([',', ' ']).filter(|entry| !entry.is_empty()) {
        if entry.contains("://") {
            return Err(Problem::new(format!("`{entry}` is an address with a scheme"))
                .hint("write hosts, domains and ranges only, such as maas.company.com,10.10.0.0/16"));
        }
        if let Some((address, _)) = entry.split_once('/')
            && address.parse::<std::net::IpAddr>().is_ok()
            && entry.parse::<IpNet>().is_err()
        {
            return Err(Problem::new(format!("`{entry}` is not a range")).hint("write it as 10.10.0.0/16"));
        }
        entries.push(entry);
    }
    Ok(Accepted::plain(entries.join(",")))
}

fn range(question: Question, text: &str) -> Result<Accepted, Problem> {
    let example = format!("write it as {}", question.default().unwrap_or_default());
    let net: IpNet = text
        .parse()
        .map_err(|_| Problem::new(format!("`{text}` is not a range of addresses")).hint(example.clone()))?;
    // A pod range holds a /24 for each node; a service range smaller than a /24 runs out at once.
    let (longest, most) = if question == Question::PodCidr { (22, "/22") } else { (24, "/24") };
    if net.addr().is_ipv4() && net.prefix_len() > longest {
        return Err(Problem::new(format!("{net} is too small; the smallest that works is a {most}")).hint(example));
    }
    let mut notes = Vec::new();
    if net.trunc() != net {
        notes.push(format!("{net} was read as {}", net.trunc()));
    }
    Ok(Accepted { text: net.trunc().to_string(), notes })
}

fn maas_endpoint(text: &str) -> Result<Accepted, Problem> {
    if text.is_empty() {
        return Err(Problem::new("the address is empty").hint("write it as http://10.11.12.13:5240/MAAS"));
    }
    match Endpoint::parse(text) {
        Ok((endpoint, repairs)) => {
            Ok(Accepted { text: endpoint.to_string(), notes: repairs.iter().map(ToString::to_string).collect() })
        }
        Err(bad) => Err(Problem::new(bad.to_string())),
    }
}

/// Checks what answers say together: pods, services and the machines' networks keep out of each other's way
/// (specification 2.3). `subnets` are MAAS's, where they are known already.
///
/// # Errors
/// The question to correct, and the overlap.
pub fn check_together(answers: &Answers, subnets: &[(String, IpNet)]) -> Result<(), Wrong> {
    let (Ok(pods), Ok(services)) = (
        answers.or_default(Question::PodCidr).parse::<IpNet>(),
        answers.or_default(Question::ServiceRange).parse::<IpNet>(),
    ) else {
        return Ok(());
    };
    match address::find_overlaps(pods, services, subnets).first() {
        None => Ok(()),
        Some(overlap) => {
            let question = if overlap.left_name.starts_with("pod") && !overlap.right_name.starts_with("service") {
                Question::PodCidr
            } else {
                Question::ServiceRange
            };
            Err((question, Problem::new(overlap.to_string()).hint("choose a range that no network of the site uses")))
        }
    }
}
