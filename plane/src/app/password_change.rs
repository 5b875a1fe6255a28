//! One's own password.

use crate::{
    app::credentials,
    auth::{Call, Principal, limits::source, password, revocation},
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{EndedCredentials, PasswordChange};
use ferrogate_store::users;
use secrecy::ExposeSecret as _;

/// Changes the password of the one who asks, who knows the old one: a session that was left open is not enough.
pub(crate) async fn run(
    context: &Context,
    call: &Call,
    who: &Principal,
    request: PasswordChange,
) -> Outcome<EndedCredentials> {
    // As many tries as there are to sign in, and the same ones: this is another way to guess.
    let limited = |wait| {
        Failure::new(429, "too_many_tries", "too many passwords were tried; wait before the next").retry_after(wait)
    };
    context.limits.sign_in_source.take(&source(call.from)).map_err(limited)?;
    context.limits.sign_in_account.take(&who.email).map_err(limited)?;
    let new = request.new.into_inner();
    password::check(&new)?;
    let user = users::find(&context.store, who.tenant, who.user).await?;
    let user = user.ok_or_else(|| Failure::not_found("user", who.user))?;
    let kept = user.password_hash.as_ref().map(|hash| hash.expose_secret().to_owned());
    if !password::verify(request.current.into_inner(), kept.clone()).await? {
        return Err(wrong());
    }
    context.limits.sign_in_account.forgive(&who.email);
    let hash = password::hash(new).await?;

    let (mut tx, _) = credentials::making(context, who).await?;
    // Another password may have been set while this one was checked.
    let now_known = users::find(&mut tx, who.tenant, who.user).await?.and_then(|user| user.password_hash);
    if now_known.map(|hash| hash.expose_secret().to_owned()) != kept {
        return Err(wrong());
    }
    users::set_password(&mut tx, user.id, &hash.into()).await?;
    let ended = credentials::end_all(&mut tx, &user, who.session(), request.keep_tokens, context.now()).await?;
    tx.commit().await?;
    revocation::end_streams(context, user.id).await;
    Ok(ended)
}

/// Not 401: the session is good.
fn wrong() -> Failure {
    Failure::invalid("wrong_password", "the current password is another one")
        .hint("check it; a tenant admin can set a new password where nobody knows the old one")
}
