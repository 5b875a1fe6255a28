//! h: what goes wrong is named, with the fix; a machine that fails is replaced by another.

use super::{failure::Failure, install::Configuration, process::Ran, read, scene::Scene};
use ferrogate_lab::control::{Delegation, MachineFault};
use std::{path::Path, time::Duration};

const CLUSTER: &str = "mended";
/// One failed deployment, another machine, Kubernetes.
const CREATION: Duration = Duration::from_secs(15 * 60);
/// The site's own DNS, which delegates the machines' domain.
const SITE_DNS: &str = "10.77.0.1";
/// More disk than any machine of the site has.
const HUGE_GIB: u32 = 100_000;

/// Scenario h.
pub(crate) async fn are_named(scene: &Scene) -> Result<(), Failure> {
    disk_too_small(scene).await?;
    let (configuration, first) = wrong_delegation(scene).await?;
    never_boots(scene, &configuration, &first).await?;
    disk_too_small_for_a_cluster(scene).await?;
    fails_to_deploy(scene).await
}

/// The words must all stand in what was said.
fn says(scene: &Scene, name: &str, ran: &Ran, words: &[&str]) -> Result<(), Failure> {
    let text = ran.all();
    let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).copied().collect();
    let seen = if missing.is_empty() {
        words.join(", ")
    } else {
        format!("`{}` is missing in {}", missing.join("`, `"), ran.said())
    };
    scene.holds(name, missing.is_empty(), seen).map_err(|failure| Failure { read: Some(ran.log.clone()), ..failure })
}

/// A resource pool whose machines have too little disk for a gateway.
async fn disk_too_small(scene: &Scene) -> Result<(), Failure> {
    let configuration = scene.configure_in("small", 1, &[]).await?;
    let ran = scene.install_tries(&configuration).await?;
    scene.holds("with too small a disk the installer refuses", ran.code == Some(1), ran.said())?;
    says(
        scene,
        "it says which machine does not fit, why, and what to do",
        &ran,
        &["does not fit", "GiB of disk", "do this:"],
    )?;
    scene.machines_taken(0).await?;
    remove(&configuration.file)
}

/// The site's DNS does not delegate MAAS's domain.
async fn wrong_delegation(scene: &Scene) -> Result<(Configuration, String), Failure> {
    let asked = scene.site.control().delegate(Delegation::Missing).await;
    scene.site.asked("the delegation to be taken away", asked)?;
    let configuration = scene.configure(1, &["--dns-server", SITE_DNS]).await?;
    let ran = scene.install_tries(&configuration).await?;
    scene.holds("without the delegation the installer refuses", ran.code == Some(1), ran.said())?;
    says(
        scene,
        "it names the DNS server, the delegation and the fix",
        &ran,
        &[SITE_DNS, "delegation to MAAS is missing", "delegate the zone `maas`"],
    )?;
    scene.machines_taken(0).await?;
    let asked = scene.site.control().delegate(Delegation::Correct).await;
    scene.site.asked("the delegation to be put right", asked)?;
    let first = read::would_take(&ran.all()).into_iter().next();
    let first = first
        .ok_or_else(|| Failure::new("the machine that would be taken, in the checks", ran.said()).read(&ran.log))?;
    Ok((configuration, first))
}

/// The machine that would be taken has a dead power supply.
async fn never_boots(scene: &Scene, configuration: &Configuration, machine: &str) -> Result<(), Failure> {
    let asked = scene.site.control().fault(machine, Some(MachineFault::NeverBoots)).await;
    scene.site.asked("a fault", asked)?;
    let ran = scene.install(configuration).await?;
    says(scene, "the machine that never booted is named as Failed", &ran, &[&format!("{machine}: Failed")])?;
    scene.gateway_stands(1).await?;
    let status = scene.site.status().await?;
    let other = status.machines.iter().find(|other| other.status == "Deployed").map(|other| other.hostname.clone());
    let replaced = other.as_deref().is_some_and(|other| other != machine);
    scene.holds(&format!("another machine stands in for {machine}"), replaced, other.unwrap_or_default())
}

/// The same check before a cluster: no machine has what is asked for.
async fn disk_too_small_for_a_cluster(scene: &Scene) -> Result<(), Failure> {
    let text = format!(
        "name: {CLUSTER}\naccount: {}\nspec:\n  domain: maas\n  control_plane:\n    count: 1\n    resource_pool: default\n    \
         min_disk_gib: {HUGE_GIB}\n",
        super::install::GATEWAY
    );
    let file = scene.evidence.keep("huge.yaml", &text)?;
    let plan = scene.person(&["create", "cluster", "--dry-run", "--file"]).arg(file);
    let ran = scene.run("create-huge-dry-run", plan).await?;
    scene.holds("a cluster that no machine's disk is enough for is refused", ran.code == Some(1), ran.said())?;
    let need = format!("{HUGE_GIB} GiB");
    says(
        scene,
        "the plan names the machines, their disks and what is needed",
        &ran,
        &["does not fit", "GiB of disk", &need],
    )
}

/// The machine that a cluster would take fails to deploy.
async fn fails_to_deploy(scene: &Scene) -> Result<(), Failure> {
    let plan = scene.create_cluster(CLUSTER, 0)?.args(["--dry-run", "-o", "json"]);
    let ran = scene.run("create-dry-run", plan).await?.ok("a plan")?;
    let plan = ran.json("a plan")?;
    let machine = plan.pointer("/machines/0/hostname").and_then(|name| name.as_str());
    let machine = machine.ok_or_else(|| Failure::new("the machine that would be taken", ran.said()).read(&ran.log))?;
    let asked = scene.site.control().fault(machine, Some(MachineFault::FailsToDeploy)).await;
    scene.site.asked("a fault", asked)?;
    let minutes = (CREATION.as_secs() / 60).to_string();
    let create = scene.create_cluster(CLUSTER, 0)?.args(["--wait", "--timeout", &minutes]).within(CREATION);
    let ran = scene.run("create-cluster", create).await?;
    scene.holds("the cluster runs all the same", ran.code == Some(0), ran.said())?;
    let events = scene.ferrogate(&["get", "events"]).await?;
    let named = events.out.lines().any(|line| line.contains(machine) && line.to_lowercase().contains("fail"));
    scene
        .holds(&format!("an event names {machine} and that it failed"), named, ran.said())
        .map_err(|failure| Failure { read: Some(events.log.with_extension("out")), ..failure })?;
    let machines = scene.machines().await?;
    let others: Vec<_> = machines
        .iter()
        .filter(|other| other.cluster == CLUSTER && other.state == "Running")
        .map(|other| other.hostname.clone())
        .collect();
    let replaced = !others.is_empty() && others.iter().all(|other| other != machine);
    scene.holds(&format!("another machine stands in for {machine}"), replaced, others.join(", "))?;
    for machine in &scene.site.first.machines {
        let asked = scene.site.control().fault(&machine.hostname, None).await;
        scene.site.asked("the faults to be healed", asked)?;
    }
    Ok(())
}

/// A configuration that is not needed any more would be taken for an unfinished installation.
fn remove(file: &Path) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(file);
    std::fs::remove_dir_all(folder)
        .map_err(|error| Failure::new(format!("to remove {}", folder.display()), error.to_string()))
}
