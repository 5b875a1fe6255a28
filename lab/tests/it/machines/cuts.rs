//! Power that is lost while a machine becomes a node: the product's user-data comes through, and without the `sync` in it
//! it does not.

use super::support::{Bench, NodeFiles, Role, VERSION, eventually, hex};
use ferrogate_engine::{Desired, Distribution as _, K3s, Kind, Node, Role as ProductRole};
use ferrogate_lab::{Backend as _, k3s::simulated_binary};
use ferrogate_model::{ClusterId, SystemId, proxy::ProxySettings};
use secrecy::ExposeSecret as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// What the product's k3s units do once k3s is ready.
const SYNC_WHEN_READY: &str = "ExecStartPost=/usr/bin/sync";
/// What a server says when it has started.
const UP: &str = "API server listens";

/// The product's own user-data for the first server of a cluster.
fn user_data(bench: &Bench) -> String {
    user_data_of(bench, "cp-0", &ProductRole::FirstServer)
}

fn user_data_of(bench: &Bench, name: &str, role: &ProductRole) -> String {
    let sum = hex(&Sha256::digest(simulated_binary(VERSION)));
    let desired = Desired {
        cluster: ClusterId::new(),
        name: "cut".parse().unwrap(),
        kind: Kind::Tenant,
        spec: serde_json::from_value(json!({"control_plane": {"count": 1, "resource_pool": "default"}})).unwrap(),
        release: serde_json::from_value(json!({
            "version": "0.1.0", "kubernetes": VERSION, "os_image": "ubuntu/noble",
            "gateway_image_ref": "ferrogate/gateway:0.1.0",
            "architectures": [{
                "name": "amd64", "k3s": {"path": "k3s", "sha256": sum},
                "gateway_image": {"path": "gateway.tar", "sha256": "0".repeat(64)},
            }],
        }))
        .unwrap(),
        materials: bench.materials.clone(),
        artifacts_url: format!("{}/", bench.artifacts()).parse().unwrap(),
        plane_ca_pem: Some(bench.ca_pem.clone()),
        proxy: ProxySettings {
            https: Some(bench.lab.proxy().url().expose_secret().parse().unwrap()),
            http: None,
            no_proxy: format!("{},.maas", bench.lab.subnet()).parse().unwrap(),
        },
        gateway: None,
        absent: false,
    };
    let name = name.parse().unwrap();
    let node = Node {
        system_id: "4y3hb3",
        name: &name,
        fqdn: "node.maas",
        zone: "default",
        architecture: "amd64/generic",
        address: None,
        pool: &desired.spec.control_plane,
    };
    K3s.cloud_config(&desired, &node, role, &[], None).unwrap().render()
}

/// User-data without the lines that are, or begin with, one of these.
fn without(user_data: &str, lines: &[&str]) -> String {
    let text: String = user_data
        .split_inclusive('\n')
        .filter(|line| !lines.iter().any(|taken| line.trim_start().starts_with(taken)))
        .collect();
    assert!(text.len() < user_data.len(), "the user-data has none of {lines:?}:\n{user_data}");
    text
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Takes the power away and gives it back; what the console says from then on is what [`last_boot`] returns.
async fn cut(bench: &Bench, machine: &SystemId) {
    bench.lab.machines().power_cut(machine).await;
    bench.maas.power_on(machine, None).await.unwrap();
}

/// What the machine has said since it last got power.
async fn last_boot(bench: &Bench, machine: &SystemId) -> String {
    let console = bench.console(machine).await;
    console.rsplit_once(" booting ").map(|(_, after)| after.to_owned()).unwrap_or_default()
}

async fn until_up(bench: &Bench, machine: &SystemId) {
    eventually("the server is up again", async || {
        let said = last_boot(bench, machine).await;
        if said.contains(UP) { Ok(()) } else { Err(said) }
    })
    .await;
}

/// Fails unless the machine does not become a server in ten minutes; what it said.
async fn stays_down(bench: &Bench, machine: &SystemId) -> String {
    pass(600).await;
    let said = last_boot(bench, machine).await;
    assert!(!said.contains(UP), "it came up without any sync:\n{said}");
    said
}

/// Power is lost so long after the machine called itself Deployed, before it could download anything.
async fn cut_after_deployed(user_data: impl Fn(&Bench) -> String, seconds: u64) -> (Bench, SystemId) {
    let bench = Bench::memory().await;
    bench.lab.proxy().stop().await;
    let machine = bench.deploy(&user_data(&bench)).await;
    bench.until_status(&machine, "Deployed").await;
    pass(seconds).await;
    cut(&bench, &machine).await;
    bench.lab.proxy().resume().unwrap();
    (bench, machine)
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_loses_power_after_it_was_deployed_becomes_a_node_all_the_same() {
    for seconds in [0, 4, 6, 20, 60] {
        let (bench, machine) = cut_after_deployed(user_data, seconds).await;
        until_up(&bench, &machine).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_sync_of_its_user_data_it_never_would() {
    let (bench, machine) = cut_after_deployed(|bench| without(&user_data(bench), &["- [sync]"]), 10).await;
    let said = stays_down(&bench, &machine).await;
    assert!(said.contains("this instance was configured on an earlier boot"), "{said}");
    assert!(!said.contains("Starting ferrogate-node.service"), "{said}");
}

/// Power is lost so long after the server was up.
async fn cut_after_installed(user_data: impl Fn(&Bench) -> String, seconds: u64) -> (Bench, SystemId) {
    let bench = Bench::memory().await;
    let machine = bench.deploy(&user_data(&bench)).await;
    bench.until_said(&machine, UP).await;
    pass(seconds).await;
    cut(&bench, &machine).await;
    (bench, machine)
}

#[tokio::test(start_paused = true)]
async fn what_was_installed_is_whole_after_a_cut_or_is_installed_again() {
    // What k3s syncs of its own accord comes later, and on some nodes never.
    let unit_alone = |bench: &Bench| without(&user_data(bench), &[SYNC_WHEN_READY]);
    for seconds in [0, 4, 6, 20, 60] {
        let (bench, machine) = cut_after_installed(unit_alone, seconds).await;
        until_up(&bench, &machine).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_sync_before_its_mark_an_empty_program_counts_as_installed() {
    let syncs = ["ExecStart=/usr/bin/sync", SYNC_WHEN_READY];
    let (bench, machine) = cut_after_installed(|bench| without(&user_data(bench), &syncs), 10).await;
    let said = stays_down(&bench, &machine).await;
    assert!(said.contains("ferrogate-node.service skipped"), "{said}");
    assert!(said.contains("/usr/local/bin/k3s: exec format error (the file is empty)"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_cut_between_download_and_mark_is_taken_up_again_at_the_next_boot() {
    for seconds in [0, 6, 12] {
        let bench = Bench::memory().await;
        // The download succeeds and the check fails: there is something in the cache, and nothing is installed.
        bench.files.lock().unwrap().insert("/artifacts/k3s".into(), b"something else".to_vec());
        let machine = bench.deploy(&user_data(&bench)).await;
        bench.until_said(&machine, "computed checksum did NOT match").await;
        pass(seconds).await;
        bench.lab.machines().power_cut(&machine).await;
        let root = bench.lab.machines().root(&machine).unwrap();
        assert!(!root.join("var/lib/ferrogate-node/installed").exists());
        bench.files.lock().unwrap().insert("/artifacts/k3s".into(), simulated_binary(VERSION));
        bench.maas.power_on(&machine, None).await.unwrap();
        until_up(&bench, &machine).await;
        assert!(root.join("var/lib/ferrogate-node/installed").exists());
    }
}

/// Two servers, of which the second loses its power ten seconds after it became ready.
async fn cut_after_joined(change: impl Fn(String) -> String) -> (Bench, SystemId) {
    let bench = Bench::memory().await;
    let first = bench.deploy(&user_data(&bench)).await;
    bench.until_status(&first, "Deployed").await;
    let address = bench.address(&first).await;
    let kube = bench.admin(address);
    kube.until_ready(&["cp-0"]).await;
    let second = bench.deploy(&change(user_data_of(&bench, "cp-1", &ProductRole::Server(address)))).await;
    kube.until_ready(&["cp-0", "cp-1"]).await;
    pass(10).await;
    cut(&bench, &second).await;
    (bench, second)
}

#[tokio::test(start_paused = true)]
async fn a_further_server_that_loses_power_after_it_joined_starts_again() {
    let (bench, second) = cut_after_joined(|text| text).await;
    until_up(&bench, &second).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_sync_when_it_is_ready_a_further_server_has_empty_keys() {
    let (bench, second) = cut_after_joined(|text| without(&text, &[SYNC_WHEN_READY])).await;
    let said = stays_down(&bench, &second).await;
    assert!(said.contains("server-ca"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_loses_power_right_after_it_joined_is_still_let_in() {
    for seconds in [0, 10] {
        let bench = Bench::memory().await;
        let first = bench.deploy(&user_data(&bench)).await;
        bench.until_status(&first, "Deployed").await;
        let address = bench.address(&first).await;
        let worker = bench.deploy(&user_data_of(&bench, "w-0", &ProductRole::Agent(address))).await;
        bench.until_said(&worker, "node w-0 registered").await;
        pass(seconds).await;
        cut(&bench, &worker).await;
        eventually("it has joined again", async || {
            let said = last_boot(&bench, &worker).await;
            if said.contains("node w-0 registered") || said.contains("joined https") { Ok(()) } else { Err(said) }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_power_off_loses_nothing() {
    let bench = Bench::memory().await;
    let machine = bench.deploy(&without(&user_data(&bench), &["ExecStart=/usr/bin/sync", "- [sync]"])).await;
    bench.until_said(&machine, UP).await;
    bench.lab.machines().power_off(&machine).await;
    bench.maas.power_on(&machine, None).await.unwrap();
    until_up(&bench, &machine).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_a_cut_left_empty_does_not_count_and_the_console_says_so() {
    let bench = Bench::memory().await;
    let machine = bench.deploy(&NodeFiles::new(&bench, "cp-0", &Role::First).text()).await;
    bench.until_status(&machine, "Deployed").await;
    let kube = bench.admin(bench.address(&machine).await);
    kube.until_ready(&["cp-0"]).await;
    bench.lab.machines().power_cut(&machine).await;
    let image = "var/lib/rancher/k3s/agent/images/gateway.tar";
    std::fs::write(bench.lab.machines().root(&machine).unwrap().join(image), "").unwrap();
    bench.maas.power_on(&machine, None).await.unwrap();
    eventually("the image is not there", async || {
        let said = last_boot(&bench, &machine).await;
        let complains = said.contains(&format!("failed to import images from /{image}: the file is empty"));
        if complains && said.contains("ErrImageNeverPull") { Ok(()) } else { Err(said) }
    })
    .await;
}
