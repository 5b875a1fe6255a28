//! `fabrics/` with their VLANs, and `spaces/`: reading.

use super::{
    answer::{Answer, Reply},
    api::Ctx,
    render,
};
use serde_json::Value;

/// `fabrics/…`.
pub(crate) fn fabrics(ctx: &mut Ctx<'_>, rest: &[&str]) -> Reply {
    if ctx.signature() != ("GET", None) {
        return ctx.refuse(if rest.is_empty() { "POST, GET" } else { "GET, PUT, DELETE" });
    }
    let state = &*ctx.state;
    let [name, rest @ ..] = rest else {
        return Ok(Answer::json(&state.fabrics.iter().map(|f| render::fabric(state, f)).collect::<Value>()));
    };
    let fabric = state.find_fabric(name).ok_or_else(|| Answer::not_found("Fabric"))?;
    let mut vlans = state.vlans.iter().filter(|vlan| vlan.fabric == fabric.id);
    match rest {
        [] => Ok(Answer::json(&render::fabric(state, fabric))),
        ["vlans"] => Ok(Answer::json(&vlans.map(|v| render::vlan(state, v)).collect::<Value>())),
        ["vlans", vid] => {
            let vlan = vlans.find(|vlan| vlan.vid.to_string() == *vid).ok_or_else(|| Answer::not_found("VLAN"))?;
            Ok(Answer::json(&render::vlan(state, vlan)))
        }
        _ => Err(Answer::unknown_endpoint(&ctx.request.path)),
    }
}

/// `spaces/…`.
pub(crate) fn spaces(ctx: &mut Ctx<'_>, rest: &[&str]) -> Reply {
    if ctx.signature() != ("GET", None) {
        return ctx.refuse(if rest.is_empty() { "POST, GET" } else { "GET, PUT, DELETE" });
    }
    let state = &*ctx.state;
    match rest {
        [] => {
            let named = state.spaces.iter().map(Some);
            // What is in no space is shown as one, last.
            let loose = state.vlans.iter().any(|vlan| vlan.space.is_none()).then_some(None);
            Ok(Answer::json(&named.chain(loose).map(|s| render::space(state, s)).collect::<Value>()))
        }
        ["undefined"] => Ok(Answer::json(&render::space(state, None))),
        [name] => {
            let known = |space: &&super::state::Space| space.name == *name || space.id.to_string() == *name;
            let space = state.spaces.iter().find(known).ok_or_else(|| Answer::not_found("Space"))?;
            Ok(Answer::json(&render::space(state, Some(space))))
        }
        _ => Err(Answer::unknown_endpoint(&ctx.request.path)),
    }
}
