//! Who may use whom. The table is the architecture; a line here is a decision.

mod arrows;
mod circles;
mod crates;
mod report;
mod scan;
mod walls;

use crate::run::root;
use anyhow::{Result, bail};
use circles::Circle;
use crates::Crate;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rooms: what may lie at the top beside `crates/`. Some are not built yet.
const TOP: &[&str] = &[
    "image",
    "firstboot",
    "installer",
    "packer",
    "tests",
    "plane",
    "gateway",
    "console",
    "cli",
    "lab",
    "deploy",
    "xtask",
];
/// What else may lie at the top.
const DOCUMENTS: &[&str] = &["crates", "docs"];

/// Our crates and which of ours each may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("files", &[]),
    ("net", &["model", "files"]),
    ("api", &["model", "net"]),
    ("store", &["model", "files"]),
    ("tunnel", &["model", "files", "net"]),
    ("maas", &["model", "net"]),
    ("join", &["model", "files"]),
    ("engine", &["model", "files", "net", "maas", "join"]),
    ("firstboot", &["model", "join"]),
    ("plane", &["model", "files", "api", "net", "store", "tunnel", "maas", "join", "engine"]),
    ("image", &["files", "model"]),
    ("gateway", &["model", "files", "net", "tunnel", "join"]),
    ("installer", &["model", "files", "api", "net", "maas", "join", "engine"]),
    ("lab", &["model", "files", "net"]),
    ("tests", &["model", "lab"]),
    ("xtask", &["image"]),
    ("cli", &["model", "files", "api", "net", "installer", "plane", "lab", "gateway", "firstboot", "maas", "engine"]),
];

/// Which of ours the tests of a crate may use beyond that.
const TESTS_MAY_USE: &[(&str, &[&str])] = &[
    ("maas", &["lab"]),
    ("engine", &["lab", "firstboot"]),
    ("installer", &["lab", "firstboot"]),
    ("plane", &["lab", "gateway", "firstboot"]),
    ("lab", &["maas", "join", "firstboot"]),
];

/// Libraries that only these crates may name.
const RESERVED: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("axum", &["plane", "gateway", "lab"]),
    ("utoipa-axum", &["plane"]),
    ("yamux", &["tunnel"]),
    ("anyhow", &["cli", "gateway", "xtask"]),
    ("clap", &["cli", "gateway", "installer", "lab", "tests", "xtask"]),
    ("oauth1-request", &["maas"]),
    ("reqwest", &["api"]),
    ("argon2", &["plane"]),
    ("rcgen", &["plane", "join", "lab"]),
];

/// Words that files below a folder must not have: inside the plane data flows http → app → store.
const FORBIDDEN_WORDS: &[(&str, &[&str], &str)] = &[
    ("plane/src/http", &["ferrogate_store::"], "handlers go through `app`, never to the store"),
    ("plane/src/app", &["axum::"], "behaviour does not know HTTP"),
    ("plane/src/tasks", &["axum::", "crate::http"], "reconcilers do not know HTTP"),
];

/// How to look.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write the list of known circles anew where some became smaller or are gone
    #[arg(long)]
    shorten: bool,
    /// Look at another tree than this one
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// A tree that was read.
struct House {
    root: PathBuf,
    crates: Vec<Crate>,
    circles: BTreeMap<String, Vec<Circle>>,
}

impl House {
    fn read(root: &Path) -> Result<Self> {
        let crates = crates::read(root)?;
        let circles = crates.iter().map(|one| (one.folder.clone(), circles::find(&one.arrows))).collect();
        Ok(Self { root: root.to_owned(), crates, circles })
    }

    fn check(&self) -> Result<()> {
        let known = circles::known(&self.root)?;
        let mut faults = walls::faults(&self.root, &self.crates)?;
        faults.extend(self.circles.iter().flat_map(|(folder, circles)| circles::faults(folder, circles, &known)));
        let gone = known.iter().filter(|known| !self.circles.contains_key(&known.folder));
        faults.extend(
            gone.map(|known| format!("{} has a circle in `{}`, which is no crate", circles::LIST, known.folder)),
        );
        faults.sort();
        if !faults.is_empty() {
            bail!("{}", faults.join("\n  "));
        }
        Ok(())
    }
}

/// Shows the house in figures, and checks it.
///
/// # Errors
/// Names everything that is not as the tables say.
#[expect(clippy::print_stdout, reason = "this is what the person asked for")]
pub(crate) fn run(options: &Options) -> Result<()> {
    let house = House::read(options.root.as_deref().unwrap_or(root()))?;
    println!("{}", report::text(&house.crates, &house.circles));
    if options.shorten {
        circles::write(&house.root, &circles::shortened(&house.circles, &circles::known(&house.root)?))?;
    }
    house.check()
}

/// Checks manifests, folders and files.
///
/// # Errors
/// Names everything that is not as the tables say.
pub(crate) fn check() -> Result<()> {
    House::read(root())?.check()
}
