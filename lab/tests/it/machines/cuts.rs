//! Power that is lost while a machine becomes a node: the product's user-data comes through, and without the `sync` in it
//! it does not.

use super::{
    cluster::{BUNDLE, Cluster, STARTED, replace},
    support::{Bench, eventually},
};
use ferrogate_join::{ClusterKind, Role, cloud_config::CloudConfig};
use ferrogate_lab::Backend as _;
use ferrogate_model::SystemId;
use std::time::Duration;

/// What a server says when it has started.
const UP: &str = "API server listens";
/// Is there once everything is unpacked.
const INSTALLED: &str = "var/lib/ferrogate-node/installed";

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

async fn until_said_again(bench: &Bench, machine: &SystemId, words: &str) {
    eventually(&format!("{words}, after the cut"), async || {
        let said = last_boot(bench, machine).await;
        if said.contains(words) { Ok(()) } else { Err(said) }
    })
    .await;
}

/// Power is lost so long after the machine called itself Deployed, before it could download anything.
async fn cut_after_deployed(change: impl Fn(&mut CloudConfig), seconds: u64) -> (Cluster, SystemId) {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let bench = &cluster.bench;
    bench.lab.proxy().stop().await;
    let (machine, _) = cluster.deploy_changed("cp-0", &Role::FirstServer, change).await;
    bench.until_status(&machine, "Deployed").await;
    pass(seconds).await;
    cut(bench, &machine).await;
    bench.lab.proxy().resume().unwrap();
    (cluster, machine)
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_loses_power_after_it_was_deployed_becomes_a_node_all_the_same() {
    for seconds in [0, 4, 6, 20, 60] {
        let (cluster, machine) = cut_after_deployed(|_| (), seconds).await;
        until_said_again(&cluster.bench, &machine, STARTED).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_sync_of_its_user_data_it_never_would() {
    let without = |config: &mut CloudConfig| {
        let before = config.commands.len();
        config.commands.retain(|command| command[..] != ["sync"]);
        assert_eq!(config.commands.len() + 1, before);
    };
    let (cluster, machine) = cut_after_deployed(without, 10).await;
    pass(600).await;
    let said = last_boot(&cluster.bench, &machine).await;
    assert!(!said.contains(UP), "it came up without any sync:\n{said}");
    assert!(said.contains("this instance was configured on an earlier boot"), "{said}");
    assert!(!said.contains("Starting ferrogate-node.service"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_loses_power_after_it_came_up_starts_again() {
    for seconds in [0, 4, 6, 20, 60] {
        let cluster = Cluster::memory(ClusterKind::Tenant).await;
        let (machine, address) = cluster.deploy("cp-0", &Role::FirstServer).await;
        cluster.bench.until_said(&machine, STARTED).await;
        pass(seconds).await;
        cut(&cluster.bench, &machine).await;
        until_said_again(&cluster.bench, &machine, UP).await;
        cluster.bench.admin(address).until_ready(&["cp-0"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_between_download_and_mark_is_taken_up_again_at_the_next_boot() {
    for seconds in [0, 6, 12] {
        let cluster = Cluster::memory(ClusterKind::Tenant).await;
        let bench = &cluster.bench;
        // The download succeeds and the check fails: there is something in the cache, and nothing is installed.
        let whole = bench.replace_file(BUNDLE, b"something else".to_vec());
        let (machine, _) = cluster.deploy("cp-0", &Role::FirstServer).await;
        bench.until_said(&machine, "computed checksum did NOT match").await;
        pass(seconds).await;
        bench.lab.machines().power_cut(&machine).await;
        let root = bench.lab.machines().root(&machine).unwrap();
        assert!(!root.join(INSTALLED).exists());
        bench.replace_file(BUNDLE, whole);
        bench.maas.power_on(&machine, None).await.unwrap();
        until_said_again(bench, &machine, STARTED).await;
        assert!(root.join(INSTALLED).exists());
    }
}

#[tokio::test(start_paused = true)]
async fn a_further_server_that_loses_power_after_it_joined_starts_again() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (_, address, kube) = cluster.first().await;
    let second = cluster.server("cp-1", address).await;
    kube.until_ready(&["cp-0", "cp-1"]).await;
    pass(10).await;
    cut(&cluster.bench, &second).await;
    until_said_again(&cluster.bench, &second, UP).await;
    kube.until_ready(&["cp-0", "cp-1"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_loses_power_right_after_it_joined_is_still_let_in() {
    for seconds in [0, 10] {
        let cluster = Cluster::memory(ClusterKind::Tenant).await;
        let (_, address, kube) = cluster.first().await;
        let (worker, _) = cluster.deploy("w-0", &Role::Agent(address)).await;
        kube.until_ready(&["cp-0", "w-0"]).await;
        pass(seconds).await;
        cut(&cluster.bench, &worker).await;
        until_said_again(&cluster.bench, &worker, "node w-0 registered").await;
        kube.until_ready(&["cp-0", "w-0"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_power_off_loses_nothing() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let unsynced = |config: &mut CloudConfig| {
        config.commands.retain(|command| command[..] != ["sync"]);
        for unit in ["node", "join"] {
            replace(config, &format!("/etc/systemd/system/ferrogate-{unit}.service"), "ExecStart=/usr/bin/sync\n", "");
        }
    };
    let (machine, address) = cluster.deploy_changed("cp-0", &Role::FirstServer, unsynced).await;
    cluster.bench.until_said(&machine, STARTED).await;
    cluster.bench.lab.machines().power_off(&machine).await;
    cluster.bench.maas.power_on(&machine, None).await.unwrap();
    until_said_again(&cluster.bench, &machine, UP).await;
    cluster.bench.admin(address).until_ready(&["cp-0"]).await;
}
