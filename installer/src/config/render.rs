//! Writing pcg.yaml: for a person to read, with a word beside everything that may be changed.

use super::{Deadlines, Extras, deadlines::describe, document::VERSION};
use crate::{answers::Answers, questions::Question, seal::Sealer};
use ferrogate_model::{Timestamp, proxy::ProxyUrl};
use std::{fmt::Write, path::Path};

/// The file's text. Secrets are sealed; `path` is where it will stand.
#[must_use]
pub fn render(answers: &Answers, extras: &Extras, sealer: &Sealer, path: &Path, now: Timestamp) -> String {
    let name = answers.or_default(Question::Name);
    let value = |question: Question| value(answers, question, name, sealer);
    let at = now.strftime("%Y-%m-%d %H:%M UTC");
    let file = path.display();
    let dns: Vec<_> = extras.dns_servers.iter().map(|server| quoted(&server.to_string())).collect();
    let Deadlines { overall, machines, register, cleanup, blocked } = extras.deadlines;
    let mut text = format!(
        "# Gateway `{name}`: what `ferrogate install` was told on {at}.\n\
         #\n\
         # Install, or go on where it stopped:  ferrogate install --config {file}\n\
         # Give every machine back:             ferrogate install cleanup --config {file}\n\
         #\n\
         # Everything here may be edited, except values that begin with enc: they are sealed for this gateway's name with\n\
         # the key in pcg.key beside this file. New secrets:  ferrogate install --config {file} --update-secrets\n\
         version: {VERSION}\n\
         install_type: {install}\n\
         cloud_type: {cloud}\n\
         name: {title}   # cannot be changed: the seals are bound to it\n",
        install = value(Question::InstallType),
        cloud = value(Question::CloudType),
        title = value(Question::Name),
    );
    let _ = write!(
        text,
        "\nplane:\n  endpoint: {endpoint}\n  username: {username}   # blank: the pairing code alone\n  password: {password}\n  pairing_code: {code}   # 24 hours valid, used once\n",
        endpoint = value(Question::Endpoint),
        username = value(Question::Username),
        password = value(Question::Password),
        code = value(Question::PairingCode),
    );
    if let Some(fingerprint) = extras.fingerprint {
        let _ = writeln!(text, "  fingerprint: {}", quoted(&fingerprint.to_string()));
    }
    if let Some(file) = &extras.ca_file {
        let _ = writeln!(text, "  ca_file: {}", quoted(&file.display().to_string()));
    }
    let _ = write!(
        text,
        "\nenvironment:   # reaches every node of the gateway and of its clusters\n  https_proxy: {https}\n  http_proxy: {http}\n  no_proxy: {no_proxy}   # MAAS, pods, services and loopback are added by themselves\n  pod_cidr: {pods}   # must overlap no network of the machines\n  svc_ip_range: {services}\n",
        https = value(Question::HttpsProxy),
        http = value(Question::HttpProxy),
        no_proxy = value(Question::NoProxy),
        pods = value(Question::PodCidr),
        services = value(Question::ServiceRange),
    );
    let _ = write!(
        text,
        "\nmaas:\n  endpoint: {endpoint}\n  api_key: {key}\n",
        endpoint = value(Question::MaasEndpoint),
        key = value(Question::MaasKey)
    );
    if let Some(file) = &extras.maas_ca_file {
        let _ = writeln!(text, "  ca_file: {}", quoted(&file.display().to_string()));
    }
    let _ = write!(
        text,
        "\nplacement:   # where in MAAS the machines are taken from\n  domain: {domain}\n  zone: {zone}\n  resource_pool: {pool}\n  nodes: {nodes}   # 1 (no high availability) or 3\n",
        domain = value(Question::Domain),
        zone = value(Question::Zone),
        pool = value(Question::ResourcePool),
        nodes = answers.or_default(Question::Nodes),
    );
    let _ = write!(
        text,
        "\ninstaller:\n  dns_servers: [{dns}]   # instead of this host's own, such as [10.11.12.13]\n  deadlines:\n    overall: {overall}\n    machines: {machines}   # until every machine runs the gateway\n    register: {register}   # from then until the plane calls it healthy\n    cleanup: {cleanup}\n    blocked: {blocked}   # how long to go on trying where a person seems to be needed\n",
        dns = dns.join(", "),
        overall = describe(overall),
        machines = describe(machines),
        register = describe(register),
        cleanup = describe(cleanup),
        blocked = describe(blocked),
    );
    text
}

/// One answer as it stands in the file.
pub(super) fn value(answers: &Answers, question: Question, name: &str, sealer: &Sealer) -> String {
    let text = answers.or_default(question);
    let has_credentials =
        question.may_hold_credentials() && text.parse::<ProxyUrl>().is_ok_and(|proxy| proxy.credentials().is_some());
    match answers.secret(question) {
        Some(secret) if !text.is_empty() && (question.is_secret() || has_credentials) => {
            sealer.seal(name, question.field(), secret)
        }
        _ => quoted(text),
    }
}

/// A text as YAML: plain where nobody can misread it, in double quotes elsewhere.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@:".contains(c))
        && !text.ends_with(':')
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    // JSON's strings are YAML's double-quoted ones.
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::Document;

    #[test]
    fn whatever_an_answer_is_it_reads_back_as_it_was() {
        let sealer = Sealer::generate();
        for text in [
            "zone-a", "zone a", "yes", "NO", "null", "1", "1.5", "~", "a: b", "#x", "a #b", "- x", "\"q\"", "it's",
            "[x]", "{x}", "*x", "&x", "!x", "%x", "@x", "a\\b", "zoné", "enc", "x:", " lead", "trail ", "",
        ] {
            let mut answers = Answers::default();
            answers.set(Question::Name, "gw");
            answers.set(Question::Zone, text);
            let now = Timestamp::UNIX_EPOCH;
            let file = Path::new("pcg.yaml");
            let document = Document::parse(file, render(&answers, &Extras::default(), &sealer, file, now)).unwrap();
            assert_eq!(document.raw[&Question::Zone], text);
        }
    }

    #[test]
    fn what_stands_beside_the_answers_reads_back_too() {
        let extras = Extras {
            fingerprint: Some(format!("sha256:{}", "ab".repeat(32)).parse().unwrap()),
            ca_file: Some("plane-ca.pem".into()),
            maas_ca_file: Some("maas ca.pem".into()),
            dns_servers: vec!["10.0.0.1:53".parse().unwrap(), "[::1]:5353".parse().unwrap()],
            deadlines: Deadlines { machines: std::time::Duration::from_secs(61), ..Deadlines::default() },
        };
        let file = Path::new("pcg.yaml");
        let text = render(&Answers::default(), &extras, &Sealer::generate(), file, Timestamp::UNIX_EPOCH);
        assert_eq!(Document::parse(file, text).unwrap().extras, extras);
    }
}
