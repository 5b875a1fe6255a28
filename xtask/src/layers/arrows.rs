//! Which file of a crate names which: paths and imports are followed to the file that defines what they name. A module
//! that only declares or re-exports another names nothing.

use super::scan::{Child, Scope, scan};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many re-exports are followed before a name counts as lost.
const MOST_STEPS: usize = 32;

/// The files of a crate, and which of them names which.
#[derive(Debug, Default)]
pub(crate) struct Arrows {
    /// Paths below the crate's folder.
    pub(crate) files: Vec<String>,
    /// For each file those that it names, with the line that does.
    pub(crate) from: Vec<BTreeMap<usize, usize>>,
    /// For each file the one that declares it.
    pub(crate) above: Vec<Option<usize>>,
}

struct Module {
    parent: usize,
    file: usize,
    scope: Scope,
    children: BTreeMap<String, usize>,
}

/// One program or library: a tree of modules.
struct Tree {
    modules: Vec<Module>,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Module(usize),
    /// Something that a file defines.
    Item(usize),
}

impl Arrows {
    /// Reads a crate: each of its roots (`src/lib.rs`, `src/main.rs` …) with all modules.
    ///
    /// # Errors
    /// When a file cannot be read, is no Rust, or is declared and not there.
    pub(crate) fn of(folder: &Path, roots: &[PathBuf]) -> Result<Self> {
        let mut arrows = Self::default();
        for root in roots {
            let mut tree = Tree { modules: Vec::new() };
            let directory = root.parent().context("a crate's root stands in a folder")?.to_owned();
            let read =
                |path: &Path| std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
            tree.load(folder, root, &directory, 0, &read, &mut arrows)?;
            tree.draw(&mut arrows);
        }
        Ok(arrows)
    }

    fn file(&mut self, name: String, above: Option<usize>) -> usize {
        self.files.push(name);
        self.above.push(above);
        self.from.push(BTreeMap::new());
        self.files.len() - 1
    }
}

impl Tree {
    /// Adds a file's module and all below it. `directory` is where its children lie.
    fn load(
        &mut self,
        folder: &Path,
        path: &Path,
        directory: &Path,
        parent: usize,
        read: &dyn Fn(&Path) -> Result<String>,
        arrows: &mut Arrows,
    ) -> Result<usize> {
        let scope = scan(&read(path)?).with_context(|| format!("reading {}", path.display()))?;
        let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
        let file = arrows.file(name, self.modules.get(parent).map(|above| above.file));
        self.add(folder, (path, file), scope, directory, parent, read, arrows)
    }

    #[expect(clippy::too_many_arguments, reason = "a step of one recursion")]
    fn add(
        &mut self,
        folder: &Path,
        (path, file): (&Path, usize),
        mut scope: Scope,
        directory: &Path,
        parent: usize,
        read: &dyn Fn(&Path) -> Result<String>,
        arrows: &mut Arrows,
    ) -> Result<usize> {
        let declared = std::mem::take(&mut scope.children);
        let index = self.modules.len();
        self.modules.push(Module { parent, file, scope, children: BTreeMap::new() });
        for (name, child) in declared {
            let below = directory.join(&name);
            let child = match child {
                Child::Inline(scope) => self.add(folder, (path, file), *scope, &below, index, read, arrows)?,
                Child::File(Some(named)) => {
                    let place = path.parent().unwrap_or(folder).join(named);
                    let beside = place.parent().unwrap_or(folder).to_owned();
                    self.load(folder, &place, &beside, index, read, arrows)?
                }
                Child::File(None) => {
                    let places = [directory.join(format!("{name}.rs")), below.join("mod.rs")];
                    let Some(place) = places.iter().find(|place| place.exists()) else {
                        bail!("{} declares `mod {name}`, and there is no {}", path.display(), places[0].display());
                    };
                    self.load(folder, place, &below, index, read, arrows)?
                }
            };
            self.modules[index].children.insert(name, child);
        }
        Ok(index)
    }

    /// Draws the arrows of every module.
    fn draw(&self, arrows: &mut Arrows) {
        for (index, module) in self.modules.iter().enumerate() {
            let mut arrow = |target: Option<Target>, line: usize| {
                if let Some(Target::Item(file)) = target
                    && file != module.file
                {
                    arrows.from[module.file].entry(file).or_insert(line);
                }
            };
            for import in &module.scope.imports {
                // A name that is only handed on is not used here.
                if import.public && !module.scope.words.contains(&import.name) {
                    continue;
                }
                let target = self.resolve(index, &import.path, MOST_STEPS);
                // Of a module's name alone nothing is used; of all its names something is.
                let target = match target {
                    Some(Target::Module(all)) if import.name == "*" && !import.public => {
                        Some(Target::Item(self.modules[all].file))
                    }
                    other => other,
                };
                arrow(target, import.line);
            }
            for (path, line) in &module.scope.paths {
                arrow(self.resolve(index, path, MOST_STEPS), *line);
            }
        }
    }

    /// Follows a path that stands in a module. `None`: it leads out of the crate, or nowhere.
    fn resolve(&self, from: usize, path: &[String], steps: usize) -> Option<Target> {
        let steps = steps.checked_sub(1)?;
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(0, rest, steps),
            "self" => self.walk(from, rest, steps),
            "super" => self.walk(self.modules[from].parent, rest, steps),
            _ => self.named(from, path, steps),
        }
    }

    /// Follows the rest of a path from a module.
    fn walk(&self, from: usize, rest: &[String], steps: usize) -> Option<Target> {
        match rest.split_first() {
            None => Some(Target::Module(from)),
            Some((first, rest)) if first == "super" => self.walk(self.modules[from].parent, rest, steps),
            Some((first, rest)) if first == "self" => self.walk(from, rest, steps),
            Some(_) => match self.find(from, rest, steps) {
                Some(found) => found,
                // Written by a macro: this file's.
                None => Some(Target::Item(self.modules[from].file)),
            },
        }
    }

    /// A path whose first word is a name in this module's scope.
    fn named(&self, from: usize, path: &[String], steps: usize) -> Option<Target> {
        self.find(from, path, steps).flatten()
    }

    /// `None`: the module has no such name. `Some(None)`: it is somebody else's.
    fn find(&self, from: usize, path: &[String], steps: usize) -> Option<Option<Target>> {
        let steps = steps.checked_sub(1)?;
        let module = &self.modules[from];
        let (first, rest) = path.split_first()?;
        let mut imported = module.scope.imports.iter().filter(|import| import.name == *first);
        let follow = |import: &super::scan::Import, rest: &[String]| {
            let whole = [import.path.as_slice(), rest].concat();
            // An import that begins with its own name is a child's or another crate's.
            if import.path.first() == Some(first) && !module.children.contains_key(first) {
                return None;
            }
            self.resolve(from, &whole, steps)
        };
        if let Some(child) = module.children.get(first) {
            // A function may be called as the module that it comes from.
            let function = rest.is_empty().then(|| imported.next()).flatten();
            return Some(match function {
                Some(import) => follow(import, rest),
                None => self.walk(*child, rest, steps),
            });
        }
        if module.scope.items.contains(first) {
            return Some(Some(Target::Item(module.file)));
        }
        if let Some(import) = imported.next() {
            return Some(follow(import, rest));
        }
        module.scope.imports.iter().filter(|import| import.name == "*").find_map(|all| {
            match self.resolve(from, &all.path, steps)? {
                Target::Module(offering) if offering != from => self.find(offering, path, steps),
                _ => None,
            }
        })
    }
}

/// The roots of a crate's library and programs.
///
/// # Errors
/// When a folder cannot be read.
pub(crate) fn roots(folder: &Path) -> Result<Vec<PathBuf>> {
    let source = folder.join("src");
    let mut roots = BTreeSet::from([source.join("lib.rs"), source.join("main.rs")]);
    if source.join("bin").is_dir() {
        for entry in std::fs::read_dir(source.join("bin"))? {
            let path = entry?.path();
            roots.insert(if path.is_dir() { path.join("main.rs") } else { path });
        }
    }
    Ok(roots.into_iter().filter(|root| root.exists()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arrows of a library whose files are these, as `from -> to:line`.
    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("ferrogate-arrows-{}-{number}", std::process::id()));
        for (name, text) in files {
            let path = folder.join("src").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let found = Arrows::of(&folder, &roots(&folder).unwrap()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let short = |file: usize| found.files[file].trim_start_matches("src/").trim_end_matches(".rs").to_owned();
        let mut all: Vec<_> = found
            .from
            .iter()
            .enumerate()
            .flat_map(|(from, to)| to.iter().map(move |(to, line)| (from, *to, *line)))
            .map(|(from, to, line)| format!("{} -> {}:{line}", short(from), short(to)))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_path_is_an_arrow_to_the_file_that_defines_and_a_declaration_is_none() {
        let said = arrows(&[
            ("lib.rs", "mod a;\nmod b;\npub use a::A;"),
            ("a.rs", "pub struct A;\nmod deep;"),
            ("a/deep.rs", "pub fn f() { super::super::b::g() }"),
            ("b.rs", "use crate::A;\npub fn g() {}"),
        ]);
        assert_eq!(said, ["a/deep -> b:1", "b -> a:1"]);
    }

    #[test]
    fn an_imported_module_is_followed_to_what_is_used_of_it() {
        let said = arrows(&[
            ("lib.rs", "mod a;\nmod b;"),
            ("a.rs", "pub mod one;\npub mod two;\npub fn all() {}"),
            ("a/one.rs", "pub fn f() {}"),
            ("a/two.rs", "pub fn f() {}"),
            ("b.rs", "use crate::a;\nfn g() { a::two::f() }"),
        ]);
        assert_eq!(said, ["b -> a/two:2"]);
    }

    #[test]
    fn what_a_parent_calls_of_its_child_is_an_arrow() {
        let said = arrows(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "mod child;\npub use child::C;\nfn f() { child::g() }"),
            ("a/child.rs", "pub struct C;\npub fn g() { super::h() }"),
        ]);
        assert_eq!(said, ["a -> a/child:3", "a/child -> a:2"]);
    }

    #[test]
    fn what_is_handed_on_and_used_as_well_is_an_arrow() {
        let said = arrows(&[("lib.rs", "mod a;\npub use a::A;\npub fn f(_: A) {}"), ("a.rs", "pub struct A;")]);
        assert_eq!(said, ["lib -> a:2"]);
    }

    #[test]
    fn a_name_that_a_parent_imported_leads_to_where_it_is_defined() {
        let said = arrows(&[
            ("lib.rs", "mod a;\nmod b;"),
            ("a.rs", "use crate::b::B;\nmod child;\nfn f(_: B) {}"),
            ("a/child.rs", "use super::B;\nuse super::super::a as other;\nuse serde::Serialize;"),
            ("b.rs", "pub struct B;"),
        ]);
        assert_eq!(said, ["a -> b:1", "a/child -> b:1"]);
    }

    #[test]
    fn names_that_come_by_star_are_found() {
        let said = arrows(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;"),
            ("a.rs", "pub struct A;"),
            ("b.rs", "pub use crate::a::*;"),
            ("c.rs", "use crate::b::A;"),
        ]);
        assert_eq!(said, ["c -> a:1"]);
    }

    #[test]
    fn what_a_macro_writes_is_its_files() {
        let said = arrows(&[
            ("lib.rs", "mod a;\nmod b;"),
            ("a.rs", "macro_rules! ids { () => {} }\nids!(X);"),
            ("b.rs", "use crate::a::X;"),
        ]);
        assert_eq!(said, ["b -> a:1"]);
    }

    #[test]
    fn modules_in_a_file_are_that_file() {
        let said = arrows(&[
            ("lib.rs", "mod a;\nmod b { pub struct B; pub fn f() { super::a::g() } }"),
            ("a.rs", "pub fn g() { let _ = crate::b::B; }"),
        ]);
        assert_eq!(said, ["a -> lib:1", "lib -> a:2"]);
    }
}
