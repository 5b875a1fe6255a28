//! Questions on a real terminal, drawn with cursor movements that every terminal since the VT100 has.

use super::{
    Choice, Heading, Prompter, Reply, Tone,
    glyphs::Glyphs,
    keys::{Key, Keyboard},
    view::{self, Drawing, Field, List, Size},
};
use async_trait::async_trait;
use console::Term;
use secrecy::SecretString;
use std::io::{self, IsTerminal};
use zeroize::Zeroize;

/// A person at a terminal: keys from standard input, screen on standard error.
#[derive(Debug)]
pub struct Terminal {
    term: Term,
    /// Taken by the first question, given back by [`Prompter::release`].
    keyboard: Option<Keyboard>,
    glyphs: Glyphs,
    /// Line of the cursor within what is drawn at present.
    drawn: Option<usize>,
    /// Whether a line of [`Prompter::work`] stands on the screen.
    working: bool,
    /// How many lines each answered question left on the screen, so that going back can take them away.
    left: Vec<usize>,
}

impl Terminal {
    /// Takes the process's terminal.
    ///
    /// # Errors
    /// Standard input or standard error is not a terminal.
    pub fn open() -> io::Result<Self> {
        let term = Term::stderr();
        if !term.is_term() || !io::stdin().is_terminal() {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "not a terminal"));
        }
        let glyphs = Glyphs::detect(&term);
        Ok(Self { term, keyboard: None, glyphs, drawn: None, working: false, left: vec![0] })
    }

    /// Takes the keyboard, before anything is drawn: a Ctrl-C that is pressed as soon as a question stands there must be
    /// a key already, not a signal.
    fn take_keyboard(&mut self) -> io::Result<&mut Keyboard> {
        let keyboard = match self.keyboard.take() {
            Some(keyboard) => keyboard,
            None => Keyboard::take()?,
        };
        Ok(self.keyboard.insert(keyboard))
    }

    async fn key(&mut self) -> io::Result<Key> {
        self.take_keyboard()?.key().await
    }

    fn has_more(&self) -> bool {
        self.keyboard.as_ref().is_some_and(Keyboard::has_more)
    }

    fn size(&self) -> Size {
        let (rows, columns) = self.term.size();
        // A serial line does not tell its size and says 0 × 0.
        let known = |value: u16, usual: usize| if value == 0 { usual } else { usize::from(value) };
        Size { rows: known(rows, 24).max(10), columns: known(columns, 80).max(40) }
    }

    /// Draws over what was drawn before.
    fn draw(&mut self, drawing: &Drawing) -> io::Result<()> {
        self.erase()?;
        let mut text = drawing.lines.join("\r\n");
        let last = drawing.lines.len().saturating_sub(1);
        let up = last - drawing.cursor.0.min(last);
        text.push('\r');
        if up > 0 {
            text.push_str(&format!("\x1b[{up}A"));
        }
        if drawing.cursor.1 > 0 {
            text.push_str(&format!("\x1b[{}C", drawing.cursor.1));
        }
        self.drawn = Some(drawing.cursor.0);
        self.term.write_str(&text)
    }

    /// Takes away what is drawn; the cursor then stands where it began.
    fn erase(&mut self) -> io::Result<()> {
        let Some(row) = self.drawn.take() else { return Ok(()) };
        let up = if row > 0 { format!("\x1b[{row}A") } else { String::new() };
        self.term.write_str(&format!("\r{up}\x1b[J"))
    }

    fn print(&mut self, line: &str) -> io::Result<()> {
        if let Some(count) = self.left.last_mut() {
            *count += 1;
        }
        self.term.write_str(&format!("{line}\r\n"))
    }

    async fn line(
        &mut self,
        heading: &Heading,
        initial: &str,
        hidden: bool,
        earlier: bool,
    ) -> io::Result<Reply<String>> {
        self.take_keyboard()?;
        let mut field = Field { text: initial.chars().collect(), cursor: initial.chars().count() };
        loop {
            if !self.has_more() {
                let drawing = view::field(heading, &field, hidden, earlier, self.glyphs, self.size());
                self.draw(&drawing)?;
            }
            match self.key().await? {
                Key::Enter => {
                    self.erase()?;
                    let text = field.text.iter().collect();
                    field.text.fill('\0');
                    return Ok(Reply::Value(text));
                }
                Key::Back if heading.can_go_back => {
                    self.erase()?;
                    return Ok(Reply::Back);
                }
                Key::Quit => {
                    self.erase()?;
                    return Ok(Reply::Quit);
                }
                key => edit(&mut field, key),
            }
        }
    }
}

/// One editing key on a line.
fn edit(field: &mut Field, key: Key) {
    let Field { text, cursor } = field;
    match key {
        Key::Char(c) => {
            text.insert(*cursor, c);
            *cursor += 1;
        }
        Key::Backspace if *cursor > 0 => {
            *cursor -= 1;
            text.remove(*cursor);
        }
        Key::Delete if *cursor < text.len() => {
            text.remove(*cursor);
        }
        Key::Left => *cursor = cursor.saturating_sub(1),
        Key::Right => *cursor = (*cursor + 1).min(text.len()),
        Key::Home => *cursor = 0,
        Key::End => *cursor = text.len(),
        Key::Clear => {
            text.clear();
            *cursor = 0;
        }
        Key::ClearWord => {
            let before: String = text[..*cursor].iter().collect();
            let trimmed = before.trim_end();
            let start = trimmed.rfind(' ').map_or(0, |at| trimmed[..=at].chars().count());
            text.drain(start..*cursor);
            *cursor = start;
        }
        _ => {}
    }
}

/// One key on a list; `page` is how far a page goes.
fn steer(list: &mut List, choices: &[Choice], key: Key, page: usize) {
    match key {
        Key::Char(c) if choices.len() > view::FILTER_FROM => list.filter.push(c),
        Key::Backspace => {
            list.filter.pop();
        }
        Key::Clear | Key::ClearWord => list.filter.clear(),
        _ => {}
    }
    let visible = list.visible(choices);
    let Some(last) = visible.len().checked_sub(1) else { return };
    let place = visible.iter().position(|index| *index == list.at).unwrap_or(0);
    let place = match key {
        // Short lists go round; in long ones that would only surprise.
        Key::Up if place == 0 && last <= view::FILTER_FROM => last,
        Key::Down | Key::Tab if place == last && last <= view::FILTER_FROM => 0,
        Key::Up => place.saturating_sub(1),
        Key::Down | Key::Tab => (place + 1).min(last),
        Key::PageUp => place.saturating_sub(page),
        Key::PageDown => (place + page).min(last),
        Key::Home => 0,
        Key::End => last,
        _ => place,
    };
    list.at = visible[place];
}

#[async_trait]
impl Prompter for Terminal {
    async fn select(&mut self, heading: &Heading, choices: &[Choice], at: usize) -> io::Result<Reply<usize>> {
        self.take_keyboard()?;
        let mut list = List { filter: String::new(), at: at.min(choices.len().saturating_sub(1)) };
        loop {
            let size = self.size();
            if !self.has_more() {
                let drawing = view::list(heading, choices, &list, self.glyphs, size);
                self.draw(&drawing)?;
            }
            let reply = match self.key().await? {
                Key::Enter if list.visible(choices).is_empty() => continue,
                Key::Enter => Reply::Value(list.at),
                Key::Back if !list.filter.is_empty() => {
                    list.filter.clear();
                    continue;
                }
                Key::Back if heading.can_go_back => Reply::Back,
                Key::Quit => Reply::Quit,
                key => {
                    steer(&mut list, choices, key, size.rows.saturating_sub(8).max(1));
                    continue;
                }
            };
            self.erase()?;
            return Ok(reply);
        }
    }

    async fn text(&mut self, heading: &Heading, initial: &str) -> io::Result<Reply<String>> {
        self.line(heading, initial, false, false).await
    }

    async fn password(&mut self, heading: &Heading, earlier: bool) -> io::Result<Reply<SecretString>> {
        Ok(match self.line(heading, "", true, earlier).await? {
            Reply::Value(mut text) => {
                let secret = SecretString::from(text.as_str());
                text.zeroize();
                Reply::Value(secret)
            }
            Reply::Back => Reply::Back,
            Reply::Quit => Reply::Quit,
        })
    }

    async fn confirm(&mut self, heading: &Heading, default: bool) -> io::Result<Reply<bool>> {
        let choices = [Choice::new("yes", "Yes", ""), Choice::new("no", "No", "")];
        Ok(match self.select(heading, &choices, usize::from(!default)).await? {
            Reply::Value(index) => Reply::Value(index == 0),
            Reply::Back => Reply::Back,
            Reply::Quit => Reply::Quit,
        })
    }

    fn answered(&mut self, title: &str, shown: &str) -> io::Result<()> {
        self.left.push(0);
        let width = self.size().columns.saturating_sub(24);
        let shown = view::clip(&self.glyphs.printable(shown), width, self.glyphs);
        let mark = self.glyphs.paint(Tone::Good, self.glyphs.mark(Tone::Good));
        let shown = self.glyphs.strong(&shown);
        self.print(&format!("{mark} {title:<18} {shown}"))
    }

    fn say(&mut self, tone: Tone, line: &str) -> io::Result<()> {
        let width = self.size().columns.saturating_sub(5);
        for (index, part) in view::wrap(&self.glyphs.printable(line), width).into_iter().enumerate() {
            let mark = if index == 0 { self.glyphs.mark(tone) } else { " " };
            let text = match tone {
                Tone::Plain => format!("  {part}"),
                tone => self.glyphs.paint(tone, &format!("  {mark} {part}")),
            };
            self.print(&text)?;
        }
        Ok(())
    }

    fn work(&mut self, title: &str) -> io::Result<()> {
        self.working = true;
        let text = format!("  {title} {}", self.glyphs.more());
        self.term.write_str(&self.glyphs.paint(Tone::Note, &text))
    }

    fn rest(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.working) {
            self.term.write_str("\r\x1b[K")?;
        }
        Ok(())
    }

    async fn interrupted(&mut self) -> io::Result<Reply<()>> {
        loop {
            match self.key().await? {
                Key::Back => return Ok(Reply::Back),
                Key::Quit => return Ok(Reply::Quit),
                // What is typed ahead here would land in a question that is not yet on the screen.
                _ => {}
            }
        }
    }

    fn release(&mut self) -> io::Result<()> {
        self.erase()?;
        self.keyboard = None;
        Ok(())
    }

    fn step_back(&mut self) -> io::Result<()> {
        let lines = if self.left.len() > 1 { self.left.pop().unwrap_or(0) } else { 0 };
        if lines > 0 && lines < self.size().rows {
            self.term.write_str(&format!("\r\x1b[{lines}A\x1b[J"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(initial: &str, keys: &[Key]) -> String {
        let mut field = Field { text: initial.chars().collect(), cursor: initial.chars().count() };
        for key in keys {
            edit(&mut field, *key);
        }
        field.text.into_iter().collect()
    }

    #[test]
    fn a_line_is_edited_where_the_cursor_stands() {
        assert_eq!(typed("maas-pcg-1", &[Key::Backspace, Key::Char('2')]), "maas-pcg-2");
        assert_eq!(typed("ab", &[Key::Left, Key::Char('x'), Key::Home, Key::Delete]), "xb");
        assert_eq!(typed("one two", &[Key::ClearWord, Key::Char('z')]), "one z");
        assert_eq!(typed("", &[Key::Backspace, Key::Delete, Key::Left, Key::ClearWord]), "");
    }

    #[test]
    fn a_short_list_goes_round_and_a_long_one_does_not() {
        let entries = |count: usize| (0..count).map(|n| Choice::new("", &n.to_string(), "")).collect::<Vec<_>>();
        let mut list = List::default();
        steer(&mut list, &entries(3), Key::Up, 10);
        assert_eq!(list.at, 2);
        let mut list = List::default();
        steer(&mut list, &entries(30), Key::Up, 10);
        assert_eq!(list.at, 0);
        steer(&mut list, &entries(30), Key::PageDown, 10);
        assert_eq!(list.at, 10);
    }

    #[test]
    fn a_filter_moves_the_cursor_onto_an_entry_that_is_visible() {
        let entries: Vec<_> = (0..30).map(|n| Choice::new("", &format!("n{n}"), "")).collect();
        let mut list = List::default();
        for c in "n2".chars() {
            steer(&mut list, &entries, Key::Char(c), 10);
        }
        assert_eq!(list.at, 2);
    }
}
