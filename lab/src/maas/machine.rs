//! `machines/` and `nodes/`: which operation goes where, who may see what, and the filters of lists.

use super::{
    allocate,
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    deploy, machine_action, machine_update, power, release, render,
    state::{Machine, Status},
};
use ferrogate_model::SystemId;
use serde_json::{Value, json};

const COLLECTION: &str = "POST, GET";
const ONE: &str = "GET, PUT, POST, DELETE";

/// `machines/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    let (method, op) = ctx.signature();
    if !matches!(method, "GET" | "POST") {
        return Err(Answer::method_not_allowed(COLLECTION));
    }
    if ctx.user.is_none() {
        // Without a signature only enlistment would answer, which this MAAS does not have.
        return Err(Answer::unrecognised(method, op));
    }
    match (method, op) {
        ("GET", None) => {
            let filter = Filter::for_machines(ctx)?;
            Ok(Answer::json(&list(ctx, |machine| filter.accepts(ctx, machine))))
        }
        ("GET", Some("list_allocated")) => {
            let ids: Vec<&str> = ctx.request.query_all("id").collect();
            Ok(Answer::json(&list(ctx, |machine| {
                machine.status == Status::Allocated
                    && machine.owner == ctx.user
                    && (ids.is_empty() || ids.contains(&machine.system_id.0.as_str()))
            })))
        }
        ("GET", Some("power_parameters")) => power::all_parameters(ctx),
        ("POST", Some("allocate")) => allocate::allocate(ctx),
        ("POST", Some("release")) => release::many(ctx),
        _ => ctx.refuse(COLLECTION),
    }
}

/// `machines/<system id>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, id: &str) -> Reply {
    let Some(machine) = ctx.state.machine(id) else { return Err(Answer::not_found("Machine")) };
    let id = machine.system_id.clone();
    match ctx.signature() {
        ("GET", None) => read(ctx, &id),
        ("PUT", None) => machine_update::update(ctx, &id),
        ("DELETE", None) => machine_action::delete(ctx, &id),
        ("GET", Some("power_parameters")) => power::parameters(ctx, &id),
        ("GET", Some("query_power_state")) => power::query(ctx, &id),
        ("GET", Some("details")) => machine_action::details(ctx, &id),
        ("GET", Some("get_token")) => machine_action::token(ctx, &id),
        ("GET", Some("get_curtin_config")) => machine_action::curtin_config(ctx, &id),
        ("POST", Some("deploy")) => deploy::deploy(ctx, &id),
        ("POST", Some("release")) => release::one(ctx, &id),
        ("POST", Some("power_on")) => power::on(ctx, &id),
        ("POST", Some("power_off")) => power::off(ctx, &id),
        ("POST", Some("set_owner_data" | "set_workload_annotations")) => machine_action::annotate(ctx, &id),
        ("POST", Some("mark_broken")) => machine_action::mark_broken(ctx, &id),
        ("POST", Some("mark_fixed")) => machine_action::mark_fixed(ctx, &id),
        ("POST", Some("lock")) => machine_action::lock(ctx, &id),
        ("POST", Some("unlock")) => machine_action::unlock(ctx, &id),
        ("POST", Some("abort")) => machine_action::abort(ctx, &id),
        ("POST", Some("commission")) => machine_action::commission(ctx, &id),
        ("POST", Some("test")) => machine_action::test(ctx, &id),
        ("POST", Some("rescue_mode")) => machine_action::rescue_mode(ctx, &id),
        ("POST", Some("exit_rescue_mode")) => machine_action::exit_rescue_mode(ctx, &id),
        ("POST", Some("set_storage_layout")) => machine_action::set_storage_layout(ctx, &id),
        _ => ctx.refuse(ONE),
    }
}

/// `nodes/`.
pub(crate) fn nodes(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let filter = Filter::for_machines(ctx)?;
            Ok(Answer::json(&list(ctx, |machine| filter.accepts(ctx, machine))))
        }
        ("GET", Some("is_registered")) => {
            let mac =
                ctx.request.query("mac_address").ok_or_else(|| Answer::bad_request("No provided mac_address!"))?;
            let known = ctx.state.machines.iter().flat_map(|machine| &machine.interfaces).any(|i| i.mac == mac);
            Ok(Answer::json(&json!(known)))
        }
        _ => ctx.refuse("POST, GET"),
    }
}

/// `nodes/<system id>/`.
pub(crate) fn node(ctx: &mut Ctx<'_>, id: &str) -> Reply {
    let Some(machine) = ctx.state.machine(id) else { return Err(Answer::not_found("Node")) };
    let id = machine.system_id.clone();
    match ctx.signature() {
        ("GET", None) => read(ctx, &id),
        ("GET", Some("power_parameters")) => power::parameters(ctx, &id),
        ("GET", Some("details")) => machine_action::details(ctx, &id),
        ("DELETE", None) => machine_action::delete(ctx, &id),
        _ => ctx.refuse("GET, DELETE"),
    }
}

fn read(ctx: &Ctx<'_>, id: &SystemId) -> Reply {
    need_view(ctx, id)?;
    Ok(answer(ctx, id))
}

/// The machine as the answer of an operation on it.
pub(crate) fn answer(ctx: &Ctx<'_>, id: &SystemId) -> Answer {
    match ctx.state.machine(&id.0) {
        Some(machine) => Answer::json(&render::machine(ctx.state, machine)),
        None => Answer::not_found("Machine"),
    }
}

fn list(ctx: &Ctx<'_>, accept: impl Fn(&Machine) -> bool) -> Value {
    let machines = ctx.state.machines.iter().filter(|machine| may_view(ctx, machine) && accept(machine));
    machines.map(|machine| render::machine(ctx.state, machine)).collect()
}

/// Users see what nobody has and what they have themselves.
fn may_view(ctx: &Ctx<'_>, machine: &Machine) -> bool {
    ctx.is_admin() || machine.owner.is_none() || machine.owner == ctx.user
}

/// Goes on where the user may see the machine.
pub(crate) fn need_view(ctx: &Ctx<'_>, id: &SystemId) -> Result<(), Answer> {
    match ctx.state.machine(&id.0) {
        Some(machine) if may_view(ctx, machine) => Ok(()),
        Some(_) => Err(Answer::forbidden()),
        None => Err(Answer::not_found("Machine")),
    }
}

/// Goes on where the user may change the machine: its owner and administrators.
pub(crate) fn need_edit(ctx: &Ctx<'_>, id: &SystemId) -> Result<(), Answer> {
    need_view(ctx, id)?;
    let machine = ctx.state.machine(&id.0);
    if ctx.is_admin() || machine.is_some_and(|machine| machine.owner.is_some() && machine.owner == ctx.user) {
        Ok(())
    } else {
        Err(Answer::forbidden())
    }
}

/// Goes on where the machine is not locked.
pub(crate) fn need_unlocked(ctx: &Ctx<'_>, id: &SystemId) -> Result<(), Answer> {
    if ctx.state.machine(&id.0).is_some_and(|machine| machine.locked) { Err(Answer::forbidden()) } else { Ok(()) }
}

/// Whether a text is a MAC address as MAAS takes it.
pub(crate) fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit()))
}

/// What a list is filtered by.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    rules: Vec<(String, Vec<String>)>,
}

impl Filter {
    const MACHINES: [&'static str; 14] = [
        "hostname",
        "domain",
        "zone",
        "pool",
        "agent_name",
        "mac_address",
        "id",
        "system_id",
        "status",
        "tags",
        "not_tags",
        "owner",
        "power_state",
        "arch",
    ];
    const EVENTS: [&'static str; 6] = ["hostname", "domain", "zone", "agent_name", "mac_address", "id"];

    /// The filter of a list of machines.
    ///
    /// # Errors
    /// 400 for filters that MAAS does not have and for zones, pools, states and MAC addresses that are none.
    pub(crate) fn for_machines(ctx: &Ctx<'_>) -> Result<Self, Answer> {
        let filter = Self::read(ctx);
        let mut mistakes = Mistakes::default();
        for (name, values) in &filter.rules {
            if !Self::MACHINES.contains(&name.as_str()) {
                mistakes.add(name, "No such constraint.");
            }
            for value in values {
                match name.as_str() {
                    "status" if !Status::ALL.iter().any(|status| status.filter_word() == *value) => mistakes
                        .add(name, format!("Select a valid choice. {value} is not one of the available choices.")),
                    "mac_address" if !is_mac(value) => {
                        mistakes.add(name, format!("'{value}' is not a valid MAC address."));
                    }
                    _ => {}
                }
            }
            let unknown = |known: &dyn Fn(&str) -> bool| -> Option<String> {
                let unknown: Vec<&str> = values.iter().map(String::as_str).filter(|value| !known(value)).collect();
                (!unknown.is_empty()).then(|| unknown.join(", "))
            };
            match name.as_str() {
                "zone" => {
                    if let Some(names) = unknown(&|name| ctx.state.zones.iter().any(|zone| zone.name == name)) {
                        mistakes.add(name, format!("No such zone(s): {names}."));
                    }
                }
                "pool" => {
                    if let Some(names) = unknown(&|name| ctx.state.pools.iter().any(|pool| pool.name == name)) {
                        mistakes.add(name, format!("No such pool(s): {names}."));
                    }
                }
                _ => {}
            }
        }
        mistakes.check()?;
        Ok(filter)
    }

    /// The filter of a list of events, which knows fewer words and overlooks others.
    pub(crate) fn for_events(ctx: &Ctx<'_>) -> Result<Self, Answer> {
        let mut filter = Self::read(ctx);
        filter.rules.retain(|(name, _)| Self::EVENTS.contains(&name.as_str()));
        Ok(filter)
    }

    fn read(ctx: &Ctx<'_>) -> Self {
        let mut filter = Self::default();
        for (name, value) in ctx.request.query.iter().filter(|(name, _)| name != "op" && !name.starts_with("oauth_")) {
            match filter.rules.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(value.clone()),
                None => filter.rules.push((name.clone(), vec![value.clone()])),
            }
        }
        filter
    }

    /// Whether a machine passes.
    pub(crate) fn accepts(&self, ctx: &Ctx<'_>, machine: &Machine) -> bool {
        let state = &*ctx.state;
        let tags = |name: &str| state.tags.iter().any(|tag| tag.name == name && machine.tags.contains(&tag.id));
        self.rules.iter().all(|(name, values)| {
            let one_of = |actual: &str| values.iter().any(|value| value == actual);
            match name.as_str() {
                "hostname" => one_of(&machine.hostname),
                "domain" => one_of(state.domain_name(machine.domain)),
                "zone" => state.zone(machine.zone).is_some_and(|zone| one_of(&zone.name)),
                "pool" => state.pool(machine.pool).is_some_and(|pool| one_of(&pool.name)),
                // An empty agent name filters nothing.
                "agent_name" => values.iter().all(String::is_empty) || one_of(&machine.agent_name),
                "mac_address" => machine.interfaces.iter().any(|interface| one_of(&interface.mac)),
                "id" | "system_id" => one_of(&machine.system_id.0),
                "status" => one_of(&machine.status.filter_word()),
                "tags" => values.iter().all(|value| tags(value)),
                "not_tags" => !values.iter().any(|value| tags(value)),
                "owner" => state.user_name(machine.owner).is_some_and(one_of),
                "power_state" => one_of(machine.power.word()),
                "arch" => one_of(&machine.architecture) || one_of(arch(machine)),
                _ => true,
            }
        })
    }
}

/// The architecture without its variant.
pub(crate) fn arch(machine: &Machine) -> &str {
    machine.architecture.split('/').next().unwrap_or_default()
}
