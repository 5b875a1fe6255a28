//! `users/`, and of the caller's own account its API keys and SSH keys.

use super::{
    answer::{Answer, Reply},
    api::Ctx,
    render,
    state::{Key, SshKey, User, new_key},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::StatusCode;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// `users/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", Some("whoami")) => Ok(Answer::json(&render::user(ctx.user()?))),
        ("GET", None) => {
            let mut users: Vec<&User> = ctx.state.users.iter().collect();
            users.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(Answer::json(&users.into_iter().map(render::user).collect::<Value>()))
        }
        ("POST", None) => create(ctx),
        _ => ctx.refuse("POST, GET"),
    }
}

/// A new user, without any API key. The password is not kept: nobody signs in here.
fn create(ctx: &mut Ctx<'_>) -> Reply {
    ctx.need_admin(Answer::admins_only)?;
    let form = ctx.request.form()?;
    let field = |name: &str| form.get(name).ok_or_else(|| Answer::bad_request(format!("No provided {name}!")));
    let (name, email) = (field("username")?.to_owned(), field("email")?.to_owned());
    field("password")?;
    let admin = matches!(field("is_superuser")?, "1" | "true" | "True");
    if ctx.state.users.iter().any(|user| user.name == name) {
        return Err(Answer::conflict("a user with that name already exists"));
    }
    let id = ctx.state.next_id("user");
    let user = User { id, name, email, admin };
    let answer = Answer::json(&render::user(&user));
    ctx.state.users.push(user);
    Ok(answer)
}

/// `users/<name>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, name: &str) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let user = ctx.state.users.iter().find(|user| user.name == name);
            Ok(Answer::json(&render::user(user.ok_or_else(|| Answer::not_found("User"))?)))
        }
        ("DELETE", None) => {
            ctx.need_admin(Answer::admins_only)?;
            if ctx.user()?.name == name {
                return Err(Answer::bad_request("An administrator cannot self-delete."));
            }
            // Deleting a user who is not there is no error.
            let gone = ctx.state.users.iter().find(|user| user.name == name).map(|user| user.id);
            ctx.state.users.retain(|user| Some(user.id) != gone);
            ctx.state.keys.retain(|key| Some(key.user) != gone);
            ctx.state.ssh_keys.retain(|key| Some(key.user) != gone);
            Ok(Answer::no_content())
        }
        _ => ctx.refuse("GET, DELETE"),
    }
}

/// `account/`.
pub(crate) fn account(ctx: &mut Ctx<'_>) -> Reply {
    let user = ctx.user()?.id;
    match ctx.signature() {
        ("GET", Some("list_authorisation_tokens")) => {
            let keys = ctx.state.keys.iter().filter(|key| key.user == user);
            let row = |key: &Key| {
                let text = format!("{}:{}:{}", key.consumer, key.token, key.secret.expose_secret());
                json!({ "name": key.name, "token": text })
            };
            Ok(Answer::json(&keys.map(row).collect::<Value>()))
        }
        ("POST", Some("create_authorisation_token")) => {
            let form = ctx.request.form()?;
            let name = form.filled("name").unwrap_or("MAAS consumer").to_owned();
            let fresh = new_key();
            let answer = Answer::json(&json!({
                "token_key": fresh.token, "token_secret": fresh.secret.expose_secret(),
                "consumer_key": fresh.consumer, "name": name,
            }));
            let (consumer, token, secret) = (fresh.consumer, fresh.token, fresh.secret);
            ctx.state.keys.push(Key { user, name, consumer, token, secret });
            Ok(answer)
        }
        ("POST", Some("update_token_name")) => {
            let form = ctx.request.form()?;
            let at = find_key(ctx, user, form.get("token"), "token")?;
            form.get("name").unwrap_or_default().clone_into(&mut ctx.state.keys[at].name);
            Ok(Answer::plain(StatusCode::ACCEPTED, "Accepted"))
        }
        ("POST", Some("delete_authorisation_token")) => {
            let form = ctx.request.form()?;
            let at = find_key(ctx, user, form.get("token_key"), "token_key")?;
            ctx.state.keys.remove(at);
            Ok(Answer::no_content())
        }
        _ => ctx.refuse("POST, GET"),
    }
}

fn find_key(ctx: &Ctx<'_>, user: i64, token: Option<&str>, field: &str) -> Result<usize, Answer> {
    let token = token.ok_or_else(|| Answer::bad_request(format!("No provided {field}!")))?;
    // The whole key is taken too, as `maas` prints it.
    let token = token.split(':').nth(1).unwrap_or(token);
    let at = ctx.state.keys.iter().position(|key| key.user == user && key.token == token);
    at.ok_or_else(|| Answer::not_found("Token"))
}

fn ssh_key_json(key: &SshKey) -> Value {
    json!({
        "key": key.key, "id": key.id, "keysource": "",
        "resource_uri": format!("/MAAS/api/2.0/account/prefs/sshkeys/{}/", key.id),
    })
}

/// `account/prefs/sshkeys/`.
pub(crate) fn ssh_keys(ctx: &mut Ctx<'_>) -> Reply {
    let user = ctx.user()?.id;
    match ctx.signature() {
        ("GET", None) => {
            let keys = ctx.state.ssh_keys.iter().filter(|key| key.user == user);
            Ok(Answer::json(&keys.map(ssh_key_json).collect::<Value>()))
        }
        ("POST", None) => {
            let form = ctx.request.form()?;
            let key = form.get("key").unwrap_or_default().to_owned();
            check_ssh_key(&key)?;
            if ctx.state.ssh_keys.iter().any(|known| known.user == user && known.key == key) {
                return Err(Answer::mistake("__all__", "This key has already been added for this user."));
            }
            let id = ctx.state.next_id("sshkey");
            let answer = Answer::created(&json!({ "key": key, "id": id }));
            ctx.state.ssh_keys.push(SshKey { id, user, key });
            Ok(answer)
        }
        _ => ctx.refuse("POST, GET"),
    }
}

fn check_ssh_key(key: &str) -> Result<(), Answer> {
    let parts: Vec<&str> = key.split_whitespace().collect();
    let [kind, body, ..] = parts.as_slice() else {
        let text = format!(
            "Invalid SSH public key: Key should contain 2 or more space separated parts (key type, base64-encoded \
             key, optional comments), not {}: {key}",
            parts.len()
        );
        return Err(Answer::mistake("key", text));
    };
    let known = kind.starts_with("ssh-") || kind.starts_with("ecdsa-") || kind.starts_with("sk-");
    if !known || BASE64_STANDARD.decode(body).is_err() {
        return Err(Answer::mistake("key", "Invalid SSH public key: Key could not be decoded."));
    }
    Ok(())
}

/// `account/prefs/sshkeys/<id>/`.
pub(crate) fn ssh_key(ctx: &mut Ctx<'_>, id: &str) -> Reply {
    let user = ctx.user()?.id;
    let at = ctx.state.ssh_keys.iter().position(|key| key.user == user && key.id.to_string() == id);
    let at = at.ok_or_else(|| Answer::not_found("SSHKey"))?;
    match ctx.signature() {
        ("GET", None) => Ok(Answer::json(&ssh_key_json(&ctx.state.ssh_keys[at]))),
        ("DELETE", None) => {
            ctx.state.ssh_keys.remove(at);
            Ok(Answer::no_content())
        }
        _ => ctx.refuse("GET, DELETE"),
    }
}
