//! pcg.yaml: what is written, what may be edited, and what is refused, word by word. No network is there to be touched.

use crate::world::edit;
use ferrogate_installer::{
    GivenArgs, Host, InstallArgs, InstallError, Outcome, config::document::Document, screen::Recorded,
};
use ferrogate_model::{Explain, SystemClock};
use ferrogate_net::Network;
use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

struct Place {
    state_dir: TempDir,
    screen: Recorded,
    network: Network,
}

impl Place {
    fn new() -> Self {
        Self { state_dir: tempfile::tempdir().unwrap(), screen: Recorded::default(), network: Network::memory() }
    }

    fn host(&self) -> Host {
        Host {
            connector: self.network.connector(),
            clock: Arc::new(SystemClock),
            cancel: CancellationToken::new(),
            node_setup: Arc::new(ferrogate_firstboot::Kubeadm),
            variables: |name| match name {
                "FERROGATE_PAIRING_CODE" => Some("CODE-1\n".into()),
                "FERROGATE_MAAS_API_KEY" => Some("consumer1:token2:secret3".into()),
                "FERROGATE_PASSWORD" => Some("hunter2".into()),
                _ => None,
            },
        }
    }

    fn given() -> GivenArgs {
        let text = |text: &str| Some(text.to_owned());
        GivenArgs {
            name: text("maas-pcg-1"),
            endpoint: text("https://plane.example.com"),
            username: text("user1@company.com"),
            https_proxy: text("http://site:s3cret@10.20.0.3:3128"),
            http_proxy: text("http://10.20.0.3:3128"),
            no_proxy: text("maas.company.com, 10.10.0.0/16"),
            maas_endpoint: text("10.20.0.2:5240"),
            zone: text("zone-a"),
            resource_pool: text("default"),
            ..GivenArgs::default()
        }
    }

    async fn run(&self, args: InstallArgs) -> Result<Outcome, InstallError> {
        let args = InstallArgs { state_dir: self.state_dir.path().to_owned(), ..args };
        Box::pin(ferrogate_installer::install(args, None, &self.screen, &self.host())).await
    }

    async fn write(&self) -> PathBuf {
        match self.run(InstallArgs { config_only: true, given: Self::given(), ..InstallArgs::default() }).await {
            Ok(Outcome::Written { config }) => config,
            other => panic!("{other:?}"),
        }
    }

    /// Runs with the file; nothing in its folder may change.
    async fn refused(&self, config: &Path) -> InstallError {
        let before = contents(config);
        let args = InstallArgs { config: Some(config.to_owned()), config_only: true, ..InstallArgs::default() };
        let error = self.run_without_secrets(args).await.unwrap_err();
        assert_eq!(contents(config), before, "nothing is lost or changed");
        assert_eq!(error.exit_code(), 2, "{error}");
        error
    }

    /// Without the environment, which would stand in for what the file has.
    async fn run_without_secrets(&self, args: InstallArgs) -> Result<Outcome, InstallError> {
        let host = Host { variables: |_| None, ..self.host() };
        Box::pin(ferrogate_installer::install(args, None, &self.screen, &host)).await
    }
}

fn contents(config: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(config.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

/// The message behind the file's path, and the hint.
fn words(error: &InstallError, config: &Path) -> (String, String) {
    let message = error.to_string().replace(&config.display().to_string(), "pcg.yaml");
    let hint = error.hint().unwrap_or_default().replace(&config.display().to_string(), "pcg.yaml");
    (message, hint)
}

#[tokio::test]
async fn the_file_is_private_readable_and_has_no_secret_in_the_clear() {
    let place = Place::new();
    let config = place.write().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&config), mode(config.parent().unwrap())), (0o600, 0o700));
    let folder = config.parent().unwrap().file_name().unwrap().to_str().unwrap();
    assert!(folder.starts_with("install-user-defined-MaaS-Gateway_maas-pcg-1-20"), "{folder}");
    let text = std::fs::read_to_string(&config).unwrap();
    for secret in ["CODE-1", "secret3", "hunter2", "s3cret"] {
        assert!(!text.contains(secret), "{text}");
    }
    let text = text.replace(&config.display().to_string(), "pcg.yaml");
    let hidden: Vec<String> = text.lines().filter(|line| !line.starts_with("# Gateway")).map(hide).collect();
    insta::assert_snapshot!(hidden.join("\n"), @r#"
    #
    # Install, or go on where it stopped:  ferrogate install --config pcg.yaml
    # Give every machine back:             ferrogate install cleanup --config pcg.yaml
    #
    # Everything here may be edited, except values that begin with enc: they are sealed for this gateway's name with
    # the key in pcg.key beside this file. New secrets:  ferrogate install --config pcg.yaml --update-secrets
    version: 1
    install_type: pcg
    cloud_type: maas
    name: maas-pcg-1   # cannot be changed: the seals are bound to it

    plane:
      endpoint: https://plane.example.com
      username: user1@company.com   # blank: the pairing code alone
      password: enc:v1:…
      pairing_code: enc:v1:…   # 24 hours valid, used once

    environment:   # reaches every node of the gateway and of its clusters
      https_proxy: enc:v1:…
      http_proxy: http://10.20.0.3:3128
      no_proxy: "maas.company.com,10.10.0.0/16"   # MAAS, pods, services and loopback are added by themselves
      pod_cidr: "192.168.0.0/16"   # must overlap no network of the machines
      svc_ip_range: "10.43.0.0/16"

    maas:
      endpoint: http://10.20.0.2:5240/MAAS
      api_key: enc:v1:…

    placement:   # where in MAAS the machines are taken from
      domain: maas
      zone: zone-a
      resource_pool: default
      nodes: 1   # 1 (no high availability) or 3

    installer:
      dns_servers: []   # instead of this host's own, such as [10.11.12.13]
      deadlines:
        overall: 2h
        machines: 1h 30m   # until every machine runs the gateway
        register: 15m   # from then until the plane calls it healthy
        cleanup: 30m
        blocked: 3m   # how long to go on trying where a person seems to be needed
    "#);
}

fn hide(line: &str) -> String {
    let Some((head, sealed)) = line.split_once("enc:v1:") else { return line.to_owned() };
    let rest = sealed.split_once(' ').map(|(_, rest)| format!(" {rest}")).unwrap_or_default();
    format!("{head}enc:v1:…{rest}")
}

#[tokio::test]
async fn what_was_written_reads_back_and_may_be_edited() {
    let place = Place::new();
    let config = place.write().await;
    edit(&config, "zone: zone-a", "zone: zone-b  # moved by hand");
    edit(&config, "nodes: 1", "nodes: 3");
    let args = InstallArgs { config: Some(config.clone()), config_only: true, ..InstallArgs::default() };
    place.run_without_secrets(args).await.unwrap();
    let document = Document::load(&config).unwrap();
    assert_eq!(document.raw[&ferrogate_installer::questions::Question::Zone], "zone-b");
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_nearest_name_line_and_column() {
    let place = Place::new();
    let config = place.write().await;
    edit(&config, "  zone: zone-a", "  zoen: zone-a");
    let line = line_of(&config, "zoen");
    let error = place.refused(&config).await;
    assert_eq!(
        words(&error, &config),
        (format!("pcg.yaml:{line}:3: unknown key `zoen`"), "did you mean `zone`?".to_owned())
    );
}

#[tokio::test]
async fn a_key_like_none_is_refused_with_all_that_are_known() {
    let place = Place::new();
    let config = place.write().await;
    edit(&config, "  zone: zone-a", "  zone: zone-a\n  colour: blue");
    let error = place.refused(&config).await;
    assert_eq!(words(&error, &config).1, "known here: domain, zone, resource_pool, nodes");
}

#[tokio::test]
async fn a_wrong_type_is_refused_with_line_and_column() {
    let place = Place::new();
    for (from, to, message) in [
        ("nodes: 1", "nodes: three", "`nodes` must be a whole number"),
        ("zone: zone-a", "zone: [zone-a]", "`zone` must be a text"),
        ("dns_servers: []", "dns_servers: 10.0.0.1", "`dns_servers` must be a list"),
    ] {
        let config = place.write().await;
        edit(&config, from, to);
        let line = line_of(&config, to);
        let column = std::fs::read_to_string(&config).unwrap().lines().nth(line - 1).unwrap().find(": ").unwrap() + 3;
        let (said, _) = words(&place.refused(&config).await, &config);
        assert_eq!(said, format!("pcg.yaml:{line}:{column}: {message}"));
        std::fs::remove_dir_all(config.parent().unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_section_that_is_no_section_is_refused() {
    let place = Place::new();
    let config = place.write().await;
    let text = std::fs::read_to_string(&config).unwrap();
    let begin = text.find("\nmaas:\n").unwrap();
    let end = text.find("\nplacement:").unwrap();
    std::fs::write(&config, format!("{}\nmaas: 5\n{}", &text[..begin], &text[end..])).unwrap();
    let line = line_of(&config, "maas: 5");
    let (said, _) = words(&place.refused(&config).await, &config);
    assert_eq!(said, format!("pcg.yaml:{line}:7: `maas` must be a section with keys below it"));
}

#[tokio::test]
async fn an_edited_ciphertext_is_refused_with_the_field_and_the_remedy() {
    let place = Place::new();
    let config = place.write().await;
    let text = std::fs::read_to_string(&config).unwrap();
    let sealed = text.lines().find_map(|line| line.strip_prefix("  api_key: ")).unwrap();
    let mut changed = sealed.to_owned();
    let at = changed.len() - 10;
    let other = if changed.as_bytes()[at] == b'A' { "B" } else { "A" };
    changed.replace_range(at..=at, other);
    edit(&config, sealed, &changed);
    let line = line_of(&config, "api_key");
    assert_eq!(
        words(&place.refused(&config).await, &config),
        (
            format!(
                "pcg.yaml:{line}:12: maas.api_key was changed by hand: the sealed value does not open for gateway `maas-pcg-1`"
            ),
            "give the secrets anew: ferrogate install --config pcg.yaml --update-secrets".to_owned()
        )
    );
}

#[tokio::test]
async fn a_secret_written_in_the_clear_is_refused_and_not_repeated() {
    let place = Place::new();
    let config = place.write().await;
    let text = std::fs::read_to_string(&config).unwrap();
    let sealed = text.lines().find_map(|line| line.strip_prefix("  api_key: ")).unwrap();
    edit(&config, sealed, "consumer1:token2:topsecret");
    let (said, hint) = words(&place.refused(&config).await, &config);
    assert!(said.ends_with("maas.api_key is not sealed; secrets cannot be written into the file by hand"), "{said}");
    assert!(!said.contains("topsecret") && !hint.contains("topsecret"));
}

#[tokio::test]
async fn values_that_cannot_be_are_refused_where_they_stand() {
    let place = Place::new();
    for (from, to, message) in [
        (
            "pod_cidr: \"192.168.0.0/16\"",
            "pod_cidr: \"10.43.0.0/17\"",
            "environment.svc_ip_range: pod CIDR 10.43.0.0/17 overlaps service IP range 10.43.0.0/16",
        ),
        ("nodes: 1", "nodes: 2", "placement.nodes: 2 nodes cannot be built"),
        (
            "overall: 2h",
            "overall: soon",
            "installer.deadlines.overall: `soon` is not a duration; write it as 90m, 1h 30m or 45s",
        ),
        ("endpoint: https://", "endpoint: http://", "plane.endpoint: the plane is reached by https only, not http"),
        ("version: 1", "version: 7", "version 7 is not understood; this installer writes version 1"),
    ] {
        let config = place.write().await;
        edit(&config, from, to);
        let (said, _) = words(&place.refused(&config).await, &config);
        assert!(said.ends_with(&format!(": {message}")), "{said}");
        assert!(said.starts_with("pcg.yaml:") && said.split(':').nth(2).unwrap().parse::<u32>().is_ok(), "{said}");
        std::fs::remove_dir_all(config.parent().unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_missing_key_file_and_a_renamed_gateway_say_what_to_do() {
    let place = Place::new();
    let config = place.write().await;
    edit(&config, "name: maas-pcg-1", "name: maas-pcg-2");
    let (said, _) = words(&place.refused(&config).await, &config);
    assert!(said.contains("does not open for gateway `maas-pcg-2`"), "{said}");
    std::fs::remove_file(config.parent().unwrap().join("pcg.key")).unwrap();
    let error = place.refused(&config).await;
    assert!(matches!(error, InstallError::KeyMissing { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--update-secrets"));
}

#[tokio::test]
async fn given_answers_that_cannot_be_write_nothing() {
    let place = Place::new();
    let file = place.state_dir.path().join("key");
    std::fs::write(&file, "consumer1:token2\n").unwrap();
    type Change = fn(&mut GivenArgs, &Path);
    let cases: [(Change, &str); 4] = [
        (
            |given, _| given.pod_cidr = Some("10.43.0.0/16".into()),
            "service ip range (--svc-ip-range): pod CIDR 10.43.0.0/16 overlaps service IP range 10.43.0.0/16",
        ),
        (
            |given, _| given.name = Some("Paris".into()),
            "name (--name): the name `Paris` has a 'P'; only a-z, 0-9 and - may be used",
        ),
        (
            |given, file| given.maas_api_key_file = Some(file.to_owned()),
            "maas api key (--maas-api-key-file): an API key has three parts separated by colons, this one has 2; copy it whole from MAAS under your name, API keys",
        ),
        (
            |given, _| given.https_proxy = Some("ftp://u:hunter2@p".into()),
            "https proxy (--https-proxy): the proxy address is not usable: the scheme `ftp` is not http or https; write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT",
        ),
    ];
    for (change, message) in cases {
        let mut given = Place::given();
        change(&mut given, &file);
        let host = Host {
            variables: |name| (name == "FERROGATE_PAIRING_CODE" || name == "FERROGATE_PASSWORD").then(|| "x".into()),
            ..place.host()
        };
        if given.maas_api_key_file.is_none() {
            let good = place.state_dir.path().join("good");
            std::fs::write(&good, "a1:b2:c3").unwrap();
            given.maas_api_key_file = Some(good);
        }
        let args = InstallArgs {
            state_dir: place.state_dir.path().to_owned(),
            config_only: true,
            given,
            ..InstallArgs::default()
        };
        let error = Box::pin(ferrogate_installer::install(args, None, &place.screen, &host)).await.unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.exit_code(), 2);
    }
    let folders =
        std::fs::read_dir(place.state_dir.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), 0);
}

#[tokio::test]
async fn secrets_are_sealed_anew_and_everything_else_stays_as_the_person_left_it() {
    let place = Place::new();
    let config = place.write().await;
    edit(&config, "zone: zone-a", "zone: zone-b   # moved on Monday");
    edit(&config, "  api_key: ", "  api_key: enc:v1:broken");
    let before = std::fs::read_to_string(&config).unwrap();
    // The proxy's address is sealed too: it is given again as an argument would be.
    let given = GivenArgs { https_proxy: Some("http://site:new@10.20.0.3:3128".into()), ..GivenArgs::default() };
    let args = InstallArgs { config: Some(config.clone()), update_secrets: true, given, ..InstallArgs::default() };
    let outcome = place.run(args).await.unwrap();
    assert!(matches!(outcome, Outcome::SecretsUpdated { .. }));
    let after = std::fs::read_to_string(&config).unwrap();
    for (old, new) in before.lines().zip(after.lines()) {
        if !old.contains("enc:v1:") {
            assert_eq!(old, new);
        }
    }
    assert_eq!(before.lines().count(), after.lines().count());
    let args = InstallArgs { config: Some(config.clone()), config_only: true, ..InstallArgs::default() };
    place.run_without_secrets(args).await.unwrap();
}

fn line_of(config: &Path, text: &str) -> usize {
    let found = std::fs::read_to_string(config).unwrap().lines().position(|line| line.contains(text));
    found.unwrap() + 1
}
