//! What can be made to go wrong in the simulated MAAS, while it runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Which requests a rule is about. An empty pattern matches every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// HTTP method, upper case.
    pub method: Option<String>,
    /// What the path contains, such as `/machines/`.
    pub path: Option<String>,
    /// The operation (`op`), such as `allocate`.
    pub op: Option<String>,
}

impl Pattern {
    /// Requests for the operation `op`.
    #[must_use]
    pub fn op(op: impl Into<String>) -> Self {
        Self { op: Some(op.into()), ..Self::default() }
    }

    /// Requests with this method whose path contains `path`.
    #[must_use]
    pub fn path(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self { method: Some(method.into()), path: Some(path.into()), op: None }
    }

    /// Whether a request is meant.
    #[must_use]
    pub fn matches(&self, method: &str, path: &str, op: Option<&str>) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(|wanted| path.contains(wanted))
            && self.op.as_deref().is_none_or(|wanted| Some(wanted) == op)
    }
}

/// Which of the matching requests go wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// Each of them.
    Always,
    /// The `n`th, counted from 1.
    Nth(u64),
    /// The first `n`.
    First(u64),
    /// Each with this probability, from 0 to 1.
    Probability(f64),
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 503 in MAAS's own words; nothing happens.
    Unavailable,
    /// The answer comes this much later; the effect is in time.
    Slow(Duration),
    /// A proxy in between answers 502 with a page of HTML; nothing happens.
    ProxyPage,
    /// The connection breaks before the request takes effect.
    DropBefore,
    /// The request takes effect, then the connection breaks without an answer.
    DropAfter,
    /// Somebody else was faster: 409 as allocate answers it; nothing happens.
    Conflict,
    /// Something in between drops this parameter of the query, so that a list is not filtered by it.
    DropsFilter(String),
    /// This status and plain text; nothing happens.
    Status(u16, String),
}

/// What is wrong with one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineFault {
    /// Its deployment fails.
    FailsToDeploy,
    /// It never reports after a deployment, so that MAAS gives up in the end.
    NeverReports,
}

/// A rule's number, for taking it away again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(u64);

#[derive(Debug)]
struct Rule {
    id: RuleId,
    pattern: Pattern,
    when: When,
    fault: Fault,
    seen: u64,
}

#[derive(Debug, Default)]
struct Rules {
    next: u64,
    rules: Vec<Rule>,
    machines: BTreeMap<String, MachineFault>,
}

/// The faults in force. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    inner: Arc<Mutex<Rules>>,
}

impl Faults {
    /// Adds a rule. The first rule that applies to a request decides.
    pub fn add(&self, pattern: Pattern, when: When, fault: Fault) -> RuleId {
        let mut inner = self.lock();
        inner.next += 1;
        let id = RuleId(inner.next);
        inner.rules.push(Rule { id, pattern, when, fault, seen: 0 });
        id
    }

    /// Takes a rule away.
    pub fn remove(&self, id: RuleId) {
        self.lock().rules.retain(|rule| rule.id != id);
    }

    /// Makes a machine, named by host name or system id, misbehave from its next deployment on.
    pub fn machine(&self, name: impl Into<String>, fault: MachineFault) {
        self.lock().machines.insert(name.into(), fault);
    }

    /// Makes a machine behave again.
    pub fn heal(&self, name: &str) {
        self.lock().machines.remove(name);
    }

    /// Takes everything away.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.rules.clear();
        inner.machines.clear();
    }

    /// What happens to this request, if anything.
    pub(crate) fn decide(&self, method: &str, path: &str, op: Option<&str>) -> Option<Fault> {
        let mut chosen = None;
        for rule in self.lock().rules.iter_mut().filter(|rule| rule.pattern.matches(method, path, op)) {
            rule.seen += 1;
            let applies = match rule.when {
                When::Always => true,
                When::Nth(n) => rule.seen == n,
                When::First(n) => rule.seen <= n,
                When::Probability(p) => rand::random::<f64>() < p,
            };
            if applies && chosen.is_none() {
                chosen = Some(rule.fault.clone());
            }
        }
        chosen
    }

    /// What is wrong with a machine, if anything.
    pub(crate) fn of_machine(&self, hostname: &str, system_id: &str) -> Option<MachineFault> {
        let inner = self.lock();
        inner.machines.get(hostname).or_else(|| inner.machines.get(system_id)).copied()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Rules> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nth_matching_request_goes_wrong() {
        let faults = Faults::default();
        faults.add(Pattern::op("allocate"), When::Nth(2), Fault::Unavailable);
        let decide = |op| faults.decide("POST", "/MAAS/api/2.0/machines/", Some(op));
        assert_eq!(decide("allocate"), None);
        assert_eq!(decide("release"), None);
        assert_eq!(decide("allocate"), Some(Fault::Unavailable));
        assert_eq!(decide("allocate"), None);
    }

    #[test]
    fn a_rule_that_is_taken_away_does_nothing() {
        let faults = Faults::default();
        let id = faults.add(Pattern::default(), When::Always, Fault::DropAfter);
        assert_eq!(faults.decide("GET", "/", None), Some(Fault::DropAfter));
        faults.remove(id);
        assert_eq!(faults.decide("GET", "/", None), None);
    }
}
