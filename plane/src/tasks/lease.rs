//! Work that one replica does at a time.

use super::{TaskContext, TaskError};
use ferrogate_store::leases;
use std::{future::Future, time::Duration};
use tokio::time::Instant;

/// How long a lease lasts when its holder dies.
const LASTS: Duration = Duration::from_secs(60);
/// How often a holder that lives renews it.
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// How long before its end the work stops when it could not be renewed.
const MARGIN: Duration = Duration::from_secs(10);

/// What became of work under a lease.
pub(super) enum Held<T> {
    /// It was done.
    Done(T),
    /// Another replica is at it.
    Elsewhere,
}

/// Does `work` while holding the lease `name`; the work is dropped if the lease is lost on the way.
pub(super) async fn holding<T>(
    context: &TaskContext,
    name: &str,
    work: impl Future<Output = Result<T, TaskError>>,
) -> Result<Held<T>, TaskError> {
    let now = context.now();
    if !leases::claim(&context.store, name, &context.replica, now, now + LASTS).await? {
        return Ok(Held::Elsewhere);
    }
    let result = tokio::select! {
        result = work => result.map(Held::Done),
        () = lost(context, name) => Ok(Held::Elsewhere),
    };
    if let Err(error) = leases::release(&context.store, name, &context.replica).await {
        tracing::debug!(lease = name, %error, "a lease could not be given back; it ends by itself");
    }
    result
}

/// Renews the lease; returns when it is lost.
async fn lost(context: &TaskContext, name: &str) {
    let mut good_until = Instant::now() + LASTS - MARGIN;
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let now = context.now();
        match leases::renew(&context.store, name, &context.replica, now, now + LASTS).await {
            Ok(true) => good_until = Instant::now() + LASTS - MARGIN,
            Ok(false) => return,
            Err(_) if Instant::now() >= good_until => return,
            Err(error) => tracing::warn!(lease = name, %error, "a lease could not be renewed and is tried again"),
        }
    }
}
