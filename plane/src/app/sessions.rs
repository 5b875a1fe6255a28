//! Sign-in and sessions.

use crate::{
    app::wire,
    auth::{
        Call, Caller, Principal,
        authenticate::SESSION_LIFETIME,
        caller::Credentials,
        limits::source,
        password,
        secret::{self, Kind},
    },
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{Identity, Page, Session, SessionCreate, SessionCreated};
use ferrogate_model::SessionId;
use ferrogate_store::{
    SecretHash,
    sessions::{self, SessionKind},
    tenants,
    users::{self, User},
};

/// Signs in a local user.
pub(crate) async fn create(context: &Context, call: &Call, request: SessionCreate) -> Outcome<SessionCreated> {
    let now = context.now();
    let email = request.email.trim().to_lowercase();
    let limited = |wait| {
        Failure::new(429, "too_many_tries", "too many sign-ins were tried; wait before the next").retry_after(wait)
    };
    context.limits.sign_in_source.take(&source(call.from), now).map_err(limited)?;
    context.limits.sign_in_account.take(&email, now).map_err(limited)?;
    let user = users::by_email(&context.store, &email).await?;
    let kept = user.as_ref().and_then(|user| user.password_hash.as_ref());
    let kept = kept.map(|hash| secrecy::ExposeSecret::expose_secret(hash).to_owned());
    let is_right = password::verify(request.password.into_inner(), kept).await?;
    // One answer for an unknown address, a wrong password and a disabled user: nobody learns which users exist.
    let Some(user) = user.filter(|user| is_right && !user.disabled) else {
        return Err(Failure::new(401, "sign_in_refused", "the e-mail address or the password is wrong")
            .hint("check both; a tenant admin can set a new password"));
    };
    context.limits.sign_in_account.forgive(&email);
    begin(context, call, &user).await
}

/// Begins a session of a user whose password was checked.
pub(crate) async fn begin(context: &Context, call: &Call, user: &User) -> Outcome<SessionCreated> {
    let now = context.now();
    let token = secret::generate(Kind::Session);
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
    sessions::insert(&context.store, &session).await?;
    let who = Principal {
        user: user.id,
        email: user.email.clone(),
        tenant: user.tenant,
        role: wire::role(user.role),
        platform_admin: user.platform_admin,
        credentials: Credentials::Session(session.id),
    };
    call.acted(Caller::User(who.clone()));
    call.about(user.id);
    Ok(SessionCreated { identity: identity(context, &who).await?, session: shown(session, &who), token: token.into() })
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

/// Ends one of one's own sessions.
pub(crate) async fn delete(context: &Context, who: &Principal, session: &str) -> Outcome<()> {
    let id = match session {
        "current" => who.session().ok_or_else(|| {
            Failure::conflict("no_session", "these credentials are an API token, not a session")
                .hint("revoke the token instead")
        })?,
        text => text.parse().map_err(|_| Failure::not_found("session", text))?,
    };
    if !sessions::remove(&context.store, who.user, id).await? {
        return Err(Failure::not_found("session", session));
    }
    context.credentials_changed();
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
