//! The few programs of the stock image that work on files: `sha256sum`, `install`, `mkdir`, `chmod`, `ln`.

use super::{
    Machine,
    process::{Exit, Process},
};
use sha2::{Digest as _, Sha256};

/// Runs one of them.
pub(super) fn run(machine: &Machine, name: &str, process: &Process) -> Exit {
    let arguments: Vec<&str> = process.argv.iter().skip(1).map(String::as_str).collect();
    let result = match name {
        "true" => Ok(()),
        "sync" => {
            machine.disk.sync();
            Ok(())
        }
        "false" => return Exit::failure(1, ""),
        "sha256sum" => sha256sum(machine, process, &arguments),
        "install" => install(machine, process, &arguments),
        "mkdir" => mkdir(machine, process, &arguments),
        "chmod" => chmod(machine, process, &arguments),
        "ln" => ln(machine, process, &arguments),
        other => Err(format!("{other} is not simulated")),
    };
    match result {
        Ok(()) => Exit::SUCCESS,
        Err(why) => Exit::failure(1, format!("{name}: {why}")),
    }
}

fn sha256sum(machine: &Machine, process: &Process, arguments: &[&str]) -> Result<(), String> {
    let (mut check, mut strict, mut quiet, mut files) = (false, false, false, Vec::new());
    for argument in arguments {
        match *argument {
            "--check" | "-c" => check = true,
            "--strict" => strict = true,
            "--quiet" | "--status" => quiet = true,
            "--warn" | "-w" | "--binary" | "-b" | "--text" | "-t" => {}
            option if option.starts_with('-') => return Err(format!("unrecognized option '{option}'")),
            file => files.push(process.path(file)),
        }
    }
    if !check {
        return Err("only --check is simulated".into());
    }
    if files.is_empty() {
        return Err("no checksum file is given".into());
    }
    for list in files {
        let text = machine.disk.read_text(&list).map_err(|error| format!("{list}: {error}"))?;
        let (mut good, mut malformed) = (0, 0);
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((sum, name)) = checksum_line(line) else {
                malformed += 1;
                continue;
            };
            let actual = digest(machine, &process.path(name)).map_err(|error| format!("{name}: {error}"))?;
            if !actual.eq_ignore_ascii_case(sum) {
                return Err(format!("{name}: FAILED, the file has {actual}; 1 computed checksum did NOT match"));
            }
            good += 1;
            if !quiet {
                machine.console.say(&process.source, format!("{name}: OK"));
            }
        }
        if good == 0 {
            return Err(format!("{list}: no properly formatted checksum lines found"));
        }
        if strict && malformed > 0 {
            return Err(format!("{list}: {malformed} improperly formatted checksum lines"));
        }
    }
    Ok(())
}

/// `<64 hex>`, a blank, a blank or `*`, the name.
fn checksum_line(line: &str) -> Option<(&str, &str)> {
    let (sum, rest) = line.split_at_checked(64)?;
    let name = rest.strip_prefix("  ").or_else(|| rest.strip_prefix(" *"))?;
    (sum.bytes().all(|byte| byte.is_ascii_hexdigit()) && !name.is_empty()).then_some((sum, name))
}

fn digest(machine: &Machine, path: &str) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    machine.disk.read_pieces(path, |piece| hash.update(piece))?;
    Ok(ferrogate_files::hex(hash.finalize()))
}

fn install(machine: &Machine, process: &Process, arguments: &[&str]) -> Result<(), String> {
    let (mut mode, mut parents, mut folders, mut names) = (0o755, false, false, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = |option: &str| rest.next().copied().ok_or(format!("option '{option}' requires an argument"));
        match *argument {
            "-D" => parents = true,
            "-d" | "--directory" => folders = true,
            "-m" | "--mode" => mode = octal(value("-m")?)?,
            "-o" | "--owner" | "-g" | "--group" => drop(value(argument)?),
            "-v" | "-p" => {}
            option if option.starts_with("--mode=") => mode = octal(&option[7..])?,
            option if option.starts_with('-') => return Err(format!("unrecognized option '{option}'")),
            name => names.push(process.path(name)),
        }
    }
    if folders {
        for name in names {
            machine.disk.create_dirs(&name).and_then(|()| machine.disk.set_mode(&name, mode)).map_err(said(&name))?;
        }
        return Ok(());
    }
    let [from, to] = names.as_slice() else { return Err("source and destination are needed".into()) };
    let mut to = to.clone();
    if machine.disk.is_dir(&to) {
        to = format!("{}/{}", to.trim_end_matches('/'), from.rsplit('/').next().unwrap_or_default());
    }
    let content = if from == "/dev/null" { Vec::new() } else { machine.disk.read(from).map_err(said(from))? };
    let parent = to.rsplit_once('/').map_or("/", |(parent, _)| parent);
    if !parents && !parent.is_empty() && !machine.disk.is_dir(parent) {
        return Err(format!("cannot create regular file '{to}': no such file or directory"));
    }
    // The real one removes the destination first, so that a program that runs is not written over.
    machine.disk.remove(&to).and_then(|()| machine.disk.write(&to, &content, mode)).map_err(said(&to))
}

fn mkdir(machine: &Machine, process: &Process, arguments: &[&str]) -> Result<(), String> {
    let (mut parents, mut mode, mut names) = (false, None, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            "-p" | "--parents" => parents = true,
            "-m" | "--mode" => mode = Some(octal(rest.next().ok_or("option '-m' requires an argument")?)?),
            option if option.starts_with('-') => return Err(format!("unrecognized option '{option}'")),
            name => names.push(process.path(name)),
        }
    }
    for name in names {
        let parent = name.rsplit_once('/').map_or("/", |(parent, _)| parent);
        if !parents && machine.disk.exists(&name) {
            return Err(format!("cannot create directory '{name}': File exists"));
        }
        if !parents && !parent.is_empty() && !machine.disk.is_dir(parent) {
            return Err(format!("cannot create directory '{name}': No such file or directory"));
        }
        machine.disk.create_dirs(&name).map_err(said(&name))?;
        if let Some(mode) = mode {
            machine.disk.set_mode(&name, mode).map_err(said(&name))?;
        }
    }
    Ok(())
}

fn chmod(machine: &Machine, process: &Process, arguments: &[&str]) -> Result<(), String> {
    let [mode, names @ ..] = arguments else { return Err("missing operand".into()) };
    if names.is_empty() {
        return Err("missing operand".into());
    }
    for name in names {
        let path = process.path(name);
        let (_, had) = machine.disk.stat(&path).map_err(said(&path))?;
        let mode = match *mode {
            "+x" | "a+x" => had | 0o111,
            "u+x" => had | 0o100,
            octal_mode => octal(octal_mode)?,
        };
        machine.disk.set_mode(&path, mode).map_err(said(&path))?;
    }
    Ok(())
}

fn ln(machine: &Machine, process: &Process, arguments: &[&str]) -> Result<(), String> {
    let (mut symbolic, mut force, mut names) = (false, false, Vec::new());
    for argument in arguments {
        match *argument {
            "--symbolic" => symbolic = true,
            "--force" => force = true,
            option if option.starts_with('-') => {
                for letter in option[1..].chars() {
                    match letter {
                        's' => symbolic = true,
                        'f' => force = true,
                        'n' | 'T' => {}
                        other => return Err(format!("invalid option -- '{other}'")),
                    }
                }
            }
            name => names.push(name),
        }
    }
    if !symbolic {
        return Err("only symbolic links are simulated".into());
    }
    let [target, link] = names.as_slice() else { return Err("target and link are needed".into()) };
    let link = process.path(link);
    if force {
        machine.disk.remove(&link).map_err(said(&link))?;
    }
    machine.disk.symlink(target, &link).map_err(said(&link))
}

fn octal(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).ok_or(format!("invalid mode '{text}'"))
}

fn said(path: &str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("'{path}': {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing;

    fn run_line(machine: &Machine, line: &str) -> Exit {
        let process = testing::process(line);
        run(machine, &process.argv[0], &process)
    }

    #[tokio::test]
    async fn a_wrong_checksum_fails_and_says_what_the_file_has() {
        let machine = testing::machine("node01");
        machine.disk.write("/tmp/file", b"hello", 0o644).unwrap();
        let sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        machine.disk.write("/tmp/good", format!("{sum}  /tmp/file\n").as_bytes(), 0o644).unwrap();
        assert_eq!(run_line(&machine, "sha256sum --check --strict /tmp/good"), Exit::SUCCESS);
        for (content, reason) in [
            (format!("{}  /tmp/file\n", "0".repeat(64)), "did NOT match"),
            (format!("{sum} /tmp/file\n"), "no properly formatted"),
            (format!("{sum}  /tmp/file\nrubbish\n"), "1 improperly formatted"),
            (format!("{sum}  /tmp/nothing\n"), "/tmp/nothing"),
            (String::new(), "no properly formatted"),
        ] {
            machine.disk.write("/tmp/bad", content.as_bytes(), 0o644).unwrap();
            let exit = run_line(&machine, "sha256sum --check --strict /tmp/bad");
            assert!(exit.code == 1 && exit.why.contains(reason), "{content}: {exit:?}");
        }
    }

    #[tokio::test]
    async fn install_makes_parents_only_when_asked_and_sets_the_mode() {
        let machine = testing::machine("node01");
        machine.disk.write("/tmp/a", b"x", 0o600).unwrap();
        assert!(run_line(&machine, "install -m 0755 /tmp/a /usr/local/lib/a").why.contains("no such file"));
        assert_eq!(run_line(&machine, "install -D -m 0755 /tmp/a /usr/local/lib/a"), Exit::SUCCESS);
        assert_eq!(machine.disk.stat("/usr/local/lib/a").unwrap(), (1, 0o755));
        assert_eq!(run_line(&machine, "install -d -m 0700 /var/lib/x"), Exit::SUCCESS);
        assert_eq!(run_line(&machine, "install -D -m 0644 /dev/null /var/lib/y/done"), Exit::SUCCESS);
        assert_eq!(machine.disk.stat("/var/lib/y/done").unwrap(), (0, 0o644));
        assert_eq!(run_line(&machine, "mkdir /q/r").code, 1);
        assert_eq!(run_line(&machine, "mkdir -p /q/r"), Exit::SUCCESS);
        assert_eq!(run_line(&machine, "chmod 0600 /usr/local/lib/a"), Exit::SUCCESS);
        assert_eq!(run_line(&machine, "ln -sf /usr/local/lib/a /q/link"), Exit::SUCCESS);
        assert_eq!(machine.disk.read("/q/link").unwrap(), b"x");
        assert_eq!(run_line(&machine, "install --odd /tmp/a /b").code, 1);
    }
}
