//! The page before anything happens: every answer, and what can be done with them.

use super::{Question, flow::Flow};
use crate::prompt::{Choice as Entry, Heading, Prompter, Reply, Tone};
use std::io;

/// What the person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Install.
    Install,
    /// Only write the configuration.
    WriteOnly,
    /// Leave; nothing is written.
    Leave,
    /// An answer is to be changed: ask on.
    Again,
}

/// Shows the answers and asks what to do.
///
/// # Errors
/// The terminal is gone.
pub async fn review(flow: &mut Flow, prompter: &mut dyn Prompter, config_only: bool) -> io::Result<Choice> {
    prompter.say(Tone::Plain, "")?;
    let heading = Heading {
        title: "Ready".into(),
        help: match config_only {
            true => "The answers will be written to pcg.yaml. Nothing is installed.".into(),
            false => {
                "The answers are written to pcg.yaml first, then everything is checked, then machines are taken.".into()
            }
        },
        place: summary_line(flow),
        problem: None,
        can_go_back: true,
    };
    let install = Entry::new("install", "Install the gateway", "");
    let write = Entry::new("write", "Only write pcg.yaml", "to install later with --config");
    let mut entries = if config_only { vec![write] } else { vec![install, write] };
    entries.push(Entry::new("change", "Change an answer", ""));
    entries.push(Entry::new("leave", "Leave", "nothing is written"));
    loop {
        match prompter.select(&heading, &entries, 0).await? {
            Reply::Value(index) => match entries[index].value.as_str() {
                "install" => return Ok(Choice::Install),
                "write" => return Ok(Choice::WriteOnly),
                "leave" => return Ok(Choice::Leave),
                _ => {
                    if let Some(choice) = change(flow, prompter).await? {
                        return Ok(choice);
                    }
                }
            },
            Reply::Back => {
                if let Some(last) = flow.sequence().last().copied() {
                    flow.change(last);
                    prompter.step_back()?;
                }
                return Ok(Choice::Again);
            }
            Reply::Quit => return Ok(Choice::Leave),
        }
    }
}

fn summary_line(flow: &Flow) -> String {
    let answers = flow.answers();
    format!("{} on {} node(s)", answers.or_default(Question::Name), answers.or_default(Question::Nodes))
}

async fn change(flow: &mut Flow, prompter: &mut dyn Prompter) -> io::Result<Option<Choice>> {
    let order = flow.sequence();
    let entries: Vec<_> = order
        .iter()
        .map(|question| Entry::new(question.field(), question.title(), &flow.answers().shown(*question)))
        .collect();
    let heading = Heading {
        title: "Which answer?".into(),
        help: "Later answers stay as they are where they still hold.".into(),
        can_go_back: true,
        ..Heading::default()
    };
    Ok(match prompter.select(&heading, &entries, 0).await? {
        Reply::Value(index) => {
            flow.change(order[index]);
            Some(Choice::Again)
        }
        Reply::Back => None,
        Reply::Quit => Some(Choice::Leave),
    })
}
