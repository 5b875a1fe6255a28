//! Environment files, as systemd reads them.

use std::collections::BTreeMap;

/// Reads `NAME=VALUE` lines; comments begin with `#` or `;`.
///
/// # Errors
/// A line that is none of these: systemd ignores it, which nobody notices.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with(';') {
            continue;
        }
        let bad = || format!("line {} is not NAME=VALUE", number + 1);
        let (name, value) = line.split_once('=').ok_or_else(bad)?;
        let name = name.trim_end();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(bad());
        }
        let value = unquoted(value.trim()).ok_or_else(bad)?;
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

/// A value without its quotes. In double quotes a backslash takes the meaning from `"`, `\`, `$` and a backtick.
fn unquoted(value: &str) -> Option<String> {
    if let Some(inner) = value.strip_prefix('\'') {
        return inner.strip_suffix('\'').filter(|inner| !inner.contains('\'')).map(str::to_owned);
    }
    let Some(inner) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let mut out = String::new();
    let mut chars = inner.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(out),
            '\\' => match chars.next()? {
                escaped @ ('"' | '\\' | '$' | '`') => out.push(escaped),
                other => out.extend(['\\', other]),
            },
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_signs_and_lose_their_quotes() {
        let text = "# proxy\n\nhttps_proxy=http://u:p%40=x@h:3128\nA=\"b c\"\nEMPTY=\nP=\"a\\$b\\\"c\"\n";
        let variables = parse(text).unwrap();
        let got: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(got, [("A", "b c"), ("EMPTY", ""), ("P", "a$b\"c"), ("https_proxy", "http://u:p%40=x@h:3128")]);
    }

    #[test]
    fn a_wrong_line_is_named_but_not_shown() {
        let error = parse("A=1\nexport hunter2\n").unwrap_err();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
        assert!(parse("export A=1").is_err());
        assert!(parse("A=\"open").is_err());
    }
}
