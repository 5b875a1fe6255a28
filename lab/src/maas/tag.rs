//! `tags/`.

use super::{
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    render,
    state::{Id, State, Tag},
};
use serde_json::{Value, json};

/// `tags/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => Ok(Answer::json(&ctx.state.tags.iter().map(render::tag).collect::<Value>())),
        ("POST", None) => {
            ctx.need_admin(Answer::forbidden)?;
            let form = ctx.request.form()?;
            let text = |name| form.get(name).unwrap_or_default().to_owned();
            check(ctx.state, &text("name"), &text("definition"), None)?;
            let (name, definition) = (text("name"), text("definition"));
            let (comment, kernel_opts) = (text("comment"), text("kernel_opts"));
            let id = ctx.state.next_id("tag");
            let tag = Tag { id, name, definition, comment, kernel_opts };
            let answer = Answer::json(&render::tag(&tag));
            ctx.state.tags.push(tag);
            Ok(answer)
        }
        _ => ctx.refuse("POST, GET"),
    }
}

fn check(state: &State, name: &str, definition: &str, own: Option<Id>) -> Result<(), Answer> {
    let mut mistakes = Mistakes::default();
    mistakes.require("name", Some(name));
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        mistakes.add("name", "Enter a valid value.");
    }
    if state.tags.iter().any(|tag| tag.name == name && Some(tag.id) != own) {
        mistakes.add("name", "Tag with this Name already exists.");
    }
    if definition.matches('[').count() != definition.matches(']').count() {
        mistakes.add("definition", "Invalid xpath expression: Invalid expression");
    }
    mistakes.check()
}

/// `tags/<name>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, name: &str) -> Reply {
    let (method, op) = ctx.signature();
    let found = ctx.state.tags.iter().position(|tag| tag.name == name);
    let at = || found.ok_or_else(|| Answer::not_found("Tag"));
    match (method, op) {
        ("GET", None) => Ok(Answer::json(&render::tag(&ctx.state.tags[at()?]))),
        ("GET", Some("machines" | "nodes")) => {
            let id = ctx.state.tags[at()?].id;
            let machines = ctx.state.machines.iter().filter(|machine| machine.tags.contains(&id));
            Ok(Answer::json(&machines.map(|machine| render::machine(ctx.state, machine)).collect::<Value>()))
        }
        ("GET", Some("devices" | "rack_controllers" | "region_controllers")) => {
            at()?;
            Ok(Answer::json(&json!([])))
        }
        ("PUT", None) => {
            let at = at()?;
            ctx.need_admin(Answer::forbidden)?;
            let form = ctx.request.form_or_json()?;
            let new = form.filled("name").unwrap_or(name);
            check(ctx.state, new, form.get("definition").unwrap_or_default(), Some(ctx.state.tags[at].id))?;
            let tag = &mut ctx.state.tags[at];
            tag.name = new.to_owned();
            for (field, target) in [("comment", &mut tag.comment), ("kernel_opts", &mut tag.kernel_opts)] {
                if let Some(text) = form.get(field) {
                    text.clone_into(target);
                }
            }
            Ok(Answer::json(&render::tag(tag)))
        }
        ("POST", Some("update_nodes")) => update_nodes(ctx, at()?),
        ("POST", Some("rebuild")) => {
            ctx.need_admin(Answer::forbidden)?;
            Ok(Answer::json(&json!({ "rebuilding": ctx.state.tags[at()?].name })))
        }
        ("DELETE", None) => {
            let at = at()?;
            ctx.need_admin(Answer::forbidden)?;
            let id = ctx.state.tags.remove(at).id;
            for machine in &mut ctx.state.machines {
                machine.tags.retain(|tag| *tag != id);
            }
            Ok(Answer::no_content())
        }
        _ => ctx.refuse("GET, PUT, POST, DELETE"),
    }
}

fn update_nodes(ctx: &mut Ctx<'_>, at: usize) -> Reply {
    ctx.need_admin(Answer::forbidden)?;
    let form = ctx.request.form()?;
    let tag = ctx.state.tags[at].id;
    let (mut added, mut removed) = (0, 0);
    for id in form.all("add") {
        if let Some(machine) = ctx.state.machine_mut(id) {
            added += 1;
            if !machine.tags.contains(&tag) {
                machine.tags.push(tag);
            }
        }
    }
    for id in form.all("remove") {
        if let Some(machine) = ctx.state.machine_mut(id) {
            removed += 1;
            machine.tags.retain(|known| *known != tag);
        }
    }
    Ok(Answer::json(&json!({ "added": added, "removed": removed })))
}
