//! Whether credentials that opened a stream still stand. A request is checked once, at its beginning; a stream goes on, and
//! must end when its credentials are revoked, expire, or lose the right they had.

use super::{Principal, caller::Credentials};
use crate::{app::wire, context::Context, failure::Outcome};
use ferrogate_store::{sessions, tokens, users};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often the store is asked. What this replica revokes is noticed at once; this is how late a stream ends whose
/// credentials expired or were revoked by another.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A stream does not outlive a store that does not answer for so long: nobody could end it.
const UNSURE: Duration = Duration::from_secs(60);

/// Comes back when these credentials are no longer good for what they opened.
pub(crate) async fn ended(context: Arc<Context>, who: Principal) {
    let mut changes = context.credential_changes();
    let mut sure = Instant::now();
    loop {
        changes.mark_unchanged();
        // Whoever does not answer at all is as unsure as who answers with an error.
        let Ok(answer) = tokio::time::timeout(UNSURE, stands(&context, &who)).await else {
            tracing::warn!(user = who.email, "a stream is ended: the store does not say whether it may go on");
            return;
        };
        match answer {
            Ok(true) => sure = Instant::now(),
            Ok(false) => {
                tracing::info!(user = who.email, "a stream is ended: its credentials were revoked or have expired");
                return;
            }
            Err(error) if sure.elapsed() >= UNSURE => {
                tracing::warn!(user = who.email, %error, "a stream is ended: nobody can say whether it may go on");
                return;
            }
            Err(error) => tracing::debug!(%error, "whether credentials still stand could not be asked"),
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

async fn stands(context: &Context, who: &Principal) -> Outcome<bool> {
    let (store, now) = (&context.store, context.now());
    let Some(user) = users::get(store, who.user).await?.filter(|user| !user.disabled) else { return Ok(false) };
    let role = match who.credentials {
        Credentials::Session(id) => {
            let session = sessions::find(store, who.user, id).await?;
            session.filter(|session| session.expires > now).map(|_| wire::role(user.role))
        }
        Credentials::Token(id) | Credentials::Kubeconfig(id, _) => tokens::find(store, who.tenant, id)
            .await?
            .filter(|token| token.revoked.is_none() && token.expires.is_none_or(|expires| expires > now))
            .map(|token| wire::role(token.role).min(wire::role(user.role))),
    };
    Ok(role.is_some_and(|role| role >= who.role))
}
