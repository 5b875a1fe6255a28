//! Label and field selectors.

use serde_json::Value;

/// What a list or watch is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Term>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Selector {
    /// Reads both selectors; an empty text selects everything.
    ///
    /// # Errors
    /// The part that cannot be read.
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, String> {
        let mut selector = Self::default();
        for term in terms(labels) {
            selector.labels.push(label_term(&term).ok_or_else(|| format!("unable to parse requirement: {term}"))?);
        }
        for term in terms(fields) {
            let (name, equal, value) = term
                .split_once("!=")
                .map(|(name, value)| (name, false, value))
                .or_else(|| term.split_once("==").map(|(name, value)| (name, true, value)))
                .or_else(|| term.split_once('=').map(|(name, value)| (name, true, value)))
                .ok_or_else(|| format!("invalid field selector: {term}"))?;
            selector.fields.push((name.trim().to_owned(), equal, value.trim().to_owned()));
        }
        Ok(selector)
    }

    /// Whether an object is selected.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|term| term.matches(labels))
            && self.fields.iter().all(|(path, equal, wanted)| (field(object, path) == *wanted) == *equal)
    }
}

impl Term {
    fn matches(&self, labels: &Value) -> bool {
        match self {
            Self::In(key, values) => labels[key].as_str().is_some_and(|has| values.iter().any(|v| v == has)),
            Self::NotIn(key, values) => labels[key].as_str().is_none_or(|has| values.iter().all(|v| v != has)),
            Self::Exists(key) => labels[key].is_string(),
            Self::Missing(key) => !labels[key].is_string(),
        }
    }
}

fn field(object: &Value, path: &str) -> String {
    let value = path.split('.').fold(object, |value, name| &value[name]);
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Splits at commas that are not in parentheses.
fn terms(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(term) = terms.last_mut() {
            term.push(c);
        }
    }
    terms.retain(|term| !term.trim().is_empty());
    terms
}

fn label_term(term: &str) -> Option<Term> {
    let term = term.trim();
    let own = |text: &str| text.trim().to_owned();
    let set = |rest: &str| {
        let inner = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(own).collect::<Vec<_>>())
    };
    if let Some((key, rest)) = term.split_once(" notin") {
        return Some(Term::NotIn(own(key), set(rest)?));
    }
    if let Some((key, rest)) = term.split_once(" in") {
        return Some(Term::In(own(key), set(rest)?));
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Some(Term::NotIn(own(key), vec![own(value)]));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Some(Term::In(own(key), vec![own(value)]));
    }
    match term.strip_prefix('!') {
        Some(key) => Some(Term::Missing(own(key))),
        None => (!term.contains(' ')).then(|| Term::Exists(own(term))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_of_selector_selects_what_it_says() {
        let pod = json!({"metadata": {"name": "p", "labels": {"app": "web", "tier": "front"}},
            "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}});
        for (labels, fields, wanted) in [
            ("", "", true),
            ("app=web,tier in (front, back)", "", true),
            ("app==web,!gone", "spec.nodeName=n1,status.phase!=Failed", true),
            ("app notin (db),other!=x", "metadata.name=p", true),
            ("tier", "", true),
            ("gone", "", false),
            ("app!=web", "", false),
            ("", "spec.nodeName=n2", false),
            ("", "status.phase!=Running", false),
            ("", "metadata.namespace=", true),
        ] {
            assert_eq!(Selector::parse(labels, fields).unwrap().matches(&pod), wanted, "{labels} {fields}");
        }
        assert!(Selector::parse("a b", "").is_err());
        assert!(Selector::parse("", "name").is_err());
    }
}
