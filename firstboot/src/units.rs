//! systemd units as text: plain command lines, no shell.

use std::fmt::Write as _;

/// One `[Section]` of a unit file, its settings in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    text: String,
}

impl Unit {
    /// Begins a section.
    #[must_use]
    pub(crate) fn section(mut self, name: &str) -> Self {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        writeln!(self.text, "[{name}]").expect("a string takes everything");
        self
    }

    /// Adds a setting.
    #[must_use]
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        writeln!(self.text, "{key}={value}").expect("a string takes everything");
        self
    }

    /// Adds a command line, each argument quoted as systemd wants it.
    #[must_use]
    pub(crate) fn exec<T: AsRef<str>>(self, arguments: impl IntoIterator<Item = T>) -> Self {
        let line = arguments.into_iter().map(|argument| quoted(argument.as_ref())).collect::<Vec<_>>().join(" ");
        self.set("ExecStart", &line)
    }

    /// The file's text.
    #[must_use]
    pub(crate) fn text(self) -> String {
        self.text
    }
}

/// An argument as systemd reads it back: `%` begins a specifier and `$` a variable, so both are doubled; what has blanks,
/// quotes or backslashes is quoted.
fn quoted(argument: &str) -> String {
    let escaped = argument.replace('%', "%%").replace('$', "$$");
    if !escaped.is_empty() && !escaped.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ';')) {
        return escaped;
    }
    format!("\"{}\"", escaped.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One line of an environment file. Values that systemd would read differently are quoted.
#[must_use]
pub(crate) fn environment_line(key: &str, value: &str) -> String {
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.,:/@%+=~*[]".contains(c));
    if plain {
        return format!("{key}={value}\n");
    }
    let mut quoted = String::new();
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    format!("{key}=\"{quoted}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_would_interpret_is_escaped() {
        let text =
            Unit::default().section("Service").exec(["/usr/bin/curl", "https://a/v1%2B1", "$x", "a b\"c"]).text();
        assert_eq!(text, "[Service]\nExecStart=/usr/bin/curl https://a/v1%%2B1 $$x \"a b\\\"c\"\n");
    }

    #[test]
    fn a_proxy_password_survives_the_environment_file() {
        assert_eq!(environment_line("A", "http://u:p%40ss@h:1"), "A=http://u:p%40ss@h:1\n");
        assert_eq!(environment_line("A", "http://u:p$s`s\"@h"), "A=\"http://u:p\\$s\\`s\\\"@h\"\n");
    }
}
