//! What is too old is forgotten.

use super::{
    Done, Key, Reconciler, TaskContext, TaskError,
    lease::{Held, holding},
};
use async_trait::async_trait;
use ferrogate_store::{
    accounts, audit, clusters, enrolment, events, gateways, leases, operations, pairing_codes, sessions, tokens,
};
use std::{sync::Arc, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How often.
const EVERY: Duration = Duration::from_secs(600);
/// Deleted clusters, gateways and accounts are listed this long (specification 7.2).
const DELETED: Duration = HOUR.saturating_mul(72);
/// Ended pairing codes and revoked or expired tokens are listed this long.
const ENDED: Duration = DAY.saturating_mul(30);
/// Ended enrolment tokens: nobody looks at them.
const ENROLLED: Duration = DAY;
/// Operations that ended.
const OPERATIONS: Duration = DAY.saturating_mul(90);
/// Events.
const EVENTS: Duration = DAY.saturating_mul(30);
/// The audit is kept for a year (specification 8.2).
const AUDIT: Duration = DAY.saturating_mul(366);

/// Forgets what is too old.
#[derive(Debug)]
pub struct Housekeeping {
    context: Arc<TaskContext>,
}

impl Housekeeping {
    /// The reconciler that works with this context.
    #[must_use]
    pub const fn new(context: Arc<TaskContext>) -> Self {
        Self { context }
    }

    async fn clean(&self) -> Result<Done, TaskError> {
        let (store, now) = (&self.context.store, self.context.now());
        let counts = [
            ("sessions", sessions::purge(store, now).await?),
            ("tokens", tokens::purge(store, now - ENDED).await?),
            ("pairing codes", pairing_codes::purge(store, now - ENDED).await?),
            ("enrolment tokens", enrolment::purge(store, now - ENROLLED).await?),
            ("operations", operations::purge(store, now - OPERATIONS).await?),
            // Clusters before accounts before gateways: each refers to the next.
            ("clusters", clusters::purge(store, now - DELETED).await?),
            ("cloud accounts", accounts::purge(store, now - DELETED).await?),
            ("gateways", gateways::purge(store, now - DELETED).await?),
            ("events", events::purge(store, now - EVENTS).await?),
            ("audit rows", audit::purge(store, now - AUDIT).await?),
            ("leases", leases::purge(store, now - DAY).await?),
        ];
        let said: Vec<_> =
            counts.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")).collect();
        let said =
            if said.is_empty() { "nothing was too old".to_owned() } else { format!("forgot {}", said.join(", ")) };
        Ok(Done::new(EVERY, said))
    }
}

#[async_trait]
impl Reconciler for Housekeeping {
    fn name(&self) -> &'static str {
        "housekeeping"
    }

    async fn keys(&self) -> Result<Vec<Key>, TaskError> {
        Ok(vec![Key { id: "everything".into(), pressing: false }])
    }

    async fn reconcile(&self, _id: &str) -> Result<Done, TaskError> {
        Ok(match holding(&self.context, "housekeeping", self.clean()).await? {
            Held::Done(done) => done,
            Held::Elsewhere => Done::new(EVERY, "another replica does it"),
        })
    }
}
