//! Circles of files inside a crate, held against the list of those that are known. The list may only shrink.

use super::arrows::Arrows;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};
use std::fmt::Write as _;
use std::path::Path;

/// Where the known circles stand.
pub(crate) const LIST: &str = "xtask/circles.toml";
/// What the list begins with.
const HEAD: &str = "# Circles of files inside a crate (files that name each other, directly or through others) that are known. This list\n\
# may only shrink: `cargo xtask layers` refuses a circle that is not here and one that grew. Where one became smaller or\n\
# is gone, `cargo xtask layers --shorten` writes the list anew.\n";

/// Files that reach each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Circle {
    pub(crate) files: BTreeSet<String>,
    /// The shortest way round: each file, and the line that names the next.
    pub(crate) shortest: Vec<(String, usize)>,
}

/// A circle that is known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// The crate's folder.
    #[serde(rename = "crate")]
    pub(crate) folder: String,
    /// Why it is there still.
    pub(crate) reason: String,
    /// Its files, below the crate's folder.
    pub(crate) files: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    circle: Vec<Known>,
}

/// Reads the list; without one no circle is known.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn known(root: &Path) -> Result<Vec<Known>> {
    let path = root.join(LIST);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {LIST}"))?;
    let list: List = toml::from_str(&text).with_context(|| format!("reading {LIST}"))?;
    Ok(list.circle)
}

/// Writes the list.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(root: &Path, known: &[Known]) -> Result<()> {
    let mut text = HEAD.to_owned();
    for known in known {
        let files: String = known.files.iter().map(|file| format!("    {file:?},\n")).collect();
        let _ = write!(
            text,
            "\n[[circle]]\ncrate = {:?}\nreason = {:?}\nfiles = [\n{files}]\n",
            known.folder, known.reason
        );
    }
    std::fs::write(root.join(LIST), text).with_context(|| format!("writing {LIST}"))
}

/// The circles of a crate, largest first. A file and those below it are one thing from outside: where a circle is nothing
/// but that, what the upper file calls in the lower ones does not count, and what is left is looked at again.
pub(crate) fn find(arrows: &Arrows) -> Vec<Circle> {
    let all = (0..arrows.files.len()).collect();
    let mut circles = Search { arrows, parents: BTreeSet::new() }.within(&all);
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.files.len()));
    circles
}

#[derive(Clone)]
struct Search<'arrows> {
    arrows: &'arrows Arrows,
    /// Files whose arrows into what is below them do not count.
    parents: BTreeSet<usize>,
}

impl Search<'_> {
    fn within(&self, files: &BTreeSet<usize>) -> Vec<Circle> {
        let reach: BTreeMap<usize, BTreeSet<usize>> =
            files.iter().map(|file| (*file, self.reached(*file, files))).collect();
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let mut circles = Vec::new();
        for file in files {
            if !reach[file].contains(file) || taken.contains(file) {
                continue;
            }
            let members: BTreeSet<usize> =
                reach[file].iter().copied().filter(|other| reach[other].contains(file)).collect();
            taken.extend(&members);
            let parent =
                members.iter().find(|above| members.iter().all(|file| file == *above || self.is_below(*file, **above)));
            if let Some(parent) = parent {
                let mut search = self.clone();
                search.parents.insert(*parent);
                circles.extend(search.within(&members));
                continue;
            }
            circles.push(Circle {
                files: members.iter().map(|file| self.arrows.files[*file].clone()).collect(),
                shortest: self.lines(&self.shortest(&members)),
            });
        }
        circles
    }

    fn is_below(&self, file: usize, above: usize) -> bool {
        std::iter::successors(self.arrows.above[file], |file| self.arrows.above[*file]).any(|file| file == above)
    }

    /// What a file names among these.
    fn named(&self, from: usize, among: &BTreeSet<usize>) -> impl Iterator<Item = usize> {
        let is_parent = self.parents.contains(&from);
        let named = self.arrows.from[from].keys().copied();
        named.filter(move |to| among.contains(to) && !(is_parent && self.is_below(*to, from)))
    }

    /// What a file names, directly or through others.
    fn reached(&self, start: usize, among: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut next: Vec<usize> = self.named(start, among).collect();
        while let Some(file) = next.pop() {
            if found.insert(file) {
                next.extend(self.named(file, among));
            }
        }
        found
    }

    /// The shortest way round that a file and those below it would not make alone.
    fn shortest(&self, members: &BTreeSet<usize>) -> Vec<usize> {
        let mut found: Option<Vec<usize>> = None;
        for from in members {
            for to in self.named(*from, members) {
                let Some(way) = self.way(to, *from, members) else { continue };
                let natural =
                    way.iter().any(|above| way.iter().all(|file| file == above || self.is_below(*file, *above)));
                if !natural && found.as_ref().is_none_or(|found| way.len() < found.len()) {
                    found = Some(way);
                }
            }
        }
        found.unwrap_or_default()
    }

    /// The shortest way from one file to another, with both.
    fn way(&self, start: usize, end: usize, among: &BTreeSet<usize>) -> Option<Vec<usize>> {
        let mut before = BTreeMap::from([(start, None)]);
        let mut next = VecDeque::from([start]);
        while let Some(file) = next.pop_front() {
            if file == end {
                let mut way: Vec<usize> = std::iter::successors(Some(file), |file| before[file]).collect();
                way.reverse();
                return Some(way);
            }
            for to in self.named(file, among) {
                if let Entry::Vacant(entry) = before.entry(to) {
                    entry.insert(Some(file));
                    next.push_back(to);
                }
            }
        }
        None
    }

    /// Each file of a way round, and its line that names the next.
    fn lines(&self, way: &[usize]) -> Vec<(String, usize)> {
        let next = way.iter().cycle().skip(1);
        way.iter().zip(next).map(|(from, to)| (self.arrows.files[*from].clone(), self.arrows.from[*from][to])).collect()
    }
}

impl Circle {
    /// `a.rs:12 → b.rs:3 → a.rs`: each file, and the line that names the next.
    fn way(&self, folder: &str) -> String {
        let steps = self.shortest.iter().map(|(file, line)| format!("{folder}/{file}:{line}"));
        let back = self.shortest.first().map(|(file, _)| format!("{folder}/{file}"));
        steps.chain(back).collect::<Vec<_>>().join(" → ")
    }
}

/// What is wrong with a crate's circles.
pub(crate) fn faults(folder: &str, circles: &[Circle], known: &[Known]) -> Vec<String> {
    let mut faults = Vec::new();
    let known: Vec<_> = known.iter().filter(|known| known.folder == folder).collect();
    for circle in circles.iter().filter(|circle| !known.iter().any(|known| circle.files.is_subset(&known.files))) {
        let near = known.iter().max_by_key(|known| known.files.intersection(&circle.files).count());
        let near = near.filter(|known| !known.files.is_disjoint(&circle.files));
        let (new, what): (Vec<_>, _) = match near {
            Some(known) => (
                circle.files.difference(&known.files).cloned().collect(),
                format!("grew from {} to {} files, by", known.files.len(), circle.files.len()),
            ),
            None => (circle.files.iter().cloned().collect(), "is new:".to_owned()),
        };
        faults.push(format!(
            "a circle of files in `{folder}` {what} {}; the shortest way round is {}; move what both sides need into a \
             file of its own",
            new.join(", "),
            circle.way(folder)
        ));
    }
    for known in known {
        let left: Vec<_> = circles.iter().filter(|circle| circle.files.is_subset(&known.files)).collect();
        let grown = circles
            .iter()
            .any(|circle| !circle.files.is_disjoint(&known.files) && !circle.files.is_subset(&known.files));
        if grown || (left.len() == 1 && left[0].files == known.files) {
            continue;
        }
        let sizes: Vec<_> = left.iter().map(|circle| circle.files.len().to_string()).collect();
        let now = if sizes.is_empty() { "gone".to_owned() } else { format!("of {} files only", sizes.join(" and ")) };
        faults.push(format!(
            "the circle of {} files in `{folder}` that {LIST} has is {now}: shorten the list (`cargo xtask layers --shorten`)",
            known.files.len()
        ));
    }
    faults
}

/// The list as it is now, where nothing is in it that was not before.
pub(crate) fn shortened(found: &BTreeMap<String, Vec<Circle>>, known: &[Known]) -> Vec<Known> {
    let mut list = Vec::new();
    for known in known {
        for circle in found.get(&known.folder).into_iter().flatten() {
            if circle.files.is_subset(&known.files) {
                list.push(Known { files: circle.files.clone(), ..known.clone() });
            }
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files named by letters; each arrow stands on the line of its place in the list.
    fn arrows(pairs: &[&str]) -> Arrows {
        let letters: BTreeSet<char> = pairs.iter().flat_map(|pair| pair.chars()).collect();
        let letters: Vec<char> = letters.into_iter().collect();
        let number = |letter: char| letters.iter().position(|other| *other == letter).unwrap();
        let mut from = vec![BTreeMap::new(); letters.len()];
        for (line, pair) in pairs.iter().enumerate() {
            let (a, b) = (pair.chars().next().unwrap(), pair.chars().nth(1).unwrap());
            from[number(a)].insert(number(b), line + 1);
        }
        Arrows { files: letters.iter().map(char::to_string).collect(), above: vec![None; letters.len()], from }
    }

    fn files(names: &str) -> BTreeSet<String> {
        names.chars().map(|name| name.to_string()).collect()
    }

    fn list(names: &[&str]) -> Vec<Known> {
        names
            .iter()
            .map(|names| Known { folder: "net".into(), reason: "natural".into(), files: files(names) })
            .collect()
    }

    #[test]
    fn circles_are_found_whole_and_their_shortest_way_round_is_told() {
        // a→b→c→a and a→d→a are one; e and f another; g is in none.
        let circles = find(&arrows(&["ab", "bc", "ca", "ad", "da", "ef", "fe", "ga", "de"]));
        assert_eq!(circles.iter().map(|circle| circle.files.clone()).collect::<Vec<_>>(), [files("abcd"), files("ef")]);
        assert_eq!(circles[0].way("net"), "net/d:5 → net/a:4 → net/d");
        assert!(find(&arrows(&["ab", "bc", "ac"])).is_empty());
    }

    #[test]
    fn a_file_and_those_below_it_are_a_circle_only_with_what_is_beside_them() {
        let below = |pairs: &[&str], children: &[usize]| {
            let mut arrows = arrows(pairs);
            children.iter().for_each(|child| arrows.above[*child] = Some(0));
            find(&arrows).into_iter().map(|circle| circle.files).collect::<Vec<_>>()
        };
        // a calls b and c below it, which use what is a's.
        assert!(below(&["ab", "ba", "ac", "ca"], &[1, 2]).is_empty());
        // b and c need each other all the same.
        assert_eq!(below(&["ab", "ba", "ac", "bc", "cb"], &[1, 2]), [files("bc")]);
        // d is elsewhere: through a's children it comes back to a.
        assert_eq!(below(&["ab", "ba", "bd", "da"], &[1]), [files("abd")]);
    }

    #[test]
    fn a_circle_that_is_not_known_and_one_that_grew_are_refused() {
        let circles = find(&arrows(&["ab", "ba"]));
        let said = faults("net", &circles, &[]).join("");
        assert!(said.contains("is new: a, b") && said.contains("net/b:2 → net/a:1 → net/b"), "{said}");
        assert!(faults("net", &circles, &list(&["ab"])).is_empty());
        // That of another crate is not meant.
        assert_eq!(faults("gate", &circles, &list(&["ab"])).len(), 1);
        let said = faults("net", &find(&arrows(&["ab", "ba", "bc", "ca"])), &list(&["ab"]));
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("grew from 2 to 3 files, by c"), "{said:?}");
    }

    #[test]
    fn a_circle_that_became_smaller_or_is_gone_shortens_the_list() {
        let circles = find(&arrows(&["ab", "ba", "cd", "dc"]));
        let said = faults("net", &circles, &list(&["abcd"]));
        assert!(said.len() == 1 && said[0].contains("of 2 and 2 files only: shorten the list"), "{said:?}");
        let said = faults("net", &[], &list(&["ab"]));
        assert!(said.len() == 1 && said[0].contains("is gone: shorten the list"), "{said:?}");
        let found = BTreeMap::from([("net".to_owned(), circles)]);
        assert_eq!(shortened(&found, &list(&["abcd"])), list(&["ab", "cd"]));
        assert!(shortened(&found, &list(&["xy"])).is_empty());
    }
}
