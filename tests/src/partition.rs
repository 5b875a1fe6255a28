//! e: plane and site lose each other for half a minute and for ten, and find each other again.

use super::{
    cluster::CLUSTER,
    failure::Failure,
    reach::{self, Reach},
    read::{Machine, Node, Pod},
    scene::{Look, Scene},
};
use ferrogate_lab::netns::PLANE;
use std::{net::SocketAddr, time::Duration};
use tokio::time::Instant;

const SHORT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(600);
/// A gateway tries again at the latest after this, and the plane has noted it.
const RECONNECTED: Duration = Duration::from_secs(150);

/// The plane's port for everybody.
const HTTPS: u16 = 443;
/// How long the site waits for the plane before that counts as silence: the way is one computer long, and the first SYN is
/// repeated once within it.
const SILENCE: Duration = Duration::from_secs(3);

/// What must be the same before and after.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    gateways: Vec<String>,
    accounts: usize,
    clusters: Vec<String>,
    machines: Vec<Machine>,
    /// Name and boot: a node that restarted is another.
    nodes: Vec<(String, String)>,
    pods: Vec<Pod>,
}

async fn picture(scene: &Scene) -> Result<Picture, Failure> {
    Ok(Picture {
        gateways: scene.gateways().await?.into_iter().map(|gateway| gateway.id).collect(),
        accounts: scene.accounts().await?.len(),
        clusters: scene
            .clusters()
            .await?
            .into_iter()
            .map(|cluster| format!("{} {}", cluster.id, cluster.state))
            .collect(),
        // What is said about a machine changes while nobody can look at it.
        machines: scene.machines().await?.into_iter().map(|one| Machine { reason: String::new(), ..one }).collect(),
        nodes: scene.nodes(CLUSTER).await?.into_iter().map(|node: Node| (node.name, node.boot_id)).collect(),
        pods: scene.pods(CLUSTER, "app=web").await?,
    })
}

/// Whether a host of the site reaches the plane.
async fn from_site(scene: &Scene) -> Result<Reach, Failure> {
    reach::from(scene.site.site_netns(), SocketAddr::new(PLANE.into(), HTTPS), SILENCE).await
}

/// Scenario e. The long one leaves the slot to others: nothing happens meanwhile, which is the point.
pub(crate) async fn both(scene: &Scene) -> Result<(), Failure> {
    one(scene, SHORT).await?;
    scene.rest();
    one(scene, LONG).await
}

async fn one(scene: &Scene, length: Duration) -> Result<(), Failure> {
    let word = format!("{} s", length.as_secs());
    let before = picture(scene).await?;
    let events = scene.maas_events().await?.len();
    // The gateway's own machine is a control plane too.
    let of_cluster = |machine: &&Machine| machine.cluster == CLUSTER && machine.pool.starts_with("control");
    let control_plane = before.machines.iter().find(of_cluster);
    let control_plane = control_plane
        .map(|machine| machine.hostname.clone())
        .ok_or_else(|| Failure::new("the cluster's control-plane machine", format!("{:?}", before.machines)))?;
    // What is silent during the partition must not have been silent before.
    let open = from_site(scene).await?;
    scene.holds(&format!("{word}: before, the plane is reached from the site"), open == Reach::Open, open.word())?;
    let asked = scene.site.control().partition(Some(length.as_secs())).await;
    scene.site.asked("a partition", asked)?;
    let end = Instant::now() + length;
    let cut = format!("{word}: meanwhile the plane cannot be reached from the site, and the site is not told");
    let reach = from_site(scene).await?;
    scene.holds(&cut, reach == Reach::Silence, reach.word())?;
    if length > Duration::from_secs(120) {
        scene
            .comes(&format!("{word}: the plane calls the gateway Unreachable"), length / 2, async || {
                let gateway = scene.gateway().await?;
                let away = gateway.health == "Unreachable";
                Ok(if away { Look::Come(()) } else { Look::NotYet(gateway.health) })
            })
            .await?;
    }
    // The site's own people see a cluster that works, as often as there is time to look.
    let mut looks = 0;
    while Instant::now() + Duration::from_secs(12) < end {
        let nodes = scene.nodes_on(&control_plane).await?;
        let away: Vec<_> = nodes.iter().filter(|node| !node.ready).map(|node| node.name.as_str()).collect();
        if !away.is_empty() || nodes.len() != before.nodes.len() {
            let name = format!("{word}: the cluster works on without the plane");
            return scene.holds(&name, false, format!("{} nodes, not Ready: {}", nodes.len(), away.join(", ")));
        }
        let reach = from_site(scene).await?;
        if reach != Reach::Silence {
            return scene.holds(&cut, false, format!("after {looks} looks: {}", reach.word()));
        }
        looks += 1;
        let pause = length.min(Duration::from_secs(60)) / 3;
        tokio::time::sleep_until((Instant::now() + pause).min(end)).await;
    }
    scene.holds(
        &format!("{word}: the cluster works on without the plane"),
        looks > 0,
        format!("looked {looks} times"),
    )?;
    tokio::time::sleep_until(end).await;
    let healed = Instant::now();
    scene
        .comes(&format!("{word}: after it the plane is reached from the site"), RECONNECTED, async || {
            let reach = from_site(scene).await?;
            Ok(if reach == Reach::Open { Look::Come(()) } else { Look::NotYet(reach.word()) })
        })
        .await?;
    scene
        .comes(&format!("{word}: the gateway reconnects by itself"), RECONNECTED, async || {
            let gateway = scene.gateway().await?;
            let back = gateway.health == "Healthy" && gateway.state == "Running";
            Ok(if back { Look::Come(()) } else { Look::NotYet(format!("{}, {}", gateway.state, gateway.health)) })
        })
        .await?;
    scene.fact(&format!("reconnected_after_{}_s_partition_seconds", length.as_secs()), healed.elapsed().as_secs());
    scene
        .comes(&format!("{word}: kubectl through the plane works again"), RECONNECTED, async || {
            let nodes = scene.nodes(CLUSTER).await?;
            let ready = nodes.iter().all(|node| node.ready);
            Ok(if ready { Look::Come(()) } else { Look::NotYet(format!("{nodes:?}")) })
        })
        .await?;
    let name = format!("{word}: the same gateway, account, cluster, machines, boots and pods as before");
    scene
        .comes(&name, RECONNECTED, async || {
            let after = picture(scene).await?;
            let same = before == after;
            Ok(if same { Look::Come(()) } else { Look::NotYet(format!("before {before:?}; after {after:?}")) })
        })
        .await?;
    let more = scene.maas_events().await?.len().saturating_sub(events);
    scene.holds(&format!("{word}: nothing happened to a machine in MAAS"), more == 0, format!("{more} new events"))
}
