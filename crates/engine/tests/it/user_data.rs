//! The user-data of each role, byte for byte, and where its secrets are.

use crate::world::{desired, release, spec};
use ferrogate_engine::{
    ClusterMaterials, Desired, Distribution as _, GatewayPayload, K3s, Kind, Node, RenderError, Role,
    cloud_config::{CloudConfig, LIMIT, Mode},
    materials::Authority,
};
use ferrogate_model::{gateway_config::AllowRule, proxy::ProxySettings};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

/// Everything that nobody but root may read.
const SECRETS: [&str; 11] = [
    "key-of-server-ca",
    "key-of-client-ca",
    "key-of-request-header-ca",
    "key-of-etcd-server-ca",
    "key-of-etcd-peer-ca",
    "service-account-key",
    "server-secret",
    "agent-secret",
    "enrolment-secret",
    "proxy-secret",
    "K10",
];

fn fixed() -> ClusterMaterials {
    let authority = |name: &str| Authority {
        certificate_pem: format!("certificate of {name}\n"),
        key_pem: format!("key-of-{name}\n").into(),
    };
    ClusterMaterials {
        created: "2026-11-23T08:00:00Z".parse().unwrap(),
        server_ca: authority("server-ca"),
        client_ca: authority("client-ca"),
        request_header_ca: authority("request-header-ca"),
        etcd_server_ca: authority("etcd-server-ca"),
        etcd_peer_ca: authority("etcd-peer-ca"),
        service_account_key: "service-account-key\n".into(),
        server_token: "server-secret".into(),
        agent_token: "agent-secret".into(),
    }
}

fn tenant() -> Desired {
    let mut spec = spec(1);
    spec["ssh_keys"] = json!(["ssh-ed25519 AAAAC3 alice@example.com"]);
    spec["ntp_servers"] = json!(["ntp.example.com"]);
    spec["workers"][0]["taints"] = json!(["dedicated=db:NoSchedule"]);
    spec["workers"][0]["labels"] = json!({"tier": "front", "node-role.kubernetes.io/db": "true"});
    Desired { materials: fixed(), ..desired(spec) }
}

fn gateway() -> Desired {
    let proxy: ferrogate_model::proxy::ProxyUrl = "http://site:proxy-secret@10.20.0.3:3128".parse().unwrap();
    Desired {
        kind: Kind::Gateway,
        plane_ca_pem: Some("certificate of the plane".into()),
        proxy: ProxySettings { https: Some(proxy), http: None, no_proxy: "10.20.0.0/24".parse().unwrap() },
        gateway: Some(GatewayPayload {
            plane_url: "https://plane.example.com".parse().unwrap(),
            allow: vec![AllowRule { host: "10.20.0.0/24".into(), ports: vec![6443] }],
        }),
        ..tenant()
    }
}

fn render(desired: &Desired, worker: bool, role: &Role) -> CloudConfig {
    let name = "node01".parse().unwrap();
    let pool = if worker { &desired.spec.workers[0] } else { &desired.spec.control_plane };
    let node = Node {
        system_id: "4y3hb3",
        name: &name,
        fqdn: "node01.maas",
        zone: "zone-a",
        architecture: "amd64/generic",
        address: None,
        pool,
    };
    let token = SecretString::from("enrolment-secret");
    let config = K3s.cloud_config(desired, &node, role, &[], Some(&token)).unwrap();
    assert_secrets_are_kept(&config);
    config
}

/// No secret may be in a file that everybody can read, in a command, or in what is logged.
fn assert_secrets_are_kept(config: &CloudConfig) {
    for secret in SECRETS {
        for file in config.files.iter().filter(|file| file.mode == Mode::Public) {
            assert!(!file.content.contains(secret), "{secret} is in {}", file.path);
        }
        assert!(!config.commands.iter().flatten().any(|argument| argument.contains(secret)));
        assert!(!format!("{config:?}").contains(secret));
    }
    for file in config.files.iter().filter(|file| file.path.ends_with(".service")) {
        assert_eq!(file.mode, Mode::Public, "{}", file.path);
    }
    assert!(config.user_data().unwrap().expose_secret().len() < LIMIT);
}

#[test]
fn the_first_server_of_a_cluster() {
    insta::assert_snapshot!(render(&tenant(), false, &Role::FirstServer).render());
}

#[test]
fn a_further_server_of_a_cluster() {
    let role = Role::Server("10.20.0.10".parse().unwrap());
    insta::assert_snapshot!(render(&tenant(), false, &role).render());
}

#[test]
fn an_agent_of_a_cluster() {
    let role = Role::Agent("10.20.0.10".parse().unwrap());
    insta::assert_snapshot!(render(&tenant(), true, &role).render());
}

#[test]
fn the_node_of_a_gateway_behind_a_proxy() {
    insta::assert_snapshot!(render(&gateway(), false, &Role::FirstServer).render());
}

#[test]
fn real_materials_fit_into_plain_user_data() {
    let now = "2026-11-23T08:00:00Z".parse().unwrap();
    let desired = Desired { materials: ClusterMaterials::generate("prod", now).unwrap(), ..gateway() };
    let config = render(&desired, false, &Role::FirstServer);
    assert!(config.render().len() < LIMIT / 2, "{}", config.render().len());
}

#[test]
fn what_cannot_be_rendered_is_named() {
    let desired = tenant();
    let name = "node06".parse().unwrap();
    let node = Node {
        system_id: "4y3hf7",
        name: &name,
        fqdn: "node06.maas",
        zone: "default",
        architecture: "arm64/generic",
        address: None,
        pool: &desired.spec.control_plane,
    };
    let error = K3s.cloud_config(&desired, &node, &Role::FirstServer, &[], None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "release 0.1.0 has nothing for node06.maas's architecture `arm64/generic`; it has amd64"
    );
    let node = Node { architecture: "amd64/generic", ..node };
    let error = K3s.cloud_config(&gateway(), &node, &Role::FirstServer, &[], None).unwrap_err();
    assert!(matches!(error, RenderError::Gateway { what: "enrolment token", .. }), "{error}");
    let mut outside = tenant();
    outside.release = release();
    outside.release.architectures[0].k3s.as_mut().unwrap().path = "https://elsewhere.example/k3s".into();
    let error = K3s.cloud_config(&outside, &node, &Role::FirstServer, &[], None).unwrap_err();
    assert!(matches!(error, RenderError::Address { .. }), "{error}");
}

#[test]
fn a_fixed_address_is_told_to_the_node() {
    let desired = tenant();
    let name = "node01".parse().unwrap();
    let node = Node {
        system_id: "4y3hb3",
        name: &name,
        fqdn: "node01.maas",
        zone: "zone a",
        architecture: "amd64",
        address: Some("10.20.0.77".parse().unwrap()),
        pool: &desired.spec.control_plane,
    };
    let config = K3s.cloud_config(&desired, &node, &Role::FirstServer, &["api.maas".into()], None).unwrap();
    let settings = &config.files.iter().find(|file| file.path == "/etc/rancher/k3s/config.yaml").unwrap().content;
    assert!(settings.contains("\nnode-ip: \"10.20.0.77\"\n") && settings.contains("\n- api.maas\n"), "{settings}");
    assert!(!settings.contains("topology"), "a zone that is no label value is left out: {settings}");
}
