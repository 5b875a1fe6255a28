//! What holds for the user-data of every kind of cluster, in every role.

use crate::cluster::{Case, cluster, render};
use ferrogate_firstboot::Kubeadm;
use ferrogate_join::{
    ClusterKind, Node, NodeConfiguration, Role, SetupError,
    cloud_config::{LIMIT, Mode},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;

/// Every kind and role.
fn all() -> Vec<Case> {
    let server = "10.20.0.10".parse().unwrap();
    let shared = ["10.20.0.200".to_owned(), "prod-0123.maas".to_owned()];
    let mut all = Vec::new();
    for kind in [ClusterKind::Gateway, ClusterKind::Tenant] {
        for role in [Role::FirstServer, Role::Server(server), Role::Agent(server)] {
            for names in [&[][..], &shared] {
                all.push(render(cluster(kind), role.clone(), names));
            }
        }
    }
    all
}

/// The lines of a key that are nobody else's, and every token.
fn secrets(configuration: &NodeConfiguration) -> Vec<String> {
    let materials = &configuration.materials;
    let authorities = [
        &materials.server_ca,
        &materials.client_ca,
        &materials.request_header_ca,
        &materials.etcd_server_ca,
        &materials.etcd_peer_ca,
    ];
    let keys = authorities.map(|authority| &authority.key_pem).into_iter().chain([&materials.service_account_key]);
    // The first line of a key is the same for all keys.
    let mut all: Vec<String> = keys.map(|key| key.expose_secret().lines().nth(2).unwrap().to_owned()).collect();
    let tokens = [
        &materials.server_token,
        &materials.agent_token,
        &materials.bootstrap_token(),
        &materials.secrets_encryption_key(),
    ]
    .map(|token| token.expose_secret().to_owned());
    all.extend(tokens);
    let bootstrap = materials.bootstrap_token();
    all.push(bootstrap.expose_secret().split_once('.').unwrap().1.to_owned());
    all.extend(["enrolment-secret", "proxy-secret", "PRIVATE KEY"].map(str::to_owned));
    all
}

#[test]
fn no_secret_is_where_everybody_reads() {
    for case in all() {
        for secret in secrets(&case.configuration) {
            for file in case.config.files.iter().filter(|file| file.mode == Mode::Public) {
                assert!(!file.content.contains(&secret), "{}: a secret is in {}", case.name, file.path);
            }
            assert!(!case.config.commands.iter().flatten().any(|argument| argument.contains(&secret)));
            assert!(!format!("{:?}", case.config).contains(&secret));
        }
    }
}

#[test]
fn an_agent_is_handed_no_key_of_an_authority() {
    for case in all().into_iter().filter(|case| matches!(case.role, Role::Agent(_))) {
        for file in &case.config.files {
            assert!(!file.content.contains("PRIVATE KEY"), "{}: {}", case.name, file.path);
        }
        let server = case.configuration.materials.server_token.expose_secret();
        assert!(!case.config.render().contains(server), "{}", case.name);
    }
}

#[test]
fn user_data_is_a_document_that_fits() {
    #[derive(Deserialize)]
    struct Read {
        write_files: Vec<ReadFile>,
        runcmd: Vec<Vec<String>>,
    }
    #[derive(Deserialize)]
    struct ReadFile {
        path: String,
        permissions: String,
        owner: String,
    }
    for case in all() {
        let text = case.config.user_data().unwrap();
        assert!(text.expose_secret().len() < LIMIT / 2, "{}: {}", case.name, text.expose_secret().len());
        let read: Read = serde_saphyr::from_str(text.expose_secret()).unwrap();
        let paths: BTreeSet<&str> = read.write_files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths.len(), case.config.files.len(), "{}: two files of one path", case.name);
        assert!(paths.iter().all(|path| path.starts_with('/')), "{}", case.name);
        assert!(read.write_files.iter().all(|file| file.owner == "root:root"));
        assert!(read.write_files.iter().all(|file| ["0600", "0644"].contains(&file.permissions.as_str())));
        let started = ["systemctl", "enable", "--now", "--no-block", "ferrogate-node.service"];
        assert!(read.runcmd.iter().any(|command| *command == started), "{}", case.name);
        // Nothing may come after it: what a machine that calls itself Deployed has not on its disk, a power cut takes.
        assert_eq!(*read.runcmd.last().unwrap(), ["sync"], "{}", case.name);
    }
}

/// A unit that is started must be there, and nothing may need a shell.
#[test]
fn units_run_plain_programs_and_start_units_that_are_there() {
    for case in all() {
        let there: BTreeSet<&str> = case.units().map(|(name, _)| name).collect();
        for (name, text) in case.units() {
            for line in text.lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
                let mut arguments = line.split_whitespace();
                let program = arguments.next().unwrap().trim_start_matches('-');
                assert!(program.starts_with('/'), "{} {name}: {line}", case.name);
                assert!(!["sh", "bash", "dash", "env"].contains(&program.rsplit('/').next().unwrap()), "{line}");
                for unit in arguments.filter(|argument| argument.ends_with(".service")) {
                    assert!(
                        there.contains(unit) || unit.starts_with("systemd-"),
                        "{} {name} starts {unit}, which is not there",
                        case.name
                    );
                }
            }
            for file in text.lines().filter_map(|line| line.strip_prefix("EnvironmentFile=")) {
                assert!(file.starts_with('-') || !case.file(file).is_empty(), "{} {name}: {file}", case.name);
            }
        }
    }
}

/// Whatever is downloaded comes from the plane and is checked before anything is done with anything.
#[test]
fn downloads_are_checked_before_they_are_used() {
    for case in all() {
        let unit = case.file("/etc/systemd/system/ferrogate-node.service");
        let lines: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("ExecStart=")).collect();
        let kinds: Vec<usize> = lines
            .iter()
            .map(|line| match line.split_whitespace().next().unwrap() {
                "/usr/bin/curl" => 0,
                "/usr/bin/sha256sum" => 1,
                _ => 2,
            })
            .collect();
        assert!(kinds.is_sorted(), "{}: {lines:#?}", case.name);
        let fetched = kinds.iter().filter(|kind| **kind == 0).count();
        assert_eq!(kinds.iter().filter(|kind| **kind == 1).count(), fetched);
        assert!(fetched > 0);
        for line in lines.iter().filter(|line| line.starts_with("/usr/bin/curl")) {
            assert!(line.contains("--cacert /etc/ferrogate/plane-ca.pem"), "{line}");
            let mut arguments = line.split_whitespace().rev();
            let (address, cached) = (arguments.next().unwrap(), arguments.next().unwrap());
            assert!(address.starts_with(case.configuration.artifacts_url.as_str()), "{line}");
            let name = cached.rsplit('/').next().unwrap();
            let sums = case.file(&format!("/etc/ferrogate/{name}.sha256"));
            let architecture = &case.configuration.release.architectures[0];
            let artifact = architecture.artifacts().find(|artifact| address.ends_with(&artifact.path)).unwrap();
            assert_eq!(sums, format!("{}  {cached}\n", artifact.sha256));
        }
    }
}

/// The engine knows a node of its own by its labels, the API server by its names.
#[test]
fn a_node_says_whose_it_is_and_a_first_server_how_it_is_called() {
    for case in all() {
        let everything: String = case.config.files.iter().map(|file| file.content.as_str()).collect();
        for label in ["ferrogate.io/machine=4y3hb3", "topology.kubernetes.io/zone=zone-a"] {
            assert!(everything.contains(label), "{}: {label}", case.name);
        }
        if case.role == Role::FirstServer {
            let shared = case.name.contains("prod-0123.maas");
            assert_eq!(everything.contains("prod-0123.maas"), shared, "{}", case.name);
            assert_eq!(everything.contains("10.20.0.200"), shared, "{}", case.name);
            for name in ["kubernetes", "node01.maas", "192.168.0.0/16", "10.43.0.0/16"] {
                assert!(everything.contains(name), "{}: {name}", case.name);
            }
            assert!(everything.contains("name: ferrogate:admins"), "{}: the plane's roles", case.name);
        }
        let gateway = everything.contains("enrolment-secret");
        assert_eq!(gateway, case.configuration.kind == ClusterKind::Gateway, "{}", case.name);
    }
}

#[test]
fn what_cannot_be_rendered_is_named() {
    let configuration = cluster(ClusterKind::Gateway);
    let name = "node06".parse().unwrap();
    let node = Node {
        system_id: "4y3hf7",
        name: &name,
        fqdn: "node06.maas",
        zone: "default",
        architecture: "arm64/generic",
        address: None,
        pool: &configuration.spec.control_plane,
    };
    let error = Kubeadm.cloud_config(&configuration, &node, &Role::FirstServer, &[], None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "release 0.1.0 has nothing for node06.maas's architecture `arm64/generic`; it has amd64"
    );
    assert!(matches!(error, SetupError::Architecture { .. }), "{error}");
    let node = Node { architecture: "amd64/generic", ..node };
    let error = Kubeadm.cloud_config(&configuration, &node, &Role::FirstServer, &[], None).unwrap_err();
    assert!(matches!(error, SetupError::Gateway { what: "enrolment token", .. }), "{error}");
    let mut outside = cluster(ClusterKind::Tenant);
    outside.release.architectures[0].kubeadm.path = "https://elsewhere.example/bundle".into();
    let error = Kubeadm.cloud_config(&outside, &node, &Role::FirstServer, &[], None).unwrap_err();
    assert!(matches!(error, SetupError::Address { .. }), "{error}");
}

#[test]
fn what_may_not_be_a_labels_value_or_key_is_left_to_the_api() {
    let mut configuration = cluster(ClusterKind::Tenant);
    configuration.spec.workers[0].labels = [("tier", "front"), ("node-role.kubernetes.io/db", "true")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let name = "node01".parse().unwrap();
    let node = Node {
        system_id: "4y3hb3",
        name: &name,
        fqdn: "node01.maas",
        zone: "zone a",
        architecture: "amd64",
        address: None,
        pool: &configuration.spec.workers[0],
    };
    let role = Role::Agent("10.20.0.10".parse().unwrap());
    let config = Kubeadm.cloud_config(&configuration, &node, &role, &[], None).unwrap();
    let file = config.files.iter().find(|file| file.path.ends_with("/kubeadm.yaml")).unwrap();
    assert!(file.content.contains("ferrogate.io/pool=work,tier=front"), "{}", file.content);
    assert!(!file.content.contains("topology") && !file.content.contains("node-role"), "{}", file.content);
}

#[test]
fn people_and_time_servers_are_those_of_the_specification() {
    let mut configuration = cluster(ClusterKind::Tenant);
    configuration.spec.ntp_servers = vec!["ntp.example.com".to_owned()];
    let case = render(configuration, Role::FirstServer, &[]);
    let read: serde_json::Value = serde_saphyr::from_str(&case.config.render()).unwrap();
    assert_eq!(read["ssh_authorized_keys"], json!(["ssh-ed25519 AAAAC3 alice@example.com"]));
    assert_eq!(read["ntp"], json!({"enabled": true, "servers": ["ntp.example.com"]}));
}
