//! `zones/`.

use super::{
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    render,
    state::{Id, State, Zone},
};
use serde_json::Value;

/// A name of letters, digits, blanks and dashes, as zones and pools want it.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | ' ' | '-');
    !name.is_empty() && name.chars().all(inner) && !name.starts_with([' ', '-']) && !name.ends_with([' ', '-'])
}

/// `zones/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let mut zones: Vec<&Zone> = ctx.state.zones.iter().collect();
            zones.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(Answer::json(&zones.into_iter().map(render::zone).collect::<Value>()))
        }
        ("POST", None) => create(ctx),
        _ => ctx.refuse("POST, GET"),
    }
}

fn create(ctx: &mut Ctx<'_>) -> Reply {
    ctx.need_admin(Answer::admins_only)?;
    let form = ctx.request.form()?;
    let name = form.get("name").unwrap_or_default().to_owned();
    check_name(ctx.state, &name, None)?;
    let id = ctx.state.next_id("zone");
    let zone = Zone { id, name, description: form.get("description").unwrap_or_default().to_owned() };
    let answer = Answer::json(&render::zone(&zone));
    ctx.state.zones.push(zone);
    Ok(answer)
}

fn check_name(state: &State, name: &str, own: Option<Id>) -> Result<(), Answer> {
    let mut mistakes = Mistakes::default();
    mistakes.require("name", Some(name));
    if !name.is_empty() && (name.contains(' ') || !is_plain_name(name)) {
        mistakes.add("name", "Enter a valid value.");
    }
    if state.zones.iter().any(|zone| zone.name == name && Some(zone.id) != own) {
        mistakes.add("name", "Physical zone with this Name already exists.");
    }
    mistakes.check()
}

/// `zones/<name>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, name: &str) -> Reply {
    let at = ctx.state.zones.iter().position(|zone| zone.name == name);
    match (ctx.signature(), at) {
        (("GET", None), Some(at)) => Ok(Answer::json(&render::zone(&ctx.state.zones[at]))),
        (("PUT", None), Some(at)) => {
            ctx.need_admin(Answer::admins_only)?;
            let form = ctx.request.form_or_json()?;
            let new = form.filled("name").unwrap_or(name);
            check_name(ctx.state, new, Some(ctx.state.zones[at].id))?;
            let zone = &mut ctx.state.zones[at];
            zone.name = new.to_owned();
            if let Some(text) = form.get("description") {
                text.clone_into(&mut zone.description);
            }
            Ok(Answer::json(&render::zone(zone)))
        }
        (("DELETE", None), at) => {
            ctx.need_admin(Answer::admins_only)?;
            // Deleting what is not there is no error for zones.
            let Some(at) = at else { return Ok(Answer::no_content()) };
            if at == 0 {
                return Err(Answer::bad_request("This zone is the default zone, it cannot be deleted."));
            }
            let gone = ctx.state.zones.remove(at).id;
            let default = ctx.state.zones[0].id;
            for machine in ctx.state.machines.iter_mut().filter(|machine| machine.zone == gone) {
                machine.zone = default;
            }
            Ok(Answer::no_content())
        }
        (("GET" | "PUT", None), None) => Err(Answer::not_found("Zone")),
        _ => ctx.refuse("GET, PUT, DELETE"),
    }
}
