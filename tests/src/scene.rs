//! What a scenario is given: a site that runs, a folder for what it sees, and the words to assert with.

use super::{
    evidence::Evidence,
    failure::Failure,
    process::{Program, Ran},
    site::Site,
    slot::SlotGuard,
    table::Held,
};
use serde_json::{Map, Value};
use std::{cell::RefCell, io::Write, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often something that is waited for is looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

/// What a look at something that is waited for found.
pub(crate) enum Look<T> {
    /// It has come.
    Come(T),
    /// Not yet; this is how it is now.
    NotYet(String),
}

/// A scenario at work.
pub(crate) struct Scene {
    /// Its letter.
    pub(crate) letter: &'static str,
    /// The site.
    pub(crate) site: Arc<Site>,
    /// Where its logs go.
    pub(crate) evidence: Evidence,
    guard: RefCell<Option<SlotGuard>>,
    begun: Instant,
    held: RefCell<Vec<Held>>,
    facts: RefCell<Map<String, Value>>,
}

impl Scene {
    pub(crate) fn new(letter: &'static str, site: Arc<Site>, evidence: Evidence, guard: SlotGuard) -> Self {
        Self {
            letter,
            site,
            evidence,
            guard: RefCell::new(Some(guard)),
            begun: Instant::now(),
            held: RefCell::default(),
            facts: RefCell::default(),
        }
    }

    /// Lets others use the computer: from here on this scenario mostly waits.
    pub(crate) fn rest(&self) {
        self.guard.borrow_mut().take();
    }

    /// Its slot, for whoever comes after it.
    pub(crate) fn into_slot_guard(self) -> Option<SlotGuard> {
        self.guard.into_inner()
    }

    /// Tells the person what is going on.
    pub(crate) fn say(&self, text: &str) {
        let seconds = self.begun.elapsed().as_secs();
        // Nobody is left to tell where standard error is closed.
        let _ = writeln!(std::io::stderr(), "[{} {} {seconds:>4}s] {text}", self.letter, self.site.name);
        let _ = self.evidence.line("scenario.log", &format!("{seconds:>5}s {text}"));
    }

    /// Asserts. `seen` is kept in the report whether it holds or not.
    pub(crate) fn holds(&self, name: &str, holds: bool, seen: impl Into<String>) -> Result<(), Failure> {
        let seen = seen.into();
        if !holds {
            self.say(&format!("✖ {name}: {seen}"));
            return Err(Failure::new(name, seen).read(self.evidence.folder().join("scenario.log")));
        }
        self.say(&format!("✔ {name}"));
        self.held.borrow_mut().push(Held { name: name.to_owned(), seen });
        Ok(())
    }

    /// Keeps a measured value for the report.
    pub(crate) fn fact(&self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        self.say(&format!("  {name}: {value}"));
        self.facts.borrow_mut().insert(name.to_owned(), value);
    }

    /// Looks again and again until it has come; asserts that it did.
    pub(crate) async fn comes<T>(
        &self,
        name: &str,
        within: Duration,
        look: impl AsyncFn() -> Result<Look<T>, Failure>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let mut last = String::new();
        let place = self.evidence.place();
        loop {
            // Of many looks the last one is kept.
            self.evidence.back_to(place);
            match look().await {
                Ok(Look::Come(found)) => {
                    self.holds(name, true, format!("after {} s", begun.elapsed().as_secs()))?;
                    return Ok(found);
                }
                Ok(Look::NotYet(seen)) => {
                    if seen != last {
                        self.say(&format!("  … {seen}"));
                        last = seen;
                    }
                }
                // What cannot be asked right now may be asked later: a plane that restarts, a way that is cut.
                Err(failure) => last = failure.to_string(),
            }
            if begun.elapsed() >= within {
                let name = format!("{name} within {} s", within.as_secs());
                return self.holds(&name, false, last).map(|()| unreachable!("it does not hold"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Runs a program to its end; its output is kept.
    pub(crate) async fn run(&self, label: &str, program: Program) -> Result<Ran, Failure> {
        program.run(&self.evidence, label).await
    }

    /// What held and what was measured.
    pub(crate) fn outcome(&self) -> (Vec<Held>, Map<String, Value>) {
        (self.held.borrow().clone(), self.facts.borrow().clone())
    }

    /// Seconds since it began.
    pub(crate) fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }
}
