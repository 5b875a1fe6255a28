//! Gateways: who is connected, the first connection of a new one, how its machines are, and its end.

mod deletion;
mod observation;
mod presence;
mod registration;

pub(super) use presence::is_connected_elsewhere;

use super::{
    Done, Key, MaasAccess, Reconciler, TaskContext, TaskError,
    lease::{Held, holding},
};
use async_trait::async_trait;
use ferrogate_model::{
    EventId, GatewayId, Timestamp,
    state::{GatewayState, Severity},
};
use ferrogate_store::{
    Page, StoreError, accounts,
    events::Event,
    gateways::{self, Gateway},
};
use presence::Presence;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// How often a gateway is looked at; the hub's news come first as a rule.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often the machines of a gateway are read from its MAAS.
const OBSERVE_EVERY: Duration = Duration::from_secs(30);

/// How long MAAS may take to answer a look. A tunnel that is breaking answers nothing, and must not hold up the rest.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);

/// The reconciler of the gateways.
#[derive(Debug)]
pub struct Gateways {
    context: Arc<TaskContext>,
    /// When the machines of each were last read.
    observed: Mutex<HashMap<GatewayId, Instant>>,
    /// The nodes of each that were missed at the last look.
    missed: Mutex<HashMap<GatewayId, Vec<String>>>,
}

impl Gateways {
    /// The reconciler that works with this context.
    #[must_use]
    pub fn new(context: Arc<TaskContext>) -> Self {
        Self { context, observed: Mutex::default(), missed: Mutex::default() }
    }

    /// Everything that one replica does at a time, with the lease held.
    async fn act(&self, id: GatewayId) -> Result<Done, TaskError> {
        let context = &*self.context;
        let Some(gateway) = gateways::get(&context.store, id).await?.filter(|gateway| gateway.deleted.is_none()) else {
            return Ok(Done::new(LOOK_EVERY, "it is gone"));
        };
        if matches!(gateway.state, GatewayState::Deleting | GatewayState::DeletionStuck) {
            return Box::pin(deletion::step(context, &gateway)).await;
        }
        let presence = Presence::read(context, &gateway).await?;
        let missed = presence.nodes.disconnected_names().into_iter().map(str::to_owned).collect();
        let before = self.missed.lock().await.insert(id, missed);
        presence.judge(context, &gateway, before).await?;
        let has_begun = registration::step(context, &gateway, &presence).await?;
        if presence.is_here() && (has_begun || self.is_time_to_observe(id).await) {
            // Registration may have changed what is on record.
            if let Some(gateway) = gateways::get(&context.store, id).await? {
                Box::pin(observation::step(context, &gateway, &presence)).await?;
            }
        }
        Ok(Done::new(LOOK_EVERY, presence.to_string()))
    }

    async fn is_time_to_observe(&self, id: GatewayId) -> bool {
        let now = Instant::now();
        let mut observed = self.observed.lock().await;
        let is_time = observed.get(&id).is_none_or(|last| now.duration_since(*last) >= OBSERVE_EVERY);
        if is_time {
            observed.insert(id, now);
        }
        is_time
    }
}

#[async_trait]
impl Reconciler for Gateways {
    fn name(&self) -> &'static str {
        "gateways"
    }

    async fn keys(&self) -> Result<Vec<Key>, TaskError> {
        let mut keys = Vec::new();
        let mut page = Page::first(Page::MAX);
        loop {
            let list = gateways::ids(&self.context.store, &page).await?;
            // A connection may come or go at any time, and there are few gateways.
            keys.extend(list.items.into_iter().map(|id| Key { id: id.to_string(), pressing: true }));
            match list.next {
                Some(next) => page.after = Some(next),
                None => return Ok(keys),
            }
        }
    }

    async fn reconcile(&self, id: &str) -> Result<Done, TaskError> {
        let id: GatewayId = id.parse().map_err(|error| TaskError::document("gateway id", &error))?;
        // Every replica speaks for its own connections; the rest is for one of them.
        presence::write_down(&self.context, id).await?;
        let lease = format!("gateway/{id}");
        Ok(match holding(&self.context, &lease, Box::pin(self.act(id))).await? {
            Held::Done(done) => done,
            Held::Elsewhere => Done::new(LOOK_EVERY, "another replica works on it"),
        })
    }
}

/// The gateway's own MAAS, with the key that its account has now; in words where that cannot be used.
async fn maas_access(context: &TaskContext, gateway: &Gateway) -> Result<Result<MaasAccess, String>, StoreError> {
    let account = accounts::get(&context.store, gateway.account).await?.filter(|account| account.deleted.is_none());
    Ok(match account {
        Some(account) => {
            MaasAccess::new(&account, context.site_network.connector(gateway.id), Arc::clone(&context.clock))
        }
        None => Err("its cloud account is deleted".into()),
    })
}

fn event(gateway: &Gateway, severity: Severity, reason: &str, message: impl Into<String>, now: Timestamp) -> Event {
    Event {
        id: EventId::new(),
        tenant: gateway.tenant,
        subject: gateway.id.into(),
        severity,
        reason: reason.to_owned(),
        message: message.into(),
        at: now,
    }
}
