//! Ends streams with the credentials that opened them. A request is checked once, at its beginning; its answer may go on,
//! and must end when its credentials are revoked or expire, its user loses the right it had, or its cluster goes.
//!
//! What this replica revokes has ended when the one who revoked is answered. What another revokes, and what expires, is
//! noticed by one look at the store for each opener every few seconds, however many streams it has.

use super::{
    Call, Principal,
    caller::Credentials,
    open_streams::{OpenStream, Opener},
};
use crate::{
    context::Context,
    failure::{Failure, Outcome},
    roles,
};
use ferrogate_model::{ClusterId, GatewayId, UserId};
use ferrogate_store::{clusters, sessions, tokens, users};
use futures::{StreamExt as _, stream};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How often the store is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Longest time for one look at everything that is open.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);
/// A stream does not outlive a store that does not answer for so long: nobody could end it.
const UNSURE: Duration = Duration::from_secs(60);
/// Questions to the store at once.
const AT_ONCE: usize = 8;

/// Notes that an answer begins which may go on for long; it must end when the stream does.
///
/// # Errors
/// The credentials have ended since the request was let in.
pub(crate) async fn open(
    context: &Context,
    call: &Call,
    who: &Principal,
    cluster: Option<(ClusterId, GatewayId)>,
) -> Outcome<Arc<OpenStream>> {
    let stream = context.streams.open(Opener::new(who, cluster));
    if context.streams.changes() != call.changes_seen && !is_good(context, stream.opener()).await? {
        return Err(Failure::unauthenticated("the credentials have just ended or were revoked"));
    }
    Ok(stream)
}

/// Ends the streams of a user whose credentials have changed, as far as they are no longer good.
pub(crate) async fn end_streams(context: &Context, user: UserId) {
    context.streams.credentials_changed();
    look(context, Some(user)).await;
}

/// Looks after every stream until the plane shuts down.
pub(crate) async fn watch(context: Arc<Context>) {
    let mut changes = context.streams.subscribe();
    loop {
        changes.mark_unchanged();
        look(&context, None).await;
        tokio::select! {
            () = context.closing.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

async fn look(context: &Context, user: Option<UserId>) {
    let open = context.streams.list(user);
    let looking = stream::iter(&open).for_each_concurrent(AT_ONCE, |stream| async move {
        let opener = stream.opener();
        match is_good(context, opener).await {
            Ok(true) => *stream.known_good() = tokio::time::Instant::now(),
            Ok(false) => {
                tracing::info!(user = %opener.user, "streams are ended: their credentials or their way ended");
                stream.end();
            }
            Err(error) => tracing::debug!(%error, "whether credentials are still good could not be asked"),
        }
    });
    // Whoever does not answer at all is as unsure as who answers with an error.
    if timeout(LOOK_DEADLINE, looking).await.is_err() {
        tracing::debug!("the store did not say in time which credentials are still good");
    }
    for stream in open {
        let unknown_for = stream.known_good().elapsed();
        if unknown_for >= UNSURE {
            tracing::warn!(user = %stream.opener().user, "streams are ended: nobody can say whether they may go on");
            stream.end();
        }
    }
}

async fn is_good(context: &Context, opener: &Opener) -> Outcome<bool> {
    let (store, now) = (&context.store, context.now());
    let Some(user) = users::get(store, opener.user).await?.filter(|user| !user.disabled) else { return Ok(false) };
    let role = match opener.credentials {
        Credentials::Session(id) => {
            let session = sessions::find(store, opener.user, id).await?;
            session.filter(|session| session.expires > now).map(|_| roles::role(user.role))
        }
        Credentials::Token(id) | Credentials::Kubeconfig(id, _) => tokens::find(store, opener.tenant, id)
            .await?
            .filter(|token| token.revoked.is_none() && token.expires.is_none_or(|expires| expires > now))
            .map(|token| roles::role(token.role).min(roles::role(user.role))),
    };
    if role.is_none_or(|role| role < opener.role) {
        return Ok(false);
    }
    let Some((cluster, gateway)) = opener.cluster else { return Ok(true) };
    let cluster = clusters::find(store, opener.tenant, cluster).await?;
    Ok(cluster.is_some_and(|cluster| cluster.deleted.is_none() && cluster.gateway == gateway))
}
