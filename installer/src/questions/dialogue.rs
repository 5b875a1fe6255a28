//! Puts the questions in front of a person and the looks in front of the plane and MAAS, until everything is settled.

use super::{
    Question,
    flow::{Ask, Finding, Flow, Look, Next},
    summary,
};
use crate::{
    answers::Answers,
    prompt::{Heading, Prompter, Reply, Tone},
};
use async_trait::async_trait;
use secrecy::SecretString;
use std::io;

/// Looks at what a person answered, outside of this computer.
#[async_trait]
pub trait Probes: Send + Sync {
    /// Looks. Never takes longer than a person waits: the implementation has its deadline.
    async fn look(&self, look: Look, answers: &Answers) -> Finding;
}

/// How the questions ended.
#[derive(Debug)]
pub enum Ending {
    /// Install with these answers.
    Install(Answers),
    /// Only write the configuration.
    WriteOnly(Answers),
    /// The person left.
    Left,
}

/// Asks everything that was not given. With `config_only`, writing the file is what is offered first.
///
/// # Errors
/// The terminal is gone.
pub async fn ask_all(
    given: Answers,
    prompter: &mut dyn Prompter,
    probes: &dyn Probes,
    config_only: bool,
) -> io::Result<Ending> {
    let mut flow = Flow::new(given);
    let mut answered = None;
    loop {
        let next = flow.proceed();
        for (question, note) in flow.take_notes() {
            // Under the answer it is about, a note needs no name.
            let name = if answered == Some(question) { String::new() } else { format!("{}: ", question.title()) };
            prompter.say(Tone::Note, &format!("{name}{note}"))?;
        }
        match next {
            Next::Ask(ask) => {
                if ask.problem.is_some() && answered.take() == Some(ask.question) {
                    // The line that said it was answered would stand above the complaint.
                    prompter.step_back()?;
                }
                answered = Some(ask.question);
                if put(&mut flow, &ask, prompter).await? == Step::Left {
                    return Ok(Ending::Left);
                }
            }
            Next::Look(look) => match watch(look, &flow, prompter, probes).await? {
                Reply::Value(finding) => flow.found(look, finding),
                Reply::Back => flow.change(look.question()),
                Reply::Quit => return Ok(Ending::Left),
            },
            Next::Done => match summary::review(&mut flow, prompter, config_only).await? {
                summary::Choice::Install => return Ok(Ending::Install(flow.answers().clone())),
                summary::Choice::WriteOnly => return Ok(Ending::WriteOnly(flow.answers().clone())),
                summary::Choice::Leave => return Ok(Ending::Left),
                summary::Choice::Again => {}
            },
        }
    }
}

#[derive(PartialEq, Eq)]
enum Step {
    Taken,
    Left,
}

async fn put(flow: &mut Flow, ask: &Ask, prompter: &mut dyn Prompter) -> io::Result<Step> {
    let question = ask.question;
    let heading = heading(flow, ask);
    let reply = match &ask.choices {
        Some((choices, at)) => match prompter.select(&heading, choices, *at).await? {
            Reply::Value(index) => Reply::Value(SecretString::from(choices[index].value.as_str())),
            Reply::Back => Reply::Back,
            Reply::Quit => Reply::Quit,
        },
        None if question.is_secret() => prompter.password(&heading, ask.has_earlier).await?,
        None => match prompter.text(&heading, &ask.initial).await? {
            Reply::Value(text) => Reply::Value(SecretString::from(text)),
            Reply::Back => Reply::Back,
            Reply::Quit => Reply::Quit,
        },
    };
    match reply {
        Reply::Value(value) => {
            flow.answer(question, &value);
            prompter.answered(question.title(), &flow.answers().shown(question))?;
        }
        Reply::Back => {
            if flow.back(question) {
                prompter.step_back()?;
            }
        }
        Reply::Quit => return Ok(Step::Left),
    }
    Ok(Step::Taken)
}

fn heading(flow: &Flow, ask: &Ask) -> Heading {
    let order = flow.sequence();
    let number = order.iter().position(|question| *question == ask.question).map_or(0, |at| at + 1);
    Heading {
        title: ask.question.title().to_owned(),
        help: ask.question.help().to_owned(),
        place: format!("{number} of {}", order.len()),
        problem: ask.problem.clone(),
        can_go_back: ask.can_go_back,
    }
}

/// Looks, and lets the person go back or leave meanwhile.
async fn watch(
    look: Look,
    flow: &Flow,
    prompter: &mut dyn Prompter,
    probes: &dyn Probes,
) -> io::Result<Reply<Finding>> {
    prompter.work(look.title())?;
    let reply = tokio::select! {
        finding = probes.look(look, flow.answers()) => Ok(Reply::Value(finding)),
        reply = prompter.interrupted() => reply.map(|reply| match reply {
            Reply::Quit => Reply::Quit,
            Reply::Back | Reply::Value(()) => Reply::Back,
        }),
    };
    prompter.rest()?;
    reply
}

/// Asks for secrets anew, and nothing else.
///
/// # Errors
/// The terminal is gone.
pub async fn ask_secrets(
    questions: &[Question],
    given: &Answers,
    prompter: &mut dyn Prompter,
) -> io::Result<Option<Answers>> {
    let mut answers = Answers::default();
    let mut at = 0;
    let mut problem = None;
    while let Some(question) = questions.get(at).copied() {
        if let Some(secret) = given.secret(question) {
            answers.set_secret(question, secret.clone());
            at += 1;
            continue;
        }
        let heading = Heading {
            title: question.title().to_owned(),
            help: question.help().to_owned(),
            place: format!("{} of {}", at + 1, questions.len()),
            problem: problem.take(),
            can_go_back: at > 0,
        };
        match prompter.password(&heading, false).await? {
            Reply::Value(secret) => {
                use secrecy::ExposeSecret;
                match crate::answers::check(question, secret.expose_secret()) {
                    Ok(accepted) => {
                        answers.set(question, &accepted.text);
                        prompter.answered(question.title(), &answers.shown(question))?;
                        at += 1;
                    }
                    Err(wrong) => problem = Some(wrong),
                }
            }
            Reply::Back => at = at.saturating_sub(1),
            Reply::Quit => return Ok(None),
        }
    }
    Ok(Some(answers))
}
