//! `domains/`.

use super::{
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    render,
    state::{Domain, Id, State},
};
use serde_json::{Value, json};

/// `domains/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let all: Value = ctx.state.domains.iter().map(|domain| render::domain(ctx.state, domain)).collect();
            Ok(Answer::json(&all))
        }
        ("POST", None) => create(ctx),
        ("POST", Some("set_serial")) => {
            ctx.need_admin(Answer::admins_only)?;
            Ok(Answer::json(&json!(null)))
        }
        _ => ctx.refuse("POST, GET"),
    }
}

fn create(ctx: &mut Ctx<'_>) -> Reply {
    ctx.need_admin(Answer::admins_only)?;
    let form = ctx.request.form()?;
    let name = form.get("name").unwrap_or_default().to_owned();
    let mut mistakes = Mistakes::default();
    mistakes.require("name", Some(&name));
    check_name(ctx.state, &name, None, &mut mistakes);
    let ttl = read_ttl(form.filled("ttl"), &mut mistakes);
    mistakes.check()?;
    let authoritative = form.get("authoritative").is_none_or(|text| !matches!(text, "false" | "False" | "0"));
    let id = ctx.state.next_id("domain");
    ctx.state.domains.push(Domain { id, name, authoritative, ttl });
    answer(ctx, id)
}

fn answer(ctx: &Ctx<'_>, id: Id) -> Reply {
    let domain = ctx.state.domain(id).ok_or_else(|| Answer::not_found("Domain"))?;
    Ok(Answer::json(&render::domain(ctx.state, domain)))
}

fn check_name(state: &State, name: &str, own: Option<Id>, mistakes: &mut Mistakes) {
    let clean = |label: &str| label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if let Some(label) = name.split('.').find(|label| !clean(label)) {
        mistakes.add("name", "Domain name contains invalid characters.");
        mistakes.add("name", format!("Label contains disallowed characters: '{label}'."));
    }
    if state.domains.iter().any(|domain| domain.name == name && Some(domain.id) != own) {
        mistakes.add("name", "Domain with this Name already exists.");
    }
}

/// A time to live of at least one second.
pub(crate) fn read_ttl(text: Option<&str>, mistakes: &mut Mistakes) -> Option<i64> {
    match text?.parse() {
        Ok(ttl) if ttl >= 1 => Some(ttl),
        Ok(_) => {
            mistakes.add("ttl", "Ensure this value is greater than or equal to 1.");
            None
        }
        Err(_) => {
            mistakes.add("ttl", "Enter a whole number.");
            None
        }
    }
}

/// `domains/<id or name>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, name: &str) -> Reply {
    let (method, op) = ctx.signature();
    let found = ctx.state.find_domain(name).map(|domain| domain.id);
    let id = || found.ok_or_else(|| Answer::not_found("Domain"));
    match (method, op) {
        ("GET", None) => answer(ctx, id()?),
        ("PUT", None) => {
            ctx.need_admin(Answer::forbidden)?;
            let id = id()?;
            let form = ctx.request.form_or_json()?;
            let mut mistakes = Mistakes::default();
            if let Some(name) = form.filled("name") {
                check_name(ctx.state, name, Some(id), &mut mistakes);
            }
            let ttl = read_ttl(form.filled("ttl"), &mut mistakes);
            mistakes.check()?;
            for domain in ctx.state.domains.iter_mut().filter(|domain| domain.id == id) {
                if let Some(name) = form.filled("name") {
                    name.clone_into(&mut domain.name);
                }
                domain.ttl = ttl.or(domain.ttl);
            }
            answer(ctx, id)
        }
        ("POST", Some("set_default")) => {
            ctx.need_admin(Answer::forbidden)?;
            ctx.state.default_domain = id()?;
            answer(ctx, id()?)
        }
        ("DELETE", None) => delete(ctx, id()?),
        _ => ctx.refuse("GET, PUT, POST, DELETE"),
    }
}

fn delete(ctx: &mut Ctx<'_>, id: Id) -> Reply {
    ctx.need_admin(Answer::forbidden)?;
    if id == ctx.state.default_domain {
        return Err(Answer::bad_request("This domain is the default domain, it cannot be deleted."));
    }
    let machines = ctx.state.machines.iter().filter(|machine| machine.domain == id);
    let inside: Vec<String> = machines.map(|m| format!("<Node: {} ({})>", m.system_id, m.hostname)).collect();
    if !inside.is_empty() {
        let text = format!(
            "(\"Cannot delete some instances of model 'Domain' because they are referenced through protected foreign \
             keys: 'Node.domain'.\", {{{}}})",
            inside.join(", ")
        );
        return Err(Answer::server_error(text));
    }
    ctx.state.domains.retain(|domain| domain.id != id);
    let gone: Vec<Id> = ctx.state.dns_resources.iter().filter(|r| r.domain == id).map(|r| r.id).collect();
    for resource in gone {
        ctx.state.delete_resource(resource);
    }
    Ok(Answer::no_content())
}
