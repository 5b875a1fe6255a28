//! `ferrogate get` and `ferrogate describe`.

use crate::context::PlaneArgs;
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Format, Row};
use crate::print;
use clap::Args;
use ferrogate_api::{Account, ApiError, Client, Cluster, Gateway, Operation, Orphan};
use ferrogate_model::OperationId;
use std::time::Duration;

/// How often `--watch` looks where nothing is pushed.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Gateways.
    #[value(alias = "gateway", alias = "gw")]
    Gateways,
    /// Cloud accounts.
    #[value(alias = "account", alias = "acct")]
    Accounts,
    /// What may have been left behind in a MAAS by gateways that were deleted by force.
    #[value(alias = "orphan")]
    Orphans,
    /// Clusters.
    #[value(alias = "cluster", alias = "cl")]
    Clusters,
    /// Machines.
    #[value(alias = "machine", alias = "m")]
    Machines,
    /// Operations.
    #[value(alias = "operation", alias = "op")]
    Operations,
    /// Events.
    #[value(alias = "event", alias = "ev")]
    Events,
}

#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    /// What to list
    kind: Kind,
    /// Only this one (name or id)
    name: Option<String>,
    /// Form of the output
    #[arg(short, long, default_value = "table")]
    output: Format,
    /// Print again on every change, until interrupted
    #[arg(short, long)]
    watch: bool,
    /// Leave the column titles out
    #[arg(long)]
    no_headers: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DescribeArgs {
    /// What to describe
    kind: Kind,
    /// Name or id
    name: String,
    /// Form of the output
    #[arg(short, long, default_value = "table")]
    output: Format,
}

pub(crate) async fn get(plane: &PlaneArgs, args: &GetArgs) -> Result<()> {
    let client = plane.client()?;
    if args.watch && args.kind == Kind::Events && args.name.is_none() {
        return follow_events(&client, args).await;
    }
    let mut last = String::new();
    loop {
        let snapshot = Snapshot::fetch(&client, args.kind, args.name.as_deref()).await?;
        if !args.watch {
            return snapshot.print(args.output, !args.no_headers);
        }
        // Ages change every second; only what the plane says is a change.
        let now = snapshot.fingerprint()?;
        if now != last {
            snapshot.print(args.output, !args.no_headers && last.is_empty())?;
            last = now;
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

async fn follow_events(client: &Client, args: &GetArgs) -> Result<()> {
    let mut known = client.events(&ferrogate_api::PageQuery { limit: Some(50), after: None }).await?.items;
    known.reverse();
    output::list(&known, args.output, !args.no_headers)?;
    let mut last = known.last().map(|event| event.id.to_string());
    loop {
        let mut stream = client.follow_events(last.as_deref()).await?;
        while let Some(event) = stream.next().await {
            last = Some(event.id.to_string());
            output::one(&event, args.output, false)?;
        }
        // The plane restarted or a proxy cut the stream: go on after the last event seen.
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// What was asked for, as the plane has it now.
enum Snapshot {
    Gateways(Vec<Gateway>),
    Accounts(Vec<Account>),
    Orphans(Vec<Orphan>),
    Clusters(Vec<Cluster>),
    Machines(Vec<ferrogate_api::Machine>),
    Operations(Vec<Operation>),
    Events(Vec<ferrogate_api::Event>),
}

impl Snapshot {
    async fn fetch(client: &Client, kind: Kind, name: Option<&str>) -> Result<Self> {
        Ok(match (kind, name) {
            (Kind::Gateways, None) => Self::Gateways(client.all_gateways().await?),
            (Kind::Gateways, Some(name)) => Self::Gateways(vec![client.gateway(name).await?]),
            (Kind::Accounts, None) => Self::Accounts(client.all_accounts().await?),
            (Kind::Accounts, Some(name)) => Self::Accounts(vec![client.account(name).await?]),
            (Kind::Orphans, name) => {
                let mut orphans = client.all_orphans().await?;
                if let Some(name) = name {
                    let is_it = |text: &str| text == name;
                    orphans.retain(|orphan| {
                        is_it(&orphan.name) || is_it(&orphan.hostname) || is_it(&orphan.id.to_string())
                    });
                    if orphans.is_empty() {
                        return Err(Failure::new(Exit::NotFound, format!("nothing called `{name}` is on record")));
                    }
                }
                Self::Orphans(orphans)
            }
            (Kind::Clusters, None) => Self::Clusters(client.all_clusters().await?),
            (Kind::Clusters, Some(name)) => Self::Clusters(vec![client.cluster(name).await?]),
            (Kind::Machines, None) => Self::Machines(client.all_machines().await?),
            (Kind::Machines, Some(name)) => {
                let found: Vec<_> = client
                    .all_machines()
                    .await?
                    .into_iter()
                    .filter(|machine| machine.hostname == name || machine.system_id.0 == name || machine.fqdn == name)
                    .collect();
                if found.is_empty() {
                    return Err(Failure::new(Exit::NotFound, format!("no cluster has a machine `{name}`")));
                }
                Self::Machines(found)
            }
            (Kind::Operations, None) => Self::Operations(client.all_operations().await?),
            (Kind::Operations, Some(name)) => Self::Operations(vec![client.operation(operation_id(name)?).await?]),
            (Kind::Events, None) => {
                let mut events =
                    client.events(&ferrogate_api::PageQuery { limit: Some(200), after: None }).await?.items;
                events.reverse();
                Self::Events(events)
            }
            (Kind::Events, Some(name)) => {
                let mut events = client.all_events().await?;
                events.retain(|event| event.subject == name || event.subject_id == name);
                events.reverse();
                Self::Events(events)
            }
        })
    }

    fn print(&self, format: Format, headers: bool) -> Result<()> {
        match self {
            Self::Gateways(items) => Self::print_list(items, "gateways", format, headers),
            Self::Accounts(items) => Self::print_list(items, "cloud accounts", format, headers),
            Self::Orphans(items) => Self::print_list(items, "orphans", format, headers),
            Self::Clusters(items) => Self::print_list(items, "clusters", format, headers),
            Self::Machines(items) => Self::print_list(items, "machines", format, headers),
            Self::Operations(items) => Self::print_list(items, "operations", format, headers),
            Self::Events(items) => Self::print_list(items, "events", format, headers),
        }
    }

    fn print_list<T: Row>(items: &[T], what: &str, format: Format, headers: bool) -> Result<()> {
        if items.is_empty() && format == Format::Table {
            print::note(&format!("no {what} yet"));
            return Ok(());
        }
        output::list(items, format, headers)
    }

    fn fingerprint(&self) -> Result<String> {
        match self {
            Self::Gateways(items) => {
                // "last seen" moves all the time.
                let still: Vec<_> =
                    items.iter().cloned().map(|gateway| Gateway { last_seen_at: None, ..gateway }).collect();
                output::json(&still)
            }
            Self::Accounts(items) => output::json(items),
            Self::Orphans(items) => output::json(items),
            Self::Clusters(items) => output::json(items),
            Self::Machines(items) => output::json(items),
            Self::Operations(items) => output::json(items),
            Self::Events(items) => output::json(items),
        }
    }
}

fn operation_id(text: &str) -> Result<OperationId> {
    text.parse().map_err(|error| Failure::usage(format!("{error}")))
}

pub(crate) async fn describe(plane: &PlaneArgs, args: &DescribeArgs) -> Result<()> {
    let client = plane.client()?;
    let name = args.name.as_str();
    if args.output != Format::Table {
        return Snapshot::fetch(&client, args.kind, Some(name)).await?.print(args.output, true);
    }
    match args.kind {
        Kind::Gateways => describe_gateway(&client, name).await,
        Kind::Accounts => describe_account(&client, name).await,
        Kind::Clusters => describe_cluster(&client, name).await,
        Kind::Operations => describe_operation(&client, name).await,
        Kind::Machines | Kind::Events | Kind::Orphans => {
            Snapshot::fetch(&client, args.kind, Some(name)).await?.print(args.output, true)
        }
    }
}

/// The last events of an object, newest last.
async fn events_of(client: &Client, id: &str) -> Result<Vec<ferrogate_api::Event>, ApiError> {
    let mut events = client.events(&ferrogate_api::PageQuery { limit: Some(500), after: None }).await?.items;
    events.retain(|event| event.subject_id == id);
    events.truncate(15);
    events.reverse();
    Ok(events)
}

fn section<T: Row>(title: &str, items: &[T]) -> Result<()> {
    print::data(&format!("\n{title}:"));
    if items.is_empty() {
        print::data("  none");
        return Ok(());
    }
    output::list(items, Format::Table, true)
}

/// The health, and who is missed where somebody is.
fn health_of(gateway: &Gateway) -> String {
    if gateway.health_reason.is_empty() {
        gateway.health.to_string()
    } else {
        format!("{}: {}", gateway.health, gateway.health_reason)
    }
}

async fn describe_gateway(client: &Client, name: &str) -> Result<()> {
    let gateway = client.gateway(name).await?;
    print::data(&output::fields(&[
        ("Name", gateway.name.to_string()),
        ("Id", gateway.id.to_string()),
        ("Status", gateway.state.to_string()),
        ("Health", health_of(&gateway)),
        ("Reason", gateway.reason.clone()),
        ("Nodes", format!("{} connected of {}", gateway.connected_nodes, gateway.desired_nodes)),
        ("Version", gateway.version.clone()),
        ("MAAS", gateway.maas_endpoint.clone()),
        ("Created", output::time(gateway.created_at)),
        ("Last seen", gateway.last_seen_at.map(output::time).unwrap_or_default()),
    ]));
    section("Nodes", &client.gateway_nodes(name).await?.items)?;
    section("Events", &events_of(client, &gateway.id.to_string()).await?)
}

async fn describe_account(client: &Client, name: &str) -> Result<()> {
    let account = client.account(name).await?;
    let mut fields = vec![
        ("Name", account.name.to_string()),
        ("Id", account.id.to_string()),
        ("Gateway", account.gateway.to_string()),
        ("Endpoint", account.endpoint.clone()),
        ("Clusters", account.clusters.to_string()),
    ];
    match client.account_properties(name).await {
        Ok(live) => fields.extend([
            ("MAAS", format!("{} as {}", live.maas_version, live.maas_user)),
            ("Ready machines", live.ready_machines.to_string()),
            (
                "Zones",
                live.zones
                    .iter()
                    .map(|z| format!("{} ({} ready)", z.name, z.ready_machines))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            (
                "Pools",
                live.resource_pools
                    .iter()
                    .map(|p| format!("{} ({} ready)", p.name, p.ready_machines))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            ("Domains", live.domains.join(", ")),
            ("Subnets", live.subnets.join(", ")),
            ("Images", live.images.join(", ")),
            ("Tags", live.tags.join(", ")),
        ]),
        Err(error) => fields.push(("MAAS", format!("not readable now: {error}"))),
    }
    print::data(&output::fields(&fields));
    Ok(())
}

async fn describe_cluster(client: &Client, name: &str) -> Result<()> {
    let cluster = client.cluster(name).await?;
    print::data(&output::fields(&[
        ("Name", cluster.name.to_string()),
        ("Id", cluster.id.to_string()),
        ("Status", cluster.state.to_string()),
        ("Reason", cluster.reason.clone()),
        ("Kubernetes", cluster.kubernetes_version.clone()),
        ("API endpoint", cluster.api_endpoint.clone().unwrap_or_default()),
        ("Account", cluster.account.to_string()),
        ("Machines", format!("{} running of {}", cluster.running_machines, cluster.desired_machines)),
        ("Pod CIDR", cluster.spec.pod_cidr.to_string()),
        ("Service range", cluster.spec.service_cidr.to_string()),
        ("Created", output::time(cluster.created_at)),
        ("Deleted", cluster.deleted_at.map(output::time).unwrap_or_default()),
    ]));
    section("Machines", &client.cluster_machines(name).await?.items)?;
    section("Events", &events_of(client, &cluster.id.to_string()).await?)
}

async fn describe_operation(client: &Client, name: &str) -> Result<()> {
    let operation = client.operation(operation_id(name)?).await?;
    print::data(&output::fields(&[
        ("Id", operation.id.to_string()),
        ("Kind", operation.kind.as_str().to_owned()),
        ("Subject", format!("{} {}", operation.subject_kind, operation.subject)),
        ("Status", operation.state.to_string()),
        ("Reason", operation.reason.clone()),
        ("By", operation.created_by.clone()),
        ("Created", output::time(operation.created_at)),
        ("Finished", operation.finished_at.map(output::time).unwrap_or_default()),
    ]));
    print::data("\nSteps:");
    for step in &operation.steps {
        let took = match (step.started_at, step.finished_at) {
            (Some(start), Some(end)) => output::age(start, end),
            _ => "-".to_owned(),
        };
        print::data(format!("  {:<10} {:<24} {:>6}  {}", step.state, step.name, took, step.detail).trim_end());
    }
    Ok(())
}
