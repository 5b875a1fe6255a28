//! `ferrogate doctor leaks`: what in a MAAS bears a mark of ours and belongs to no cluster that the plane knows; and giving
//! it back, cluster by cluster.
//!
//! MAAS is asked directly, because leaks are where no gateway is any more. The plane is asked what it knows. Nothing is
//! released that the plane was not asked about, and the plane's answer is looked up again right before.

use super::marked::{Found, Marked, MarkedMachine, find};
use super::{failure, maas_client};
use crate::context::PlaneArgs;
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Format};
use crate::{cluster, print};
use async_trait::async_trait;
use clap::Args;
use ferrogate_api::{ApiError, ClusterLookup, Known, Orphan, OrphanKind};
use ferrogate_engine::ownership;
use ferrogate_maas::{Client, Release};
use ferrogate_model::{ClusterId, OrphanId, SystemId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How many ids the plane is asked about at once.
const LOOKUP: usize = 500;

#[derive(Args, Debug)]
pub(crate) struct LeaksArgs {
    #[command(flatten)]
    plane: PlaneArgs,
    /// API endpoint of MAAS
    #[arg(long, env = "FERROGATE_MAAS_ENDPOINT", value_name = "URL")]
    endpoint: String,
    /// File with the API key (`-` reads standard input)
    #[arg(long, env = "FERROGATE_MAAS_API_KEY_FILE", value_name = "FILE")]
    api_key_file: PathBuf,
    /// CA certificates (PEM) to trust for MAAS beside the system's
    #[arg(long, env = "FERROGATE_MAAS_CA_FILE", value_name = "FILE")]
    maas_ca_file: Option<PathBuf>,
    /// Give back everything that bears the mark of this cluster (repeat for several); asks before each
    #[arg(long, value_name = "CLUSTER_ID")]
    release: Vec<ClusterId>,
    /// Do not ask for the cluster's id again
    #[arg(long, requires = "release")]
    yes: bool,
    /// Form of the output
    #[arg(short, long, default_value = "table")]
    output: Format,
}

/// Who says what is known.
#[async_trait]
trait Plane: Sync {
    async fn known(&self, clusters: &[ClusterId]) -> std::result::Result<BTreeMap<ClusterId, Known>, ApiError>;
    async fn orphans(&self) -> std::result::Result<Vec<Orphan>, ApiError>;
    async fn deleted(&self) -> std::result::Result<Vec<ClusterId>, ApiError>;
    async fn resolve(&self, orphan: OrphanId) -> std::result::Result<(), ApiError>;
}

#[async_trait]
impl Plane for ferrogate_api::Client {
    async fn known(&self, clusters: &[ClusterId]) -> std::result::Result<BTreeMap<ClusterId, Known>, ApiError> {
        let mut known = BTreeMap::new();
        for some in clusters.chunks(LOOKUP) {
            let answer = self.lookup_clusters(&ClusterLookup { clusters: some.to_vec() }).await?;
            known.extend(answer.items.into_iter().map(|cluster| (cluster.id, cluster.known)));
        }
        Ok(known)
    }

    async fn orphans(&self) -> std::result::Result<Vec<Orphan>, ApiError> {
        self.all_orphans().await
    }

    async fn deleted(&self) -> std::result::Result<Vec<ClusterId>, ApiError> {
        let all = self.all_clusters().await?;
        Ok(all.into_iter().filter(|cluster| cluster.deleted_at.is_some()).map(|cluster| cluster.id).collect())
    }

    async fn resolve(&self, orphan: OrphanId) -> std::result::Result<(), ApiError> {
        self.resolve_orphan(orphan).await
    }
}

/// What may be a leak.
#[derive(Debug, Serialize)]
struct Leak {
    /// What the plane knows of the cluster; nothing where no plane was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<Known>,
    #[serde(flatten)]
    marked: Marked,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    endpoint: String,
    /// The user whose machines alone were seen, where the key is no administrator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    only_of_user: Option<String>,
    /// Whether a plane was asked what it knows.
    plane_asked: bool,
    leaks: Vec<Leak>,
    /// What the plane has on record as left behind.
    recorded: Vec<Orphan>,
    /// DNS names of the form that we give, of clusters that nothing names.
    names_like_ours: Vec<String>,
    /// What `--release` did, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    released: Vec<String>,
}

pub(crate) async fn run(args: &LeaksArgs) -> Result<()> {
    let (maas, _) = maas_client(&args.endpoint, &args.api_key_file, args.maas_ca_file.as_deref(), args.output)?;
    let plane = match args.plane.client() {
        Ok(plane) => Some(plane),
        Err(why) if args.release.is_empty() => {
            print::note(&format!(
                "note: no plane is asked what it knows ({}), so everything marked is listed",
                why.message
            ));
            None
        }
        Err(why) => {
            return Err(why.with_hint(
                "nothing is released unless a plane says that it does not know it: sign in with `ferrogate login`, or give \
                 --server and --token-file",
            ));
        }
    };
    let plane: Option<&dyn Plane> = plane.as_ref().map(|plane| plane as &dyn Plane);
    let mut findings = look(&maas, plane, &args.release).await?;
    if let (false, Some(plane)) = (args.release.is_empty(), plane) {
        let asked = chosen(&findings, &args.release)?;
        for leak in asked {
            cluster::confirm(
                &what_it_does(leak),
                "what bears the mark of",
                &leak.marked.cluster.to_string(),
                args.yes,
            )?;
        }
        let released = release(&maas, plane, &args.release).await?;
        findings = Findings { released, ..look(&maas, Some(plane), &args.release).await? };
    }
    match args.output {
        Format::Json => print::data(&output::json(&findings)?),
        Format::Yaml => print::data(output::yaml(&findings)?.trim_end()),
        Format::Name => findings.leaks.iter().for_each(|leak| print::data(&leak.marked.cluster.to_string())),
        Format::Table => print_findings(&findings),
    }
    let left = if args.release.is_empty() { findings.leaks.len() } else { held(&findings, &args.release) };
    if left == 0 { Ok(()) } else { Err(remains(&findings, left)) }
}

/// How many of the clusters that were asked for hold something still that is not on its way back.
fn held(findings: &Findings, asked: &[ClusterId]) -> usize {
    let holds = |leak: &&Leak| {
        asked.contains(&leak.marked.cluster)
            && (!leak.marked.names.is_empty() || leak.marked.machines.iter().any(|machine| !machine.is_leaving))
    };
    findings.leaks.iter().filter(holds).count()
}

fn remains(findings: &Findings, left: usize) -> Failure {
    if findings.released.is_empty() && findings.plane_asked {
        return Failure::failed(format!("{left} cluster(s) that the plane does not have hold something in this MAAS"))
            .with_hint("release what is yours with `--release CLUSTER_ID`; another plane may use this MAAS, too");
    }
    if findings.released.is_empty() {
        return Failure::failed(format!(
            "{left} cluster(s) hold something in this MAAS; no plane was asked whose they are"
        ))
        .with_hint("sign in with `ferrogate login`, so that the plane can be asked");
    }
    Failure::failed("not everything was given back")
        .with_hint("what stands in the way is said above; run it again after")
}

async fn look(maas: &Client, plane: Option<&dyn Plane>, asked: &[ClusterId]) -> Result<Findings> {
    let (mut candidates, mut recorded) = (asked.iter().copied().collect::<BTreeSet<_>>(), Vec::new());
    if let Some(plane) = plane {
        recorded = plane.orphans().await?;
        candidates.extend(plane.deleted().await?);
        candidates.extend(recorded.iter().map(|orphan| orphan.cluster_id));
    }
    let Found { marked, names_like_ours } = find(maas, &candidates).await.map_err(|error| failure(&error))?;
    let known = match plane {
        Some(plane) => Some(plane.known(&marked.keys().copied().collect::<Vec<_>>()).await?),
        None => None,
    };
    let leaks = marked.into_values().filter_map(|marked| {
        // What the plane did not answer about is taken for existing.
        let known = known.as_ref().map(|known| known.get(&marked.cluster).copied().unwrap_or(Known::Exists));
        (known != Some(Known::Exists)).then_some(Leak { known, marked })
    });
    let user = maas.whoami().await.map_err(|error| failure(&error))?;
    Ok(Findings {
        endpoint: maas.endpoint().to_string(),
        only_of_user: (!user.is_superuser).then_some(user.username),
        plane_asked: plane.is_some(),
        leaks: leaks.collect(),
        recorded,
        names_like_ours,
        released: Vec::new(),
    })
}

/// The leaks that were asked for; an error for what is none. What is only on record still is none, and is released already.
fn chosen<'a>(findings: &'a Findings, asked: &[ClusterId]) -> Result<Vec<&'a Leak>> {
    let mut chosen = Vec::new();
    for cluster in asked {
        let is_recorded = findings.recorded.iter().any(|orphan| orphan.cluster_id == *cluster);
        match findings.leaks.iter().find(|leak| leak.marked.cluster == *cluster) {
            Some(leak) => chosen.push(leak),
            None if is_recorded => {}
            None => {
                let text = format!("nothing that may be released bears the mark of {cluster}");
                return Err(Failure::new(Exit::NotFound, text).with_hint(
                    "run it without --release to see what does; what a cluster that exists holds is no leak",
                ));
            }
        }
    }
    Ok(chosen)
}

fn what_it_does(leak: &Leak) -> String {
    let Marked { cluster, name, machines, names } = &leak.marked;
    let whose = match leak.known {
        Some(Known::Deleted) => "The plane has deleted it.",
        _ => {
            "This plane has never heard of it, or has forgotten it: IT MAY BELONG TO ANOTHER PLANE that uses this MAAS."
        }
    };
    let label = if name.is_empty() { cluster.to_string() } else { format!("`{name}` ({cluster})") };
    let machines: Vec<_> = machines.iter().map(describe).collect();
    let names: Vec<_> = names.iter().map(|name| name.fqdn.clone()).collect();
    format!(
        "This gives back what bears the mark of cluster {label}: {}. What runs on these machines is lost.\n{whose}\n\
         (It is confirmed with the cluster's id.)",
        [machines, names].concat().join(", ")
    )
}

fn describe(machine: &MarkedMachine) -> String {
    let locked = if machine.is_locked { ", locked" } else { "" };
    format!("{} ({}, {}{locked})", machine.hostname, machine.system_id, machine.status)
}

/// Gives back what bears the marks of these clusters, looking again right before. What cannot be given back is told, and the
/// rest goes on.
async fn release(maas: &Client, plane: &dyn Plane, clusters: &[ClusterId]) -> Result<Vec<String>> {
    let mut done = Vec::new();
    for &cluster in clusters {
        let known = plane.known(&[cluster]).await?.get(&cluster).copied();
        if !matches!(known, Some(Known::Deleted | Known::Unknown)) {
            done.push(format!("{cluster}: the plane knows it now, so nothing of it was released"));
            continue;
        }
        let found = find(maas, &[cluster].into()).await.map_err(|error| failure(&error))?;
        if let Some(marked) = found.marked.get(&cluster) {
            release_marked(maas, marked, &mut done).await;
        }
        let after = find(maas, &[cluster].into()).await.map_err(|error| failure(&error))?;
        settle(maas, plane, cluster, after.marked.get(&cluster), &mut done).await?;
    }
    Ok(done)
}

async fn release_marked(maas: &Client, marked: &Marked, done: &mut Vec<String>) {
    let how = Release {
        comment: Some(format!("ferrogate doctor leaks: cluster {} is unknown to its plane", marked.cluster)),
        ..Release::default()
    };
    for machine in marked.machines.iter().filter(|machine| !machine.is_leaving) {
        done.push(match maas.release(&machine.system_id, &how).await {
            Ok(now) => format!("{}: MAAS takes it back, it is {} now", describe(machine), now.status_name),
            Err(error) => format!("{}: not released: {error}", describe(machine)),
        });
    }
    for name in &marked.names {
        let mut all = Ok(());
        // The address first: without its name nobody would know that it is ours.
        for address in &name.addresses {
            all = all.and(gone_is_good(maas.release_ip(*address).await));
        }
        if all.is_ok() {
            all = gone_is_good(maas.delete_dns_resource(name.id).await);
        }
        done.push(match all {
            Ok(()) => format!("{}: the name and its addresses are removed", name.fqdn),
            Err(error) => format!("{}: not removed: {error}", name.fqdn),
        });
    }
}

fn gone_is_good(
    result: std::result::Result<(), ferrogate_maas::MaasError>,
) -> std::result::Result<(), ferrogate_maas::MaasError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// Ends the plane's records of what bears no mark any more. A record of another address of MAAS stays unless what it names
/// was seen here.
async fn settle(
    maas: &Client,
    plane: &dyn Plane,
    cluster: ClusterId,
    left: Option<&Marked>,
    done: &mut Vec<String>,
) -> Result<()> {
    let is_here = |orphan: &Orphan| match orphan.kind {
        OrphanKind::Machine => left.is_some_and(|left| {
            left.machines.iter().any(|machine| machine.system_id.0 == orphan.name && !machine.is_leaving)
        }),
        OrphanKind::DnsName => left.is_some_and(|left| left.names.iter().any(|name| name.fqdn == orphan.name)),
    };
    let endpoint = maas.endpoint().to_string();
    let recorded = plane.orphans().await?;
    for orphan in recorded.iter().filter(|orphan| orphan.cluster_id == cluster && !is_here(orphan)) {
        let stays = if orphan.maas_endpoint == endpoint {
            may_be_held(maas, cluster, orphan).await
        } else {
            Some(format!("is of the MAAS at {}, which was not asked", orphan.maas_endpoint))
        };
        match stays {
            Some(why) => done.push(format!("{}: its record {} {why}; it stays", orphan.name, orphan.id)),
            None => {
                plane.resolve(orphan.id).await?;
                done.push(format!("{}: its record {} is closed", orphan.name, orphan.id));
            }
        }
    }
    Ok(())
}

/// Why what a record names may still be held although no list shows it: MAAS lists no other user's machines to who is no
/// administrator.
async fn may_be_held(maas: &Client, cluster: ClusterId, orphan: &Orphan) -> Option<String> {
    if orphan.kind != OrphanKind::Machine {
        return None;
    }
    match maas.machine(&SystemId(orphan.name.clone())).await {
        Ok(machine) => match ownership::missing(&cluster, Some(ownership::Seen::of(&machine))) {
            ownership::Missing::Gone => None,
            ownership::Missing::Hidden(why) => Some(format!("is of a machine that {why}")),
        },
        Err(error) if error.is_not_found() => None,
        Err(error) => Some(format!("is of a machine that could not be looked at ({error})")),
    }
}

fn print_findings(found: &Findings) {
    for line in &found.released {
        print::data(line);
    }
    for leak in &found.leaks {
        let whose = match leak.known {
            Some(Known::Deleted) => "deleted in the plane",
            Some(Known::Unknown) => "unknown to the plane; it may be another plane's",
            Some(Known::Exists) | None => "no plane was asked",
        };
        let name = if leak.marked.name.is_empty() { "-" } else { &leak.marked.name };
        print::data(&format!("cluster {} {name}: {whose}", leak.marked.cluster));
        for machine in &leak.marked.machines {
            print::data(&format!("  machine {}", describe(machine)));
        }
        for name in &leak.marked.names {
            let addresses: Vec<_> = name.addresses.iter().map(ToString::to_string).collect();
            print::data(&format!("  name {} {}", name.fqdn, addresses.join(", ")));
        }
    }
    if !found.recorded.is_empty() {
        print::data("on record as left behind (`ferrogate get orphans`):");
    }
    for orphan in &found.recorded {
        print::data(&format!(
            "  {} {} of gateway {}, cluster {}",
            orphan.name, orphan.hostname, orphan.gateway, orphan.cluster_id
        ));
    }
    for name in &found.names_like_ours {
        print::data(&format!(
            "! {name} looks like a name of ours, of a cluster that nothing here names; it is never released"
        ));
    }
    if let Some(user) = &found.only_of_user {
        print::data(&format!(
            "! the key is of `{user}`, who is no administrator of MAAS: machines that other users have were not seen"
        ));
    }
    if found.leaks.is_empty() {
        print::data("✔ nothing in this MAAS bears a mark of ours that the plane does not know");
    }
}

#[cfg(test)]
mod tests;
