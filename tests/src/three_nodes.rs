//! d: a gateway of three nodes loses any one of them.

use super::{
    failure::Failure,
    process::Program,
    scene::{Look, Scene},
};
use serde_json::Value;
use std::time::Duration;

/// A cluster of one machine, to have something that must stay reachable.
const CLUSTER: &str = "one";
/// The plane misses a node's pings, then says so.
const NOTICED: Duration = Duration::from_secs(120);
/// Another node takes the virtual address and the tunnel's work over.
const TAKEN_OVER: Duration = Duration::from_secs(90);
/// A machine boots, Kubernetes starts, the node is Ready, the gateway on it connects.
const BACK: Duration = Duration::from_secs(5 * 60);
const ETCD: [&str; 12] = [
    "sudo",
    "curl",
    "--silent",
    "--show-error",
    "--max-time",
    "10",
    "--cacert",
    "/etc/kubernetes/pki/etcd/ca.crt",
    "--cert",
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
    "--key",
    "/etc/kubernetes/pki/etcd/healthcheck-client.key",
];

/// The address of the gateway cluster's API on the installer's last page.
fn endpoint_of(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Kubernetes "))?;
    Some(line.trim().trim_end_matches('/').to_owned()).filter(|address| address.starts_with("https://"))
}

/// The names of the voting members in etcd's answer.
fn voters(answer: &Value) -> Vec<String> {
    let members = answer["members"].as_array().into_iter().flatten();
    let mut names: Vec<_> = members
        .filter(|member| member["isLearner"] != true)
        .filter_map(|member| member["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Scenario d.
pub(crate) async fn any_may_fail(scene: &Scene) -> Result<(), Failure> {
    let configuration = scene.configure(3, &[]).await?;
    let ran = scene.install(&configuration).await?;
    scene.fact("install_to_running_seconds", ran.took.as_secs());
    scene.gateway_stands(3).await?;
    let nodes = scene.machines_taken(3).await?;
    scene.no_machine_twice(3).await?;
    let endpoint = endpoint_of(&ran.all()).ok_or_else(|| {
        Failure::new("the address of the gateway's Kubernetes on the last page", ran.said()).read(&ran.log)
    })?;
    members(scene, &nodes[0], 3).await?;
    virtual_address_answers(scene, &endpoint, "with all nodes").await?;
    scene.cluster_runs(CLUSTER, 0).await?;
    // From here on most of the time is waiting; whoever needs the computer may have it.
    scene.rest();
    for node in &nodes {
        let others: Vec<_> = nodes.iter().filter(|other| *other != node).cloned().collect();
        loses(scene, node, &others, &endpoint).await?;
    }
    Ok(())
}

/// Etcd's voting members, asked on a node.
async fn members(scene: &Scene, node: &str, count: usize) -> Result<(), Failure> {
    let list: Vec<&str> =
        ETCD.into_iter().chain(["--data", "'{}'", "https://127.0.0.1:2379/v3/cluster/member/list"]).collect();
    let ran = scene.ssh(node, &list).await?;
    let names = voters(&ran.json("etcd's members")?);
    scene.holds(&format!("etcd has {count} voting members"), names.len() == count, names.join(", "))
}

/// The API answers at its virtual address, for somebody in the site.
async fn virtual_address_answers(scene: &Scene, endpoint: &str, when: &str) -> Result<(), Failure> {
    scene
        .comes(&format!("the virtual address {endpoint} answers, {when}"), TAKEN_OVER, async || {
            let curl = Program::new("curl")
                .args(["--silent", "--show-error", "--insecure", "--noproxy", "*", "--max-time", "5"])
                .arg(format!("{endpoint}/livez"))
                .netns(scene.site.site_netns());
            let ran = scene.run("virtual-address", curl).await?;
            // Even a refusal of somebody without a name is an answer of the API server.
            let answers = ran.code == Some(0) && (ran.out.trim() == "ok" || ran.out.contains("\"kind\""));
            Ok(if answers { Look::Come(()) } else { Look::NotYet(ran.said()) })
        })
        .await
}

/// One node loses its power, and gets it back.
async fn loses(scene: &Scene, node: &str, others: &[String], endpoint: &str) -> Result<(), Failure> {
    let asked = scene.site.control().cut(node).await;
    scene.site.asked("a power cut", asked)?;
    scene.say(&format!("{node} has lost its power"));
    scene
        .comes(&format!("without {node} the gateway is Running and Degraded, and it is named"), NOTICED, async || {
            let gateway = scene.gateway().await?;
            let described = scene.ferrogate(&["describe", "gateway", &gateway.name]).await?;
            let named = gateway.reason.contains(node) || names_away(&described.out, node);
            let seen = format!("{}, {}: {}", gateway.state, gateway.health, gateway.reason);
            let so = gateway.state == "Running" && gateway.health == "Degraded" && named;
            Ok(if so { Look::Come(()) } else { Look::NotYet(seen) })
        })
        .await?;
    scene
        .comes(&format!("without {node} cluster {CLUSTER} is reachable through the plane"), TAKEN_OVER, async || {
            let nodes = scene.nodes(CLUSTER).await?;
            let well = nodes.len() == 1 && nodes[0].ready;
            Ok(if well { Look::Come(()) } else { Look::NotYet(format!("{nodes:?}")) })
        })
        .await?;
    virtual_address_answers(scene, endpoint, &format!("without {node}")).await?;
    let status = scene.site.status().await?;
    // The plane may have switched it on already: that is its job too.
    if status.machine(node).is_some_and(|machine| machine.power != "on") {
        let asked = scene.site.control().power_on(node).await;
        scene.site.asked("power", asked)?;
    }
    scene
        .comes(&format!("{node} comes back and the gateway is Healthy"), BACK, async || {
            let gateway = scene.gateway().await?;
            let nodes = scene.nodes_on(&others[0]).await?;
            let ready = nodes.iter().filter(|node| node.ready).count();
            let well = gateway.health == "Healthy" && gateway.connected_nodes == 3 && ready == 3;
            let seen = format!(
                "{}, {} connected, {ready} of {} nodes Ready",
                gateway.health,
                gateway.connected_nodes,
                nodes.len()
            );
            Ok(if well { Look::Come(()) } else { Look::NotYet(seen) })
        })
        .await?;
    members(scene, node, 3).await
}

/// Whether the table of a gateway's nodes shows this one as not connected.
fn names_away(described: &str, node: &str) -> bool {
    described.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.first().is_some_and(|name| name.split('.').next() == Some(node)) && words.get(1) == Some(&"no")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_page_names_the_address() {
        let page = "  Machine     amber-heron.maas  10.77.0.10  zone default\n  Kubernetes  https://10.77.0.20:6443/\n";
        assert_eq!(endpoint_of(page).as_deref(), Some("https://10.77.0.20:6443"));
        assert_eq!(endpoint_of("  Kubernetes  is not there\n"), None);
    }

    #[test]
    fn learners_do_not_vote() {
        let answer = json!({"members": [{"name": "b"}, {"name": "a"}, {"name": "c", "isLearner": true}]});
        assert_eq!(voters(&answer), ["a", "b"]);
    }

    #[test]
    fn a_node_that_is_away_is_found_in_the_table() {
        let table = "NODE         CONNECTED  VERSION\namber-heron  no         0.1.0\ncalm-lynx    yes        0.1.0\n";
        assert!(names_away(table, "amber-heron") && !names_away(table, "calm-lynx"));
    }
}
