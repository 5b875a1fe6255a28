//! The first start: the one-time token that lets somebody make the first tenant and its admin.

use crate::{
    app::{sessions, users},
    auth::{Call, limits::source, password, secret},
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{SessionCreated, SetupRequest};
use ferrogate_model::{TenantId, UserId};
use ferrogate_store::{
    Store, StoreError, settings, tenants,
    users::{Role, User},
};
use secrecy::{ExposeSecret as _, SecretString};

/// The setting that holds the hash of the token while it is good.
const SETTING: &str = "setup-token";

/// Whether the plane has its first user.
pub(crate) async fn is_done(context: &Context) -> Outcome<bool> {
    Ok(ferrogate_store::users::count(&context.store).await? > 0)
}

/// A new token where the plane has no user yet; an older one ends. It is kept as a hash and shown once, at start.
///
/// # Errors
/// What the store said.
pub(crate) async fn token(store: &Store) -> Result<Option<SecretString>, StoreError> {
    if ferrogate_store::users::count(store).await? > 0 {
        return Ok(None);
    }
    let token = secret::generate(secret::CredentialKind::Setup);
    settings::set(store, SETTING, &hash(&token)).await?;
    Ok(Some(token))
}

/// Makes the first tenant and its admin.
pub(crate) async fn run(context: &Context, call: &Call, request: SetupRequest) -> Outcome<SessionCreated> {
    let now = context.now();
    context.limits.pairing.take(&source(call.from)).map_err(|wait| {
        Failure::new(429, "too_many_tries", "too many set-up tries came from this address").retry_after(wait)
    })?;
    let refused = || {
        Failure::new(403, "setup_token_refused", "the set-up token is not the one this plane printed when it started")
            .hint("look for the newest token in the plane's log; each start without a user prints a new one")
    };
    if is_done(context).await? {
        return Err(Failure::conflict("already_set_up", "this plane has its first user already")
            .hint("sign in with `ferrogate login`"));
    }
    let kept = settings::get(&context.store, SETTING).await?.ok_or_else(refused)?;
    let given = hash(&request.setup_token.clone().into_inner());
    if !bool::from(subtle::ConstantTimeEq::ct_eq(given.expose_secret().as_bytes(), kept.expose_secret().as_bytes())) {
        return Err(refused());
    }
    let tenant_name = users::check_tenant_name(&request.tenant)?;
    let email = users::check_email(&request.email)?;
    let password = request.password.into_inner();
    password::check(&password)?;
    let password_hash = password::hash(password).await?;

    let tenant = tenants::Tenant { id: TenantId::new(), name: tenant_name, created: now };
    let user = User {
        id: UserId::new(),
        tenant: tenant.id,
        email,
        password_hash: Some(password_hash.into()),
        role: Role::Admin,
        platform_admin: true,
        disabled: false,
        created: now,
    };
    let mut tx = context.store.begin().await?;
    // Removing the token is what makes this happen once: of two at the same time, one is told that it was there.
    if !settings::remove(&mut tx, SETTING).await? {
        return Err(refused());
    }
    tenants::insert(&mut tx, &tenant).await?;
    ferrogate_store::users::insert(&mut tx, &user).await?;
    tx.commit().await?;
    context.limits.pairing.forgive(&source(call.from));
    sessions::begin(context, call, &user).await
}

fn hash(token: &SecretString) -> SecretString {
    secret::hash_text(token.expose_secret()).into()
}
