//! One `ExecStart=` line: prefixes, quoting, specifiers and variables as systemd reads them.

use std::collections::BTreeMap;

/// A command of a unit, split into words. Variables are filled in when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecLine {
    /// The `-` prefix: failure counts as success.
    pub(crate) ignore_failure: bool,
    /// Program and arguments, variables not yet filled in.
    words: Vec<String>,
}

/// What stands behind `%n` and the like.
#[derive(Clone, Debug)]
pub(crate) struct Specifiers<'a> {
    /// Full name of the unit.
    pub(crate) unit: &'a str,
    /// Host name of the machine.
    pub(crate) hostname: &'a str,
}

impl ExecLine {
    /// Reads one line.
    pub(crate) fn parse(line: &str, specifiers: &Specifiers<'_>) -> Result<Self, String> {
        let mut rest = line.trim();
        let mut ignore_failure = false;
        loop {
            match rest.chars().next() {
                Some('-') => ignore_failure = true,
                Some(prefix @ ('@' | ':' | '+' | '!' | '|')) => {
                    return Err(format!("the prefix `{prefix}` is not simulated"));
                }
                _ => break,
            }
            rest = &rest[1..];
        }
        let words = split(rest)?.iter().map(|word| specifiers.fill(word)).collect::<Result<Vec<_>, _>>()?;
        // In quotes it is an argument like any other.
        let bare: Vec<&str> = rest.split_whitespace().collect();
        let program = words.first().ok_or("no command is given")?;
        if !program.starts_with('/') {
            return Err(format!("the program `{program}` is not given with its absolute path"));
        }
        if program.ends_with('/') {
            return Err(format!("the program `{program}` is a folder"));
        }
        if let Some(shell) = bare.iter().find(|word| matches!(**word, ";" | "|" | ">" | "<" | ">>" | "&&" | "&")) {
            // systemd knows `;` between commands of a oneshot; nothing of ours uses it, and a pipe is always a mistake.
            return Err(format!("`{shell}` stands alone on the line: there is no shell here"));
        }
        Ok(Self { ignore_failure, words })
    }

    /// The words with variables filled in: `${NAME}` anywhere, `$NAME` as a word of its own, which is split at blanks.
    pub(crate) fn argv(&self, environment: &BTreeMap<String, String>) -> Vec<String> {
        let mut argv = Vec::with_capacity(self.words.len());
        for (position, word) in self.words.iter().enumerate() {
            let whole = word.strip_prefix('$').filter(|name| is_name(name));
            match whole {
                Some(name) if position > 0 => {
                    let value = environment.get(name).map(String::as_str).unwrap_or_default();
                    argv.extend(value.split_whitespace().map(str::to_owned));
                }
                _ => argv.push(expand(word, environment)),
            }
        }
        argv
    }

    /// The words as written.
    pub(crate) fn shown(&self) -> String {
        self.words.join(" ")
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn expand(word: &str, environment: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
            continue;
        }
        match after.strip_prefix('{').and_then(|tail| tail.split_once('}')).filter(|(name, _)| is_name(name)) {
            Some((name, tail)) => {
                out.push_str(environment.get(name).map(String::as_str).unwrap_or_default());
                rest = tail;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

impl Specifiers<'_> {
    /// Fills in `%`; an unknown letter is an error, as systemd drops such a line.
    pub(crate) fn fill(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let stem = self.unit.rsplit_once('.').map_or(self.unit, |(stem, _)| stem);
            match chars.next() {
                Some('%') => out.push('%'),
                Some('n') => out.push_str(self.unit),
                Some('N') => out.push_str(stem),
                Some('p') => out.push_str(stem.split('@').next().unwrap_or(stem)),
                Some('H' | 'l') => out.push_str(self.hostname),
                Some('t') => out.push_str("/run"),
                Some('S') => out.push_str("/var/lib"),
                Some('E') => out.push_str("/etc"),
                Some(other) => return Err(format!("unknown specifier `%{other}` (write `%%` for a percent sign)")),
                None => return Err("a `%` stands at the end (write `%%` for a percent sign)".into()),
            }
        }
        Ok(out)
    }
}

/// Splits into words at blanks; single and double quotes hold words together, backslashes escape.
pub(crate) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => {
                let escaped = chars.next().ok_or("a backslash stands at the end")?;
                word.get_or_insert_default().push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    's' => ' ',
                    '\\' | '"' | '\'' => escaped,
                    other => return Err(format!("unknown escape sequence `\\{other}`")),
                });
            }
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("the quote {open} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Specifiers<'static> = Specifiers { unit: "fetch.service", hostname: "node01" };

    #[test]
    fn words_quotes_specifiers_and_variables_are_read_as_systemd_reads_them() {
        let line = "-/usr/bin/curl --output '/tmp/a b' \"x\\\"y\" https://p/%%2B/%N ${HOST}:1 $FLAGS $$HOME";
        let line = ExecLine::parse(line, &UNIT).unwrap();
        assert!(line.ignore_failure);
        let env = BTreeMap::from([("HOST".into(), "h".into()), ("FLAGS".into(), "-a  -b".into())]);
        let want = ["/usr/bin/curl", "--output", "/tmp/a b", "x\"y", "https://p/%2B/fetch", "h:1", "-a", "-b", "$HOME"];
        assert_eq!(line.argv(&env), want);
        let find = ExecLine::parse("/usr/bin/find /x -exec /usr/bin/true {} \";\" -delete", &UNIT).unwrap();
        assert_eq!(find.argv(&env)[2..], ["-exec", "/usr/bin/true", "{}", ";", "-delete"]);
    }

    #[test]
    fn what_systemd_would_not_run_is_refused_with_the_reason() {
        for (line, reason) in [
            ("curl x", "absolute path"),
            ("/bin/sh -c 'x", "not closed"),
            ("/usr/bin/curl https://p/v1%2Brc1", "unknown specifier `%2`"),
            ("/usr/bin/curl x | /usr/bin/tee y", "no shell"),
            ("/usr/bin/find /x -exec /usr/bin/true {} ;", "no shell"),
            ("", "no command"),
            ("+/usr/bin/true", "prefix `+`"),
        ] {
            let error = ExecLine::parse(line, &UNIT).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
