//! `fabrics/` with their VLANs, and `spaces/`.

use super::{
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    render,
    state::{Fabric, Id, Space, State, Vlan},
};
use serde_json::Value;

const MANY: &str = "POST, GET";
const ONE: &str = "GET, PUT, DELETE";

/// `fabrics/…`.
pub(crate) fn fabrics(ctx: &mut Ctx<'_>, rest: &[&str]) -> Reply {
    let [name, rest @ ..] = rest else { return fabric_collection(ctx) };
    let id = ctx.state.find_fabric(name).map(|fabric| fabric.id).ok_or_else(|| Answer::not_found("Fabric"))?;
    match rest {
        [] => fabric(ctx, id),
        ["vlans"] => vlan_collection(ctx, id),
        ["vlans", vid] => {
            let found = ctx.state.vlans.iter().find(|vlan| vlan.fabric == id && vlan.vid.to_string() == *vid);
            let vlan_id = found.map(|vlan| vlan.id).ok_or_else(|| Answer::not_found("VLAN"))?;
            vlan(ctx, vlan_id)
        }
        _ => Err(Answer::unknown_endpoint(&ctx.request.path)),
    }
}

fn fabric_collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let state = &*ctx.state;
            Ok(Answer::json(&state.fabrics.iter().map(|f| render::fabric(state, f)).collect::<Value>()))
        }
        ("POST", None) => {
            ctx.need_admin(Answer::admins_only)?;
            let form = ctx.request.form()?;
            let name = form.filled("name").map(str::to_owned);
            if name.as_ref().is_some_and(|name| ctx.state.fabrics.iter().any(|fabric| fabric.name == *name)) {
                return Err(Answer::mistake("name", "Fabric with this Name already exists."));
            }
            let id = add_fabric(ctx.state, name);
            fabric_answer(ctx, id)
        }
        _ => ctx.refuse(MANY),
    }
}

/// A new fabric with its untagged VLAN; one without a name is called after its id.
fn add_fabric(state: &mut State, name: Option<String>) -> Id {
    let id = state.next_id("fabric");
    let vlan = state.next_id("vlan");
    state.fabrics.push(Fabric { id, name: name.unwrap_or_else(|| format!("fabric-{id}")) });
    state.vlans.push(Vlan { id: vlan, fabric: id, name: "untagged".into(), vid: 0, mtu: 1500, space: None });
    id
}

/// The untagged VLAN that subnets without a VLAN go to: that of the fabric `fabric-0`, which is made where it is missing.
pub(crate) fn default_vlan(state: &mut State) -> Id {
    let found = state.fabrics.iter().find(|fabric| fabric.name == "fabric-0").map(|fabric| fabric.id);
    let fabric = found.unwrap_or_else(|| add_fabric(state, Some("fabric-0".into())));
    state.vlans.iter().find(|vlan| vlan.fabric == fabric && vlan.vid == 0).map_or(0, |vlan| vlan.id)
}

fn fabric_answer(ctx: &Ctx<'_>, id: Id) -> Reply {
    let fabric = ctx.state.fabric(id).ok_or_else(|| Answer::not_found("Fabric"))?;
    Ok(Answer::json(&render::fabric(ctx.state, fabric)))
}

fn fabric(ctx: &mut Ctx<'_>, id: Id) -> Reply {
    match ctx.signature() {
        ("GET", None) => fabric_answer(ctx, id),
        ("DELETE", None) => {
            ctx.need_admin(Answer::forbidden)?;
            let vlans: Vec<Id> = ctx.state.vlans.iter().filter(|vlan| vlan.fabric == id).map(|vlan| vlan.id).collect();
            if ctx.state.subnets.iter().any(|subnet| vlans.contains(&subnet.vlan)) {
                return Err(Answer::bad_request("Can't delete fabric; it has subnets."));
            }
            ctx.state.vlans.retain(|vlan| vlan.fabric != id);
            ctx.state.fabrics.retain(|fabric| fabric.id != id);
            Ok(Answer::no_content())
        }
        _ => ctx.refuse(ONE),
    }
}

fn vlan_collection(ctx: &mut Ctx<'_>, fabric: Id) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let state = &*ctx.state;
            let vlans = state.vlans.iter().filter(|vlan| vlan.fabric == fabric);
            Ok(Answer::json(&vlans.map(|vlan| render::vlan(state, vlan)).collect::<Value>()))
        }
        ("POST", None) => {
            ctx.need_admin(Answer::admins_only)?;
            let form = ctx.request.form()?;
            let vid: u16 = match form.get("vid").map(str::parse) {
                Some(Ok(vid)) if vid <= 4094 => vid,
                Some(_) => return Err(Answer::mistake("vid", "VID must be between 0 and 4094.")),
                None => return Err(Answer::mistake("vid", "This field is required.")),
            };
            if ctx.state.vlans.iter().any(|vlan| vlan.fabric == fabric && vlan.vid == vid) {
                let text = "A VLAN with the specified VID already exists in the destination fabric.";
                return Err(Answer::mistake_bare("__all__", text));
            }
            let id = ctx.state.next_id("vlan");
            let name = form.filled("name").map_or_else(|| vid.to_string(), str::to_owned);
            ctx.state.vlans.push(Vlan { id, fabric, name, vid, mtu: 1500, space: None });
            vlan_answer(ctx, id)
        }
        _ => ctx.refuse(MANY),
    }
}

fn vlan_answer(ctx: &Ctx<'_>, id: Id) -> Reply {
    let vlan = ctx.state.vlan(id).ok_or_else(|| Answer::not_found("VLAN"))?;
    Ok(Answer::json(&render::vlan(ctx.state, vlan)))
}

fn vlan(ctx: &mut Ctx<'_>, id: Id) -> Reply {
    match ctx.signature() {
        ("GET", None) => vlan_answer(ctx, id),
        ("PUT", None) => {
            ctx.need_admin(Answer::forbidden)?;
            let form = ctx.request.form_or_json()?;
            let mut mistakes = Mistakes::default();
            if form.get("dhcp_on").is_some_and(|text| matches!(text, "true" | "True" | "1")) {
                // There is no DHCP here.
                mistakes.add("dhcp_on", "dhcp can only be turned on when a dynamic IP range is defined.");
            }
            let mtu = form.filled("mtu").and_then(|text| {
                let mtu = text.parse().ok();
                if mtu.is_none() {
                    mistakes.add("mtu", "Enter a whole number.");
                }
                mtu
            });
            let space = form.filled("space").and_then(|name| find_space(ctx.state, name).map(|space| space.id));
            if form.filled("space").is_some() && space.is_none() {
                mistakes.add("space", "Select a valid choice. That choice is not one of the available choices.");
            }
            mistakes.check()?;
            for vlan in ctx.state.vlans.iter_mut().filter(|vlan| vlan.id == id) {
                vlan.mtu = mtu.unwrap_or(vlan.mtu);
                vlan.space = space.or(vlan.space);
                if let Some(name) = form.filled("name") {
                    name.clone_into(&mut vlan.name);
                }
            }
            vlan_answer(ctx, id)
        }
        ("DELETE", None) => {
            ctx.need_admin(Answer::forbidden)?;
            ctx.state.vlans.retain(|vlan| vlan.id != id);
            Ok(Answer::no_content())
        }
        _ => ctx.refuse(ONE),
    }
}

fn find_space<'a>(state: &'a State, name: &str) -> Option<&'a Space> {
    state.spaces.iter().find(|space| space.name == name || space.id.to_string() == name)
}

/// `spaces/…`.
pub(crate) fn spaces(ctx: &mut Ctx<'_>, rest: &[&str]) -> Reply {
    match (ctx.signature(), rest) {
        (("GET", None), []) => {
            let state = &*ctx.state;
            let named = state.spaces.iter().map(Some);
            // What is in no space is shown as one, last.
            let loose = state.vlans.iter().any(|vlan| vlan.space.is_none()).then_some(None);
            Ok(Answer::json(&named.chain(loose).map(|space| render::space(state, space)).collect::<Value>()))
        }
        (("POST", None), []) => {
            ctx.need_admin(Answer::admins_only)?;
            let form = ctx.request.form()?;
            let name = form.filled("name").map(str::to_owned);
            if name.as_ref().is_some_and(|name| ctx.state.spaces.iter().any(|space| space.name == *name)) {
                return Err(Answer::mistake("name", "Space with this Name already exists."));
            }
            let id = ctx.state.next_id("space");
            let name = name.unwrap_or_else(|| format!("space-{id}"));
            let space = Space { id, name, description: form.get("description").unwrap_or_default().to_owned() };
            let answer = Answer::json(&render::space(ctx.state, Some(&space)));
            ctx.state.spaces.push(space);
            Ok(answer)
        }
        (("GET", None), ["undefined"]) => Ok(Answer::json(&render::space(ctx.state, None))),
        (("GET", None), [name]) => {
            let space = find_space(ctx.state, name).ok_or_else(|| Answer::not_found("Space"))?;
            Ok(Answer::json(&render::space(ctx.state, Some(space))))
        }
        (_, []) => ctx.refuse(MANY),
        (_, [_]) => ctx.refuse(ONE),
        _ => Err(Answer::unknown_endpoint(&ctx.request.path)),
    }
}
