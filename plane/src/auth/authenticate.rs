//! From a bearer token and a route's rule to a caller, or a refusal.

use super::{
    Caller, Installer, Principal,
    caller::{Access, Credentials},
    limits,
    secret::CredentialKind,
};
use crate::{
    context::Context,
    failure::{Failure, Outcome},
    roles,
};
use ferrogate_model::{Timestamp, UserId};
use ferrogate_store::{SecretHash, gateways, sessions, tokens, users};
use secrecy::{ExposeSecret as _, SecretString};
use std::{net::IpAddr, time::Duration};

/// A session ends when it was not used for this long.
pub(crate) const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// How stale "last used" may be: every request would otherwise write.
const TOUCH_AFTER: Duration = Duration::from_secs(60);

/// Finds out who calls and whether `access` permits it. `object` is the gateway or cluster in the path.
///
/// # Errors
/// The refusal, with the caller as far as it is known, for the audit.
pub(crate) async fn admit(
    context: &Context,
    access: Access,
    bearer: Outcome<Option<SecretString>>,
    object: Option<&str>,
    from: IpAddr,
) -> Result<Caller, (Caller, Failure)> {
    if access == Access::Public {
        return Ok(Caller::Anonymous);
    }
    let anonymous = |failure| (Caller::Anonymous, failure);
    let Some(token) = bearer.map_err(anonymous)? else {
        return Err(anonymous(Failure::unauthenticated("nobody is signed in")));
    };
    let caller = match identify(context, &token, object).await {
        Ok(Some(caller)) => caller,
        Ok(None) => {
            if let Err(wait) = context.limits.bad_credentials.take(&limits::source(from)) {
                let failure =
                    Failure::new(429, "too_many_tries", "too many unknown credentials came from this address");
                return Err(anonymous(failure.retry_after(wait)));
            }
            return Err(anonymous(Failure::unauthenticated(
                "the credentials are not known, have ended or were revoked",
            )));
        }
        Err(failure) => return Err(anonymous(failure)),
    };
    match permit(access, &caller, object) {
        Ok(()) => Ok(caller),
        Err(failure) => Err((caller, failure)),
    }
}

fn permit(access: Access, caller: &Caller, object: Option<&str>) -> Outcome<()> {
    let Caller::User(who) = caller else {
        return match (access, caller) {
            (Access::Installer, Caller::Installer(installer)) if object == Some(&installer.gateway.to_string()) => {
                Ok(())
            }
            (Access::Installer, Caller::Installer(_)) => Err(Failure::not_found("gateway", object.unwrap_or_default())),
            _ => Err(Failure::forbidden("an install token is good for its own gateway's installation only")),
        };
    };
    if let Credentials::Kubeconfig(_, cluster) = who.credentials {
        return match access {
            Access::Kubernetes if object == Some(&cluster.to_string()) => Ok(()),
            Access::Kubernetes => Err(Failure::not_found("cluster", object.unwrap_or_default())),
            _ => Err(Failure::forbidden("a kubeconfig's token is good for its own cluster's Kubernetes API only")),
        };
    }
    match access {
        Access::Public | Access::SignedIn | Access::Kubernetes => Ok(()),
        Access::Role(least) if who.role >= least => Ok(()),
        Access::Role(least) => Err(Failure::forbidden(format!(
            "this needs the role {}, and these credentials have {}",
            roles::role_word(least),
            roles::role_word(who.role)
        ))),
        Access::Person(_) if who.session().is_none() => Err(Failure::new(
            403,
            "person_needed",
            "users, sessions and tokens are administered by people, not by tokens",
        )
        .hint("sign in with e-mail and password (`ferrogate login`), and do it then")),
        Access::Person(least) => permit(Access::Role(least), caller, object),
        Access::PlatformAdmin if who.platform_admin => Ok(()),
        Access::PlatformAdmin => Err(Failure::forbidden("this is for administrators of the plane itself")),
        Access::Installer => Err(Failure::forbidden("this is for a gateway's installer, with its install token")),
    }
}

/// Whose credentials these are; `None` where nobody's.
async fn identify(context: &Context, token: &SecretString, object: Option<&str>) -> Outcome<Option<Caller>> {
    let now = context.now();
    match CredentialKind::of(token.expose_secret()) {
        Some(CredentialKind::Session) => session(context, token, now).await,
        Some(kind @ (CredentialKind::Api | CredentialKind::Kubeconfig)) => api_token(context, token, kind, now).await,
        Some(CredentialKind::Install) => installer(context, token, object).await,
        Some(CredentialKind::Enrolment | CredentialKind::Setup) | None => Ok(None),
    }
}

async fn session(context: &Context, token: &SecretString, now: Timestamp) -> Outcome<Option<Caller>> {
    let Some(session) = sessions::by_token(&context.store, &SecretHash::of(token), now).await? else { return Ok(None) };
    let Some(user) = enabled(context, session.user).await? else { return Ok(None) };
    if now.duration_since(session.last_used).as_secs_f64() > TOUCH_AFTER.as_secs_f64() {
        sessions::touch(&context.store, session.id, now, now + SESSION_LIFETIME).await?;
    }
    Ok(Some(Caller::User(Principal {
        user: user.id,
        email: user.email,
        tenant: user.tenant,
        role: roles::role(user.role),
        platform_admin: user.platform_admin,
        credentials: Credentials::Session(session.id),
    })))
}

async fn api_token(
    context: &Context,
    token: &SecretString,
    kind: CredentialKind,
    now: Timestamp,
) -> Outcome<Option<Caller>> {
    let Some(token) = tokens::by_token(&context.store, &SecretHash::of(token), now).await? else { return Ok(None) };
    let Some(user) = enabled(context, token.user).await? else { return Ok(None) };
    let credentials = match (kind, token.scope_cluster) {
        (CredentialKind::Kubeconfig, Some(cluster)) => Credentials::Kubeconfig(token.id, cluster),
        (CredentialKind::Api, None) => Credentials::Token(token.id),
        // A prefix that does not fit the record: nothing we ever gave out.
        _ => return Ok(None),
    };
    let is_stale = |used: Timestamp| now.duration_since(used).as_secs_f64() > TOUCH_AFTER.as_secs_f64();
    if token.last_used.is_none_or(is_stale) {
        tokens::touch(&context.store, token.id, now).await?;
    }
    Ok(Some(Caller::User(Principal {
        user: user.id,
        email: user.email,
        tenant: user.tenant,
        role: roles::role(token.role).min(roles::role(user.role)),
        platform_admin: false,
        credentials,
    })))
}

/// The installer of the gateway in the path. Elsewhere its token says nothing, because it is not looked up by itself.
async fn installer(context: &Context, token: &SecretString, object: Option<&str>) -> Outcome<Option<Caller>> {
    let Some(id) = object.and_then(|id| id.parse().ok()) else { return Ok(None) };
    let Some(gateway) = gateways::get(&context.store, id).await? else { return Ok(None) };
    let fits = gateway.deleted.is_none() && gateway.install_token_hash.is_some_and(|hash| hash.matches(token));
    Ok(fits.then_some(Caller::Installer(Installer { gateway: gateway.id, tenant: gateway.tenant })))
}

async fn enabled(context: &Context, user: UserId) -> Outcome<Option<users::User>> {
    Ok(users::get(&context.store, user).await?.filter(|user| !user.disabled))
}
