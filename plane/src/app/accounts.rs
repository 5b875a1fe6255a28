//! Cloud accounts: a MAAS and a key to it, tried through the gateway before anything is saved.

use crate::{
    app::{events, gateways as app_gateways, maas, wire},
    auth::Principal,
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{Account, AccountCreate, AccountProperties, AccountUpdate, Page, PageQuery, PoolCount, ZoneCount};
use ferrogate_maas::{
    ApiKey, Client, Endpoint,
    types::{Machine, MachineStatus},
};
use ferrogate_model::{AccountId, Name, state::Severity};
use ferrogate_store::{
    Tx,
    accounts::{self, Account as Record, AccountState},
    clusters, gateways,
};
use secrecy::ExposeSecret as _;

/// A page of the tenant's accounts.
pub(crate) async fn list(context: &Context, who: &Principal, query: &PageQuery) -> Outcome<Page<Account>> {
    let list = accounts::list(&context.store, who.tenant, None, &wire::page(query)?).await?;
    let mut items = Vec::with_capacity(list.items.len());
    for account in list.items {
        items.push(shown(context, account).await?);
    }
    Ok(Page { items, next: list.next })
}

/// One account.
pub(crate) async fn read(context: &Context, who: &Principal, account: &str) -> Outcome<Account> {
    let account = find(context, who, account).await?;
    shown(context, account).await
}

/// An account of the caller's tenant by id or name.
pub(crate) async fn find(context: &Context, who: &Principal, account: &str) -> Outcome<Record> {
    let found = match (account.parse(), account.parse::<Name>()) {
        (Ok(id), _) => accounts::find(&context.store, who.tenant, id).await?,
        (Err(_), Ok(name)) => accounts::by_name(&context.store, who.tenant, &name).await?,
        (Err(_), Err(_)) => None,
    };
    found.filter(|account| account.deleted.is_none()).ok_or_else(|| Failure::not_found("account", account))
}

/// Registers an account whose key MAAS accepts.
pub(crate) async fn create(context: &Context, who: &Principal, request: AccountCreate) -> Outcome<Account> {
    let gateway = app_gateways::find(context, who, &request.gateway).await?;
    let now = context.now();
    let account = Record {
        id: AccountId::new(),
        tenant: who.tenant,
        name: request.name,
        gateway: gateway.id,
        endpoint: maas::endpoint(&request.endpoint, "endpoint")?.to_string(),
        api_key: maas::api_key(&request.api_key.into_inner(), "api_key")?.expose(),
        ca_pem: request.ca_pem.filter(|pem| !pem.trim().is_empty()),
        state: AccountState::Ready,
        reason: String::new(),
        auto_created: false,
        created: now,
        updated: now,
        deleted: None,
    };
    if accounts::by_name(&context.store, who.tenant, &account.name).await?.is_some() {
        return Err(Failure::conflict("name_taken", format!("cloud account `{}` exists already", account.name)));
    }
    try_out(context, &account).await?;
    let mut tx = context.store.begin().await?;
    accounts::insert(&mut tx, &account).await?;
    let message = format!("{} registered this cloud account", who.email);
    let event = events::new(who.tenant, account.id, Severity::Info, "Registered", message, now);
    ferrogate_store::events::append_in(&mut tx, &[event]).await?;
    tx.commit().await?;
    context.events_added();
    shown(context, account).await
}

/// Changes an account, if MAAS accepts the result.
pub(crate) async fn update(
    context: &Context,
    who: &Principal,
    account: &str,
    request: AccountUpdate,
) -> Outcome<Account> {
    let seen = find(context, who, account).await?;
    let mut account = seen.clone();
    let changes_access = request.endpoint.is_some() || request.api_key.is_some() || request.ca_pem.is_some();
    if let Some(name) = request.name {
        account.name = name;
    }
    if let Some(endpoint) = &request.endpoint {
        let endpoint = maas::endpoint(endpoint, "endpoint")?.to_string();
        if endpoint != account.endpoint {
            may_move(context, &account, request.api_key.is_some()).await?;
        }
        account.endpoint = endpoint;
    }
    if let Some(key) = request.api_key {
        account.api_key = maas::api_key(&key.into_inner(), "api_key")?.expose();
    }
    if let Some(pem) = request.ca_pem {
        account.ca_pem = Some(pem).filter(|pem| !pem.trim().is_empty());
    }
    let now = context.now();
    if changes_access {
        try_out(context, &account).await?;
    }
    let mut tx = context.store.begin().await?;
    must_be(&mut tx, &seen).await?;
    if account.endpoint != seen.endpoint {
        // Since the first look a cluster may have been asked for.
        may_move(context, &seen, true).await?;
    }
    accounts::change(&mut tx, &account, now).await?;
    if changes_access {
        (account.state, account.reason) = (AccountState::Ready, String::new());
        accounts::set_state(&mut tx, account.id, AccountState::Ready, "", now).await?;
    }
    tx.commit().await?;
    context.nudge();
    account.updated = now;
    shown(context, account).await
}

/// Whether the account may lead to another MAAS. Never while machines of the present one are ours: they could be neither
/// watched nor given back. And never with the key that is kept: it would be sent to whoever was named.
async fn may_move(context: &Context, account: &Record, with_key: bool) -> Outcome<()> {
    if let Some(used) = in_use(context, account).await? {
        return Err(used.hint("register the other MAAS as an account of its own"));
    }
    if with_key {
        return Ok(());
    }
    Err(Failure::invalid("api_key_needed", "another endpoint needs its API key; the present key is not sent there")
        .hint("give `api_key` together with `endpoint`"))
}

/// Locks an account that is still what it was when it was looked at: what was checked in between was checked for that.
pub(crate) async fn must_be(tx: &mut Tx, seen: &Record) -> Outcome<()> {
    let text = |account: &Record| {
        let key = account.api_key.expose_secret().to_owned();
        (account.name.clone(), account.gateway, account.endpoint.clone(), key, account.ca_pem.clone())
    };
    let is_same = accounts::lock(tx, seen.id).await?.is_some_and(|account| text(&account) == text(seen));
    if is_same {
        return Ok(());
    }
    let detail = format!("cloud account `{}` was changed or deleted in the meantime", seen.name);
    Err(Failure::conflict("changed_meanwhile", detail).hint("look at it, and ask again"))
}

/// Deletes an account that neither a gateway nor a cluster uses.
pub(crate) async fn delete(context: &Context, who: &Principal, account: &str) -> Outcome<()> {
    let account = find(context, who, account).await?;
    if accounts::delete(&context.store, account.id, context.now()).await? {
        return Ok(());
    }
    Err(in_use(context, &account).await?.unwrap_or_else(|| Failure::not_found("account", account.name)))
}

/// Why an account must stay what it is: it is a gateway's own, or clusters are built with it.
async fn in_use(context: &Context, account: &Record) -> Outcome<Option<Failure>> {
    let clusters = using(context, account.id).await?;
    let gateway = gateways::get(&context.store, account.gateway).await?;
    let own = gateway.filter(|gateway| gateway.account == account.id && gateway.deleted.is_none());
    let (by, hint) = match (&own, clusters.len()) {
        (None, 0) => return Ok(None),
        (None, number) => (format!("{number} cluster(s)"), "delete these clusters first"),
        (Some(gateway), 0) => (
            format!("gateway `{}`, whose own machines are watched and given back with it", gateway.name),
            "it goes with its gateway: `ferrogate delete gateway`",
        ),
        (Some(gateway), number) => (
            format!("gateway `{}` and {number} cluster(s)", gateway.name),
            "delete these clusters first; the account then goes with its gateway",
        ),
    };
    let failure = Failure::conflict("account_in_use", format!("cloud account `{}` is used by {by}", account.name));
    Ok(Some(clusters.into_iter().fold(failure.hint(hint), |failure, cluster| {
        failure.item(cluster.id.to_string(), format!("cluster `{}` is {}", cluster.name, cluster.state), None)
    })))
}

/// The account of a new gateway: the one place where the key stands that its installer gave. Named after the gateway, or
/// where that name is taken with the first free number: `NAME-2`, `NAME-3` …
pub(crate) async fn of_gateway(
    tx: &mut Tx,
    gateway: &gateways::Gateway,
    endpoint: &Endpoint,
    key: &ApiKey,
    ca_pem: Option<String>,
) -> Outcome<Record> {
    let mut name = gateway.name.clone();
    let mut number = 2_u32;
    while accounts::by_name(&mut *tx, gateway.tenant, &name).await?.is_some() {
        name = numbered(&gateway.name, number);
        number += 1;
    }
    Ok(Record {
        id: gateway.account,
        tenant: gateway.tenant,
        name,
        gateway: gateway.id,
        endpoint: endpoint.to_string(),
        api_key: key.expose(),
        ca_pem: ca_pem.filter(|pem| !pem.trim().is_empty()),
        state: AccountState::Unknown,
        reason: String::new(),
        auto_created: true,
        created: gateway.created,
        updated: gateway.created,
        deleted: None,
    })
}

fn numbered(name: &Name, number: u32) -> Name {
    let front: String = name.as_str().chars().take(52).collect();
    format!("{front}-{number}").parse().expect("a shortened name, a hyphen and a number are a name")
}

/// What MAAS offers, read live.
pub(crate) async fn properties(context: &Context, who: &Principal, account: &str) -> Outcome<AccountProperties> {
    let account = find(context, who, account).await?;
    let client = client(context, &account).await?;
    let failed = |error| maas::failed(&error);
    let (version, user) = (client.version().await.map_err(failed)?, client.whoami().await.map_err(failed)?);
    let (zones, pools, domains) = tokio::try_join!(client.zones(), client.pools(), client.domains()).map_err(failed)?;
    let (subnets, tags, images) =
        tokio::try_join!(client.subnets(), client.tags(), client.boot_resources()).map_err(failed)?;
    let ready = ready_machines(&client).await?;
    let count = |fits: &dyn Fn(&Machine) -> bool| {
        u32::try_from(ready.iter().filter(|machine| fits(machine)).count()).unwrap_or(u32::MAX)
    };
    let mut domains: Vec<_> = domains.into_iter().filter(|domain| domain.authoritative).collect();
    domains.sort_by_key(|domain| !domain.is_default);
    let images = images.into_iter().map(|image| {
        let architecture = image.architecture.split('/').next().unwrap_or_default();
        format!("{} {architecture}", image.name)
    });
    let mut images: Vec<String> = images.collect();
    images.sort();
    images.dedup();
    Ok(AccountProperties {
        maas_version: version.version,
        maas_user: user.username,
        zones: zones
            .into_iter()
            .map(|zone| ZoneCount { ready_machines: count(&|machine| machine.zone.name == zone.name), name: zone.name })
            .collect(),
        resource_pools: pools
            .into_iter()
            .map(|pool| PoolCount {
                ready_machines: count(&|machine| machine.pool.as_ref().is_some_and(|other| other.name == pool.name)),
                name: pool.name,
            })
            .collect(),
        domains: domains.into_iter().map(|domain| domain.name).collect(),
        subnets: subnets.into_iter().map(|subnet| format!("{} {}", subnet.name, subnet.cidr)).collect(),
        tags: tags.into_iter().map(|tag| tag.name).collect(),
        images,
        ready_machines: count(&|_| true),
    })
}

/// Machines that could be taken now.
async fn ready_machines(client: &Client) -> Outcome<Vec<Machine>> {
    let filter = ferrogate_maas::MachineFilter { status: Some("ready".into()), ..Default::default() };
    let machines = client.machines(&filter).await.map_err(|error| maas::failed(&error))?;
    Ok(machines.into_iter().filter(|machine| machine.status == MachineStatus::Ready && !machine.locked).collect())
}

/// A client of the account's MAAS, through its gateway.
pub(crate) async fn client(context: &Context, account: &Record) -> Outcome<Client> {
    maas::client(context, account).await
}

/// Asks MAAS, through the gateway, whose key it is.
async fn try_out(context: &Context, account: &Record) -> Outcome<()> {
    maas::check_ca(account.ca_pem.as_deref(), "ca_pem")?;
    let user = client(context, account).await?.whoami().await.map_err(|error| maas::failed(&error))?;
    tracing::debug!(account = %account.id, user = user.username, "MAAS accepts the key of a cloud account");
    Ok(())
}

async fn using(context: &Context, account: AccountId) -> Outcome<Vec<clusters::Cluster>> {
    let filter = clusters::Filter { account: Some(account), ..clusters::Filter::default() };
    Ok(clusters::list(&context.store, &filter, &ferrogate_store::Page::first(ferrogate_store::Page::MAX)).await?.items)
}

async fn shown(context: &Context, account: Record) -> Outcome<Account> {
    let gateway = gateways::get(&context.store, account.gateway).await?;
    let gateway = gateway.ok_or_else(|| Failure::internal(format!("account {} has no gateway", account.id)))?;
    let using = using(context, account.id).await?.len();
    Ok(Account {
        id: account.id,
        name: account.name,
        gateway_id: account.gateway,
        gateway: gateway.name,
        endpoint: account.endpoint,
        auto_created: account.auto_created,
        clusters: u32::try_from(using).unwrap_or(u32::MAX),
        state: match account.state {
            AccountState::Unknown => ferrogate_api::AccountState::Unknown,
            AccountState::Ready => ferrogate_api::AccountState::Ready,
            AccountState::Refused => ferrogate_api::AccountState::Refused,
            AccountState::Unreachable => ferrogate_api::AccountState::Unreachable,
        },
        reason: account.reason,
        created_at: account.created,
        updated_at: account.updated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_name_is_a_name_however_long_the_first_was() {
        let long: Name = "x".repeat(63).parse().unwrap();
        assert_eq!(numbered(&long, 12).as_str().len(), 55);
        assert_eq!(numbered(&"paris".parse().unwrap(), 2).as_str(), "paris-2");
    }
}
