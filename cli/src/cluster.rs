//! `ferrogate create cluster`, `scale cluster` and `delete`.

use crate::context::PlaneArgs;
use crate::exit::{Failure, Result};
use crate::output::{self, Format};
use crate::{follow, print};
use clap::{Args, Subcommand};
use ferrogate_api::{CheckStatus, ClusterCreate, ClusterDelete, ClusterPlan, ClusterUpdate, GatewayForceDelete};
use ferrogate_model::Name;
use ferrogate_model::cluster::{ClusterSpec, PoolSpec, control_plane_name};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Subcommand, Debug)]
pub(crate) enum CreateCommand {
    /// Ask for a Kubernetes cluster on MAAS machines
    #[command(
        after_help = "Example:\n  ferrogate create cluster web --account maas-pcg-1 --control-plane 1 --workers 2 --wait\n  ferrogate create cluster -f web.yaml --dry-run"
    )]
    Cluster(Box<CreateClusterArgs>),
}

#[derive(Args, Debug)]
pub(crate) struct CreateClusterArgs {
    /// Name of the cluster
    #[arg(required_unless_present = "file")]
    name: Option<Name>,
    /// YAML or JSON file with `name`, `account` and `spec`, as the API takes them
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["name", "account", "control_plane", "workers", "pool", "zone", "domain"])]
    file: Option<PathBuf>,
    /// Cloud account (name or id); may be left out where there is only one
    #[arg(long)]
    account: Option<String>,
    /// Control-plane nodes: 1, 3 or 5
    #[arg(long, default_value_t = 1, value_name = "N")]
    control_plane: u32,
    /// Worker nodes
    #[arg(long, default_value_t = 0, value_name = "N")]
    workers: u32,
    /// MAAS resource pool
    #[arg(long, default_value = "default")]
    pool: String,
    /// MAAS availability zones to spread over (repeat or separate by commas); any where not given
    #[arg(long, value_delimiter = ',')]
    zone: Vec<String>,
    /// MAAS domain for the machines' names
    #[arg(long, default_value = "maas")]
    domain: String,
    /// Show what would be taken and checked; create nothing
    #[arg(long)]
    dry_run: bool,
    /// Wait until the cluster runs
    #[arg(long)]
    wait: bool,
    /// How long to wait, in minutes
    #[arg(long, default_value_t = 60, value_name = "MINUTES")]
    timeout: u64,
    /// Form of the output
    #[arg(short, long, default_value = "table")]
    output: Format,
}

#[derive(Subcommand, Debug)]
pub(crate) enum DeleteCommand {
    /// Delete a cluster and give its machines back
    Cluster(DeleteArgs),
    /// Delete a gateway and give its machines back; refused while clusters run behind it
    Gateway {
        #[command(flatten)]
        args: DeleteArgs,
        /// End a deletion that is stuck, whatever is left behind in MAAS; that is recorded (`get orphans`)
        #[arg(long)]
        force: bool,
    },
    /// Delete a cloud account; refused while clusters use it
    Account(DeleteArgs),
}

#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Name (or id)
    name: String,
    /// Do not ask for the name again
    #[arg(long)]
    yes: bool,
    /// Wait until everything is given back
    #[arg(long)]
    wait: bool,
    /// How long to wait, in minutes
    #[arg(long, default_value_t = 60, value_name = "MINUTES")]
    timeout: u64,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ScaleCommand {
    /// Change how many machines a worker pool has
    Cluster {
        /// Name (or id) of the cluster
        name: String,
        /// Worker pool
        #[arg(long, default_value = "workers")]
        pool: Name,
        /// Machines it shall have
        #[arg(long, value_name = "N")]
        count: u32,
        /// Wait until it is so
        #[arg(long)]
        wait: bool,
        /// How long to wait, in minutes
        #[arg(long, default_value_t = 60, value_name = "MINUTES")]
        timeout: u64,
    },
}

/// Reads YAML (of which JSON is a part); errors tell line and column.
fn read_file(file: &Path) -> Result<ClusterCreate> {
    let text =
        if file.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.map_err(|error| Failure::usage(format!("could not read {}: {error}", file.display())))?;
    serde_saphyr::from_str(&text).map_err(|error| {
        Failure::usage(format!("{} is not a cluster: {error}", file.display()))
            .with_hint("the fields are described in docs/guides/clusters.md")
    })
}

fn pool(name: Name, count: u32, args: &CreateClusterArgs) -> PoolSpec {
    PoolSpec {
        name,
        count,
        resource_pool: args.pool.clone(),
        zones: args.zone.clone(),
        min_cpu: None,
        min_memory_mib: None,
        min_disk_gib: None,
        tags: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        taints: Vec::new(),
    }
}

async fn from_flags(client: &ferrogate_api::Client, args: &CreateClusterArgs) -> Result<ClusterCreate> {
    let name = args.name.clone().ok_or_else(|| Failure::usage("no name is given"))?;
    let account = match &args.account {
        Some(account) => account.clone(),
        None => match client.all_accounts().await?.as_slice() {
            [only] => only.name.to_string(),
            [] => {
                return Err(Failure::failed("there is no cloud account yet")
                    .with_hint("install a gateway first: `ferrogate pairing create`"));
            }
            several => {
                let names: Vec<_> = several.iter().map(|account| account.name.as_str()).collect();
                return Err(Failure::usage(format!("there are several cloud accounts: {}", names.join(", ")))
                    .with_hint("say which with --account"));
            }
        },
    };
    let workers = "workers".parse().map_err(|error| Failure::usage(format!("{error}")))?;
    let spec = ClusterSpec {
        domain: args.domain.clone(),
        kubernetes_version: None,
        image: None,
        ssh_keys: Vec::new(),
        ntp_servers: Vec::new(),
        pod_cidr: ferrogate_model::address::DEFAULT_POD_CIDR.into(),
        service_cidr: ferrogate_model::address::DEFAULT_SERVICE_CIDR.into(),
        control_plane: pool(control_plane_name(), args.control_plane, args),
        workers: if args.workers == 0 { Vec::new() } else { vec![pool(workers, args.workers, args)] },
    };
    Ok(ClusterCreate { name, account, spec })
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes.saturating_mul(60))
}

fn print_plan(plan: &ClusterPlan, format: Format) -> Result<()> {
    match format {
        Format::Json => print::data(&output::json(plan)?),
        Format::Yaml => print::data(output::yaml(plan)?.trim_end()),
        Format::Table | Format::Name => {
            for check in &plan.checks {
                let mark = match check.status {
                    CheckStatus::Pass => "✔",
                    CheckStatus::Warn => "!",
                    CheckStatus::Fail => "✖",
                    CheckStatus::Skip => "-",
                };
                print::data(&format!("{mark} {}: {}", check.title, check.seen));
                if let Some(fix) = &check.fix {
                    print::data(&format!("    {fix}"));
                }
            }
            print::data("\nmachines that would be taken:");
            for m in &plan.machines {
                print::data(&format!(
                    "  {:<14} {:<16} {:<10} {} CPU, {} MiB, {} GiB",
                    m.pool, m.hostname, m.zone, m.cpu, m.memory_mib, m.disk_gib
                ));
            }
        }
    }
    Ok(())
}

pub(crate) async fn create(plane: &PlaneArgs, command: &CreateCommand) -> Result<()> {
    let CreateCommand::Cluster(args) = command;
    let client = plane.client()?;
    let request = match &args.file {
        Some(file) => read_file(file)?,
        None => from_flags(&client, args).await?,
    };
    if args.dry_run {
        let plan = client.plan_cluster(&request).await?;
        print_plan(&plan, args.output)?;
        return if plan.ok {
            Ok(())
        } else {
            Err(Failure::failed("the cluster could not be built as asked; nothing was touched"))
        };
    }
    let accepted = client.create_cluster(&request).await?;
    let name = accepted.cluster.name.clone();
    if !args.wait {
        output::one(&accepted.cluster, args.output, true)?;
        print::note(&format!("follow it with `ferrogate get operation {} --watch`", accepted.operation.id));
        return Ok(());
    }
    print::note(&format!("creating cluster {name}"));
    follow::operation(&client, accepted.operation.id, minutes(args.timeout)).await?;
    output::one(&client.cluster(name.as_str()).await?, args.output, true)?;
    print::note(&format!("next: `ferrogate kubeconfig {name}` lets kubectl in"));
    Ok(())
}

pub(crate) async fn scale(plane: &PlaneArgs, command: &ScaleCommand) -> Result<()> {
    let ScaleCommand::Cluster { name, pool, count, wait, timeout } = command;
    let client = plane.client()?;
    let cluster = client.cluster(name).await?;
    let mut spec = cluster.spec.clone();
    let known: Vec<_> = spec.workers.iter().map(|pool| pool.name.to_string()).collect();
    let Some(found) = spec.workers.iter_mut().find(|candidate| candidate.name == *pool) else {
        return Err(Failure::new(crate::exit::Exit::NotFound, format!("cluster {name} has no worker pool `{pool}`"))
            .with_hint(format!(
                "its worker pools: {}",
                if known.is_empty() { "none".into() } else { known.join(", ") }
            )));
    };
    found.count = *count;
    let accepted =
        client.update_cluster(name, &ClusterUpdate { spec, if_generation: Some(cluster.generation) }).await?;
    if *wait {
        follow::operation(&client, accepted.operation.id, minutes(*timeout)).await?;
    }
    output::one(&client.cluster(name).await?, Format::Table, true)
}

/// Dangerous verbs ask for the name; `what_it_does` is a sentence.
pub(crate) fn confirm(what_it_does: &str, what: &str, name: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let term = console::Term::stderr();
    if !console::user_attended() {
        return Err(Failure::usage(format!("giving up {what} {name} wants to be confirmed and nobody can be asked"))
            .with_hint("give --yes"));
    }
    term.write_str(&format!("{what_it_does} Type `{name}` to go on: "))?;
    if term.read_line()?.trim() != name {
        return Err(Failure::failed("the name was not repeated; nothing was deleted"));
    }
    Ok(())
}

pub(crate) async fn delete(plane: &PlaneArgs, command: &DeleteCommand) -> Result<()> {
    let client = plane.client()?;
    let (operation, args, what) = match command {
        DeleteCommand::Cluster(args) => {
            let cluster = client.cluster(&args.name).await?;
            let what_it_does = format!("This gives back every machine of cluster {}.", cluster.name);
            confirm(&what_it_does, "cluster", cluster.name.as_str(), args.yes)?;
            let request = ClusterDelete { confirm_name: cluster.name.to_string() };
            (client.delete_cluster(&args.name, &request).await?.operation, args, "cluster")
        }
        DeleteCommand::Gateway { args, force: false } => {
            let gateway = client.gateway(&args.name).await?;
            let what_it_does = format!("This gives back every machine of gateway {}.", gateway.name);
            confirm(&what_it_does, "gateway", gateway.name.as_str(), args.yes)?;
            (client.delete_gateway(&args.name).await?, args, "gateway")
        }
        DeleteCommand::Gateway { args, force: true } => return force_delete(&client, args).await,
        DeleteCommand::Account(args) => {
            client.delete_account(&args.name).await?;
            print::note(&format!("cloud account {} is deleted", args.name));
            return Ok(());
        }
    };
    if args.wait {
        follow::operation(&client, operation.id, minutes(args.timeout)).await?;
        print::note(&format!("{what} {} is gone; its machines are given back", args.name));
    } else {
        print::note(&format!(
            "deleting {what} {}; follow it with `ferrogate get operation {} --watch`",
            args.name, operation.id
        ));
    }
    Ok(())
}

/// Ends a gateway whose deletion is stuck. What may be left behind is told before and after.
async fn force_delete(client: &ferrogate_api::Client, args: &DeleteArgs) -> Result<()> {
    let gateway = client.gateway(&args.name).await?;
    let what_it_does = format!(
        "Gateway {} is {}: {}\nThis ends it although its machines may be held in MAAS still, and nothing of ours will give \
         them back by itself.",
        gateway.name, gateway.state, gateway.reason
    );
    confirm(&what_it_does, "gateway", gateway.name.as_str(), args.yes)?;
    let request = GatewayForceDelete { confirm_name: gateway.name.to_string() };
    let operation = client.force_delete_gateway(&args.name, &request).await?;
    if args.wait {
        follow::operation(client, operation.id, minutes(args.timeout)).await?;
    }
    print::note(&format!(
        "gateway {} is ended by force; `ferrogate get orphans` lists what may be left behind, `ferrogate doctor leaks` finds \
         and releases it",
        gateway.name
    ));
    Ok(())
}
