//! Programs, run as people run them: in a network namespace, with a deadline, their output kept.

use super::{evidence::Evidence, failure::Failure};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::Instant,
};

/// How much of a program's output is read back; the file has all of it.
const MAX_READ: u64 = 4 * 1024 * 1024;
/// How much of it a message repeats.
const MAX_SHOWN: usize = 600;

/// A program with its arguments.
#[derive(Debug)]
pub(crate) struct Program {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    netns: Option<String>,
    stdin: Input,
    within: Duration,
}

#[derive(Debug)]
enum Input {
    Nothing,
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// What a program that ended left.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code; none where a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
    /// How long it took.
    pub(crate) took: Duration,
    /// The file with its standard error (standard output is beside it), to name in messages.
    pub(crate) log: PathBuf,
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    base: PathBuf,
    begun: Instant,
    shown: String,
}

impl Program {
    pub(crate) fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            netns: None,
            stdin: Input::Nothing,
            within: Duration::from_secs(60),
        }
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs it in this network namespace.
    pub(crate) fn netns(mut self, name: impl Into<String>) -> Self {
        self.netns = Some(name.into());
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Input::Bytes(bytes.into());
        self
    }

    pub(crate) fn stdin_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.stdin = Input::File(file.into());
        self
    }

    /// After this it is killed, and that is a failure. One minute unless said otherwise.
    pub(crate) fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// The command line, for people. Secrets are never arguments.
    fn shown(&self) -> String {
        let place = self.netns.as_ref().map(|name| format!("[{name}] ")).unwrap_or_default();
        let words = std::iter::once(&self.program).chain(&self.args);
        let words: Vec<_> = words.map(|word| quoted(word)).collect();
        format!("{place}{}", words.join(" "))
    }

    fn command(&self) -> Command {
        // What the runner started ends with it, however the runner ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(netns) = &self.netns {
            command.args(["ip", "netns", "exec", netns.as_str()]);
        }
        command.arg(&self.program).args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        // Ctrl-C reaches the runner alone, which stops things in their order.
        command.kill_on_drop(true).process_group(0);
        command
    }

    /// Starts it; its output goes to files of the evidence as it comes.
    pub(crate) async fn start(&self, evidence: &Evidence, label: &str) -> Result<Running, Failure> {
        let base = evidence.next(label);
        let shown = self.shown();
        let number = base.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        evidence.line("commands.log", &format!("{number}: {shown}"))?;
        let failed = |error: std::io::Error| Failure::new(format!("`{shown}` to start"), error.to_string());
        let mut command = self.command();
        command.stdout(File::create(out_of(&base)).map_err(failed)?);
        command.stderr(File::create(err_of(&base)).map_err(failed)?);
        command.stdin(match &self.stdin {
            Input::Nothing => Stdio::null(),
            Input::Bytes(_) => Stdio::piped(),
            Input::File(file) => File::open(file).map_err(failed)?.into(),
        });
        let mut child = command.spawn().map_err(failed)?;
        if let (Input::Bytes(bytes), Some(mut stdin)) = (&self.stdin, child.stdin.take()) {
            // A program that does not want its input says so by its exit code.
            let _ = tokio::time::timeout(self.within, stdin.write_all(bytes)).await;
        }
        Ok(Running { child, base, begun: Instant::now(), shown })
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, evidence: &Evidence, label: &str) -> Result<Ran, Failure> {
        let mut running = self.start(evidence, label).await?;
        running.end_within(self.within).await
    }
}

impl Running {
    /// The file with its standard error.
    pub(crate) fn log(&self) -> PathBuf {
        err_of(&self.base)
    }

    /// Whether it has ended, and with what.
    pub(crate) fn ended(&mut self) -> Result<Option<Ran>, Failure> {
        let status = self.child.try_wait().map_err(|error| self.lost(&error))?;
        Ok(status.map(|status| self.ran(status)))
    }

    /// Takes its life with SIGKILL.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill().await.map_err(|error| self.lost(&error))
    }

    /// Waits for its end.
    pub(crate) async fn end_within(&mut self, within: Duration) -> Result<Ran, Failure> {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(status) => status.map(|status| self.ran(status)).map_err(|error| self.lost(&error)),
            Err(_) => {
                let _ = self.child.kill().await;
                let expected = format!("`{}` to end within {} s", self.shown, within.as_secs());
                Err(Failure::new(expected, tail(&read(&self.log()))).read(self.log()))
            }
        }
    }

    fn lost(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!("`{}` to be followed", self.shown), error.to_string())
    }

    fn ran(&self, status: ExitStatus) -> Ran {
        Ran {
            code: status.code(),
            out: read(&out_of(&self.base)),
            err: read(&err_of(&self.base)),
            took: self.begun.elapsed(),
            log: err_of(&self.base),
        }
    }
}

impl Ran {
    /// What it said, shortened from the front: the end tells why.
    pub(crate) fn said(&self) -> String {
        let text = if self.err.trim().is_empty() { &self.out } else { &self.err };
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        format!("{code}: {}", tail(text))
    }

    /// Everything it said, of both outputs.
    pub(crate) fn all(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }

    /// Itself where it ended well.
    pub(crate) fn ok(self, expected: &str) -> Result<Self, Failure> {
        if self.code == Some(0) { Ok(self) } else { Err(Failure::new(expected, self.said()).read(self.log)) }
    }

    /// Its standard output as JSON.
    pub(crate) fn json(&self, expected: &str) -> Result<serde_json::Value, Failure> {
        serde_json::from_str(&self.out).map_err(|error| {
            Failure::new(format!("{expected} as JSON"), format!("{error}: {}", self.said())).read(&self.log)
        })
    }
}

fn out_of(base: &Path) -> PathBuf {
    base.with_added_extension("out")
}

fn err_of(base: &Path) -> PathBuf {
    base.with_added_extension("err")
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    // What cannot be read back shows as nothing; the file's path stands in every message.
    let _ = File::open(path).and_then(|file| file.take(MAX_READ).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines of a text, on one line.
pub(crate) fn tail(text: &str) -> String {
    let line: String = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ");
    let from = line.char_indices().rev().nth(MAX_SHOWN).map_or(0, |(index, _)| index);
    if from == 0 { line } else { format!("… {}", &line[from..]) }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@:=,+%".contains(c));
    if plain { word.into_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> (tempfile::TempDir, Evidence) {
        let folder = tempfile::tempdir().unwrap();
        let evidence = Evidence::open(folder.path().to_owned()).unwrap();
        (folder, evidence)
    }

    #[tokio::test]
    async fn what_a_program_says_is_kept_and_its_command_line_too() {
        let (folder, evidence) = evidence();
        let ran = Program::new("cat").stdin("hello").run(&evidence, "a cat").await.unwrap();
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), "hello"));
        assert_eq!(std::fs::read_to_string(folder.path().join("commands.log")).unwrap(), "001-a-cat: cat\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("001-a-cat.out")).unwrap(), "hello");
    }

    #[tokio::test]
    async fn a_program_that_fails_names_what_was_expected_and_its_log() {
        let (_folder, evidence) = evidence();
        let ran = Program::new("ls").arg("/does/not exist").run(&evidence, "ls").await.unwrap();
        let failure = ran.ok("a listing").unwrap_err();
        assert!(failure.to_string().starts_with("expected a listing; seen: exit code 2: "), "{failure}");
        assert!(failure.read.unwrap().ends_with("001-ls.err"));
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed() {
        let (_folder, evidence) = evidence();
        let sleeper = Program::new("sleep").arg("600").within(Duration::from_millis(100));
        let failure = sleeper.run(&evidence, "sleep").await.unwrap_err();
        assert!(failure.expected.contains("`sleep 600` to end"), "{failure}");
    }

    #[test]
    fn the_end_of_a_long_text_is_shown() {
        let text = format!("{}\nthe cause\n", "x".repeat(5000));
        assert!(tail(&text).starts_with("… xxx") && tail(&text).ends_with("| the cause"));
        assert_eq!(quoted(OsStr::new("a b")), "'a b'");
    }
}
