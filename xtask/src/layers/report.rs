//! The house in figures: rooms with their lines, who uses whom, circles of files.

use super::TOP;
use super::circles::Circle;
use super::crates::Crate;
use std::collections::{BTreeMap, BTreeSet};

/// The figures, for people.
pub(crate) fn text(crates: &[Crate], circles: &BTreeMap<String, Vec<Circle>>) -> String {
    let mut lines = vec![format!("{:<16} {:>8} {:>8}  uses (only its tests)", "room", "src", "tests")];
    for one in crates {
        let only_tests: Vec<_> = one.tests_use.difference(&one.uses).map(|name| format!("({name})")).collect();
        let uses: Vec<_> = one.uses.iter().cloned().chain(only_tests).collect();
        let (source, tests) = one.lines;
        lines.push(format!("{:<16} {source:>8} {tests:>8}  {}", one.folder, uses.join(" ")).trim_end().to_owned());
    }
    let sum = |part: fn(&Crate) -> usize| crates.iter().map(part).sum::<usize>();
    lines.push(format!("{:<16} {:>8} {:>8}", "together", sum(|one| one.lines.0), sum(|one| one.lines.1)));
    let top = between_top_rooms(crates);
    lines.push(format!(
        "arrows: {} between crates, {} between rooms at the top ({})",
        crates.iter().map(|one| one.uses.len()).sum::<usize>(),
        top.len(),
        top.iter().map(|(from, to)| format!("{from} → {to}")).collect::<Vec<_>>().join(", ")
    ));
    lines.push(format!("circles of files: {}", circles.values().map(Vec::len).sum::<usize>()));
    for (folder, circles) in circles {
        for circle in circles {
            lines.push(format!("  {folder}: {} files", circle.files.len()));
        }
    }
    lines.join("\n")
}

/// Who uses whom among the rooms that are no shared crates, wherever they lie.
fn between_top_rooms(crates: &[Crate]) -> BTreeSet<(String, String)> {
    let room = |one: &Crate| {
        let room = one.room().trim_start_matches("crates/").to_owned();
        TOP.contains(&room.as_str()).then_some(room)
    };
    let rooms: BTreeMap<&str, String> = crates.iter().filter_map(|one| Some((one.name.as_str(), room(one)?))).collect();
    let mut arrows = BTreeSet::new();
    for one in crates {
        let Some(from) = room(one) else { continue };
        for to in one.uses.iter().filter_map(|used| rooms.get(used.as_str())).filter(|to| **to != from) {
            arrows.insert((from.clone(), to.clone()));
        }
    }
    arrows
}
