//! Gateways: who is connected, the first connection of a new one, how its machines are, and its end.

mod deletion;
mod note;
mod observation;
mod presence;
mod registration;

pub(super) use presence::is_connected_elsewhere;

use super::{
    Done, Ground, Key, Reconciler, Site, TaskError,
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
    ground: Arc<Ground>,
    /// When the machines of each were last read.
    observed: Mutex<HashMap<GatewayId, Instant>>,
    /// The nodes of each that were missed at the last look.
    missed: Mutex<HashMap<GatewayId, Vec<String>>>,
}

impl Gateways {
    /// The reconciler on this ground.
    #[must_use]
    pub fn new(ground: Arc<Ground>) -> Self {
        Self { ground, observed: Mutex::default(), missed: Mutex::default() }
    }

    /// Everything that one replica does at a time, with the lease held.
    async fn act(&self, id: GatewayId) -> Result<Done, TaskError> {
        let ground = &*self.ground;
        let Some(gateway) = gateways::get(&ground.store, id).await?.filter(|gateway| gateway.deleted.is_none()) else {
            return Ok(Done::new(LOOK_EVERY, "it is gone"));
        };
        if matches!(gateway.state, GatewayState::Deleting | GatewayState::DeletionStuck) {
            return Box::pin(deletion::step(ground, &gateway)).await;
        }
        let presence = Presence::read(ground, &gateway).await?;
        let missed = presence.roll.missed().into_iter().map(str::to_owned).collect();
        let before = self.missed.lock().await.insert(id, missed);
        presence.judge(ground, &gateway, before).await?;
        let has_begun = registration::step(ground, &gateway, &presence).await?;
        if presence.is_here() && (has_begun || self.is_time_to_observe(id).await) {
            // Registration may have changed what is on record.
            if let Some(gateway) = gateways::get(&ground.store, id).await? {
                Box::pin(observation::step(ground, &gateway, &presence)).await?;
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
            let list = gateways::ids(&self.ground.store, &page).await?;
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
        presence::write_down(&self.ground, id).await?;
        let lease = format!("gateway/{id}");
        Ok(match holding(&self.ground, &lease, Box::pin(self.act(id))).await? {
            Held::Done(done) => done,
            Held::Elsewhere => Done::new(LOOK_EVERY, "another replica works on it"),
        })
    }
}

/// The gateway's own MAAS, with the key that its account has now; in words where that cannot be used.
async fn site(ground: &Ground, gateway: &Gateway) -> Result<Result<Site, String>, StoreError> {
    let account = accounts::get(&ground.store, gateway.account).await?.filter(|account| account.deleted.is_none());
    Ok(match account {
        Some(account) => Site::new(&account, ground.sites.connector(gateway.id), Arc::clone(&ground.clock)),
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
