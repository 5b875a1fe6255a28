//! From what was given and asked to a configuration in its folder.

use crate::{
    Config, Host, InstallArgs, InstallError, Prompter,
    answers::{self, Answers},
    config::{self, Extras, document::Document, render},
    files,
    probes::SiteProbes,
    prompt::{Heading, Reply, Tone},
    questions::{
        Question,
        dialogue::{self, Ending},
    },
    screen::Screen,
    seal::Sealer,
    state::{Folder, Lock},
};
use std::path::{Path, PathBuf};

/// An installation that can go on.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) config: Config,
    pub(crate) folder: Folder,
    pub(crate) sealer: Sealer,
}

/// What the preparation led to.
pub(crate) enum Prepared {
    /// The configuration was written, and nothing else is wanted.
    Written(PathBuf),
    /// Install.
    Go(Box<Installation>, Lock),
}

/// Gets a configuration: from a file, from what was given, or by asking.
pub(crate) async fn prepare(
    args: &InstallArgs,
    mut prompter: Option<&mut dyn Prompter>,
    screen: &dyn Screen,
    host: &Host,
) -> Result<Prepared, InstallError> {
    let given = args.given.answers(&host.variables)?;
    let extras = Extras::given(&args.given)?;
    if args.given.shows_a_password(std::env::args()) {
        let text = "the proxy's password stands in an argument, where every user of this host can read it; use the environment";
        screen.line(Tone::Warning, text);
    }
    if let Some(file) = &args.config {
        return from_file(file, &given, extras, args.config_only, screen);
    }
    if let Some(folder) = unfinished(args, &given, &mut prompter).await? {
        let text = format!("an installation of this name is unfinished; going on with {}", folder.config().display());
        screen.line(Tone::Note, &text);
        return from_file(&folder.config(), &given, extras, args.config_only, screen);
    }
    let silent = args.silent == Some(true) || (args.yes && given.missing().is_empty());
    let (answers, config_only) = match prompter.filter(|_| !silent) {
        Some(prompter) => match ask(given, &extras, prompter, args.config_only, host).await? {
            Ending::Install(answers) => (answers, false),
            Ending::WriteOnly(answers) => (answers, true),
            Ending::Left => return Err(InstallError::Left),
        },
        None => {
            let missing = given.missing();
            if !missing.is_empty() {
                return Err(InstallError::Missing { questions: missing });
            }
            (given, args.config_only)
        }
    };
    write_new(&args.state_dir, &answers, extras, config_only, screen, host)
}

async fn ask(
    given: Answers,
    extras: &Extras,
    prompter: &mut dyn Prompter,
    config_only: bool,
    host: &Host,
) -> Result<Ending, InstallError> {
    let probes = SiteProbes::new(host, extras)?;
    let asked = dialogue::ask_all(given, prompter, &probes, config_only);
    tokio::select! {
        ending = asked => ending.map_err(InstallError::Terminal),
        () = host.cancel.cancelled() => Ok(Ending::Left),
    }
}

/// An unfinished installation of the name that was given. A person is asked whether to go on with it; without one, the
/// same name means the same installation (specification 3.8).
async fn unfinished(
    args: &InstallArgs,
    given: &Answers,
    prompter: &mut Option<&mut dyn Prompter>,
) -> Result<Option<Folder>, InstallError> {
    let Some(name) = given.get(Question::Name) else { return Ok(None) };
    let Some(folder) = Folder::newest(&args.state_dir, Some(name)).filter(Folder::is_unfinished) else {
        return Ok(None);
    };
    let Some(prompter) = prompter.as_deref_mut().filter(|_| !args.yes) else { return Ok(Some(folder)) };
    let heading = Heading {
        title: format!("Go on with the unfinished installation of {name}?"),
        help: format!("It is in {}. A second one would take machines of its own.", folder.path().display()),
        ..Heading::default()
    };
    match prompter.confirm(&heading, true).await.map_err(InstallError::Terminal)? {
        Reply::Value(true) => Ok(Some(folder)),
        Reply::Value(false) => Ok(None),
        Reply::Back | Reply::Quit => Err(InstallError::Left),
    }
}

/// Reads a configuration that exists. Nothing is changed before all of it was found usable.
fn from_file(
    file: &Path,
    given: &Answers,
    extras: Extras,
    check_only: bool,
    screen: &dyn Screen,
) -> Result<Prepared, InstallError> {
    let (installation, lock) = open(file, given, extras)?;
    screen.line(Tone::Plain, &format!("Configuration: {}", file.display()));
    if check_only {
        return Ok(Prepared::Written(file.to_owned()));
    }
    Ok(Prepared::Go(Box::new(installation), lock))
}

/// Opens a configuration that exists, for this process alone.
pub(crate) fn open(file: &Path, given: &Answers, extras: Extras) -> Result<(Installation, Lock), InstallError> {
    let document = Document::load(file)?;
    let folder = Folder::of(file);
    let sealer = Sealer::load(folder.path())?;
    let mut answers = document.answers(given, &sealer)?;
    // The name is part of every seal and of the notes: it is the file's, whatever else was given.
    answers.set(Question::Name, document.name());
    let mut all = document.extras.clone();
    all.overlay(absolute(extras)?);
    let config = Config::assemble(&answers, &all, folder.path()).map_err(|error| config::in_file(error, &document))?;
    let lock = folder.lock()?;
    Ok((Installation { config, folder, sealer }, lock))
}

/// Paths given on the command line begin where the person stands, not at the file.
fn absolute(mut extras: Extras) -> Result<Extras, InstallError> {
    for path in [&mut extras.ca_file, &mut extras.maas_ca_file].into_iter().flatten() {
        let found = std::path::absolute(&*path).map_err(|source| InstallError::file("find", path, source));
        *path = found?;
    }
    Ok(extras)
}

/// Writes a new configuration into a folder of its own.
fn write_new(
    state_dir: &Path,
    answers: &Answers,
    extras: Extras,
    config_only: bool,
    screen: &dyn Screen,
    host: &Host,
) -> Result<Prepared, InstallError> {
    let extras = absolute(extras)?;
    // Everything is found usable before anything is written.
    let mut config = Config::assemble(answers, &extras, Path::new(""))?;
    let (answers, notes) =
        answers::usual(answers).map_err(|(question, problem)| InstallError::Answer { question, problem })?;
    for (question, note) in notes {
        screen.line(Tone::Note, &format!("{}: {note}", question.title()));
    }
    let now = host.clock.now();
    let folder = Folder::create(state_dir, config.name.as_str(), now)?;
    let lock = folder.lock()?;
    let sealer = Sealer::generate();
    sealer.save(folder.path())?;
    let extras = keep_certificates(&folder, extras)?;
    let text = render::render(&answers, &extras, &sealer, &folder.config(), now);
    files::write_private(&folder.config(), text.as_bytes())?;
    screen.line(Tone::Good, &format!("Configuration written: {}", folder.config().display()));
    if config_only {
        let command = format!("install with: ferrogate install --config {}", folder.config().display());
        screen.line(Tone::Plain, &command);
        return Ok(Prepared::Written(folder.config()));
    }
    config.deadlines = extras.deadlines;
    Ok(Prepared::Go(Box::new(Installation { config, folder, sealer }), lock))
}

/// Copies the CA files into the folder, so that it is complete by itself.
fn keep_certificates(folder: &Folder, mut extras: Extras) -> Result<Extras, InstallError> {
    for (path, name) in [(&mut extras.ca_file, "plane-ca.pem"), (&mut extras.maas_ca_file, "maas-ca.pem")] {
        if let Some(path) = path {
            let pem = files::read_text(path)?;
            files::write_private(&folder.path().join(name), pem.as_bytes())?;
            *path = PathBuf::from(name);
        }
    }
    Ok(extras)
}
