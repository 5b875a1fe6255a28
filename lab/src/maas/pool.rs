//! `resourcepools/` and `resourcepool/<id>/`.

use super::{
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    render,
    state::{Id, Pool, State},
    zone::is_plain_name,
};
use serde_json::Value;

/// `resourcepools/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let mut pools: Vec<&Pool> = ctx.state.pools.iter().collect();
            pools.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(Answer::json(&pools.into_iter().map(render::pool).collect::<Value>()))
        }
        ("POST", None) => {
            ctx.need_admin(Answer::forbidden)?;
            let form = ctx.request.form()?;
            let name = form.get("name").unwrap_or_default().to_owned();
            check_name(ctx.state, &name, None)?;
            let id = ctx.state.next_id("pool");
            let pool = Pool { id, name, description: form.get("description").unwrap_or_default().to_owned() };
            let answer = Answer::json(&render::pool(&pool));
            ctx.state.pools.push(pool);
            Ok(answer)
        }
        _ => ctx.refuse("POST, GET"),
    }
}

fn check_name(state: &State, name: &str, own: Option<Id>) -> Result<(), Answer> {
    let mut mistakes = Mistakes::default();
    mistakes.require("name", Some(name));
    if !name.is_empty() && !is_plain_name(name) {
        mistakes.add("name", "Enter a valid value.");
    }
    if state.pools.iter().any(|pool| pool.name == name && Some(pool.id) != own) {
        mistakes.add("name", "Resource pool with this Name already exists.");
    }
    mistakes.check()
}

/// `resourcepool/<id or name>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, name: &str) -> Reply {
    let (method, op) = ctx.signature();
    if op.is_some() || !matches!(method, "GET" | "PUT" | "DELETE") {
        return ctx.refuse("GET, PUT, DELETE");
    }
    let id = ctx.state.find_pool(name).map(|pool| pool.id).ok_or_else(|| Answer::not_found("ResourcePool"))?;
    let at = ctx.state.pools.iter().position(|pool| pool.id == id).unwrap_or_default();
    match method {
        "GET" => Ok(Answer::json(&render::pool(&ctx.state.pools[at]))),
        "PUT" => {
            ctx.need_admin(Answer::forbidden)?;
            let form = ctx.request.form_or_json()?;
            if let Some(name) = form.filled("name") {
                check_name(ctx.state, name, Some(id))?;
                name.clone_into(&mut ctx.state.pools[at].name);
            }
            if let Some(text) = form.get("description") {
                text.clone_into(&mut ctx.state.pools[at].description);
            }
            Ok(Answer::json(&render::pool(&ctx.state.pools[at])))
        }
        _ => {
            ctx.need_admin(Answer::forbidden)?;
            if id == 0 {
                return Err(Answer::bad_request("This is the default pool, it cannot be deleted."));
            }
            if ctx.state.machines.iter().any(|machine| machine.pool == id) {
                return Err(Answer::bad_request("Pool has machines in it, it cannot be deleted."));
            }
            ctx.state.pools.remove(at);
            Ok(Answer::no_content())
        }
    }
}
