//! The programs of the stock image that work on whole trees of files: `tar`, `cp`, `rm`, `chattr`.

use super::{
    Machine,
    process::{Exit, Process},
};
use crate::archive::{self, What};
use std::{fs, io, path::Path};

/// Runs one of them.
pub(super) fn run(machine: &Machine, name: &str, process: &Process) -> Exit {
    let arguments: Vec<&str> = process.argv.iter().skip(1).map(String::as_str).collect();
    let result = match name {
        "tar" => tar(machine, process, &arguments),
        "cp" => cp(machine, process, &arguments),
        "chattr" => chattr(machine, process, &arguments),
        _ => rm(machine, process, &arguments),
    };
    match result {
        Ok(()) => Exit::SUCCESS,
        Err(why) => Exit::failure(if name == "tar" { 2 } else { 1 }, format!("{name}: {why}")),
    }
}

fn said(path: &str) -> impl Fn(io::Error) -> String {
    move |error| format!("'{path}': {error}")
}

fn tar(machine: &Machine, process: &Process, arguments: &[&str]) -> Result<(), String> {
    let (mut extract, mut folder, mut file, mut without) = (false, process.path("."), None, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().copied().ok_or(format!("option '{argument}' requires an argument"));
        match *argument {
            "--extract" | "-x" => extract = true,
            // Everything belongs to root here, and the mode of folders that are there already is theirs anyway.
            "--no-same-owner" | "--no-overwrite-dir" => {}
            "--directory" | "-C" => folder = process.path(value()?),
            "--file" | "-f" => file = Some(process.path(value()?)),
            option => match option.split_once('=') {
                Some(("--exclude", pattern)) if !pattern.contains(['*', '?', '[']) => without.push(pattern),
                Some(("--exclude", pattern)) => return Err(format!("the pattern `{pattern}` is not simulated")),
                _ => return Err(format!("unrecognized option '{option}'")),
            },
        }
    }
    let file = file.filter(|_| extract).ok_or("only --extract of a --file is simulated")?;
    let packed = machine.disk.read(&file).map_err(|error| format!("{file}: Cannot open: {error}"))?;
    let entries = archive::read(&packed).map_err(|why| format!("{file}: {why}"))?;
    if !machine.disk.is_dir(&folder) {
        return Err(format!("{folder}: Cannot open: No such file or directory"));
    }
    let kept = entries.iter().filter(|entry| !without.iter().any(|pattern| is_excluded(&entry.name, pattern)));
    for entry in kept {
        let path = format!("{}/{}", folder.trim_end_matches('/'), entry.name);
        let done = match &entry.what {
            What::Folder if machine.disk.is_dir(&path) => Ok(()),
            What::Folder => machine.disk.create_dirs(&path).and_then(|()| machine.disk.set_mode(&path, entry.mode)),
            What::File(content) => {
                // A file that is there is removed first, as tar does it.
                machine.disk.remove(&path).and_then(|()| machine.disk.write(&path, content, entry.mode))
            }
            What::Link(target) => machine.disk.remove(&path).and_then(|()| machine.disk.symlink(target, &path)),
        };
        done.map_err(|error| format!("{path}: Cannot write: {error}"))?;
    }
    Ok(())
}

/// Whether a name, or a folder it is in, is what a pattern names, from any `/` on.
fn is_excluded(name: &str, pattern: &str) -> bool {
    let starts = std::iter::once(0).chain(name.match_indices('/').map(|(at, _)| at + 1));
    starts
        .into_iter()
        .any(|at| name[at..].strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn cp(machine: &Machine, process: &Process, arguments: &[&str]) -> Result<(), String> {
    let (mut archive, mut to_itself, mut names) = (false, false, Vec::new());
    for argument in arguments {
        match *argument {
            "--archive" | "-a" => archive = true,
            "--no-target-directory" | "-T" => to_itself = true,
            option if option.starts_with('-') => return Err(format!("unrecognized option '{option}'")),
            name => names.push(process.path(name)),
        }
    }
    let [from, to] = names.as_slice() else { return Err("source and destination are needed".into()) };
    if !archive || !to_itself {
        return Err("only --archive --no-target-directory is simulated".into());
    }
    if !machine.disk.exists(from) {
        return Err(format!("cannot stat '{from}': No such file or directory"));
    }
    copy(machine, from, to)
}

fn copy(machine: &Machine, from: &str, to: &str) -> Result<(), String> {
    let disk = &machine.disk;
    let (_, mode) = disk.stat(from).map_err(said(from))?;
    if !disk.is_dir(from) {
        let content = disk.read(from).map_err(said(from))?;
        return disk.write(to, &content, mode).map_err(said(to));
    }
    if disk.exists(to) && !disk.is_dir(to) {
        return Err(format!("cannot overwrite non-directory '{to}' with directory '{from}'"));
    }
    disk.create_dirs(to).and_then(|()| disk.set_mode(to, mode)).map_err(said(to))?;
    for name in disk.list(from) {
        copy(machine, &format!("{from}/{name}"), &format!("{to}/{name}"))?;
    }
    Ok(())
}

fn chattr(machine: &Machine, process: &Process, arguments: &[&str]) -> Result<(), String> {
    let ["+S", folder] = arguments else { return Err("only +S for a folder is simulated".into()) };
    let folder = process.path(folder);
    if !machine.disk.is_dir(&folder) {
        return Err(format!("No such file or directory while trying to stat {folder}"));
    }
    machine.disk.write_through(&folder).map_err(said(&folder))
}

fn rm(machine: &Machine, process: &Process, arguments: &[&str]) -> Result<(), String> {
    let (mut recursive, mut force, mut names) = (false, false, Vec::new());
    for argument in arguments {
        match *argument {
            "--recursive" | "-r" => recursive = true,
            "--force" | "-f" => force = true,
            "-rf" => (recursive, force) = (true, true),
            option if option.starts_with('-') => return Err(format!("unrecognized option '{option}'")),
            name => names.push(process.path(name)),
        }
    }
    for name in names {
        if !force && !machine.disk.exists(&name) {
            return Err(format!("cannot remove '{name}': No such file or directory"));
        }
        if machine.disk.is_dir(&name) && !recursive {
            return Err(format!("cannot remove '{name}': Is a directory"));
        }
        remove_tree(machine, &name).map_err(|error| format!("cannot remove '{name}': {error}"))?;
    }
    Ok(())
}

/// Removes a file or a folder with everything in it; links are removed, not followed.
pub(crate) fn remove_tree(machine: &Machine, path: &str) -> io::Result<()> {
    let host = machine.disk.host_path(path)?;
    if host.is_dir() && !is_link(machine, path) { fs::remove_dir_all(host) } else { machine.disk.remove(path) }
}

/// Empties a folder; one that is not there is empty.
pub(crate) fn empty(machine: &Machine, folder: &str) -> io::Result<()> {
    machine.disk.list(folder).iter().try_for_each(|name| remove_tree(machine, &format!("{folder}/{name}")))
}

fn is_link(machine: &Machine, path: &str) -> bool {
    let Some((parent, name)) = path.trim_end_matches('/').rsplit_once('/') else { return false };
    let parent = machine.disk.host_path(if parent.is_empty() { "/" } else { parent });
    parent.is_ok_and(|parent: std::path::PathBuf| Path::new(&parent).join(name).is_symlink())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{archive::Entry, machine::testing};

    fn run_line(machine: &Machine, line: &str) -> Exit {
        let process = testing::process(line);
        run(machine, &process.argv[0], &process)
    }

    #[tokio::test]
    async fn an_archive_is_unpacked_but_for_what_is_left_out_and_lost_with_the_power_until_it_is_synced() {
        let machine = testing::machine("node01");
        let file = |name: &str| Entry { name: name.into(), mode: 0o755, what: What::File(b"x".to_vec()) };
        let all = [file("usr/bin/a"), file("images/server/etcd.tar"), file("images/coredns.tar"), file("images/b.tar")];
        machine.disk.write("/cache/bundle.tar", &archive::write(&all), 0o644).unwrap();
        let line = "tar --extract --no-same-owner --no-overwrite-dir --directory / --exclude=images/server \
                    --exclude=coredns.tar --file /cache/bundle.tar";
        assert_eq!(run_line(&machine, line), Exit::SUCCESS);
        assert_eq!(machine.disk.stat("/usr/bin/a").unwrap(), (1, 0o755));
        assert_eq!(machine.disk.list("/images"), ["b.tar"]);
        machine.disk.lose_memory();
        assert!(!machine.disk.exists("/usr/bin/a"));
        assert!(run_line(&machine, &line.replace("--extract", "--extrac")).why.contains("unrecognized option"));
        machine.disk.write("/cache/bundle.tar", b"rubbish", 0o644).unwrap();
        assert_eq!(run_line(&machine, line).code, 2);
    }

    #[tokio::test]
    async fn trees_are_copied_onto_each_other_and_removed() {
        let machine = testing::machine("node01");
        machine.disk.write("/seed/pki/ca.key", b"key", 0o600).unwrap();
        machine.disk.write("/etc/kubernetes/other", b"o", 0o644).unwrap();
        let line = "cp --archive --no-target-directory /seed /etc/kubernetes";
        assert_eq!(run_line(&machine, line), Exit::SUCCESS);
        assert_eq!(machine.disk.stat("/etc/kubernetes/pki/ca.key").unwrap(), (3, 0o600));
        assert!(machine.disk.exists("/etc/kubernetes/other") && machine.disk.exists("/seed/pki/ca.key"));
        assert_eq!(run_line(&machine, "cp /seed /etc/kubernetes").code, 1);
        assert!(run_line(&machine, "rm --force /etc/kubernetes").why.contains("Is a directory"));
        assert_eq!(run_line(&machine, "rm --force /nothing"), Exit::SUCCESS);
        assert_eq!(run_line(&machine, "rm /nothing").code, 1);
        machine.disk.symlink("/seed", "/etc/kubernetes/link").unwrap();
        assert_eq!(run_line(&machine, "rm --recursive --force /etc/kubernetes"), Exit::SUCCESS);
        assert!(!machine.disk.exists("/etc/kubernetes") && machine.disk.exists("/seed/pki/ca.key"));
    }

    #[tokio::test]
    async fn what_is_written_into_a_synchronous_folder_survives_a_power_cut() {
        let machine = testing::machine("node01");
        machine.disk.create_dirs("/etc/safe").unwrap();
        assert_eq!(run_line(&machine, "chattr +S /etc/safe"), Exit::SUCCESS);
        assert_eq!(run_line(&machine, "chattr +i /etc/safe").code, 1);
        for path in ["/etc/safe/a", "/etc/safer"] {
            machine.disk.write(path, b"x", 0o644).unwrap();
        }
        machine.disk.lose_memory();
        assert_eq!(machine.disk.read("/etc/safe/a").unwrap(), b"x");
        assert!(!machine.disk.exists("/etc/safer"));
    }
}
