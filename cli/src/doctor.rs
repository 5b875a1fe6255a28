//! `ferrogate doctor`. Here `doctor maas`: can a gateway be built with this MAAS and this key?

mod leaks;
mod marked;

use crate::context::{proxy_from_environment, read_secret};
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Format};
use crate::print;
use clap::{Args, Subcommand};
use ferrogate_engine::preflight::{GATEWAY_MIN_CPU, GATEWAY_MIN_DISK_GIB, GATEWAY_MIN_MEMORY_MIB};
use ferrogate_maas::types::{Machine, MachineStatus};
use ferrogate_maas::{ApiKey, Client, ClientOptions, Endpoint, MachineFilter};
use ferrogate_model::{Explain, Fault, SystemClock};
use ferrogate_net::{Direct, Trust};
use secrecy::ExposeSecret;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A doctor is asked when something hangs: it must not hang too.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

#[derive(Subcommand, Debug)]
pub(crate) enum DoctorCommand {
    /// Look at a MAAS through an API key: version, rights, zones, pools, machines that fit a gateway
    #[command(
        after_help = "Example:\n  ferrogate doctor maas --endpoint http://10.11.12.13:5240/MAAS --api-key-file maas.key"
    )]
    Maas(MaasArgs),
    /// List what in a MAAS bears a mark of ours and belongs to no cluster that the plane knows, and give it back
    #[command(
        after_help = "Exit codes: 0 nothing is left, or --release gave everything back · 1 something is there still · 2 --release without a plane to ask · 3 nothing bears that mark · 4 MAAS or the plane refuses the credentials · 5 MAAS or the plane is not reached\n\nA mark names a cluster, not a plane: a cluster that this plane does not know may be another plane's in the same MAAS. So each is released by its id, never all at once.\n\nExample:\n  ferrogate doctor leaks --endpoint http://10.11.12.13:5240/MAAS --api-key-file maas.key\n  ferrogate doctor leaks --endpoint http://10.11.12.13:5240/MAAS --api-key-file maas.key --release cls_01990f3e6b0a7c31a5d2c0ffee123456"
    )]
    Leaks(Box<leaks::LeaksArgs>),
}

#[derive(Args, Debug)]
pub(crate) struct MaasArgs {
    /// API endpoint of MAAS
    #[arg(long, env = "FERROGATE_MAAS_ENDPOINT", value_name = "URL")]
    endpoint: String,
    /// File with the API key (`-` reads standard input)
    #[arg(long, env = "FERROGATE_MAAS_API_KEY_FILE", value_name = "FILE")]
    api_key_file: PathBuf,
    /// CA certificates (PEM) to trust beside the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, default_value = "table")]
    output: Format,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    endpoint: String,
    repairs: Vec<String>,
    version: String,
    user: String,
    administrator: bool,
    may: Vec<String>,
    domains: Vec<String>,
    zones: Vec<Count>,
    resource_pools: Vec<Count>,
    placements: Vec<Placement>,
    machines: usize,
    ready: usize,
    fit_a_gateway: usize,
    images: Vec<String>,
    warnings: Vec<String>,
}

/// A zone or pool with its machines.
#[derive(Debug, Serialize)]
struct Count {
    name: String,
    ready: usize,
    fit_a_gateway: usize,
}

/// A zone and pool together, as the installer asks for them.
#[derive(Debug, Serialize)]
struct Placement {
    zone: String,
    resource_pool: String,
    fit_a_gateway: Vec<String>,
}

pub(crate) async fn run(command: &DoctorCommand) -> Result<()> {
    let args = match command {
        DoctorCommand::Maas(args) => args,
        DoctorCommand::Leaks(args) => return leaks::run(args).await,
    };
    let (client, repairs) = maas_client(&args.endpoint, &args.api_key_file, args.ca_file.as_deref(), args.output)?;
    let endpoint = client.endpoint().clone();
    let findings = look(&client, endpoint.to_string(), repairs).await.map_err(|error| failure(&error))?;
    match args.output {
        Format::Json => print::data(&output::json(&findings)?),
        Format::Yaml => print::data(output::yaml(&findings)?.trim_end()),
        Format::Name => print::data(&findings.endpoint),
        Format::Table => print_findings(&findings),
    }
    if findings.may.is_empty() {
        return Err(Failure::new(
            Exit::Denied,
            format!("the key of `{}` may see no machine and change none", findings.user),
        )
        .with_hint("use the key of a MAAS user who may deploy machines"));
    }
    Ok(())
}

/// A client of the MAAS that is meant, and how its address was repaired, which is told to people.
fn maas_client(
    endpoint: &str,
    api_key_file: &Path,
    ca_file: Option<&Path>,
    format: Format,
) -> Result<(Client, Vec<String>)> {
    let (endpoint, repairs) = Endpoint::parse(endpoint).map_err(|error| Failure::usage(error.to_string()))?;
    let key: ApiKey = read_secret(api_key_file)?
        .expose_secret()
        .parse()
        .map_err(|error| Failure::usage(format!("{}: {error}", api_key_file.display())))?;
    let mut options = ClientOptions::new(endpoint, key, Arc::new(Direct::new()), Arc::new(SystemClock));
    options.deadline = CALL_DEADLINE;
    options.proxy = proxy_from_environment()?;
    if let Some(file) = ca_file {
        let pem = std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("could not read {}: {error}", file.display())))?;
        options.trust = Trust::system().with_ca(pem);
    }
    let client = Client::new(options).map_err(|error| failure(&error))?;
    let repairs: Vec<_> = repairs.iter().map(ToString::to_string).collect();
    if format == Format::Table {
        for repair in &repairs {
            print::note(&format!("note: {repair}"));
        }
    }
    Ok((client, repairs))
}

fn failure(error: &ferrogate_maas::MaasError) -> Failure {
    let exit = match (error.fault(), error.code()) {
        (Fault::Network, _) => Exit::Unreachable,
        (_, code) if code.contains("key") || code.contains("not_allowed") => Exit::Denied,
        _ => Exit::Failed,
    };
    Failure::explained(exit, error)
}

fn fits(machine: &Machine) -> bool {
    machine.status == MachineStatus::Ready
        && !machine.locked
        && machine.cpu_count >= GATEWAY_MIN_CPU
        && machine.memory >= GATEWAY_MIN_MEMORY_MIB
        && machine.has_disk_of(GATEWAY_MIN_DISK_GIB)
}

fn count<'a>(name: &str, machines: impl Iterator<Item = &'a Machine>) -> Count {
    let machines: Vec<_> = machines.collect();
    Count {
        name: name.to_owned(),
        ready: machines.iter().filter(|machine| machine.status == MachineStatus::Ready).count(),
        fit_a_gateway: machines.iter().filter(|machine| fits(machine)).count(),
    }
}

fn pool_of(machine: &Machine) -> &str {
    machine.pool.as_ref().map_or("default", |pool| pool.name.as_str())
}

async fn look(
    client: &Client,
    endpoint: String,
    repairs: Vec<String>,
) -> std::result::Result<Findings, ferrogate_maas::MaasError> {
    // In this order the first failure names the first cause: path, then key, then rights.
    let version = client.version().await?;
    let user = client.whoami().await?;
    let machines = client.machines(&MachineFilter::default()).await?;
    let zones = client.zones().await?;
    let pools = client.pools().await?;
    let mut domains = client.domains().await?;
    domains.sort_by_key(|domain| !domain.is_default);
    let mut images: Vec<_> = client
        .boot_resources()
        .await?
        .into_iter()
        .map(|image| format!("{} {}", image.name, image.architecture.split('/').next().unwrap_or_default()))
        .collect();
    images.sort();
    images.dedup();
    let mut placements = Vec::new();
    for zone in &zones {
        for pool in &pools {
            let mut names: Vec<_> = machines
                .iter()
                .filter(|machine| machine.zone.name == zone.name && pool_of(machine) == pool.name && fits(machine))
                .map(|machine| machine.hostname.clone())
                .collect();
            names.sort();
            if !names.is_empty() {
                placements.push(Placement {
                    zone: zone.name.clone(),
                    resource_pool: pool.name.clone(),
                    fit_a_gateway: names,
                });
            }
        }
    }
    let ready = machines.iter().filter(|machine| machine.status == MachineStatus::Ready).count();
    let fit = machines.iter().filter(|machine| fits(machine)).count();
    let mut may = Vec::new();
    if user.is_superuser {
        may.extend(["allocate", "deploy", "release", "administer"].map(str::to_owned));
    } else if !machines.is_empty() || !pools.is_empty() {
        // MAAS has no call that tells an ordinary user's rights; who sees a pool may deploy from it.
        may.extend(["allocate", "deploy", "release its own"].map(str::to_owned));
    }
    let mut warnings = Vec::new();
    if fit == 0 {
        warnings.push(format!(
            "no Ready machine fits a gateway ({GATEWAY_MIN_CPU} CPU, {GATEWAY_MIN_MEMORY_MIB} MiB, {GATEWAY_MIN_DISK_GIB} GiB); commission one, or release one that is not used"
        ));
    } else if placements.iter().all(|placement| placement.fit_a_gateway.len() < 3) {
        warnings.push(
            "no zone and pool together have the 3 machines that a highly available gateway needs; one node works"
                .into(),
        );
    }
    if !images.iter().any(|image| image.starts_with("ubuntu/")) {
        warnings.push("MAAS has no Ubuntu image; import one under Images".into());
    }
    Ok(Findings {
        endpoint,
        repairs,
        version: version.version,
        user: user.username,
        administrator: user.is_superuser,
        may,
        domains: domains.into_iter().map(|domain| domain.name).collect(),
        zones: zones
            .iter()
            .map(|zone| count(&zone.name, machines.iter().filter(|m| m.zone.name == zone.name)))
            .collect(),
        resource_pools: pools
            .iter()
            .map(|pool| count(&pool.name, machines.iter().filter(|m| pool_of(m) == pool.name)))
            .collect(),
        placements,
        machines: machines.len(),
        ready,
        fit_a_gateway: fit,
        images,
        warnings,
    })
}

fn print_findings(found: &Findings) {
    let counts = |list: &[Count]| {
        list.iter()
            .map(|count| format!("{} ({} ready, {} fit)", count.name, count.ready, count.fit_a_gateway))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let role = if found.administrator { "administrator" } else { "ordinary user" };
    print::data(&output::fields(&[
        ("MAAS", format!("{} at {}", found.version, found.endpoint)),
        ("Key of", format!("{} ({role})", found.user)),
        ("May", found.may.join(", ")),
        ("Domains", found.domains.join(", ")),
        ("Zones", counts(&found.zones)),
        ("Pools", counts(&found.resource_pools)),
        ("Machines", format!("{}; {} Ready; {} fit a gateway", found.machines, found.ready, found.fit_a_gateway)),
        ("Images", found.images.join(", ")),
    ]));
    print::data("\nwhere a gateway fits:");
    if found.placements.is_empty() {
        print::data("  nowhere now");
    }
    for place in &found.placements {
        print::data(&format!(
            "  zone {}, pool {}: {}",
            place.zone,
            place.resource_pool,
            place.fit_a_gateway.join(", ")
        ));
    }
    for warning in &found.warnings {
        print::data(&format!("! {warning}"));
    }
    if found.warnings.is_empty() {
        print::data("✔ a gateway can be installed with this MAAS and this key");
    }
}
