//! What a terminal of 24 lines of 80 characters shows after the bytes it was sent. It knows the few movements that the
//! installer uses, and fails on any other.

/// The screen.
pub(crate) struct Screen {
    rows: usize,
    columns: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    pending: Vec<u8>,
    /// Whether any colour was ever set.
    pub(crate) coloured: bool,
    /// Whether anything beyond ASCII was ever shown.
    pub(crate) beyond_ascii: bool,
}

impl Screen {
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        let lines = vec![vec![' '; columns]; rows];
        Self { rows, columns, lines, row: 0, column: 0, pending: Vec::new(), coloured: false, beyond_ascii: false }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.pending.push(*byte);
            self.take();
        }
    }

    fn take(&mut self) {
        let bytes = self.pending.clone();
        match bytes.as_slice() {
            [0x1b] | [0x1b, b'['] => return,
            [0x1b, b'[', rest @ ..] => {
                let Some(last) = rest.last().filter(|last| last.is_ascii_alphabetic()) else { return };
                let parameters = std::str::from_utf8(&rest[..rest.len() - 1]).unwrap().to_owned();
                self.control(*last, &parameters);
            }
            [b'\r'] => self.column = 0,
            [b'\n'] => self.line_feed(),
            [0x07] => {}
            _ => match std::str::from_utf8(&bytes) {
                Ok(text) => self.put(text.chars().next().unwrap()),
                Err(error) if error.error_len().is_none() => return,
                Err(_) => panic!("not text: {bytes:?}"),
            },
        }
        self.pending.clear();
    }

    fn control(&mut self, kind: u8, parameters: &str) {
        let count = parameters.parse().unwrap_or(1);
        match kind {
            b'A' => self.row = self.row.saturating_sub(count),
            b'C' => self.column = (self.column + count).min(self.columns - 1),
            b'J' if parameters.is_empty() => {
                self.lines[self.row][self.column..].fill(' ');
                for line in &mut self.lines[self.row + 1..] {
                    line.fill(' ');
                }
            }
            b'K' if parameters.is_empty() => self.lines[self.row][self.column..].fill(' '),
            b'm' => self.coloured |= !matches!(parameters, "" | "0"),
            other => panic!("ESC [ {parameters} {} is not known", char::from(other)),
        }
    }

    fn put(&mut self, character: char) {
        assert!(!character.is_control(), "{character:?}");
        assert!(self.column < self.columns, "a line is longer than the screen is wide:\n{}", self.text());
        self.beyond_ascii |= !character.is_ascii();
        self.lines[self.row][self.column] = character;
        self.column += 1;
    }

    fn line_feed(&mut self) {
        if self.row + 1 < self.rows {
            self.row += 1;
            return;
        }
        self.lines.remove(0);
        self.lines.push(vec![' '; self.columns]);
    }

    /// What is shown, without what is blank at the end.
    pub(crate) fn text(&self) -> String {
        let lines: Vec<String> =
            self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// The line the cursor stands on, up to the cursor.
    pub(crate) fn before_cursor(&self) -> String {
        self.lines[self.row][..self.column].iter().collect()
    }
}
