//! Machines of clusters, as the reconcilers last saw them.

use crate::{
    app::{clusters as app_clusters, wire},
    auth::Principal,
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{Machine, Page, PageQuery};
use ferrogate_model::ClusterId;
use ferrogate_store::{
    clusters::{self, Cluster},
    machines,
};

/// The machines of one cluster.
pub(crate) async fn of_cluster(context: &Context, who: &Principal, cluster: &str) -> Outcome<Page<Machine>> {
    let cluster = app_clusters::find(context, who, cluster).await?;
    let mut all = Vec::new();
    let mut page = ferrogate_store::Page::first(ferrogate_store::Page::MAX);
    loop {
        let list = machines::list(&context.store, cluster.id, &page).await?;
        all.extend(list.items.into_iter().map(|machine| shown(machine, &cluster)));
        match list.next {
            Some(next) => page.after = Some(next),
            None => return Ok(wire::whole(all)),
        }
    }
}

/// A page of all machines of the tenant, its gateways' included, cluster by cluster.
pub(crate) async fn list(context: &Context, who: &Principal, query: &PageQuery) -> Outcome<Page<Machine>> {
    let wanted = wire::page(query)?;
    let limit = wanted.limit as usize;
    let mut place = wanted.after.as_deref().map(Place::parse).transpose()?;
    let filter = clusters::Filter { tenant: Some(who.tenant), ..clusters::Filter::default() };
    let mut items = Vec::new();
    loop {
        // The cluster that the page before ended in is looked at again, from its last machine on.
        let current = match &place {
            Some(place) => clusters::find(&context.store, who.tenant, place.cluster).await?,
            None => None,
        };
        if let (Some(cluster), Some(within)) = (current, place.as_ref()) {
            let page = ferrogate_store::Page { after: within.machine.clone(), limit: wanted.limit };
            let list = machines::list(&context.store, cluster.id, &page).await?;
            items.extend(list.items.into_iter().map(|machine| shown(machine, &cluster)));
            if items.len() > limit || (items.len() == limit && list.next.is_some()) {
                items.truncate(limit);
                return Ok(Page { next: items.last().map(Place::after), items });
            }
        }
        let after = place.map(|place| place.cluster.to_string());
        let next = clusters::list(&context.store, &filter, &ferrogate_store::Page { after, limit: 1 }).await?;
        let Some(next) = next.items.into_iter().next() else { return Ok(Page { items, next: None }) };
        if items.len() == limit {
            return Ok(Page { next: items.last().map(Place::after), items });
        }
        place = Some(Place { cluster: next.id, machine: None });
    }
}

/// Where a page of all machines ended.
struct Place {
    cluster: ClusterId,
    machine: Option<String>,
}

impl Place {
    fn parse(text: &str) -> Outcome<Self> {
        text.split_once('/')
            .and_then(|(cluster, machine)| {
                Some(Self { cluster: cluster.parse().ok()?, machine: Some(machine.to_owned()) })
            })
            .ok_or_else(|| {
                Failure::invalid("bad_cursor", "this is not a place in this list").hint("begin at the first page again")
            })
    }

    fn after(machine: &Machine) -> String {
        format!("{}/{}", machine.cluster_id, machine.system_id)
    }
}

fn shown(machine: machines::Machine, cluster: &Cluster) -> Machine {
    Machine {
        system_id: machine.system_id,
        hostname: machine.hostname,
        fqdn: machine.fqdn,
        addresses: machine.addresses.iter().map(ToString::to_string).collect(),
        cluster_id: cluster.id,
        cluster: cluster.name.clone(),
        pool: machine.pool,
        zone: machine.zone,
        state: machine.state,
        reason: machine.reason,
        since: machine.since,
    }
}
