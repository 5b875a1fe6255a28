//! f: the installer and the plane are killed in the middle, run again, and it comes to the same end.

use super::{
    failure::Failure,
    install::{Configuration, INSTALLATION},
    process::Running,
    scene::{Look, Scene},
};
use ferrogate_lab::control::MachineStatus;
use std::time::Duration;
use tokio::time::Instant;

const CLUSTER: &str = "killed";
/// From one moment of an installation to the next.
const NEXT: Duration = Duration::from_secs(8 * 60);
const CONVERGED: Duration = Duration::from_secs(15 * 60);
/// How long the plane is away.
const AWAY: Duration = Duration::from_secs(5);
/// A moment that is watched for passes quickly.
const GLANCE: Duration = Duration::from_millis(300);

/// Scenario f.
pub(crate) async fn converges(scene: &Scene) -> Result<(), Failure> {
    let configuration = scene.configure(1, &[]).await?;
    killed_when(scene, &configuration, "it has paired", async |run| {
        Ok(std::fs::read_to_string(run).is_ok_and(|text| text.contains("] Pairing (")))
    })
    .await?;
    killed_when(scene, &configuration, "a machine deploys", async |_| any(scene, |m| m.status == "Deploying").await)
        .await?;
    killed_when(scene, &configuration, "Kubernetes starts", async |_| any(scene, |m| m.status == "Deployed").await)
        .await?;

    // Now the plane goes away under the installer, which waits for it or is run again.
    let mut install = scene.install_begins(&configuration).await?;
    tokio::time::sleep(AWAY).await;
    plane_is_killed(scene, "while a gateway is installed").await?;
    let ran = install.end_within(INSTALLATION).await?;
    scene.keep_install_log(&configuration);
    if ran.code == Some(0) {
        scene.say("the installer went on when the plane was back");
    } else {
        scene.say(&format!("the installer ended ({}) and is run again", ran.said()));
        scene.install(&configuration).await?;
    }
    scene.gateway_stands(1).await?;
    scene.machines_taken(1).await?;
    scene.no_machine_twice(1).await?;

    let create = scene.create_cluster(CLUSTER, 1)?;
    scene.run("create-cluster", create).await?.ok("the cluster to be accepted")?;
    scene
        .comes("a machine of the cluster deploys", NEXT, async || {
            let come = any(scene, |machine| machine.status == "Deploying").await?;
            Ok(if come { Look::Come(()) } else { Look::NotYet("none does".into()) })
        })
        .await?;
    plane_is_killed(scene, "while a machine of a cluster deploys").await?;
    scene
        .comes("two machines are Deployed", NEXT, async || {
            let count =
                scene.site.status().await?.machines.iter().filter(|machine| machine.status == "Deployed").count();
            Ok(if count >= 2 { Look::Come(()) } else { Look::NotYet(format!("{count}")) })
        })
        .await?;
    plane_is_killed(scene, "while Kubernetes starts on a cluster's machine").await?;
    scene
        .comes(&format!("cluster {CLUSTER} is Running all the same"), CONVERGED, async || {
            let cluster = scene.cluster(CLUSTER).await?;
            let seen = format!("{}, {} machines: {}", cluster.state, cluster.running_machines, cluster.reason);
            let well = cluster.state == "Running" && cluster.running_machines == 2;
            Ok(if well { Look::Come(()) } else { Look::NotYet(seen) })
        })
        .await?;
    scene.nodes_ready(CLUSTER, 2).await?;
    scene.machines_taken(3).await?;
    scene.no_machine_twice(3).await
}

async fn any(scene: &Scene, is: impl Fn(&MachineStatus) -> bool) -> Result<bool, Failure> {
    Ok(scene.site.status().await?.machines.iter().any(is))
}

/// Runs the installer until a moment has come, then kills it.
async fn killed_when(
    scene: &Scene,
    configuration: &Configuration,
    moment: &str,
    come: impl AsyncFn(&std::path::Path) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut install: Running = scene.install_begins(configuration).await?;
    let log = install.log();
    let end = Instant::now() + NEXT;
    while !come(&log).await? {
        if let Some(ran) = install.ended()? {
            return Err(Failure::new(format!("the installer to run until {moment}"), ran.said()).read(ran.log));
        }
        if Instant::now() >= end {
            let expected = format!("the moment when {moment} within {} s", NEXT.as_secs());
            return Err(Failure::new(expected, "it did not come").read(log));
        }
        tokio::time::sleep(GLANCE).await;
    }
    install.kill().await?;
    scene.keep_install_log(configuration);
    let status = scene.site.status().await?;
    let taken: Vec<_> = status
        .machines
        .iter()
        .filter(|machine| machine.status != "Ready")
        .map(|machine| format!("{} {}", machine.hostname, machine.status))
        .collect();
    scene.holds(&format!("killed when {moment}: at most one machine is taken"), taken.len() <= 1, taken.join(", "))
}

/// The plane's process is killed and started again.
async fn plane_is_killed(scene: &Scene, when: &str) -> Result<(), Failure> {
    let asked = scene.site.control().plane_kill().await;
    scene.site.asked("the plane to be killed", asked)?;
    tokio::time::sleep(AWAY).await;
    let asked = scene.site.control().plane_start().await;
    scene.site.asked("the plane to start again", asked)?;
    scene
        .comes(&format!("the plane, killed {when}, answers again"), Duration::from_secs(60), async || {
            scene.gateways().await.map(|_| Look::Come(()))
        })
        .await
}
