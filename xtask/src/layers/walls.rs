//! Walls between rooms: what a crate's manifest and files may name, which folders there are, and what may be shared.

use super::crates::Crate;
use super::{DOCUMENTS, FORBIDDEN_WORDS, MAY_USE, RESERVED, TESTS_MAY_USE, TOP};
use crate::sizes::rust_files;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is wrong with the rooms.
///
/// # Errors
/// When a folder or file cannot be read.
pub(crate) fn faults(root: &Path, crates: &[Crate]) -> Result<Vec<String>> {
    let mut faults: Vec<String> = crates.iter().flat_map(uses).chain(shared_by_one(crates)).collect();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().display().to_string();
        if entry.path().is_dir() && !is_known(&name) {
            faults.push(format!(
                "the folder `{name}` at the top is no room of this house; the rooms stand in xtask/src/layers.rs"
            ));
        }
    }
    for (folder, words, why) in FORBIDDEN_WORDS {
        let mut files = Vec::new();
        let path = root.join(folder);
        if path.exists() {
            rust_files(&path, &mut files)?;
        }
        for file in files {
            let text = std::fs::read_to_string(&file)?;
            for word in words.iter().filter(|word| text.contains(**word)) {
                faults.push(format!("{} names `{word}`: {why}", file.strip_prefix(root)?.display()));
            }
        }
    }
    Ok(faults)
}

fn is_known(folder: &str) -> bool {
    folder.starts_with('.') || folder == "target" || TOP.contains(&folder) || DOCUMENTS.contains(&folder)
}

/// What a crate names and may not.
fn uses(one: &Crate) -> Vec<String> {
    let name = one.name.as_str();
    let allowed: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let for_tests: BTreeMap<_, _> = TESTS_MAY_USE.iter().copied().collect();
    let Some(may) = allowed.get(name) else {
        return vec![format!("crate `{name}` is not in the table of layers")];
    };
    let mut faults = Vec::new();
    for used in one.uses.iter().filter(|used| !may.contains(&used.as_str())) {
        faults.push(format!("`{name}` may not use `{used}`"));
    }
    let tests_may = for_tests.get(name).copied().unwrap_or_default();
    for used in one.tests_use.iter().map(String::as_str).filter(|used| !may.contains(used) && !tests_may.contains(used))
    {
        faults.push(format!("the tests of `{name}` may not use `{used}`"));
    }
    for (library, only) in RESERVED {
        if one.libraries.contains(*library) && !only.contains(&name) {
            faults.push(format!("`{name}` names `{library}`, which only {} may", only.join(", ")));
        }
    }
    faults
}

/// `crates/` holds what at least two rooms share, directly or through other crates.
fn shared_by_one(crates: &[Crate]) -> Vec<String> {
    let by_name: BTreeMap<&str, &Crate> = crates.iter().map(|one| (one.name.as_str(), one)).collect();
    let mut rooms: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for one in crates.iter().filter(|one| !one.is_shared()) {
        let mut next: Vec<&str> = one.uses.iter().map(String::as_str).collect();
        let mut seen = BTreeSet::new();
        while let Some(used) = next.pop() {
            // What another room uses is that room's.
            if let Some(crate_used) = by_name.get(used).filter(|used| used.is_shared())
                && seen.insert(used)
            {
                rooms.entry(used).or_default().insert(one.room());
                next.extend(crate_used.uses.iter().map(String::as_str));
            }
        }
    }
    let mut faults = Vec::new();
    for one in crates.iter().filter(|one| one.is_shared()) {
        let users: Vec<_> = rooms.get(one.name.as_str()).into_iter().flatten().copied().collect();
        if users.len() < 2 {
            let users = if users.is_empty() { "no room".to_owned() } else { format!("only `{}`", users.join(", ")) };
            faults.push(format!(
                "`{}` lies below crates/, where at least two rooms share what is, and {users} uses it: move it to who does",
                one.folder
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(folder: &str, uses: &[&str], tests_use: &[&str], libraries: &[&str]) -> Crate {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Crate {
            name: folder.rsplit('/').next().unwrap().to_owned(),
            folder: folder.to_owned(),
            uses: set(uses),
            tests_use: set(tests_use),
            libraries: set(libraries),
            lines: (0, 0),
            arrows: super::super::arrows::Arrows::default(),
        }
    }

    #[test]
    fn a_crate_that_goes_through_a_wall_is_named() {
        let said = uses(&one("crates/net", &["model", "plane"], &["lab"], &["anyhow", "hyper"]));
        assert_eq!(
            said,
            [
                "`net` may not use `plane`",
                "the tests of `net` may not use `lab`",
                "`net` names `anyhow`, which only cli, gateway, xtask may"
            ]
        );
        assert!(uses(&one("crates/maas", &["model", "net"], &["lab"], &[])).is_empty());
        assert!(uses(&one("crates/unknown", &[], &[], &[]))[0].contains("not in the table"));
    }

    #[test]
    fn what_one_room_alone_uses_is_not_shared() {
        let crates = [
            one("crates/model", &[], &[], &[]),
            one("crates/net", &["model"], &[], &[]),
            one("crates/tunnel", &["net"], &[], &[]),
            one("plane", &["tunnel", "store"], &[], &[]),
            one("plane/store", &["model"], &[], &[]),
            one("lab", &["net"], &[], &[]),
            // Through the plane the tunnel is not the command line's.
            one("cli", &["plane"], &[], &[]),
        ];
        let said = shared_by_one(&crates);
        assert!(
            said.len() == 1 && said[0].starts_with("`crates/tunnel`") && said[0].contains("only `plane`"),
            "{said:?}"
        );
    }

    #[test]
    fn folders_at_the_top_are_rooms() {
        assert!(["plane", ".git", "target", "docs", "image", "crates"].iter().all(|folder| is_known(folder)));
        assert!(!is_known("provision") && !is_known("utils"));
    }

    #[test]
    fn who_sets_up_a_node_and_who_asks_maas_do_not_know_each_other() {
        let allowed: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
        let may = |name: &str| allowed.get(name).copied().unwrap_or_default();
        assert!(!may("firstboot").contains(&"engine") && !may("firstboot").contains(&"maas"));
        assert!(!may("engine").contains(&"firstboot"));
        assert!(allowed.iter().all(|(name, may)| *name == "cli" || *name == "tests" || !may.contains(&"plane")));
    }
}
