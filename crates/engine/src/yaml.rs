//! The little YAML that is written by hand, so that its bytes are known.

use serde_json::Value;
use std::fmt::Write as _;

/// A document of any depth, one entry a line.
pub(crate) fn block(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => entries(&mut text, map, 0),
        _ => after(&mut text, value, 0),
    }
    text
}

fn entries(text: &mut String, map: &serde_json::Map<String, Value>, depth: usize) {
    for (key, value) in map {
        write!(text, "{:1$}{2}:", "", depth * 2, scalar(key)).expect("a string takes everything");
        after(text, value, depth + 1);
    }
}

/// What comes after a key or a dash.
fn after(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            entries(text, map, depth);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for item in items {
                write!(text, "{:1$}-", "", depth * 2).expect("a string takes everything");
                after(text, item, depth + 1);
            }
        }
        Value::Object(_) => text.push_str(" {}\n"),
        Value::Array(_) => text.push_str(" []\n"),
        Value::String(string) => writeln!(text, " {}", scalar(string)).expect("a string takes everything"),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            writeln!(text, " {value}").expect("a string takes everything");
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_block_is_read_as_it_was_meant() {
        let value = json!({
            "a": {"b": [1, "1", {"c": true, "d": ["x: y", [], {}, [["deep"]]]}], "e": null},
            "kubernetes.io/f": "no", "g": "", "-h": "k: v #", "i": {},
        });
        assert_eq!(serde_saphyr::from_str::<Value>(&block(&value)).unwrap(), value);
    }
}
