//! A machine's serial console: what a person reads when a machine does not come up.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::Instant;

/// Older lines are dropped beyond this many bytes.
const KEPT: usize = 256 * 1024;

/// The console of one machine; clones write to the same one.
#[derive(Clone)]
pub(crate) struct Console(Arc<Mutex<Screen>>);

struct Screen {
    text: String,
    machine: String,
    booted: Instant,
}

impl Console {
    pub(crate) fn new(machine: impl Into<String>) -> Self {
        Self(Arc::new(Mutex::new(Screen { text: String::new(), machine: machine.into(), booted: Instant::now() })))
    }

    /// A new boot: seconds count from here.
    pub(crate) fn boot(&self, banner: &str) {
        self.screen().booted = Instant::now();
        self.say("kernel", banner);
    }

    /// Writes one line for each line of `words`.
    pub(crate) fn say(&self, source: &str, words: impl fmt::Display) {
        let mut screen = self.screen();
        let up = screen.booted.elapsed().as_secs_f64();
        for line in words.to_string().lines() {
            tracing::debug!(machine = screen.machine, source, line, "console");
            writeln!(screen.text, "[{up:>10.3}] {source}: {line}").expect("writing to a string");
        }
        if screen.text.len() > KEPT {
            let cut = screen.text.len() - KEPT / 2;
            let cut = screen.text[cut..].find('\n').map_or(cut, |line| cut + line + 1);
            screen.text.drain(..cut);
        }
    }

    /// Seconds since the last boot.
    pub(crate) fn uptime(&self) -> f64 {
        self.screen().booted.elapsed().as_secs_f64()
    }

    /// Everything that was written and is kept.
    pub(crate) fn text(&self) -> String {
        self.screen().text.clone()
    }

    /// Forgets everything: the machine was installed anew.
    pub(crate) fn clear(&self) {
        self.screen().text.clear();
    }

    fn screen(&self) -> std::sync::MutexGuard<'_, Screen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Console").field(&self.screen().machine).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn old_lines_make_room_for_new_ones_at_a_line_boundary() {
        let console = Console::new("m1");
        for n in 0..20_000 {
            console.say("test", format!("line {n}"));
        }
        let text = console.text();
        assert!(text.len() <= KEPT && text.starts_with('[') && text.ends_with("line 19999\n"), "{}", text.len());
    }
}
