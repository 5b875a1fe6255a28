//! Which question comes next. A state machine without input or output: it is told answers and findings, and says what to
//! ask or to look at. A question counts as *settled* once its answer was looked at and holds.

use super::{Problem, Question, choices, inventory::Inventory};
use crate::{
    answers::{self, Answers},
    prompt::Choice,
};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// Ask this.
    Ask(Box<Ask>),
    /// Look at this, then tell [`Flow::found`].
    Look(Look),
    /// Everything is settled: show the summary.
    Done,
}

/// A question as it is to be put.
#[derive(Debug)]
pub struct Ask {
    /// The question.
    pub question: Question,
    /// What is wrong with the answer given before.
    pub problem: Option<Problem>,
    /// The list to choose from, and where the cursor stands at first.
    pub choices: Option<(Vec<Choice>, usize)>,
    /// The text that stands in the field at first; never for secrets.
    pub initial: String,
    /// Whether a secret was given before, which a blank answer keeps.
    pub has_earlier: bool,
    /// Whether there is a question to go back to.
    pub can_go_back: bool,
}

/// What has to be looked at, outside of this computer, before an answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Whether the plane answers at its address (through the proxy, once there is one).
    Plane,
    /// Whether the account may install.
    SignIn,
    /// Whether MAAS answers at its endpoint.
    Maas,
    /// Whether MAAS takes the key; reads the lists, too.
    MaasKey,
}

impl Look {
    /// What is being done, for the line shown meanwhile.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Plane => "reaching the plane",
            Self::SignIn => "signing in",
            Self::Maas => "reaching MAAS",
            Self::MaasKey => "reading from MAAS",
        }
    }

    /// The question whose answer is looked at.
    #[must_use]
    pub const fn question(self) -> Question {
        match self {
            Self::Plane => Question::Endpoint,
            Self::SignIn => Question::Password,
            Self::Maas => Question::MaasEndpoint,
            Self::MaasKey => Question::MaasKey,
        }
    }
}

/// What a look brought.
#[derive(Clone, Debug)]
pub enum Finding {
    /// It holds. The text says what was seen, such as `MAAS 3.6.5`.
    Good(String),
    /// MAAS takes the key, and this is what it has.
    Inventory(String, Inventory),
    /// It does not hold.
    Bad(Problem),
    /// The other side could not be reached at all.
    Unreached(Problem),
}

/// The questions and what is known so far.
#[derive(Debug, Default)]
pub struct Flow {
    answers: Answers,
    settled: BTreeSet<Question>,
    /// Asked next although it may be settled: the person went back, or an answer turned out wrong.
    target: Option<Question>,
    problem: Option<(Question, Problem)>,
    /// The plane was not reached without a proxy: the proxy is asked for right after the endpoint.
    unreached: Option<Problem>,
    inventory: Option<Inventory>,
    notes: Vec<(Question, String)>,
}

impl Flow {
    /// Begins with the answers that were given beforehand; those are looked at, not asked again.
    #[must_use]
    pub fn new(given: Answers) -> Self {
        Self { answers: given, ..Self::default() }
    }

    /// The answers so far.
    #[must_use]
    pub const fn answers(&self) -> &Answers {
        &self.answers
    }

    /// What MAAS has, once it was read.
    #[must_use]
    pub const fn inventory(&self) -> Option<&Inventory> {
        self.inventory.as_ref()
    }

    /// What was repaired or seen since the last call, to be said to the person.
    pub fn take_notes(&mut self) -> Vec<(Question, String)> {
        std::mem::take(&mut self.notes)
    }

    /// The order of the questions as things stand.
    #[must_use]
    pub fn sequence(&self) -> Vec<Question> {
        let mut order = Question::ALL.to_vec();
        if self.unreached.is_some() {
            order.retain(|question| *question != Question::HttpsProxy);
            let after = order.iter().position(|question| *question == Question::Endpoint).map_or(0, |at| at + 1);
            order.insert(after, Question::HttpsProxy);
        }
        if self.answers.has(Question::Username) && !self.answers.wants_password() {
            order.retain(|question| *question != Question::Password);
        }
        order
    }

    /// What to do next.
    pub fn proceed(&mut self) -> Next {
        loop {
            if let Some(question) = self.target {
                return self.ask(question);
            }
            let Some(question) = self.sequence().into_iter().find(|question| !self.settled.contains(question)) else {
                return Next::Done;
            };
            if !self.answers.has(question) {
                return self.ask(question);
            }
            match self.judge(question) {
                Ok(Some(look)) => return Next::Look(look),
                Ok(None) => {
                    self.settled.insert(question);
                }
                Err((question, problem)) => self.refuse(question, problem),
            }
        }
    }

    /// Takes the answer to a question. A secret left blank keeps the one given before.
    pub fn answer(&mut self, question: Question, value: &SecretString) {
        self.target = None;
        self.problem = None;
        self.settled.remove(&question);
        let value = value.expose_secret().trim();
        let earlier = self.answers.get(question).unwrap_or_default().to_owned();
        if question.is_secret() && value.is_empty() && !earlier.is_empty() {
            return;
        }
        // In its usual form at once, so that what stays on the screen is what is meant.
        let value = match answers::check(question, value) {
            Ok(accepted) => {
                self.notes.extend(accepted.notes.into_iter().map(|note| (question, note)));
                accepted.text
            }
            Err(problem) => {
                // Said at once, before anything else is looked at with a value like this.
                self.answers.set(question, value);
                return self.refuse(question, problem);
            }
        };
        self.answers.set(question, &value);
        if value == earlier {
            return;
        }
        for dependent in dependents(question) {
            self.settled.remove(dependent);
        }
        match question {
            Question::Endpoint => self.unreached = None,
            Question::MaasEndpoint | Question::MaasKey => self.inventory = None,
            _ => {}
        }
    }

    /// Goes back to the question before `question`. `false` where there is none.
    pub fn back(&mut self, question: Question) -> bool {
        let order = self.sequence();
        let before = order.iter().position(|other| *other == question).and_then(|at| at.checked_sub(1));
        if let Some(before) = before {
            self.change(order[before]);
        }
        before.is_some()
    }

    /// Asks a question again.
    pub fn change(&mut self, question: Question) {
        self.problem = None;
        self.target = Some(question);
    }

    /// Takes what a look brought.
    pub fn found(&mut self, look: Look, finding: Finding) {
        let proxy = self.answers.get(Question::HttpsProxy);
        match (look, finding) {
            // Perhaps only a proxy leads there: ask for it before calling the endpoint wrong.
            (Look::Plane, Finding::Unreached(problem)) if proxy.is_none() => {
                self.settled.insert(Question::Endpoint);
                self.unreached = Some(problem);
            }
            (Look::Plane, Finding::Unreached(problem)) if proxy.is_some_and(|proxy| !proxy.is_empty()) => {
                // The endpoint stays unsettled, so that it is looked at again even if the same proxy is given.
                self.refuse(Question::HttpsProxy, problem);
            }
            (look, Finding::Unreached(problem) | Finding::Bad(problem)) => self.refuse(look.question(), problem),
            (look, Finding::Good(seen)) => {
                if look == Look::Plane && proxy.is_none_or(str::is_empty) {
                    self.unreached = None;
                }
                self.settled.insert(look.question());
                self.notes.push((look.question(), seen));
            }
            (look, Finding::Inventory(seen, inventory)) => {
                self.settled.insert(look.question());
                self.notes.push((look.question(), seen));
                let subnets = inventory.subnets.clone();
                self.inventory = Some(inventory);
                if let Err((question, problem)) = answers::check_together(&self.answers, &subnets) {
                    self.refuse(question, problem);
                }
            }
        }
    }

    fn refuse(&mut self, question: Question, problem: Problem) {
        self.settled.remove(&question);
        if question.is_secret() {
            // A secret that was refused is not offered to be kept.
            self.answers.forget(question);
        }
        self.problem = Some((question, problem));
        self.target = Some(question);
    }

    /// Whether an answer holds by itself, and what has to be looked at outside.
    fn judge(&mut self, question: Question) -> Result<Option<Look>, (Question, Problem)> {
        let text = self.answers.get(question).unwrap_or_default().to_owned();
        let accepted = answers::check(question, &text).map_err(|problem| (question, problem))?;
        self.notes.extend(accepted.notes.into_iter().map(|note| (question, note)));
        self.answers.set(question, &accepted.text);
        match question {
            Question::Endpoint => {
                // The plane is looked at through the proxy that was given: that has to be one.
                for proxy in [Question::HttpsProxy, Question::HttpProxy] {
                    let given = self.answers.get(proxy).unwrap_or_default();
                    answers::check(proxy, given).map_err(|problem| (proxy, problem))?;
                }
                Ok(Some(Look::Plane))
            }
            Question::HttpsProxy if accepted.text.is_empty() => match self.unreached.clone() {
                None => Ok(None),
                Some(problem) => Err((question, problem.hint(WITHOUT_PROXY))),
            },
            Question::Password if accepted.text.is_empty() => {
                let hint = "go back and leave the username blank to use the pairing code alone";
                Err((question, Problem::new("the password is empty").hint(hint)))
            }
            Question::Password => Ok(Some(Look::SignIn)),
            Question::PodCidr | Question::ServiceRange => {
                // The service range is asked after the pods': a clash of the two is said once both were answered.
                if question == Question::PodCidr && !self.answers.has(Question::ServiceRange) {
                    return Ok(None);
                }
                let subnets = self.inventory.as_ref().map(|inventory| inventory.subnets.as_slice()).unwrap_or_default();
                answers::check_together(&self.answers, subnets).map(|()| None)
            }
            Question::MaasEndpoint => Ok(Some(Look::Maas)),
            Question::MaasKey => Ok(Some(Look::MaasKey)),
            Question::Domain | Question::Zone | Question::ResourcePool | Question::Nodes => match &self.inventory {
                None => Ok(Some(Look::MaasKey)),
                Some(inventory) => choices::check_against(question, &self.answers, inventory)
                    .map(|()| None)
                    .map_err(|problem| (question, problem)),
            },
            _ => Ok(None),
        }
    }

    fn ask(&self, question: Question) -> Next {
        let inventory = self.inventory.as_ref();
        let list = choices::choices(question, &self.answers, inventory).filter(|list| !list.is_empty());
        let known = self.problem.clone().filter(|(at, _)| *at == question).map(|(_, problem)| problem);
        let unreached = self.unreached.clone().filter(|_| question == Question::HttpsProxy);
        Next::Ask(Box::new(Ask {
            question,
            problem: known.or_else(|| unreached.map(|problem| problem.hint(WITHOUT_PROXY))),
            choices: list.map(|list| {
                let at = choices::preselected(question, &list, &self.answers, inventory);
                (list, at)
            }),
            initial: if question.is_secret() { String::new() } else { self.answers.or_default(question).to_owned() },
            has_earlier: question.is_secret() && self.answers.get(question).is_some_and(|earlier| !earlier.is_empty()),
            can_go_back: self.sequence().first() != Some(&question),
        }))
    }
}

const WITHOUT_PROXY: &str = "if a proxy leads there, give it here; else go back and correct the endpoint";

/// The questions whose answers have to be looked at again when this one changes. They are asked again only if they no
/// longer hold.
const fn dependents(question: Question) -> &'static [Question] {
    match question {
        Question::Endpoint | Question::Username => &[Question::Password],
        Question::HttpsProxy => &[Question::Endpoint, Question::Password],
        Question::PodCidr => &[Question::ServiceRange],
        Question::ServiceRange => &[Question::PodCidr],
        Question::MaasEndpoint => {
            &[Question::MaasKey, Question::Domain, Question::Zone, Question::ResourcePool, Question::Nodes]
        }
        Question::MaasKey => &[Question::Domain, Question::Zone, Question::ResourcePool, Question::Nodes],
        Question::Zone => &[Question::ResourcePool, Question::Nodes],
        Question::ResourcePool => &[Question::Nodes],
        _ => &[],
    }
}

#[cfg(test)]
mod tests;
