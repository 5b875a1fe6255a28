//! `find`, as far as it runs a program for files of a name and removes those that were done.

use super::{
    Machine,
    process::{self, Exit, Process},
};
use futures::future::BoxFuture;
use std::sync::Arc;

/// What is asked of each file, in this order, until one says no.
enum Test {
    /// `-name '*.tar'`
    Suffix(String),
    /// `-exec … ;`
    Each(Vec<String>),
    /// `-exec … +`: once for all at the end.
    All(Vec<String>, Vec<String>),
    /// `-delete`
    Delete,
}

/// Runs it. Boxed, because what it runs is run as it is itself.
pub(super) fn run<'a>(machine: &'a Arc<Machine>, process: &'a Process) -> BoxFuture<'a, Exit> {
    Box::pin(async move {
        match find(machine, process).await {
            Ok(exit) => exit,
            Err(why) => Exit::failure(1, format!("find: {why}")),
        }
    })
}

async fn find(machine: &Arc<Machine>, process: &Process) -> Result<Exit, String> {
    let mut words = process.argv.iter().skip(1);
    let start = process.path(words.next().ok_or("no starting point is given")?);
    let mut tests = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-name" => {
                let pattern = words.next().ok_or("missing argument to `-name'")?;
                let suffix = pattern.strip_prefix('*').filter(|rest| !rest.contains(['*', '?', '[']));
                tests.push(Test::Suffix(suffix.ok_or(format!("the pattern `{pattern}` is not simulated"))?.to_owned()));
            }
            "-exec" => {
                let argv: Vec<String> =
                    words.by_ref().take_while(|word| !matches!(word.as_str(), ";" | "+")).cloned().collect();
                // Which of the two ended it stands where the iterator was.
                let end = process.argv.len() - words.len() - 1;
                match process.argv[end].as_str() {
                    ";" => tests.push(Test::Each(argv)),
                    "+" if argv.last().is_some_and(|last| last == "{}") => tests.push(Test::All(argv, Vec::new())),
                    _ => return Err("missing argument to `-exec'".into()),
                }
            }
            "-delete" => tests.push(Test::Delete),
            other => return Err(format!("unknown predicate `{other}'")),
        }
    }
    if !machine.disk.exists(&start) {
        return Err(format!("'{start}': No such file or directory"));
    }
    let mut files = Vec::new();
    walk(machine, &start, &mut files);
    for file in files {
        for test in &mut tests {
            let holds = match test {
                Test::Suffix(suffix) => file.ends_with(suffix.as_str()),
                Test::Each(argv) => {
                    let argv = argv.iter().map(|word| word.replace("{}", &file)).collect();
                    let mut inner = Process::new(&process.source, argv, process.cancel.child_token());
                    inner.environment.clone_from(&process.environment);
                    process::run(machine, inner).await.code == 0
                }
                Test::All(_, found) => {
                    found.push(file.clone());
                    true
                }
                Test::Delete => {
                    machine.disk.remove(&file).map_err(|error| format!("cannot delete '{file}': {error}"))?;
                    true
                }
            };
            if !holds {
                break;
            }
        }
    }
    let mut exit = Exit::SUCCESS;
    for test in tests {
        let Test::All(mut argv, found) = test else { continue };
        if found.is_empty() {
            continue;
        }
        argv.pop();
        argv.extend(found);
        if process::run(machine, Process::new(&process.source, argv, process.cancel.child_token())).await.code != 0 {
            exit = Exit::failure(1, "");
        }
    }
    Ok(exit)
}

/// The files below a folder, each folder's own first.
fn walk(machine: &Machine, path: &str, files: &mut Vec<String>) {
    if !machine.disk.is_dir(path) {
        files.push(path.to_owned());
        return;
    }
    for name in machine.disk.list(path) {
        walk(machine, &format!("{path}/{name}"), files);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing;

    #[tokio::test]
    async fn what_was_done_is_removed_and_what_is_left_makes_it_fail() {
        let machine = testing::machine("node01");
        for path in ["/images/a.tar", "/images/server/b.tar", "/images/c.txt"] {
            machine.disk.write(path, b"x", 0o644).unwrap();
        }
        let run_line = async |line: &str| run(&machine, &testing::process(line)).await;
        let left = "find /images -name *.tar -exec /usr/bin/false {} +";
        assert_eq!(run_line("find /images -name *.tar -exec /usr/bin/false {} ; -delete").await, Exit::SUCCESS);
        assert!(machine.disk.exists("/images/a.tar"));
        assert_eq!(run_line(left).await.code, 1);
        assert_eq!(run_line("find /images -name *.tar -exec /usr/bin/true {} ; -delete").await, Exit::SUCCESS);
        assert!(!machine.disk.exists("/images/server/b.tar") && machine.disk.exists("/images/c.txt"));
        assert_eq!(run_line(left).await, Exit::SUCCESS);
        assert_eq!(run_line("find /nowhere -name *.tar").await.code, 1);
        assert_eq!(run_line("find /images -newer /x").await.code, 1);
    }
}
