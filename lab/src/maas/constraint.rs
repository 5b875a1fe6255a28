//! The constraints of allocate: reading them, their mistakes, which machine fits, and how MAAS describes them.

mod hardware;

use super::{
    answer::Mistakes,
    machine::arch,
    request::Form,
    state::{Id, Machine, State},
};
use hardware::{InterfaceRule, StorageRule};
use std::collections::{BTreeMap, BTreeSet};

/// Parameters of allocate that choose nothing.
const IGNORED: [&str; 8] =
    ["agent_name", "comment", "bridge_all", "bridge_stp", "bridge_fd", "bridge_type", "dry_run", "verbose"];

/// What the machine must be like.
#[derive(Debug, Default)]
pub(crate) struct Constraints {
    name: Option<String>,
    system_ids: Vec<String>,
    arches: Vec<String>,
    cpu_count: Option<f64>,
    memory: Option<f64>,
    tags: BTreeSet<String>,
    not_tags: BTreeSet<String>,
    zones: BTreeSet<String>,
    not_in_zones: BTreeSet<String>,
    pools: BTreeSet<String>,
    not_in_pools: BTreeSet<String>,
    subnets: Vec<Id>,
    not_subnets: Vec<Id>,
    fabrics: BTreeSet<String>,
    vlans: Vec<Id>,
    storage: Vec<StorageRule>,
    interfaces: Vec<InterfaceRule>,
    /// What was asked for, as MAAS repeats it.
    described: BTreeMap<&'static str, String>,
}

/// Which disks and interfaces met labelled constraints.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    pub(crate) storage: Vec<(String, Id)>,
    pub(crate) interfaces: Vec<(String, Vec<Id>)>,
}

impl Constraints {
    /// Reads the constraints, and what is wrong with them.
    pub(crate) fn read(state: &State, form: &Form) -> (Self, Mistakes) {
        let mut found = Self::default();
        let mut mistakes = Mistakes::default();
        for (name, values) in form.lists() {
            found.read_one(state, name, &values, &mut mistakes);
        }
        (found, mistakes)
    }

    fn read_one(&mut self, state: &State, name: &str, values: &[&str], mistakes: &mut Mistakes) {
        let last = values.last().copied().unwrap_or_default();
        match name {
            "name" => {
                self.name = Some(last.to_owned());
                self.describe("name", last);
            }
            "system_id" | "id" => {
                self.system_ids = values.iter().map(|&value| value.to_owned()).collect();
                self.describe("system_id", &values.join(","));
            }
            "arch" => self.read_arch(state, last, mistakes),
            "cpu_count" => match number(last) {
                Some(count) => {
                    self.cpu_count = Some(count);
                    self.describe("cpu_count", &float(count));
                }
                None => mistakes.add(name, "Invalid CPU count: number required."),
            },
            "mem" => match number(last) {
                Some(memory) => {
                    self.memory = Some(memory);
                    self.describe("mem", &float(memory));
                }
                None => mistakes.add(name, "Invalid memory: number of MiB required."),
            },
            "tags" | "not_tags" => self.read_tags(state, name, values, mistakes),
            "zone" | "not_in_zone" | "pool" | "not_in_pool" => self.read_place(state, name, values, mistakes),
            "subnets" | "not_subnets" => self.read_subnets(state, name, values, mistakes),
            "fabrics" => {
                self.fabrics = values.iter().map(|&value| value.to_owned()).collect();
                self.describe("fabrics", &values.join(","));
            }
            "vlans" => self.read_vlans(state, values, mistakes),
            "storage" => match hardware::parse_storage(last) {
                Ok(rules) => {
                    self.storage = rules;
                    self.describe("storage", last);
                }
                Err(text) => mistakes.add(name, text),
            },
            "interfaces" => match hardware::parse_interfaces(last) {
                Ok(rules) => {
                    self.interfaces = rules;
                    self.describe("interfaces", last);
                }
                Err(text) => mistakes.add(name, text),
            },
            "agent_name" if last.chars().count() > 255 => {}
            ignored if IGNORED.contains(&ignored) => {}
            unknown => mistakes.add(unknown, "No such constraint."),
        }
    }

    fn describe(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.described.insert(name, value.to_owned());
        }
    }

    fn read_arch(&mut self, state: &State, value: &str, mistakes: &mut Mistakes) {
        let known: BTreeSet<String> =
            state.images.iter().map(|image| format!("{}/generic", image.architecture)).collect();
        let matching: Vec<String> =
            known.iter().filter(|arch| *arch == value || arch.split('/').next() == Some(value)).cloned().collect();
        if matching.is_empty() {
            mistakes.add("arch", "Architecture not recognised.");
        } else {
            self.describe("arch", &matching.join(","));
            self.arches = matching;
        }
    }

    fn read_tags(&mut self, state: &State, name: &str, values: &[&str], mistakes: &mut Mistakes) {
        // Tags may be repeated, or separated by commas or blanks.
        let names: BTreeSet<String> = values
            .iter()
            .flat_map(|value| value.split([',', ' ']))
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect();
        let unknown: Vec<String> =
            names.iter().filter(|n| !state.tags.iter().any(|t| t.name == **n)).map(|n| format!("'{n}'")).collect();
        if !unknown.is_empty() {
            mistakes.add(name, format!("No such tag(s): {}.", unknown.join(", ")));
        }
        let text = names.iter().cloned().collect::<Vec<_>>().join(",");
        if name == "tags" {
            self.tags = names;
            self.describe("tags", &text);
        } else {
            self.not_tags = names;
            self.describe("not_tags", &text);
        }
    }

    fn read_place(&mut self, state: &State, name: &str, values: &[&str], mistakes: &mut Mistakes) {
        let names: BTreeSet<String> = values.iter().map(|&value| value.to_owned()).collect();
        let is_zone = name.ends_with("zone");
        let known = |wanted: &str| {
            if is_zone {
                state.zones.iter().any(|zone| zone.name == wanted)
            } else {
                state.pools.iter().any(|pool| pool.name == wanted)
            }
        };
        let unknown: Vec<&str> = names.iter().map(String::as_str).filter(|name| !known(name)).collect();
        if !unknown.is_empty() {
            let kind = if is_zone { "zone" } else { "pool" };
            mistakes.add(name, format!("No such {kind}(s): {}.", unknown.join(", ")));
        }
        let text = names.iter().cloned().collect::<Vec<_>>().join(",");
        let (target, key) = match name {
            "zone" => (&mut self.zones, "zone"),
            "not_in_zone" => (&mut self.not_in_zones, "not_in_zone"),
            "pool" => (&mut self.pools, "pool"),
            _ => (&mut self.not_in_pools, "not_in_pool"),
        };
        *target = names;
        self.describe(key, &text);
    }

    fn read_subnets(&mut self, state: &State, name: &str, values: &[&str], mistakes: &mut Mistakes) {
        let found: Vec<Id> =
            values.iter().filter_map(|value| state.find_subnet(value)).map(|subnet| subnet.id).collect();
        if found.len() < values.len() {
            mistakes.add(name, "No matching subnets found.");
        }
        let key = if name == "subnets" { "subnets" } else { "not_subnets" };
        self.describe(key, &values.join(","));
        if name == "subnets" {
            self.subnets = found;
        } else {
            self.not_subnets = found;
        }
    }

    fn read_vlans(&mut self, state: &State, values: &[&str], mistakes: &mut Mistakes) {
        for value in values {
            let by_name = |text: &str| -> Vec<Id> {
                state.vlans.iter().filter(|vlan| vlan.name == text).map(|vlan| vlan.id).collect()
            };
            let found = match value.strip_prefix("vid:").unwrap_or(value).parse::<u32>() {
                Ok(vid) if vid > 4094 => {
                    mistakes.add("vlans", "VLAN tag (VID) out of range (0-4094; 0 for untagged.)");
                    continue;
                }
                Ok(vid) => state.vlans.iter().filter(|vlan| u32::from(vlan.vid) == vid).map(|vlan| vlan.id).collect(),
                Err(_) => by_name(value.strip_prefix("name:").unwrap_or(value)),
            };
            if found.is_empty() {
                mistakes.add("vlans", "No matching VLANs found.");
            }
            self.vlans.extend(found);
        }
        self.describe("vlans", &values.join(","));
    }

    /// The constraints as the 409 describes them, empty where there are none.
    pub(crate) fn description(&self) -> String {
        self.described.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    /// The system id asked for, where one is.
    pub(crate) fn system_id(&self) -> Option<&str> {
        self.system_ids.last().map(String::as_str)
    }

    /// Whether a machine fits, and which of its parts met labelled constraints.
    pub(crate) fn fit(&self, state: &State, machine: &Machine) -> Option<Labels> {
        let fqdn = state.fqdn(machine);
        let zone = state.zone(machine.zone).map_or("", |zone| zone.name.as_str());
        let pool = state.pool(machine.pool).map_or("", |pool| pool.name.as_str());
        let tagged = |name: &String| state.tags.iter().any(|t| t.name == *name && machine.tags.contains(&t.id));
        let links = || machine.interfaces.iter().flat_map(|interface| &interface.links);
        let on_subnet = |subnet: &Id| links().any(|link| link.subnet == *subnet);
        let on_vlan = |vlan: &Id| machine.interfaces.iter().any(|interface| interface.vlan == Some(*vlan));
        let on_fabric =
            |fabric: &String| {
                machine.interfaces.iter().filter_map(|interface| state.vlan(interface.vlan?)).any(|vlan| {
                    state.fabric(vlan.fabric).is_some_and(|f| f.name == *fabric || f.id.to_string() == *fabric)
                })
            };
        let fits = self.name.as_ref().is_none_or(|name| *name == machine.hostname || *name == fqdn)
            && (self.system_ids.is_empty() || self.system_ids.contains(&machine.system_id.0))
            && (self.arches.is_empty()
                || self
                    .arches
                    .iter()
                    .any(|a| *a == machine.architecture || a.split('/').next() == Some(arch(machine))))
            && self.cpu_count.is_none_or(|count| f64::from(machine.cpu_count) >= count)
            && self.memory.is_none_or(|memory| memory_mib(machine) >= memory)
            && self.tags.iter().all(tagged)
            && !self.not_tags.iter().any(tagged)
            && (self.zones.is_empty() || self.zones.contains(zone))
            && !self.not_in_zones.contains(zone)
            && (self.pools.is_empty() || self.pools.contains(pool))
            && !self.not_in_pools.contains(pool)
            && self.subnets.iter().all(on_subnet)
            && !self.not_subnets.iter().any(on_subnet)
            && (self.fabrics.is_empty() || self.fabrics.iter().any(on_fabric))
            && (self.vlans.is_empty() || self.vlans.iter().any(on_vlan));
        if !fits {
            return None;
        }
        Some(Labels {
            storage: hardware::fit_storage(&self.storage, machine)?,
            interfaces: hardware::fit_interfaces(&self.interfaces, state, machine)?,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "memory in MiB is far below 2^53")]
fn memory_mib(machine: &Machine) -> f64 {
    machine.memory as f64
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// A float as Python writes it: `16.0`.
fn float(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number:.1}") } else { number.to_string() }
}
