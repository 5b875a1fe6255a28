//! The entries of the questions that are answered from a list.

use super::{Problem, Question, inventory::Inventory};
use crate::{answers::Answers, prompt::Choice};

/// The list a question is answered from; `None` where the answer is typed.
#[must_use]
pub fn choices(question: Question, answers: &Answers, inventory: Option<&Inventory>) -> Option<Vec<Choice>> {
    Some(match (question, inventory) {
        (Question::InstallType, _) => vec![Choice::new("pcg", "Private Cloud Gateway", "")],
        (Question::CloudType, _) => vec![Choice::new("maas", "MAAS", "")],
        (Question::Domain, Some(inventory)) => {
            let note = |index: usize| if index == 0 { "the default of MAAS" } else { "" };
            inventory.domains.iter().enumerate().map(|(index, name)| Choice::new(name, name, note(index))).collect()
        }
        (Question::Zone, Some(inventory)) => {
            let count = |zone: &str| inventory.count(Some(zone), None).describe();
            inventory.zones.iter().map(|zone| Choice::new(zone, zone, &count(zone))).collect()
        }
        (Question::ResourcePool, Some(inventory)) => {
            let count = |pool: &str| inventory.count(answers.get(Question::Zone), Some(pool)).describe();
            inventory.pools.iter().map(|pool| Choice::new(pool, pool, &count(pool))).collect()
        }
        (Question::Nodes, Some(inventory)) => {
            let fit = inventory.count(answers.get(Question::Zone), answers.get(Question::ResourcePool)).fit;
            let short = |needed: usize| match needed {
                needed if fit >= needed => String::new(),
                _ => format!("; only {fit} Ready here"),
            };
            vec![
                Choice::new("1", "One node", &format!("no high availability{}", short(1))),
                Choice::new("3", "Three nodes", &format!("high availability, for production{}", short(3))),
            ]
        }
        _ => return None,
    })
}

/// The entry the cursor stands on at first: the earlier answer if it is still there, else the one with the most machines.
#[must_use]
pub fn preselected(question: Question, choices: &[Choice], answers: &Answers, inventory: Option<&Inventory>) -> usize {
    let earlier = answers.get(question).or(question.default());
    let by_value = || choices.iter().position(|choice| Some(choice.value.as_str()) == earlier);
    let most_machines = || {
        let inventory = inventory?;
        let fit = |choice: &Choice| match question {
            Question::Zone => inventory.count(Some(&choice.value), None).fit,
            Question::ResourcePool => inventory.count(answers.get(Question::Zone), Some(&choice.value)).fit,
            _ => 0,
        };
        let counts: Vec<_> = choices.iter().map(fit).collect();
        counts.iter().max().and_then(|most| counts.iter().position(|count| count == most))
    };
    by_value().or_else(most_machines).unwrap_or(0)
}

/// Whether an answer still holds against what MAAS has.
///
/// # Errors
/// What is missing, and which value would do.
pub fn check_against(question: Question, answers: &Answers, inventory: &Inventory) -> Result<(), Problem> {
    let text = answers.or_default(question);
    let among = |names: &[String]| {
        if names.iter().any(|name| name == text) {
            return Ok(());
        }
        Err(Problem::new(format!("MAAS has no {} `{text}`", question.title().to_lowercase()))
            .hint(format!("it has {}", names.join(", "))))
    };
    match question {
        Question::Domain => among(&inventory.domains),
        Question::Zone => among(&inventory.zones),
        Question::ResourcePool => {
            among(&inventory.pools)?;
            enough(1, answers, inventory)
        }
        Question::Nodes => enough(text.parse().unwrap_or(1), answers, inventory),
        _ => Ok(()),
    }
}

fn enough(needed: usize, answers: &Answers, inventory: &Inventory) -> Result<(), Problem> {
    let (zone, pool) = (answers.or_default(Question::Zone), answers.or_default(Question::ResourcePool));
    let count = inventory.count(Some(zone), Some(pool));
    if count.fit >= needed {
        return Ok(());
    }
    let machines = match needed {
        1 => "1 Ready machine that fits is".to_owned(),
        _ => format!("{needed} Ready machines that fit are"),
    };
    let seen = count.describe();
    let problem = Problem::new(format!("{machines} needed in zone `{zone}`, pool `{pool}`; there: {seen}"));
    Err(match inventory.best() {
        Some((zone, pool, best)) if best.fit >= needed => {
            problem.hint(format!("zone `{zone}` with pool `{pool}` has {}", best.describe()))
        }
        _ => problem.hint("add machines of 4 CPUs, 8192 MiB and 60 GiB to MAAS, or release some"),
    })
}
