//! A person from a script, for tests: answers what it was told, in order, and remembers what it was asked.

use super::{Choice, Heading, Prompter, Reply, Tone};
use async_trait::async_trait;
use secrecy::SecretString;
use std::{collections::VecDeque, io};

/// One thing a scripted person does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Types this, or chooses the entry whose value this is.
    Say(&'static str),
    /// Accepts what stands there.
    Accept,
    /// Goes back.
    Back,
    /// Leaves.
    Quit,
}

/// Answers from a script.
#[derive(Debug, Default)]
pub struct Scripted {
    acts: VecDeque<Act>,
    /// What was asked and said, a line each.
    pub heard: Vec<String>,
}

impl Scripted {
    /// A person who does these things, in order, and leaves when the script is over.
    #[must_use]
    pub fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self { acts: acts.into_iter().collect(), heard: Vec::new() }
    }

    fn ask(&mut self, heading: &Heading) -> Act {
        let problem = heading.problem.as_ref().map(|problem| format!(" !! {problem}")).unwrap_or_default();
        self.heard.push(format!("{}?{problem}", heading.title));
        self.acts.pop_front().unwrap_or(Act::Quit)
    }
}

#[async_trait]
impl Prompter for Scripted {
    async fn select(&mut self, heading: &Heading, choices: &[Choice], at: usize) -> io::Result<Reply<usize>> {
        Ok(match self.ask(heading) {
            Act::Say(value) => match choices.iter().position(|choice| choice.value == value) {
                Some(index) => Reply::Value(index),
                None => return Err(io::Error::other(format!("`{}` has no entry `{value}`", heading.title))),
            },
            Act::Accept => Reply::Value(at),
            Act::Back => Reply::Back,
            Act::Quit => Reply::Quit,
        })
    }

    async fn text(&mut self, heading: &Heading, initial: &str) -> io::Result<Reply<String>> {
        Ok(match self.ask(heading) {
            Act::Say(text) => Reply::Value(text.to_owned()),
            Act::Accept => Reply::Value(initial.to_owned()),
            Act::Back => Reply::Back,
            Act::Quit => Reply::Quit,
        })
    }

    async fn password(&mut self, heading: &Heading, _earlier: bool) -> io::Result<Reply<SecretString>> {
        Ok(match self.ask(heading) {
            Act::Say(text) => Reply::Value(SecretString::from(text)),
            Act::Accept => Reply::Value(SecretString::default()),
            Act::Back => Reply::Back,
            Act::Quit => Reply::Quit,
        })
    }

    async fn confirm(&mut self, heading: &Heading, default: bool) -> io::Result<Reply<bool>> {
        Ok(match self.ask(heading) {
            Act::Say(text) => Reply::Value(text == "yes"),
            Act::Accept => Reply::Value(default),
            Act::Back => Reply::Back,
            Act::Quit => Reply::Quit,
        })
    }

    fn answered(&mut self, title: &str, shown: &str) -> io::Result<()> {
        self.heard.push(format!("{title} = {shown}"));
        Ok(())
    }

    fn say(&mut self, _tone: Tone, line: &str) -> io::Result<()> {
        self.heard.push(line.to_owned());
        Ok(())
    }

    fn work(&mut self, _title: &str) -> io::Result<()> {
        Ok(())
    }

    fn rest(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn interrupted(&mut self) -> io::Result<Reply<()>> {
        std::future::pending().await
    }
}
