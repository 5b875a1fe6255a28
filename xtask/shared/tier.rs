//! How a test that needs more than Rust says whether it found that. Cargo hides what a passing test prints, so it is also
//! written down for `cargo xtask test`, which tells at its end what really ran. Test programs of several crates have
//! this file as a module.

use std::{
    ffi::OsStr,
    fmt::Display,
    fs::File,
    io::{Result, Write as _},
};

/// The environment variable with the name of the file that notes are added to.
pub(crate) const NOTES: &str = "FERROGATE_TIERS";

/// This test found what it needs, and runs.
pub(crate) fn ran(tier: &str) {
    note("ran", tier, "");
}

/// This test is left out, and passes.
pub(crate) fn skipped(tier: &str, why: impl Display) {
    let why = why.to_string();
    // Straight to the terminal: a passing test's own output is not shown.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {}: {why}", test());
    note("skipped", tier, &why);
}

/// The test harness names its threads after their tests.
fn test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

fn note(outcome: &str, tier: &str, why: &str) {
    if let Some(file) = std::env::var_os(NOTES) {
        append(&file, &[outcome, tier, &test(), why]).expect("FERROGATE_TIERS names a file that can be written");
    }
}

/// Adds a line in one piece: other tests write to the same file.
pub(crate) fn append(file: &OsStr, fields: &[&str]) -> Result<()> {
    let fields: Vec<_> = fields.iter().map(|field| field.replace(['\t', '\n'], " ")).collect();
    File::options().append(true).create(true).open(file)?.write_all(format!("{}\n", fields.join("\t")).as_bytes())
}
