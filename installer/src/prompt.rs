//! Asking a person. The questions do not know how: a [`Prompter`] is a terminal, or a script in tests.

pub mod glyphs;
pub mod keys;
pub mod scripted;
pub mod terminal;
pub mod view;

use crate::questions::Problem;
use async_trait::async_trait;
use secrecy::SecretString;
use std::io;

pub use scripted::Scripted;
pub use terminal::Terminal;

/// What a person did with a question.
#[derive(Clone, Debug)]
pub enum Reply<T> {
    /// Answered it.
    Value(T),
    /// Wants the question before (Esc or Ctrl-B).
    Back,
    /// Wants to leave (Ctrl-C, Ctrl-D).
    Quit,
}

/// What stands above every question.
#[derive(Clone, Debug, Default)]
pub struct Heading {
    /// What is asked.
    pub title: String,
    /// Why, and what an answer looks like.
    pub help: String,
    /// Where we are, such as `MAAS, 13 of 18`.
    pub place: String,
    /// What is wrong with the answer given before.
    pub problem: Option<Problem>,
    /// Whether there is a question to go back to.
    pub can_go_back: bool,
}

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What the answer becomes.
    pub value: String,
    /// What is shown.
    pub label: String,
    /// What is shown beside it, such as a count.
    pub note: String,
}

impl Choice {
    /// An entry.
    #[must_use]
    pub fn new(value: &str, label: &str, note: &str) -> Self {
        Self { value: value.into(), label: label.into(), note: note.into() }
    }
}

/// How a line that is only said is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something holds, or is done.
    Good,
    /// Worth knowing.
    Note,
    /// Needs attention, but does not stop anything.
    Warning,
    /// Stops.
    Bad,
    /// Plain text.
    Plain,
}

/// Asks a person. Every question can be answered, gone back from, or left.
///
/// An `Err` is a terminal that is gone.
#[async_trait]
pub trait Prompter: Send {
    /// One entry of a list; the answer is its index.
    async fn select(&mut self, heading: &Heading, choices: &[Choice], at: usize) -> io::Result<Reply<usize>>;

    /// A line of text; `initial` stands in the field at first.
    async fn text(&mut self, heading: &Heading, initial: &str) -> io::Result<Reply<String>>;

    /// A line that is not shown. `earlier` tells whether a blank answer keeps the one given before.
    async fn password(&mut self, heading: &Heading, earlier: bool) -> io::Result<Reply<SecretString>>;

    /// Yes or no.
    async fn confirm(&mut self, heading: &Heading, default: bool) -> io::Result<Reply<bool>>;

    /// Leaves the answer on the screen after a question.
    fn answered(&mut self, title: &str, shown: &str) -> io::Result<()>;

    /// Says a line.
    fn say(&mut self, tone: Tone, line: &str) -> io::Result<()>;

    /// Shows what is being looked at, until [`Prompter::rest`]; the line then goes away.
    fn work(&mut self, title: &str) -> io::Result<()>;

    /// Takes away what [`Prompter::work`] showed.
    fn rest(&mut self) -> io::Result<()>;

    /// Waits until the person wants to go back or to leave, while something is being looked at.
    async fn interrupted(&mut self) -> io::Result<Reply<()>>;

    /// Gives the keyboard back, so that Ctrl-C is a signal again; the next question takes it anew.
    ///
    /// # Errors
    /// The terminal is gone.
    fn release(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Forgets what the question before left on the screen, where the terminal can.
    fn step_back(&mut self) -> io::Result<()> {
        Ok(())
    }
}
