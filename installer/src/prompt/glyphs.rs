//! The marks on the screen: with colour or without, in UTF-8 or in plain ASCII.

use super::Tone;
use console::{Style, Term};

/// How this terminal likes its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Whether more than ASCII may be written.
    pub utf8: bool,
    /// Whether colour may be used.
    pub colour: bool,
}

impl Glyphs {
    /// What the terminal and the environment say: `NO_COLOR`, `TERM=dumb`, and the locale of `LC_ALL`, `LC_CTYPE` or `LANG`.
    #[must_use]
    pub fn detect(term: &Term) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
            .unwrap_or_default();
        Self {
            utf8: locale_is_utf8(&locale),
            colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && term.features().colors_supported(),
        }
    }

    /// Neither colour nor anything beyond ASCII.
    pub const PLAIN: Self = Self { utf8: false, colour: false };

    /// The mark before a line of this tone.
    #[must_use]
    pub const fn mark(self, tone: Tone) -> &'static str {
        match (tone, self.utf8) {
            (Tone::Good, true) => "✔",
            (Tone::Good, false) => "+",
            (Tone::Note, true) => "·",
            (Tone::Note, false) => "-",
            (Tone::Warning, _) => "!",
            (Tone::Bad, true) => "✖",
            (Tone::Bad, false) => "x",
            (Tone::Plain, _) => " ",
        }
    }

    /// The mark before the question that is being asked.
    #[must_use]
    pub const fn question(self) -> &'static str {
        if self.utf8 { "◆" } else { "?" }
    }

    /// The mark before the field, and before the entry the cursor stands on.
    #[must_use]
    pub const fn pointer(self) -> &'static str {
        if self.utf8 { "›" } else { ">" }
    }

    /// Stands for one hidden character.
    #[must_use]
    pub const fn hidden(self) -> &'static str {
        if self.utf8 { "•" } else { "*" }
    }

    /// Stands between short remarks.
    #[must_use]
    pub const fn between(self) -> &'static str {
        if self.utf8 { " · " } else { " | " }
    }

    /// Stands for what is left out.
    #[must_use]
    pub const fn more(self) -> &'static str {
        if self.utf8 { "…" } else { "..." }
    }

    /// Text in the colour of a tone.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Good => Style::new().green(),
            Tone::Note => Style::new().dim(),
            Tone::Warning => Style::new().yellow(),
            Tone::Bad => Style::new().red(),
            Tone::Plain => return text.to_owned(),
        };
        self.apply(style, text)
    }

    /// Text that stands out.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.apply(Style::new().bold(), text)
    }

    fn apply(self, style: Style, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        style.force_styling(true).apply_to(text).to_string()
    }

    /// A text with nothing in it that this terminal cannot show.
    #[must_use]
    pub fn printable(self, text: &str) -> String {
        text.chars()
            .map(|c| match c {
                c if c.is_control() => ' ',
                c if self.utf8 || c.is_ascii() => c,
                '…' | '·' => '.',
                _ => '?',
            })
            .collect()
    }
}

fn locale_is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_utf8_locale_gets_more_than_ascii() {
        for (locale, utf8) in [("C.UTF-8", true), ("de_DE.utf8", true), ("C", false), ("POSIX", false), ("", false)] {
            assert_eq!(locale_is_utf8(locale), utf8, "{locale}");
        }
    }

    #[test]
    fn without_utf8_every_mark_is_ascii() {
        let glyphs = Glyphs::PLAIN;
        for tone in [Tone::Good, Tone::Note, Tone::Warning, Tone::Bad, Tone::Plain] {
            assert!(glyphs.mark(tone).is_ascii());
            assert_eq!(glyphs.paint(tone, "x"), "x");
        }
        assert_eq!(glyphs.printable("zoné…\u{1b}[31m"), "zon?. [31m");
    }
}
