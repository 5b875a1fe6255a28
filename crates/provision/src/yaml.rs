//! The little YAML that is written by hand, so that its bytes are known.

use std::fmt::Write as _;

/// A YAML scalar on one line.
pub(crate) fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@+".contains(c))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
        );
    if plain { text.to_owned() } else { quoted(text) }
}

/// Double-quoted, with everything escaped that a reader of YAML might not take as it is.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ if character.is_alphanumeric() => quoted.push(character),
            _ => write!(quoted, "\\U{:08x}", u32::from(character)).expect("a string takes everything"),
        }
    }
    quoted.push('"');
    quoted
}

/// A flat YAML document: settings and lists of texts.
#[derive(Debug, Default)]
pub(crate) struct Document(String);

impl Document {
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.line(&format!("{key}: {}", scalar(value)));
    }

    pub(crate) fn flag(&mut self, key: &str) {
        self.line(&format!("{key}: true"));
    }

    /// Adds a list; an empty one is left out.
    pub(crate) fn list<T: AsRef<str>>(&mut self, key: &str, items: impl IntoIterator<Item = T>) {
        for (index, item) in items.into_iter().enumerate() {
            if index == 0 {
                self.line(&format!("{key}:"));
            }
            self.line(&format!("- {}", scalar(item.as_ref())));
        }
    }

    pub(crate) fn text(self) -> String {
        self.0
    }

    fn line(&mut self, line: &str) {
        writeln!(self.0, "{line}").expect("a string takes everything");
    }
}
