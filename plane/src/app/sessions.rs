//! Sign-in and sessions.

use crate::{
    app::{credentials, wire},
    auth::{
        Call, Caller, Principal,
        authenticate::SESSION_LIFETIME,
        caller::Credentials,
        limits::source,
        password, revocation,
        secret::{self, CredentialKind},
    },
    context::Context,
    failure::{Failure, Outcome},
    roles,
};
use ferrogate_api::{Identity, Page, Session, SessionCreate, SessionCreated};
use ferrogate_model::SessionId;
use ferrogate_store::{
    Maker, SecretHash,
    sessions::{self, SessionKind},
    tenants,
    users::{self, User},
};
use secrecy::ExposeSecret as _;

/// Signs in a local user.
pub(crate) async fn create(context: &Context, call: &Call, request: SessionCreate) -> Outcome<SessionCreated> {
    let email = request.email.trim().to_lowercase();
    let limited = |wait| {
        Failure::new(429, "too_many_tries", "too many sign-ins were tried; wait before the next").retry_after(wait)
    };
    context.limits.sign_in_source.take(&source(call.from)).map_err(limited)?;
    context.limits.sign_in_account.take(&email).map_err(limited)?;
    let user = users::by_email(&context.store, &email).await?;
    let kept = user.as_ref().and_then(|user| user.password_hash.as_ref());
    let kept = kept.map(|hash| hash.expose_secret().to_owned());
    let is_right = password::verify(request.password.into_inner(), kept).await?;
    let user = user.filter(|user| is_right && !user.disabled).ok_or_else(refused)?;
    context.limits.sign_in_account.forgive(&email);
    begin(context, call, &user).await
}

/// One answer for an unknown address, a wrong password and a disabled user: nobody learns which users exist.
fn refused() -> Failure {
    Failure::new(401, "sign_in_refused", "the e-mail address or the password is wrong")
        .hint("check both; a tenant admin can set a new password")
}

/// Begins a session of a user whose password was checked.
pub(crate) async fn begin(context: &Context, call: &Call, user: &User) -> Outcome<SessionCreated> {
    let now = context.now();
    let token = secret::generate(CredentialKind::Session);
    let session = sessions::Session {
        id: SessionId::new(),
        user: user.id,
        token_hash: SecretHash::of(&token),
        kind: SessionKind::Cli,
        created: now,
        expires: now + SESSION_LIFETIME,
        last_used: now,
        from_ip: Some(call.from.to_string()),
    };
    let mut tx = context.store.begin().await?;
    // Another password may have been set while this one was checked, which ended every session but this.
    let now_known = users::lock(&mut tx, user.id).await?.filter(|now| !now.disabled && same_password(now, user));
    now_known.ok_or_else(refused)?;
    sessions::insert(&mut tx, &session).await?;
    tx.commit().await?;
    let who = Principal {
        user: user.id,
        email: user.email.clone(),
        tenant: user.tenant,
        role: roles::role(user.role),
        platform_admin: user.platform_admin,
        credentials: Credentials::Session(session.id),
    };
    call.acted(Caller::User(who.clone()));
    call.about(user.id);
    Ok(SessionCreated { identity: identity(context, &who).await?, session: shown(session, &who), token: token.into() })
}

fn same_password(now: &User, checked: &User) -> bool {
    let hash = |user: &User| user.password_hash.as_ref().map(|hash| hash.expose_secret().to_owned());
    hash(now) == hash(checked)
}

/// Who asks.
pub(crate) async fn identity(context: &Context, who: &Principal) -> Outcome<Identity> {
    let tenant = tenants::get(&context.store, who.tenant).await?;
    Ok(Identity {
        user_id: who.user,
        email: who.email.clone(),
        tenant_id: who.tenant,
        tenant: tenant.map(|tenant| tenant.name).unwrap_or_default(),
        role: who.role,
        platform_admin: who.platform_admin,
        token_id: who.token(),
    })
}

/// One's own sessions that have not ended, the newest first.
pub(crate) async fn list(context: &Context, who: &Principal) -> Outcome<Page<Session>> {
    let now = context.now();
    let list = sessions::list(&context.store, who.user, &ferrogate_store::Page::first(500)).await?;
    let open = list.items.into_iter().filter(|session| session.expires > now);
    Ok(wire::whole(open.map(|session| shown(session, who)).collect()))
}

/// Ends one of one's own sessions, and where it is another than the one that asks, what it made.
pub(crate) async fn delete(context: &Context, who: &Principal, session: &str) -> Outcome<()> {
    let id = match session {
        "current" => who.session().ok_or_else(|| {
            Failure::conflict("no_session", "these credentials are an API token, not a session")
                .hint("revoke the token instead")
        })?,
        text => text.parse().map_err(|_| Failure::not_found("session", text))?,
    };
    let mut tx = context.store.begin().await?;
    users::lock(&mut tx, who.user).await?;
    if !sessions::remove(&mut tx, who.user, id).await? {
        return Err(Failure::not_found("session", session));
    }
    // Whoever signs out goes; whoever ends another session takes it away from somebody, with what that one made.
    if who.session() != Some(id) {
        credentials::end_made_by(&mut tx, Maker::Session(id), context.now()).await?;
    }
    tx.commit().await?;
    revocation::end_streams(context, who.user).await;
    Ok(())
}

fn shown(session: sessions::Session, who: &Principal) -> Session {
    Session {
        id: session.id,
        created_at: session.created,
        expires_at: session.expires,
        last_used_at: Some(session.last_used),
        from_ip: session.from_ip,
        current: who.session() == Some(session.id),
    }
}
