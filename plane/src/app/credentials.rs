//! What ends with what, in one place.
//!
//! | what happens | what ends with it |
//! | --- | --- |
//! | a token is revoked | the kubeconfigs and the unused pairing codes that it made |
//! | a session is ended from another one | the tokens, kubeconfigs and unused pairing codes that it made, and what those tokens made |
//! | a session signs out, or ends because nobody used it | nothing else: what a person made lives its own life |
//! | a token or a kubeconfig expires | nothing else; a kubeconfig or pairing code is never good for longer than the token that made it |
//! | a user is disabled | all its sessions, tokens, kubeconfigs and unused pairing codes, for good |
//! | a user gets another password | the same; with `keep_tokens` only its sessions. Who changes its own keeps the session that asked |
//! | a user gets a lesser role | its unused pairing codes where it may make none any more; else nothing, because no token or session permits more than its user may |
//! | a cluster is deleted | its kubeconfigs |
//!
//! Every answer and session that is under way ends with its credential (`auth::revocation`).
//!
//! Making and ending both lock the user, so that nothing is made by a credential that ends at the same moment.

use crate::{
    auth::{Principal, caller::Credentials},
    context::Context,
    failure::{Failure, Outcome},
    roles,
};
use ferrogate_api::EndedCredentials;
use ferrogate_model::{SessionId, Timestamp};
use ferrogate_store::{Maker, StoreError, Tx, pairing_codes, sessions, tokens, users};

/// Begins a transaction in which `who` makes a credential or changes a user: its own is still good, and stays so until the
/// end of it.
/// Tells also when that expires, where what it makes must not outlive it.
pub(crate) async fn making(context: &Context, who: &Principal) -> Outcome<(Tx, Option<Timestamp>)> {
    let now = context.now();
    let ended = || Failure::unauthenticated("the credentials have just ended or were revoked");
    let mut tx = context.store.begin().await?;
    let user = users::lock(&mut tx, who.user).await?;
    // A role that was lowered since the request was let in permits no more than it says now.
    user.filter(|user| !user.disabled && roles::role(user.role) >= who.role).ok_or_else(ended)?;
    let expires = match who.credentials {
        Credentials::Session(id) => {
            let session = sessions::find(&mut tx, who.user, id).await?;
            session.filter(|session| session.expires > now).ok_or_else(ended)?;
            None
        }
        Credentials::Token(id) | Credentials::Kubeconfig(id, _) => {
            let token = tokens::find(&mut tx, who.tenant, id).await?.filter(|token| token.revoked.is_none());
            token.filter(|token| token.expires.is_none_or(|expires| expires > now)).ok_or_else(ended)?.expires
        }
    };
    Ok((tx, expires))
}

/// Revokes what a credential made that was taken away.
pub(crate) async fn end_made_by(tx: &mut Tx, maker: Maker, now: Timestamp) -> Result<EndedCredentials, StoreError> {
    let pairing_codes = pairing_codes::revoke_made_by(&mut *tx, maker, now).await?;
    let revoked = tokens::revoke_made_by(&mut *tx, maker, now).await?;
    Ok(EndedCredentials { pairing_codes, ..counted(&revoked) })
}

/// Ends the sessions of a user whose password was changed or who was disabled, and everything else unless it is to be kept.
/// The session `but` goes on. The user is locked.
pub(crate) async fn end_all(
    tx: &mut Tx,
    user: &users::User,
    but: Option<SessionId>,
    keep_tokens: bool,
    now: Timestamp,
) -> Result<EndedCredentials, StoreError> {
    let sessions = sessions::remove_all(&mut *tx, user.id, but).await?;
    if keep_tokens {
        return Ok(EndedCredentials { sessions, ..EndedCredentials::default() });
    }
    let revoked = tokens::revoke_of_user(&mut *tx, user.id, now).await?;
    let pairing_codes = pairing_codes::revoke_of_user(&mut *tx, user.id, now).await?;
    Ok(EndedCredentials { sessions, pairing_codes, ..counted(&revoked) })
}

fn counted(revoked: &[tokens::Token]) -> EndedCredentials {
    let kubeconfigs = revoked.iter().filter(|token| token.scope_cluster.is_some()).count();
    EndedCredentials {
        tokens: (revoked.len() - kubeconfigs) as u64,
        kubeconfigs: kubeconfigs as u64,
        ..EndedCredentials::default()
    }
}
