//! What may have been left behind in a MAAS by gateways that were deleted by force.

use crate::{
    app::wire,
    auth::Principal,
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{Orphan, OrphanKind, Page, PageQuery};
use ferrogate_model::UserId;
use ferrogate_store::{
    orphans::{self, Orphan as Record},
    users,
};

/// A page of the tenant's records, oldest first.
pub(crate) async fn list(context: &Context, who: &Principal, query: &PageQuery) -> Outcome<Page<Orphan>> {
    let list = orphans::list(&context.store, who.tenant, &wire::page(query)?).await?;
    let mut items = Vec::with_capacity(list.items.len());
    for orphan in list.items {
        items.push(shown(context, orphan).await?);
    }
    Ok(Page { items, next: list.next })
}

/// Forgets a record, because what it is about is released.
pub(crate) async fn resolve(context: &Context, who: &Principal, orphan: &str) -> Outcome<()> {
    let unknown = || Failure::not_found("orphan", orphan);
    let id = orphan.parse().map_err(|_| unknown())?;
    if orphans::delete(&context.store, who.tenant, id).await? { Ok(()) } else { Err(unknown()) }
}

async fn shown(context: &Context, orphan: Record) -> Outcome<Orphan> {
    let user = match orphan.recorded_by.parse::<UserId>() {
        Ok(id) => users::get(&context.store, id).await?,
        Err(_) => None,
    };
    Ok(Orphan {
        id: orphan.id,
        kind: match orphan.kind {
            orphans::OrphanKind::Machine => OrphanKind::Machine,
            orphans::OrphanKind::DnsName => OrphanKind::DnsName,
        },
        name: orphan.name,
        hostname: orphan.hostname,
        maas_endpoint: orphan.maas_endpoint,
        gateway_id: orphan.gateway,
        gateway: orphan.gateway_name,
        cluster_id: orphan.cluster,
        reason: orphan.reason,
        recorded_by: user.map_or(orphan.recorded_by, |user| user.email),
        recorded_at: orphan.recorded,
    })
}
