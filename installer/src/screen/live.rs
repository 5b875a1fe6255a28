//! Progress on a terminal: the step that runs stands at the bottom with its time and its machines, and becomes one line
//! when it ends.

use super::{MachineLine, Screen, clock};
use crate::prompt::{
    Tone,
    glyphs::Glyphs,
    view::{clip, lay_out, wrap},
};
use console::{Term, measure_text_width};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How wide the titles of steps usually are, so that their times stand below each other.
const TITLE_WIDTH: usize = 28;
/// How wide a longer title may be.
const LONGEST_TITLE: usize = 46;

/// A terminal on standard error.
#[derive(Debug)]
pub struct Live {
    term: Term,
    glyphs: Glyphs,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    title: String,
    /// How many lines the running step takes at present.
    drawn: usize,
}

impl Live {
    /// On this terminal.
    #[must_use]
    pub fn new(term: Term) -> Self {
        let glyphs = Glyphs::detect(&term);
        Self { term, glyphs, inner: Mutex::default() }
    }

    fn width(&self) -> usize {
        usize::from(self.term.size().1).max(40)
    }

    fn with(&self, draw: impl FnOnce(&mut Inner) -> String) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let text = draw(&mut inner);
        // Nobody is left to tell where the terminal is gone.
        let _ = self.term.write_str(&text);
    }

    fn erase(inner: &mut Inner) -> String {
        match std::mem::take(&mut inner.drawn) {
            0 => String::new(),
            lines => format!("\r\x1b[{lines}A\x1b[J"),
        }
    }

    fn step_line(&self, tone: Tone, title: &str, elapsed: Duration, word: &str) -> String {
        let title = clip(&self.glyphs.printable(title), LONGEST_TITLE, self.glyphs);
        let pad = " ".repeat(TITLE_WIDTH.saturating_sub(measure_text_width(&title)));
        let time = format!("{:>7}", clock(elapsed));
        let used = measure_text_width(&title).max(TITLE_WIDTH) + 13;
        let room = self.width().saturating_sub(used);
        let word = clip(&self.glyphs.printable(word), room, self.glyphs);
        let mark = self.glyphs.paint(tone, self.glyphs.mark(tone));
        format!("{mark} {title}{pad} {}  {word}", self.glyphs.paint(Tone::Note, &time))
    }

    fn block(&self, inner: &Inner, elapsed: Duration, detail: &str, machines: &[MachineLine]) -> Vec<String> {
        let width = self.width().saturating_sub(5);
        let mut lines = vec![self.step_line(Tone::Note, &inner.title, elapsed, "")];
        let rows = usize::from(self.term.size().0).max(10);
        for machine in machines.iter().take(rows.saturating_sub(5)) {
            let since = clock(machine.since);
            let text = format!("{:<14} {:<11} {since:>7}  {}", machine.name, machine.state, machine.reason);
            lines.push(format!("    {}", clip(&self.glyphs.printable(&text), width, self.glyphs)));
        }
        if machines.is_empty() && !detail.is_empty() {
            for line in wrap(&self.glyphs.printable(detail), width).into_iter().take(2) {
                lines.push(format!("    {}", self.glyphs.paint(Tone::Note, &line)));
            }
        }
        lines
    }
}

impl Screen for Live {
    fn begin(&self, title: &str) {
        self.with(|inner| {
            inner.title = title.to_owned();
            let lines = self.block(inner, Duration::ZERO, "", &[]);
            inner.drawn = lines.len();
            lines.join("\r\n") + "\r\n"
        });
    }

    fn update(&self, elapsed: Duration, detail: &str, machines: &[MachineLine]) {
        self.with(|inner| {
            let erased = Self::erase(inner);
            let lines = self.block(inner, elapsed, detail, machines);
            inner.drawn = lines.len();
            erased + &lines.join("\r\n") + "\r\n"
        });
    }

    fn end(&self, tone: Tone, elapsed: Duration, word: &str) {
        self.with(|inner| {
            let title = std::mem::take(&mut inner.title);
            let line = self.step_line(tone, &title, elapsed, word);
            Self::erase(inner) + &line + "\r\n"
        });
    }

    fn line(&self, tone: Tone, text: &str) {
        self.with(|inner| {
            let mut out = Self::erase(inner);
            let width = self.width().saturating_sub(3);
            let text = self.glyphs.printable(text);
            let lines = lay_out(&text, width);
            for (index, line) in lines.iter().enumerate() {
                let mark = if index == 0 { self.glyphs.mark(tone) } else { " " };
                let line = match tone {
                    Tone::Plain => line.clone(),
                    tone => format!("{} {line}", self.glyphs.paint(tone, mark)),
                };
                out.push_str(&line);
                out.push_str("\r\n");
            }
            out
        });
    }
}
