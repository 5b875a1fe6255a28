//! g: everything is deleted, and nothing is left.

use super::{
    failure::Failure,
    install::GATEWAY,
    maas,
    scene::{Look, Scene},
};
use std::time::Duration;

const DELETION: Duration = Duration::from_secs(10 * 60);
/// MAAS wipes disks after the plane has let go of a machine.
const WIPED: Duration = Duration::from_secs(240);

/// Scenario g.
pub(crate) async fn everything(scene: &Scene) -> Result<(), Failure> {
    scene.portrait().await;
    for cluster in scene.clusters().await? {
        if cluster.state != "Deleted" {
            delete(scene, "cluster", &cluster.name).await?;
        }
    }
    for gateway in scene.gateways().await? {
        if gateway.state != "Deleted" {
            delete(scene, "gateway", &gateway.name).await?;
        }
    }
    gone(scene).await
}

/// Deletes by the command line and waits.
pub(crate) async fn delete(scene: &Scene, kind: &str, name: &str) -> Result<(), Failure> {
    let minutes = (DELETION.as_secs() / 60).to_string();
    let program = scene.person(&["delete", kind, name, "--yes", "--wait", "--timeout", &minutes]).within(DELETION);
    let ran = scene.run(&format!("delete-{kind}-{name}"), program).await?;
    scene.holds(&format!("{kind} {name} is deleted"), ran.code == Some(0), ran.said())
}

/// MAAS, the machines and the plane have nothing of ours any more.
///
/// MAAS erases what was Deployed. The disk of a machine whose last deployment failed stays as it is: nobody ever ran on it.
pub(crate) async fn gone(scene: &Scene) -> Result<(), Failure> {
    let failed = maas::failed(&scene.maas_events().await?);
    if !failed.is_empty() {
        scene.say(&format!("not asked about: the disks of {}, whose last deployment failed", failed.join(", ")));
    }
    scene
        .comes("every machine is Ready, off and wiped; no address and no name is left", WIPED, async || {
            let mut left = scene.site.leftovers().await?;
            left.disks_with_data.retain(|machine| !failed.contains(machine));
            Ok(if left.is_empty() { Look::Come(()) } else { Look::NotYet(format!("{left:?}")) })
        })
        .await?;
    let machines = scene.machines().await?;
    let seen: Vec<_> = machines.iter().map(|machine| format!("{} {}", machine.hostname, machine.state)).collect();
    scene.holds("the plane has no machine", machines.is_empty(), seen.join(", "))?;
    let gateways: Vec<_> = scene.gateways().await?.into_iter().filter(|gateway| gateway.state != "Deleted").collect();
    scene.holds(&format!("gateway {GATEWAY} is gone"), gateways.is_empty(), format!("{gateways:?}"))
}
