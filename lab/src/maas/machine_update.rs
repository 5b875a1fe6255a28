//! `PUT machines/<id>/`, for administrators.

use super::{
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    machine::{self, need_unlocked},
    request::Form,
    state::{Id, State},
};
use crate::seed::PowerType;
use ferrogate_model::SystemId;
use rand::Rng;

/// Changes a machine. Fields that MAAS does not know, or does not let anybody change, are overlooked.
pub(crate) fn update(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form_or_json()?;
    ctx.need_admin(Answer::forbidden)?;
    need_unlocked(ctx, id)?;
    let mut mistakes = Mistakes::default();
    let hostname = form.get("hostname").map(|name| check_hostname(ctx.state, id, name, &mut mistakes));
    let domain = match form.filled("domain") {
        Some(text) => find_domain(ctx.state, text, &mut mistakes)?,
        None => None,
    };
    let choice = |mistakes: &mut Mistakes, field: &str, found: Option<Id>| {
        if found.is_none() {
            mistakes.add(field, "Select a valid choice. That choice is not one of the available choices.");
        }
        found
    };
    let zone = form.filled("zone").and_then(|name| {
        choice(&mut mistakes, "zone", ctx.state.zones.iter().find(|zone| zone.name == name).map(|zone| zone.id))
    });
    let pool = form.filled("pool").and_then(|name| {
        choice(&mut mistakes, "pool", ctx.state.pools.iter().find(|pool| pool.name == name).map(|pool| pool.id))
    });
    let cpu_count = whole(&form, "cpu_count", &mut mistakes);
    let memory = whole(&form, "memory", &mut mistakes);
    let swap_size = form.filled("swap_size").and_then(bytes);
    let architecture = check_architecture(ctx.state, &form, &mut mistakes);
    let power_type = check_power_type(&form, &mut mistakes);
    let kernel = form.get("min_hwe_kernel").map(str::to_owned);
    if let Some(kernel) = kernel.as_deref().filter(|kernel| !kernel.is_empty())
        && !ctx.state.images.iter().any(|image| image.kernels.iter().any(|known| known == kernel))
    {
        mistakes.add("min_hwe_kernel", format!("No kernel matches \">={kernel}\" requirement."));
    }
    mistakes.check()?;
    let description = form.get("description").map(str::to_owned);
    let Some(machine) = ctx.state.machine_mut(&id.0) else { return Err(Answer::not_found("Machine")) };
    if let Some(hostname) = hostname {
        machine.hostname = hostname;
    }
    set(&mut machine.domain, domain);
    set(&mut machine.zone, zone);
    set(&mut machine.pool, pool);
    set(&mut machine.architecture, architecture);
    set(&mut machine.description, description);
    set(&mut machine.cpu_count, cpu_count.and_then(|count| u32::try_from(count).ok()));
    set(&mut machine.memory, memory);
    machine.swap_size = swap_size.or(machine.swap_size);
    if let Some(power_type) = power_type {
        machine.power_type = power_type;
    }
    for (name, values) in form.lists() {
        if let (Some(name), Some(value)) = (name.strip_prefix("power_parameters_"), values.last()) {
            machine.power_parameters.insert(name.to_owned(), (*value).to_owned());
        }
    }
    machine.min_hwe_kernel = Some(kernel.or_else(|| machine.min_hwe_kernel.take()).unwrap_or_default());
    Ok(machine::answer(ctx, id))
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn whole(form: &Form, name: &str, mistakes: &mut Mistakes) -> Option<u64> {
    let text = form.filled(name)?;
    let number = text.parse().ok();
    if number.is_none() {
        mistakes.add(name, "Enter a whole number.");
    }
    number
}

/// A size with a decimal suffix: `2G` is 2,000,000,000.
fn bytes(text: &str) -> Option<i64> {
    let factor = match text.chars().last()? {
        'K' => 1_000,
        'M' => 1_000_000,
        'G' => 1_000_000_000,
        'T' => 1_000_000_000_000,
        _ => return text.parse().ok(),
    };
    text[..text.len() - 1].parse::<i64>().ok()?.checked_mul(factor)
}

/// A host name that is free and well formed; an empty one asks for one to be made up.
fn check_hostname(state: &State, id: &SystemId, name: &str, mistakes: &mut Mistakes) -> String {
    if name.is_empty() {
        return invent_hostname(state);
    }
    if let Some(wrong) = label_mistake(name) {
        mistakes.add("hostname", wrong);
    } else if name.contains('.') {
        mistakes.add("hostname", "Nonexistant domain.");
    } else if state.machines.iter().any(|machine| machine.hostname == name && machine.system_id != *id) {
        mistakes.add("hostname", "Node with this Hostname already exists.");
    }
    name.to_owned()
}

/// What is wrong with a host name, if anything.
fn label_mistake(name: &str) -> Option<String> {
    let label = name.split('.').find(|label| label.len() > 63);
    if let Some(label) = label {
        return Some(format!("Label is too long: '{label}'.  Maximum allowed is 63 characters."));
    }
    if name.contains('_') {
        return Some(format!("Host label cannot contain underscore: '{name}'."));
    }
    let clean = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    (!clean).then(|| format!("Label contains disallowed characters: '{name}'."))
}

fn invent_hostname(state: &State) -> String {
    const FIRST: [&str; 6] = ["quiet", "rapid", "solid", "tidy", "vivid", "warm"];
    const SECOND: [&str; 6] = ["beech", "cedar", "larch", "maple", "rowan", "willow"];
    loop {
        let mut rng = rand::rng();
        let mut word = |words: &[&'static str; 6]| words[rng.random_range(0..words.len())];
        let name = format!("{}-{}", word(&FIRST), word(&SECOND));
        if !state.machines.iter().any(|machine| machine.hostname == name) || state.machines.len() >= 36 {
            return name;
        }
    }
}

fn find_domain(state: &State, text: &str, mistakes: &mut Mistakes) -> Result<Option<Id>, Answer> {
    match state.find_domain(text) {
        Some(domain) => Ok(Some(domain.id)),
        // An id that is none is looked up without a net.
        None if text.parse::<Id>().is_ok() => Err(Answer::server_error("Domain matching query does not exist.")),
        None => {
            mistakes.add("domain", format!("Unable to find domain {text}"));
            Ok(None)
        }
    }
}

fn check_architecture(state: &State, form: &Form, mistakes: &mut Mistakes) -> Option<String> {
    let asked = form.filled("architecture")?;
    let asked = if asked.contains('/') { asked.to_owned() } else { format!("{asked}/generic") };
    let mut known: Vec<String> = state.images.iter().map(|image| format!("{}/generic", image.architecture)).collect();
    known.sort();
    known.dedup();
    if known.contains(&asked) {
        return Some(asked);
    }
    let asked = form.filled("architecture")?;
    let known: Vec<String> = known.iter().map(|name| format!("'{name}'")).collect();
    let text = format!("'{asked}' is not a valid architecture.  It should be one of: {}.", known.join(", "));
    mistakes.add("architecture", text);
    None
}

fn check_power_type(form: &Form, mistakes: &mut Mistakes) -> Option<PowerType> {
    match form.filled("power_type")? {
        "virsh" => Some(PowerType::Virsh),
        "ipmi" => Some(PowerType::Ipmi),
        "manual" => Some(PowerType::Manual),
        other => {
            let text = format!("Select a valid choice. {other} is not one of the available choices.");
            mistakes.add("power_type", text);
            None
        }
    }
}
