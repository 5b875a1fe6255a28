//! Progress as plain lines: for logs, pipes, and terminals that cannot move their cursor. A line is written when
//! something changes, never on a timer.

use super::{MachineLine, Screen, clock};
use crate::prompt::{Tone, glyphs::Glyphs};
use std::{
    fmt,
    io::Write,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Writes plain lines.
pub struct Plain {
    inner: Mutex<Inner>,
}

struct Inner {
    out: Box<dyn Write + Send>,
    title: String,
    /// What was written last, so that nothing is said twice.
    detail: String,
    machines: Vec<(String, String, String)>,
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain")
    }
}

impl Plain {
    /// To standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::new(Box::new(std::io::stderr()))
    }

    /// To any output.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { inner: Mutex::new(Inner { out, title: String::new(), detail: String::new(), machines: Vec::new() }) }
    }

    fn with(&self, write: impl FnOnce(&mut Inner)) {
        write(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Inner {
    fn line(&mut self, text: &str) {
        // Nobody is left to tell where standard error is closed.
        let _ = writeln!(self.out, "{}", text.trim_end()).and_then(|()| self.out.flush());
    }
}

impl Screen for Plain {
    fn begin(&self, title: &str) {
        self.with(|inner| {
            inner.title = title.to_owned();
            inner.detail.clear();
            inner.machines.clear();
            inner.line(&format!("    {title}"));
        });
    }

    fn update(&self, elapsed: Duration, detail: &str, machines: &[MachineLine]) {
        self.with(|inner| {
            let seen: Vec<_> = machines.iter().map(|m| (m.name.clone(), m.state.clone(), m.reason.clone())).collect();
            for (machine, key) in machines.iter().zip(&seen) {
                let same = |old: &&(String, String, String)| old.0 == key.0 && old.1 == key.1;
                if inner.machines.iter().find(same).is_none() {
                    let line =
                        format!("      {} {}: {} {}", clock(elapsed), machine.name, machine.state, machine.reason);
                    inner.line(&line);
                }
            }
            inner.machines = seen;
            if machines.is_empty() && !detail.is_empty() && inner.detail != detail {
                inner.detail = detail.to_owned();
                inner.line(&format!("      {} {detail}", clock(elapsed)));
            }
        });
    }

    fn end(&self, tone: Tone, elapsed: Duration, word: &str) {
        self.with(|inner| {
            let title = std::mem::take(&mut inner.title);
            let word = if word.is_empty() { String::new() } else { format!(": {word}") };
            let line = format!("[{}] {title} ({}){word}", Glyphs::PLAIN.mark(tone), clock(elapsed));
            inner.line(&line);
        });
    }

    fn line(&self, tone: Tone, text: &str) {
        let mark = match tone {
            Tone::Plain => String::new(),
            tone => format!("[{}] ", Glyphs::PLAIN.mark(tone)),
        };
        self.with(|inner| inner.line(&format!("{mark}{text}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_written_when_something_changes_and_not_on_a_timer() {
        let paper = Paper::default();
        let plain = Plain::new(Box::new(paper.clone()));
        let machine = |state: &str| MachineLine {
            name: "node01".into(),
            state: state.into(),
            since: Duration::ZERO,
            reason: String::new(),
        };
        plain.begin("Machines");
        for second in 1..=100 {
            let state = if second < 60 { "Deploying" } else { "Running" };
            plain.update(Duration::from_secs(second), "", &[machine(state)]);
        }
        plain.end(Tone::Good, Duration::from_secs(100), "node01");
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "    Machines",
                "      1s node01: Deploying",
                "      1m 00s node01: Running",
                "[+] Machines (1m 40s): node01",
            ]
        );
    }
}
