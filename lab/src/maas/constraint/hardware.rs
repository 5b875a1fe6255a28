//! Constraints on disks (`storage`) and interfaces (`interfaces`).

use crate::maas::state::{Disk, Id, Interface, Machine, State};

const GIGABYTE: f64 = 1e9;

/// One disk that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StorageRule {
    label: Option<String>,
    /// Smallest size in GB.
    size: f64,
    tags: Vec<String>,
}

/// One interface that is wanted: a label and properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceRule {
    label: String,
    wanted: Vec<(String, String)>,
}

/// Reads `label:size(tag,…),…`. The rule for the boot disk, the one labelled `root` or else the first, comes first.
pub(crate) fn parse_storage(text: &str) -> Result<Vec<StorageRule>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let malformed = || format!("Malformed storage constraint, \"{text}\".");
    let mut rules = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let open = rest.find('(').unwrap_or(rest.len());
        let comma = rest.find(',').unwrap_or(rest.len());
        let (head, tags, after) = if open < comma {
            let close = rest[open..].find(')').ok_or_else(malformed)? + open;
            (&rest[..open], &rest[open + 1..close], &rest[close + 1..])
        } else {
            (&rest[..comma], "", &rest[comma..])
        };
        let (label, size) = match head.split_once(':') {
            Some((label, size)) => (Some(label.to_owned()), size),
            None => (None, head),
        };
        let size: f64 = size.parse().map_err(|_| malformed())?;
        let tags = tags.split(',').filter(|tag| !tag.is_empty()).map(|tag| tag.trim().to_owned()).collect();
        rules.push(StorageRule { label, size, tags });
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    if let Some(root) = rules.iter().position(|rule| rule.label.as_deref() == Some("root")) {
        let rule = rules.remove(root);
        rules.insert(0, rule);
    }
    Ok(rules)
}

/// Reads `label:key=value,…;label:…`.
pub(crate) fn parse_interfaces(text: &str) -> Result<Vec<InterfaceRule>, String> {
    text.split(';')
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            let malformed = || {
                format!(
                    "Malformed constraint: '{piece}' (required format: '<label>:<key>=<value>[,<key2>=<value2>[,...]]')"
                )
            };
            let (label, wanted) = piece.split_once(':').ok_or_else(malformed)?;
            let wanted = wanted
                .split(',')
                .map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).ok_or_else(malformed))
                .collect::<Result<_, _>>()?;
            Ok(InterfaceRule { label: label.to_owned(), wanted })
        })
        .collect()
}

/// The disks that meet the rules, the boot disk for the first, the smallest that fits for the others.
pub(crate) fn fit_storage(rules: &[StorageRule], machine: &Machine) -> Option<Vec<(String, Id)>> {
    #[expect(clippy::cast_precision_loss, reason = "disks are far below 2^53 bytes")]
    let meets = |disk: &Disk, rule: &StorageRule| {
        disk.size as f64 >= rule.size * GIGABYTE && rule.tags.iter().all(|tag| disk.tags.contains(tag))
    };
    let mut left: Vec<&Disk> = machine.disks.iter().collect();
    let mut labels = Vec::new();
    for (n, rule) in rules.iter().enumerate() {
        let at = if n == 0 {
            left.first().filter(|disk| meets(disk, rule)).map(|_| 0)
        } else {
            left.iter()
                .enumerate()
                .filter(|(_, disk)| meets(disk, rule))
                .min_by_key(|(_, disk)| disk.size)
                .map(|(at, _)| at)
        }?;
        let disk = left.remove(at);
        if let Some(label) = &rule.label {
            labels.push((label.clone(), disk.id));
        }
    }
    Some(labels)
}

/// The interfaces that meet each rule; at least one must.
pub(crate) fn fit_interfaces(
    rules: &[InterfaceRule],
    state: &State,
    machine: &Machine,
) -> Option<Vec<(String, Vec<Id>)>> {
    rules
        .iter()
        .map(|rule| {
            let ids: Vec<Id> = machine
                .interfaces
                .iter()
                .filter(|interface| rule.wanted.iter().all(|(key, value)| meets(state, interface, key, value)))
                .map(|interface| interface.id)
                .collect();
            (!ids.is_empty()).then(|| (rule.label.clone(), ids))
        })
        .collect()
}

fn meets(state: &State, interface: &Interface, key: &str, value: &str) -> bool {
    let vlan = interface.vlan.and_then(|id| state.vlan(id));
    match key {
        "id" => interface.id.to_string() == value,
        "name" => interface.name == value,
        "subnet" | "subnet_cidr" => {
            state.find_subnet(value).is_some_and(|subnet| interface.links.iter().any(|link| link.subnet == subnet.id))
        }
        "vid" => vlan.is_some_and(|vlan| vlan.vid.to_string() == value),
        "vlan" => vlan.is_some_and(|vlan| vlan.id.to_string() == value || vlan.name == value),
        "space" => vlan.is_some_and(|vlan| state.space_name(vlan) == value),
        "fabric" => vlan.and_then(|vlan| state.fabric(vlan.fabric)).is_some_and(|fabric| fabric.name == value),
        "ip" => interface.links.iter().any(|link| link.ip.is_some_and(|ip| ip.to_string() == value)),
        "type" => value == "physical",
        "mode" => value == "unconfigured" && interface.links.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_the_boot_disk_comes_first() {
        let rules = parse_storage("data:400(ssd,sata),root:50").unwrap();
        assert_eq!(rules[0].label.as_deref(), Some("root"));
        assert_eq!(rules[1].tags, ["ssd", "sata"]);
    }

    #[test]
    fn a_storage_rule_without_a_size_is_malformed() {
        for text in ["root", "root:abc", "root:5(ssd"] {
            assert_eq!(parse_storage(text).unwrap_err(), format!("Malformed storage constraint, \"{text}\"."));
        }
    }
}
