//! Users of a tenant.

use crate::{
    app::wire,
    auth::{Principal, password},
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{Page, PageQuery, User, UserCreate, UserUpdate};
use ferrogate_model::UserId;
use ferrogate_store::{sessions, users};

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
        role: wire::stored_role(request.role),
        platform_admin: false,
        disabled: false,
        created: context.now(),
    };
    users::insert(&context.store, &user).await?;
    Ok(shown(user))
}

/// Changes a user.
pub(crate) async fn update(context: &Context, who: &Principal, user: &str, request: UserUpdate) -> Outcome<User> {
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
    let new_hash = match request.password {
        None => None,
        Some(password) => {
            let password = password.into_inner();
            password::check(&password)?;
            Some(password::hash(password).await?)
        }
    };
    let ends_sessions = new_hash.is_some() || request.disabled == Some(true);
    let mut tx = context.store.begin().await?;
    users::change(&mut tx, user.id, request.role.map(wire::stored_role), request.disabled).await?;
    if let Some(hash) = new_hash {
        users::set_password(&mut tx, user.id, &hash.into()).await?;
    }
    if ends_sessions {
        sessions::remove_all(&mut tx, user.id).await?;
    }
    tx.commit().await?;
    context.credentials_changed();
    find(context, who, &user.id.to_string()).await.map(shown)
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
        role: wire::role(user.role),
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
