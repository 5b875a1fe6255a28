//! What a question looks like: text lines for a terminal of a given size. Pure, so that every screen can be looked at in
//! a test.

use super::{Choice, Heading, Tone, glyphs::Glyphs};
use console::measure_text_width;

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: usize,
    /// Characters in a line.
    pub columns: usize,
}

/// Lines to draw, and where the cursor belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// The lines, none longer than the terminal is wide.
    pub lines: Vec<String>,
    /// Line (from the top of the drawing) and column of the cursor.
    pub cursor: (usize, usize),
}

/// Lists longer than this can be filtered by typing, and say so.
pub const FILTER_FROM: usize = 6;

/// A line editor's state.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// The characters.
    pub text: Vec<char>,
    /// Before which character the cursor stands.
    pub cursor: usize,
}

/// A list's state.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// What was typed to narrow the list.
    pub filter: String,
    /// Index, among all entries, of the one the cursor stands on.
    pub at: usize,
}

impl List {
    /// Indices of the entries that contain what was typed.
    #[must_use]
    pub fn visible(&self, choices: &[Choice]) -> Vec<usize> {
        let filter = self.filter.to_lowercase();
        let hit = |choice: &Choice| choice.label.to_lowercase().contains(&filter);
        choices.iter().enumerate().filter(|(_, choice)| hit(choice)).map(|(index, _)| index).collect()
    }
}

/// Draws a question that is answered by typing. `hidden` shows a mark for every character.
#[must_use]
pub fn field(heading: &Heading, field: &Field, hidden: bool, earlier: bool, glyphs: Glyphs, size: Size) -> Drawing {
    let mut lines = head(heading, glyphs, size);
    let width = size.columns.saturating_sub(4).max(8);
    // The part of a long line that is shown always has the cursor in it.
    let from = (field.cursor + 1).saturating_sub(width);
    let shown: String = field.text.iter().skip(from).take(width).map(|c| if hidden { '*' } else { *c }).collect();
    let shown = if hidden { shown.replace('*', glyphs.hidden()) } else { glyphs.printable(&shown) };
    let row = lines.len();
    lines.push(format!("{} {shown}", glyphs.paint(Tone::Good, glyphs.pointer())));
    let enter = if earlier && field.text.is_empty() { "Enter keeps the one given before" } else { "Enter accepts" };
    lines.push(foot(&[enter], heading, glyphs, size));
    Drawing { lines, cursor: (row, 2 + field.cursor - from) }
}

/// Draws a question that is answered from a list.
#[must_use]
pub fn list(heading: &Heading, choices: &[Choice], list: &List, glyphs: Glyphs, size: Size) -> Drawing {
    let mut lines = head(heading, glyphs, size);
    let can_filter = choices.len() > FILTER_FROM;
    if can_filter {
        let typed = if list.filter.is_empty() { "type to narrow the list" } else { &list.filter };
        let tone = if list.filter.is_empty() { Tone::Note } else { Tone::Plain };
        lines.push(format!("  {}", glyphs.paint(tone, &clip(&glyphs.printable(typed), size.columns - 3, glyphs))));
    }
    let visible = list.visible(choices);
    let place = visible.iter().position(|index| *index == list.at).unwrap_or(0);
    // One line stays free below, so that nothing scrolls.
    let room = size.rows.saturating_sub(lines.len() + 3).max(1);
    let from = place.saturating_sub(room / 2).min(visible.len().saturating_sub(room));
    let widest = visible.iter().map(|index| measure_text_width(&choices[*index].label)).max().unwrap_or(0).min(40);
    let mut row = lines.len();
    if visible.is_empty() {
        lines.push(format!("  {}", glyphs.paint(Tone::Note, "nothing matches")));
    }
    for index in visible.iter().skip(from).take(room) {
        let choice = &choices[*index];
        let (chosen, label) = (*index == list.at, clip(&glyphs.printable(&choice.label), 40, glyphs));
        if chosen {
            row = lines.len();
        }
        let pad = " ".repeat(widest.saturating_sub(measure_text_width(&label)));
        let note = clip(&glyphs.printable(&choice.note), size.columns.saturating_sub(widest + 7), glyphs);
        let line = match chosen {
            true => format!("{} {}", glyphs.paint(Tone::Good, glyphs.pointer()), glyphs.strong(&label)),
            false => format!("  {label}"),
        };
        let note = if note.is_empty() { String::new() } else { format!("{pad}  {}", glyphs.paint(Tone::Note, &note)) };
        lines.push(format!("{line}{note}"));
    }
    let hidden = visible.len().saturating_sub(room);
    let more = if hidden > 0 { format!("{hidden} more") } else { String::new() };
    let mut keys = vec!["Up/Down, Enter accepts"];
    if choices.len() == 1 {
        keys = vec!["Enter accepts"];
    }
    if !more.is_empty() {
        keys.push(&more);
    }
    lines.push(foot(&keys, heading, glyphs, size));
    Drawing { lines, cursor: (row, 0) }
}

/// The lines above the field: what is asked, why, and what was wrong.
fn head(heading: &Heading, glyphs: Glyphs, size: Size) -> Vec<String> {
    let title = glyphs.printable(&heading.title);
    let place = glyphs.printable(&heading.place);
    let gap = size.columns.saturating_sub(3 + measure_text_width(&title) + measure_text_width(&place));
    let mut lines = vec![format!(
        "{} {}{}{}",
        glyphs.paint(Tone::Good, glyphs.question()),
        glyphs.strong(&title),
        " ".repeat(gap),
        glyphs.paint(Tone::Note, &place)
    )];
    let width = size.columns.saturating_sub(5).max(20);
    for line in wrap(&glyphs.printable(&heading.help), width) {
        lines.push(format!("  {}", glyphs.paint(Tone::Note, &line)));
    }
    if let Some(problem) = &heading.problem {
        for (index, line) in wrap(&glyphs.printable(&problem.message), width).into_iter().take(5).enumerate() {
            let mark = if index == 0 { glyphs.mark(Tone::Bad) } else { " " };
            lines.push(format!("  {}", glyphs.paint(Tone::Bad, &format!("{mark} {line}"))));
        }
        for line in problem.hint.iter().flat_map(|hint| wrap(&glyphs.printable(hint), width)).take(4) {
            lines.push(format!("    {line}"));
        }
    }
    lines
}

fn foot(keys: &[&str], heading: &Heading, glyphs: Glyphs, size: Size) -> String {
    let mut keys = keys.to_vec();
    if heading.can_go_back {
        keys.push("Esc back");
    }
    keys.push("Ctrl-C leave");
    let text = clip(&keys.join(glyphs.between()), size.columns.saturating_sub(3), glyphs);
    format!("  {}", glyphs.paint(Tone::Note, &text))
}

/// Breaks a text into lines of at most `width` characters, at spaces where there are any.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        loop {
            let used = measure_text_width(&line);
            let needed = measure_text_width(&word) + usize::from(used > 0);
            if used + needed <= width {
                if used > 0 {
                    line.push(' ');
                }
                line.push_str(&word);
                break;
            }
            if used > 0 {
                lines.push(std::mem::take(&mut line));
                continue;
            }
            // A word longer than a line, such as a path: broken where it must be.
            let head: String = word.chars().take(width).collect();
            word = word.chars().skip(width).collect();
            lines.push(head);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Lays a line out for a terminal: wrapped at words, what follows a column of its own below that column. Words longer than
/// a line (paths, commands) are never broken, so that they can be copied; nor are lines of several columns.
#[must_use]
pub fn lay_out(text: &str, width: usize) -> Vec<String> {
    let indent = text.len() - text.trim_start().len();
    // Where a column begins: behind two spaces or more.
    let begins = |at: &usize| text[..*at].ends_with("  ") && !text[*at..].starts_with(' ');
    let columns: Vec<usize> = (indent + 2..text.len()).filter(|at| text.is_char_boundary(*at)).filter(begins).collect();
    if measure_text_width(text) <= width || columns.len() > 1 {
        return vec![text.to_owned()];
    }
    let hanging = columns.first().copied().unwrap_or(indent);
    let (head, tail) = text.split_at(hanging);
    let before = measure_text_width(head);
    let room = width.saturating_sub(before).max(20);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in tail.split_whitespace() {
        if !line.is_empty() && measure_text_width(&line) + 1 + measure_text_width(word) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let below = " ".repeat(before);
    lines.iter().enumerate().map(|(index, line)| format!("{}{line}", if index == 0 { head } else { &below })).collect()
}

/// Cuts a text to at most `width` characters.
#[must_use]
pub fn clip(text: &str, width: usize, glyphs: Glyphs) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let mark = glyphs.more();
    let mut clipped = String::new();
    for c in text.chars() {
        if measure_text_width(&clipped) + measure_text_width(c.encode_utf8(&mut [0; 4])) + mark.chars().count() > width
        {
            break;
        }
        clipped.push(c);
    }
    clipped + mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::Problem;

    const SMALL: Size = Size { rows: 24, columns: 80 };

    fn heading() -> Heading {
        Heading {
            title: "Availability zone".into(),
            help: "Counts: Ready machines with 4 CPUs, 8192 MiB and 60 GiB or more.".into(),
            place: "placement, 16 of 18".into(),
            problem: None,
            can_go_back: true,
        }
    }

    fn zones(count: usize) -> Vec<Choice> {
        (0..count).map(|n| Choice::new(&format!("zone-{n}"), &format!("zone-{n}"), "3 Ready")).collect()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut heading = heading();
        heading.problem = Some(Problem::new("x".repeat(500)).hint("word ".repeat(100)));
        for columns in [40, 80, 132] {
            let size = Size { rows: 24, columns };
            let long = Field { text: "y".repeat(300).chars().collect(), cursor: 300 };
            for drawing in [
                field(&heading, &long, false, false, Glyphs::PLAIN, size),
                list(&heading, &zones(40), &List::default(), Glyphs { utf8: true, colour: false }, size),
            ] {
                for line in &drawing.lines {
                    assert!(measure_text_width(line) < columns, "{columns}: {line}");
                }
                assert!(drawing.cursor.1 < columns);
            }
        }
    }

    #[test]
    fn a_list_of_a_thousand_fits_24_lines_and_shows_its_cursor() {
        let choices = zones(1000);
        for at in [0, 1, 500, 998, 999] {
            let list_state = List { filter: String::new(), at };
            let drawing = list(&heading(), &choices, &list_state, Glyphs::PLAIN, SMALL);
            assert!(drawing.lines.len() < SMALL.rows, "{}", drawing.lines.len());
            assert!(drawing.lines[drawing.cursor.0].starts_with(&format!("> zone-{at} ")), "{:?}", drawing.lines);
        }
    }

    #[test]
    fn typing_narrows_a_list() {
        let choices = zones(30);
        let narrowed = List { filter: "-2".into(), at: 2 };
        assert_eq!(narrowed.visible(&choices), [2, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
    }

    #[test]
    fn words_are_kept_whole_where_they_can_be() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
    }

    #[test]
    fn a_column_keeps_its_place_and_a_path_is_never_broken() {
        assert_eq!(
            lay_out("Clock    a b c d", 12),
            ["Clock    a b c d"],
            "at least 20 characters are left to a column"
        );
        let wrapped = lay_out("  Clock  one two three four five six", 24);
        assert_eq!(wrapped, ["  Clock  one two three four", "         five six"]);
        let path = format!("/tmp/{}", "x".repeat(90));
        assert_eq!(lay_out(&format!("  go on with {path}"), 40), ["  go on with".to_owned(), format!("  {path}")]);
        let table = "NAME         STATUS   ROLES                       AGE";
        assert_eq!(lay_out(table, 30), [table]);
    }

    #[test]
    fn a_secret_shows_only_its_length() {
        let secret = Field { text: "hunter2".chars().collect(), cursor: 7 };
        let drawing = field(&heading(), &secret, true, false, Glyphs::PLAIN, SMALL);
        assert_eq!(drawing.lines[drawing.cursor.0], "> *******");
    }
}
