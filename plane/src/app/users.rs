//! Users of a tenant.

use crate::{
    app::{credentials, wire},
    auth::{Principal, password, revocation},
    context::Context,
    failure::{Failure, Outcome},
    roles,
};
use ferrogate_api::{EndedCredentials, Page, PageQuery, Role, User, UserCreate, UserUpdate, UserUpdated};
use ferrogate_model::UserId;
use ferrogate_store::{pairing_codes, users};

/// A page of the tenant's users.
pub(crate) async fn list(context: &Context, who: &Principal, query: &PageQuery) -> Outcome<Page<User>> {
    Ok(wire::listed(users::list(&context.store, who.tenant, &wire::page(query)?).await?, shown))
}

/// One user.
pub(crate) async fn read(context: &Context, who: &Principal, user: &str) -> Outcome<User> {
    find(context, who, user).await.map(shown)
}

/// Makes a local user.
pub(crate) async fn create(context: &Context, who: &Principal, request: UserCreate) -> Outcome<User> {
    let email = check_email(&request.email)?;
    let password = request.password.into_inner();
    password::check(&password)?;
    let user = users::User {
        id: UserId::new(),
        tenant: who.tenant,
        email,
        password_hash: Some(password::hash(password).await?.into()),
        role: roles::stored_role(request.role),
        platform_admin: false,
        disabled: false,
        created: context.now(),
    };
    let (mut tx, _) = credentials::making(context, who).await?;
    users::insert(&mut tx, &user).await?;
    tx.commit().await?;
    Ok(shown(user))
}

/// Changes a user, and ends what its old password or a disabled user opened.
pub(crate) async fn update(
    context: &Context,
    who: &Principal,
    user: &str,
    request: UserUpdate,
) -> Outcome<UserUpdated> {
    let user = find(context, who, user).await?;
    // Whoever sets a password can sign in with it, and would administer the plane.
    if user.platform_admin && !who.platform_admin {
        return Err(Failure::forbidden("only an administrator of the plane may change one")
            .hint("sign in with the password of an administrator of the plane; tokens do not carry that right"));
    }
    if user.id == who.user && (request.disabled == Some(true) || request.role.is_some_and(|role| role < who.role)) {
        return Err(Failure::conflict("not_yourself", "nobody can disable themselves or lower their own role")
            .hint("let another admin of the tenant do it"));
    }
    if request.keep_tokens && (request.password.is_none() || request.disabled == Some(true)) {
        return Err(Failure::invalid(
            "nothing_to_keep",
            "`keep_tokens` goes with a new password, and not with `disabled`",
        )
        .hint("leave it out: only a new password or a disabled user ends tokens"));
    }
    let new_hash = match request.password {
        None => None,
        Some(password) => {
            let password = password.into_inner();
            password::check(&password)?;
            Some(password::hash(password).await?)
        }
    };
    let ends = new_hash.is_some() || request.disabled == Some(true);
    let (mut tx, _) = credentials::making(context, who).await?;
    users::lock(&mut tx, user.id).await?;
    users::change(&mut tx, user.id, request.role.map(roles::stored_role), request.disabled).await?;
    if let Some(hash) = new_hash {
        users::set_password(&mut tx, user.id, &hash.into()).await?;
    }
    let mut ended = if ends {
        credentials::end_all(&mut tx, &user, None, request.keep_tokens, context.now()).await?
    } else {
        EndedCredentials::default()
    };
    if request.role.is_some_and(|role| role < Role::Admin) {
        // A pairing code is good for whoever holds it, and only admins may hand them out.
        ended.pairing_codes += pairing_codes::revoke_of_user(&mut tx, user.id, context.now()).await?;
    }
    tx.commit().await?;
    revocation::end_streams(context, user.id).await;
    Ok(UserUpdated { user: find(context, who, &user.id.to_string()).await.map(shown)?, ended })
}

async fn find(context: &Context, who: &Principal, user: &str) -> Outcome<users::User> {
    let unknown = || Failure::not_found("user", user);
    let id = user.parse().map_err(|_| unknown())?;
    users::find(&context.store, who.tenant, id).await?.ok_or_else(unknown)
}

fn shown(user: users::User) -> User {
    User {
        id: user.id,
        email: user.email,
        role: roles::role(user.role),
        platform_admin: user.platform_admin,
        disabled: user.disabled,
        created_at: user.created,
    }
}

/// A sign-in e-mail address as it is kept, or what is wrong with it.
pub(crate) fn check_email(text: &str) -> Outcome<String> {
    let email = text.trim().to_lowercase();
    let is_address = email.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty() && !host.is_empty() && !host.contains('@') && !email.contains(char::is_whitespace)
    });
    if !is_address || email.len() > 254 || email.contains(char::is_control) {
        return Err(Failure::invalid("bad_email", format!("`{}` is not an e-mail address", shorten(text))));
    }
    Ok(email)
}

/// A tenant's name as it is kept, or what is wrong with it.
pub(crate) fn check_tenant_name(text: &str) -> Outcome<String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 100 || name.contains(char::is_control) {
        return Err(Failure::invalid("bad_tenant_name", format!("`{}` is not a name for a tenant", shorten(text)))
            .hint("use 1 to 100 characters"));
    }
    Ok(name.to_owned())
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_one_spelling() {
        assert_eq!(check_email(" Admin@Example.COM ").unwrap(), "admin@example.com");
        for wrong in ["", "admin", "@example.com", "a@", "a b@example.com", "a@b@c"] {
            assert!(check_email(wrong).is_err(), "{wrong}");
        }
    }
}
