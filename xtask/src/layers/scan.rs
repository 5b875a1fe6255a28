//! What one Rust file says about modules: which it declares, what it defines and imports, and which paths it names. Code
//! that only tests see is left out.

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

/// A module's content.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Modules declared in it.
    pub(crate) children: BTreeMap<String, Child>,
    /// Names of its own items.
    pub(crate) items: BTreeSet<String>,
    /// What `use` brings in.
    pub(crate) imports: Vec<Import>,
    /// Paths of two parts or more, with their lines.
    pub(crate) paths: Vec<(Vec<String>, usize)>,
    /// All words of its code, but for those of `use`.
    pub(crate) words: BTreeSet<String>,
}

/// A module within another.
#[derive(Debug)]
pub(crate) enum Child {
    /// In a file of its own; the path where an attribute names one.
    File(Option<String>),
    /// In the same file.
    Inline(Box<Scope>),
}

/// A name that `use` brings in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// The name here; `*` for all names of a module.
    pub(crate) name: String,
    /// What it stands for.
    pub(crate) path: Vec<String>,
    /// Whether it is offered to others.
    pub(crate) public: bool,
    pub(crate) line: usize,
}

/// Words that an item begins with, whose name follows.
const ITEMS: &[&str] = &["fn", "struct", "enum", "trait", "type", "const", "static", "union"];
/// Other words that an item may begin with.
const BEGINNINGS: &[&str] = &["pub", "mod", "use", "impl", "async", "unsafe", "extern", "let", "macro_rules"];

/// Reads a file's text.
///
/// # Errors
/// When it is no Rust.
pub(crate) fn scan(text: &str) -> Result<Scope> {
    let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{error}"))?;
    let mut scope = Scope::default();
    walk(tokens, &mut scope, true).context("reading declarations")?;
    Ok(scope)
}

fn is(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn word(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string().trim_start_matches("r#").to_owned()),
        _ => None,
    }
}

fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<TokenStream> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

/// Whether `::` stands at a place.
fn joint(tokens: &[TokenTree], at: usize) -> bool {
    is(tokens.get(at), ':') && is(tokens.get(at + 1), ':')
}

fn walk(stream: TokenStream, scope: &mut Scope, module: bool) -> Result<()> {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let (mut at, mut place) = (0, None);
    while at < tokens.len() {
        if is(tokens.get(at), '#') {
            let inner = is(tokens.get(at + 1), '!');
            let attribute = at + 1 + usize::from(inner);
            if let Some(content) = group(tokens.get(attribute), Delimiter::Bracket) {
                at = attribute + 1;
                if for_tests(content.clone()) {
                    if inner {
                        return Ok(());
                    }
                    at = behind_item(&tokens, at);
                } else if let Some(path) = path_attribute(content) {
                    place = Some(path);
                }
                continue;
            }
        }
        let Some(word_here) = word(tokens.get(at)) else {
            if let Some(TokenTree::Group(group)) = tokens.get(at) {
                walk(group.stream(), scope, false)?;
            }
            at += 1;
            continue;
        };
        match word_here.as_str() {
            "mod" if word(tokens.get(at + 1)).is_some() => {
                let name = word(tokens.get(at + 1)).unwrap_or_default();
                let child = match group(tokens.get(at + 2), Delimiter::Brace) {
                    Some(content) => {
                        let mut inline = Scope::default();
                        walk(content, &mut inline, true)?;
                        Child::Inline(Box::new(inline))
                    }
                    None => Child::File(place.take()),
                };
                scope.children.insert(name, child);
                at += 3;
            }
            "use" if !is(tokens.get(at + 1), '<') => {
                let end = (at..tokens.len()).find(|end| is(tokens.get(*end), ';')).unwrap_or(tokens.len());
                let before = at.checked_sub(1).and_then(|before| tokens.get(before));
                let public = word(before).as_deref() == Some("pub") || matches!(before, Some(TokenTree::Group(_)));
                let public = public && is_visibility(&tokens, at);
                imports(&tokens[at + 1..end], &[], public, &mut scope.imports);
                at = end + 1;
            }
            "macro_rules" if is(tokens.get(at + 1), '!') => {
                scope.items.extend(word(tokens.get(at + 2)));
                at += 3;
            }
            keyword if module && ITEMS.contains(&keyword) && !behind_sign(&tokens, at) => {
                // `const fn`, `static mut`: the name comes later.
                let next = word(tokens.get(at + 1)).filter(|next| next != "mut");
                if let Some(name) = next.filter(|next| !ITEMS.contains(&next.as_str()) && next != "_") {
                    scope.items.insert(name);
                    at += 1;
                } else if is_mut(&tokens, at + 1) {
                    scope.items.extend(word(tokens.get(at + 2)));
                    at += 2;
                }
                at += 1;
            }
            _ => at = path(&tokens, at, scope),
        }
    }
    Ok(())
}

/// Whether a word is part of `'static` or `*const`.
fn behind_sign(tokens: &[TokenTree], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| is(tokens.get(before), '\'') || is(tokens.get(before), '*'))
}

fn is_mut(tokens: &[TokenTree], at: usize) -> bool {
    word(tokens.get(at)).as_deref() == Some("mut")
}

/// Whether what stands before a place is `pub` or `pub(…)`.
fn is_visibility(tokens: &[TokenTree], at: usize) -> bool {
    let back = |steps: usize| at.checked_sub(steps).and_then(|at| tokens.get(at));
    word(back(1)).as_deref() == Some("pub")
        || (group(back(1), Delimiter::Parenthesis).is_some() && word(back(2)).as_deref() == Some("pub"))
}

/// Takes the path that begins at a word, and returns the place behind it.
fn path(tokens: &[TokenTree], start: usize, scope: &mut Scope) -> usize {
    let continues = start >= 2 && joint(tokens, start - 2);
    let visibility = start.checked_sub(1).is_some_and(|at| word(tokens.get(at)).as_deref() == Some("in"));
    let mut parts: Vec<String> = word(tokens.get(start)).into_iter().collect();
    let mut at = start + 1;
    while joint(tokens, at)
        && let Some(next) = word(tokens.get(at + 2))
    {
        parts.push(next);
        at += 3;
    }
    if continues {
        return at;
    }
    scope.words.extend(parts.first().cloned());
    let is_path = parts.len() > 1 && !(visibility && start == 1);
    if is_path {
        let line = tokens[start].span().start().line;
        scope.paths.push((parts, line));
    }
    at
}

/// Whether an attribute's content is a `cfg` that only tests meet.
fn for_tests(attribute: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    if word(tokens.first()).as_deref() != Some("cfg") {
        return false;
    }
    let condition = group(tokens.get(1), Delimiter::Parenthesis).map(|content| content.to_string()).unwrap_or_default();
    let words: BTreeSet<&str> = condition.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
    words.contains("test") && !words.contains("not")
}

fn path_attribute(attribute: TokenStream) -> Option<String> {
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    (word(tokens.first()).as_deref() == Some("path") && is(tokens.get(1), '='))
        .then(|| tokens.get(2).map(|literal| literal.to_string().trim_matches('"').to_owned()))
        .flatten()
}

/// The place behind the item, field or arm that begins here.
fn behind_item(tokens: &[TokenTree], start: usize) -> usize {
    let mut at = start;
    while is(tokens.get(at), '#') {
        at += 2;
    }
    let first = word(tokens.get(at)).unwrap_or_default();
    let item = ITEMS.contains(&first.as_str()) || BEGINNINGS.contains(&first.as_str());
    let until_semicolon = (at..tokens.len())
        .take(4)
        .filter_map(|at| word(tokens.get(at)))
        .find(|word| word != "pub" && word != "crate" && word != "super")
        .is_some_and(|word| matches!(word.as_str(), "use" | "let" | "static") || (word == "const" && item));
    let constant_function = tokens[at..].iter().take(5).any(|token| word(Some(token)).as_deref() == Some("fn"));
    while at < tokens.len() {
        let here = tokens.get(at);
        at += 1;
        let ends = is(here, ';')
            || (!item && is(here, ','))
            || (group(here, Delimiter::Brace).is_some() && (!until_semicolon || constant_function));
        if ends {
            break;
        }
    }
    at
}

/// The names of a `use` tree.
fn imports(tokens: &[TokenTree], before: &[String], public: bool, found: &mut Vec<Import>) {
    for branch in tokens.split(|token| is(Some(token), ',')) {
        let mut path = before.to_vec();
        let mut name = None;
        let mut line = 0;
        let mut done = false;
        let mut at = 0;
        while at < branch.len() {
            let token = branch.get(at);
            if let Some(part) = word(token) {
                line = branch[at].span().start().line;
                if part == "as" {
                    name = word(branch.get(at + 1));
                    break;
                }
                path.push(part);
            } else if let Some(branches) = group(token, Delimiter::Brace) {
                imports(&branches.into_iter().collect::<Vec<_>>(), &path, public, found);
                done = true;
            } else if is(token, '*') {
                line = branch[at].span().start().line;
                name = Some("*".to_owned());
            }
            at += 1;
        }
        if done || path.len() == before.len() && name.is_none() {
            continue;
        }
        // `a::{self}` is `a`.
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let Some(name) = name.or_else(|| path.last().cloned()) else { continue };
        found.push(Import { name, path, public, line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(scope: &Scope) -> Vec<String> {
        scope.paths.iter().map(|(path, _)| path.join("::")).collect()
    }

    #[test]
    fn uses_are_taken_apart() {
        let scope = scan("use crate::a::{self, b::{C, D as E}, *};\npub(crate) use super::x;\npub use y::Z;").unwrap();
        let said: Vec<_> = scope
            .imports
            .iter()
            .map(|import| format!("{}={}{}", import.name, import.path.join("::"), if import.public { "!" } else { "" }))
            .collect();
        assert_eq!(
            said,
            ["a=crate::a", "C=crate::a::b::C", "E=crate::a::b::D", "*=crate::a", "x=super::x!", "Z=y::Z!"]
        );
        assert_eq!(scope.imports[4].line, 2);
    }

    #[test]
    fn paths_in_code_types_and_macros_are_found_and_in_strings_and_comments_are_not() {
        let scope = scan(
            "//! crate::no\nfn f(x: &'static crate::a::T) -> Vec<super::B> {\n  // crate::no\n  let s = \"crate::no::x\";\n  \
             assert!(self::c::d(&x), \"{}\", 'c');\n  y.collect::<crate::e::F>();\n  <T as crate::g::H>::no()\n}",
        )
        .unwrap();
        assert_eq!(paths(&scope), ["crate::a::T", "super::B", "self::c::d", "crate::e::F", "crate::g::H"]);
        assert_eq!(scope.paths[0].1, 2);
        assert!(scope.items.contains("f"));
    }

    #[test]
    fn what_only_tests_see_is_left_out() {
        let scope = scan(
            "#[cfg(test)]\nuse crate::{no, never};\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\n#[cfg(test)]\nmod more { use crate::no; }\n\
             struct S { #[cfg(test)] a: crate::no::A, b: crate::yes::B }\n#[cfg(not(test))]\nfn f() { crate::yes::c() }\n\
             #[cfg(test)]\nconst fn g() -> u8 { crate::no::h() }\nfn i() { crate::yes::j() }",
        )
        .unwrap();
        assert!(scope.imports.is_empty() && scope.children.is_empty(), "{scope:?}");
        assert_eq!(paths(&scope), ["crate::yes::B", "crate::yes::c", "crate::yes::j"]);
    }

    #[test]
    fn modules_are_found_where_they_are() {
        let scope = scan("mod a;\npub(crate) mod b { pub fn c() {} mod d; }\n#[path = \"other.rs\"]\nmod e;").unwrap();
        assert!(matches!(&scope.children["a"], Child::File(None)));
        assert!(matches!(&scope.children["e"], Child::File(Some(path)) if path == "other.rs"));
        let Child::Inline(b) = &scope.children["b"] else { panic!("{scope:?}") };
        assert!(b.items.contains("c") && b.children.contains_key("d"));
    }

    #[test]
    fn items_are_known_by_name_and_not_what_is_in_them() {
        let scope = scan(
            "pub const fn a() {}\nstatic mut B: &'static str = 0;\nconst C: u8 = { const NO: u8 = 1; NO };\nimpl D { fn no() {} }\n\
             macro_rules! e { () => {} }\nenum F { No }\nasync fn g() {}",
        )
        .unwrap();
        assert_eq!(scope.items.iter().map(String::as_str).collect::<Vec<_>>(), ["B", "C", "F", "a", "e", "g"]);
    }

    #[test]
    fn visibility_is_no_path_to_somewhere() {
        assert!(paths(&scan("pub(in crate::a) fn b() {}").unwrap()).is_empty());
        assert_eq!(paths(&scan("fn f() { for x in crate::a::B {} }").unwrap()), ["crate::a::B"]);
    }
}
