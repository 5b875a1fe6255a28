//! The only way to print: data on standard output, everything else on standard error.

use std::io::{IsTerminal, Write};

/// A line of data.
pub(crate) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe (`| head`) ends the program quietly, as other tools do.
    if out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// A line for the person.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// An error, with `error:` in red where colours are wanted.
pub(crate) fn error(failure: &crate::exit::Failure) {
    let word = console::style("error:").for_stderr().red().bold();
    note(&format!("{word} {failure}"));
}

/// Whether a person watches standard error.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}
