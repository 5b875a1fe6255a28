//! The machines' kernels from Debian's packaged source, with everything built in: User Mode Linux, and one for virtual machines
//! of QEMU that has the same functions.

use crate::run::root;
use anyhow::{Context, Result, bail};
use ferrogate_image::{Cache, Key, Step, Workshop, answer, debian, root_image::Kernel};
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const RECIPE: u32 = 1;
const UML: Kind = Kind {
    step: Step { name: "kernel", expected: Duration::from_secs(6 * 60) },
    architecture: "um",
    target: "linux",
    result: "linux",
    program: "linux.uml",
};
const PC: Kind = Kind {
    step: Step { name: "pc-kernel", expected: Duration::from_secs(6 * 60) },
    architecture: "x86_64",
    target: "bzImage",
    result: "arch/x86/boot/bzImage",
    program: "bzImage",
};
/// Debian's package of the source. Within it Debian's newest revision is taken on the day of the build.
const PACKAGE: &str = "linux-source-7.2";
const SUITE: &str = "trixie-backports";

/// Which kernel.
struct Kind {
    step: Step,
    /// As the kernel's makefiles call it.
    architecture: &'static str,
    /// What is made, and where it lies in the source then.
    target: &'static str,
    result: &'static str,
    /// Its name in the cache.
    program: &'static str,
}

/// A line to put into the source, and where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: PathBuf,
    line: String,
    put_before: String,
    times: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edits {
    edit: Vec<Edit>,
}

/// The program of User Mode Linux.
pub(super) fn program(kernel: &Kernel) -> PathBuf {
    kernel.folder.join(UML.program)
}

/// Builds the kernel if it is not there.
///
/// # Errors
/// When a tool fails, an edit finds another source than it knows, or an option is not taken.
pub(super) fn build(cache: &Cache, mirror: &str) -> Result<Kernel> {
    let recipe = recipe();
    let key = key(&UML)?.folder(&recipe)?.digits();
    let folder = cache.artifact(&UML.step, &key, |workshop| {
        make(workshop, &UML, &std::fs::read_to_string(recipe.join("fragment"))?, mirror)
    })?;
    let release = std::fs::read_to_string(folder.join("release"))?.trim().to_owned();
    Ok(Kernel { folder, key, release })
}

/// Builds the kernel of virtual machines, a file, if it is not there.
///
/// # Errors
/// As [`build`].
pub(super) fn pc(cache: &Cache, mirror: &str) -> Result<PathBuf> {
    let (common, own) = (recipe(), pc_recipe());
    let read = |path: PathBuf| std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()));
    let fragment = fragment(&read(common.join("fragment"))?, &read(own.join("without"))?, &read(own.join("fragment"))?);
    let folder = cache.artifact(&PC.step, &pc_key()?, |workshop| make(workshop, &PC, &fragment, mirror))?;
    Ok(folder.join(PC.program))
}

/// The kernel of virtual machines, where it was built before: it stays known, and in use.
///
/// # Errors
/// When its recipe cannot be read.
pub(super) fn pc_if_there(cache: &Cache) -> Result<Option<PathBuf>> {
    Ok(cache.find(&PC.step, &pc_key()?).map(|folder| folder.join(PC.program)))
}

/// The folder with what is to be in every kernel, and the edits of the source.
fn recipe() -> PathBuf {
    root().join("lab/kernel")
}

/// The folder with what virtual machines have more and less.
fn pc_recipe() -> PathBuf {
    root().join("lab/kernel-pc")
}

fn pc_key() -> Result<String> {
    Ok(key(&PC)?.folder(&recipe())?.folder(&pc_recipe())?.digits())
}

fn key(kind: &Kind) -> Result<Key> {
    let compiler = answer(Command::new("gcc").arg("--version"), "asking the compiler for its version")?;
    Ok(Key::new(kind.step.name, RECIPE)
        .text("package", PACKAGE)
        .text("suite", SUITE)
        .text("compiler", compiler.lines().next().unwrap_or_default()))
}

/// A fragment without the options that another kind of machine lacks, and with those it has more.
fn fragment(common: &str, without: &str, own: &str) -> String {
    let without: std::collections::BTreeSet<_> = without.lines().filter(|line| line.starts_with("CONFIG_")).collect();
    let kept = common.lines().filter(|line| !line.split_once('=').is_some_and(|(name, _)| without.contains(name)));
    kept.chain(own.lines()).map(|line| format!("{line}\n")).collect()
}

fn make(workshop: &Workshop, kind: &Kind, fragment: &str, mirror: &str) -> Result<()> {
    let recipe = recipe();
    let package = debian::download(workshop, PACKAGE, SUITE, mirror)?;
    let unpacked = workshop.scratch().join("package");
    workshop.run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacked), "unpacking the package")?;
    let archive = unpacked.join("usr/src").join(format!("{PACKAGE}.tar.xz"));
    workshop
        .run(Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(workshop.scratch()), "unpacking the source")?;
    let source = workshop.scratch().join(PACKAGE);
    let edits = std::fs::read_to_string(recipe.join("edits.toml")).context("reading the kernel's edits")?;
    let edits: Edits = toml::from_str(&edits).context("reading the kernel's edits")?;
    for edit in &edits.edit {
        let path = source.join(&edit.file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        std::fs::write(&path, edited(&text, edit)?).with_context(|| format!("writing {}", path.display()))?;
    }

    let wanted = workshop.scratch().join("fragment");
    std::fs::write(&wanted, fragment).with_context(|| format!("writing {}", wanted.display()))?;
    let make = |arguments: &[&str]| {
        let mut command = Command::new("make");
        // The same source gives the same kernel, whoever builds it and when.
        command.env("KBUILD_BUILD_TIMESTAMP", "1970-01-01").env("KBUILD_BUILD_USER", "lab");
        command.env("KBUILD_BUILD_HOST", "lab").env_remove("MAKEFLAGS");
        command.current_dir(&source).arg(format!("ARCH={}", kind.architecture)).args(arguments);
        command
    };
    let configured = format!("KCONFIG_ALLCONFIG={}", wanted.display());
    workshop.run(&mut make(&[&configured, "allnoconfig"]), "configuring the kernel")?;
    let config = std::fs::read_to_string(source.join(".config"))?;
    let refused = not_taken(fragment, &config);
    if !refused.is_empty() {
        bail!("the {}'s configuration lacks what its fragment asks for: {}", kind.step.name, refused.join(", "));
    }
    let jobs = format!("-j{}", std::thread::available_parallelism()?);
    workshop.run(&mut make(&[&jobs, kind.target]), "compiling the kernel")?;
    let (result, program) = (source.join(kind.result), workshop.out().join(kind.program));
    if kind.architecture == UML.architecture {
        workshop.run(Command::new("strip").arg("-o").arg(program).arg(result), "stripping the kernel")?;
    } else {
        std::fs::copy(&result, program).with_context(|| format!("keeping {}", result.display()))?;
    }
    for (from, to) in [
        (".config", "config"),
        ("modules.builtin", "modules.builtin"),
        ("modules.builtin.modinfo", "modules.builtin.modinfo"),
        ("include/config/kernel.release", "release"),
    ] {
        std::fs::copy(source.join(from), workshop.out().join(to)).with_context(|| format!("keeping {from}"))?;
    }
    Ok(())
}

/// The text with the edit in it.
fn edited(text: &str, edit: &Edit) -> Result<String> {
    let mut result = String::with_capacity(text.len() + 128);
    let mut times = 0;
    for line in text.lines() {
        if line == edit.line {
            result.push_str(&edit.put_before);
            result.push('\n');
            times += 1;
        }
        result.push_str(line);
        result.push('\n');
    }
    if times != edit.times {
        bail!(
            "{} has the line `{}` {times} times, not {} as lab/kernel/edits.toml says: this source is another; look whether the edit is still needed",
            edit.file.display(),
            edit.line.trim(),
            edit.times
        );
    }
    Ok(result)
}

/// Options of the fragment that the configuration does not have.
fn not_taken<'text>(fragment: &'text str, config: &str) -> Vec<&'text str> {
    let taken: std::collections::BTreeSet<_> = config.lines().collect();
    fragment.lines().filter(|line| line.starts_with("CONFIG_") && !taken.contains(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(times: usize) -> Edit {
        Edit { file: "a.c".into(), line: "\tlock();".into(), put_before: "\tif (there)".into(), times }
    }

    #[test]
    fn an_edit_goes_before_its_line() {
        assert_eq!(edited("{\n\tlock();\n}\n", &edit(1)).unwrap(), "{\n\tif (there)\n\tlock();\n}\n");
    }

    #[test]
    fn an_edit_that_finds_another_source_is_refused() {
        let error = edited("{\n\t\tlock();\n}\n", &edit(1)).unwrap_err().to_string();
        assert!(error.contains("0 times, not 1"), "{error}");
    }

    #[test]
    fn an_option_that_is_not_taken_is_named() {
        let fragment = "# why\n# CONFIG_MODULES is not set\nCONFIG_SMP=y\nCONFIG_CPUSETS=y\n";
        assert_eq!(not_taken(fragment, "CONFIG_SMP=y\n# CONFIG_CPUSETS is not set\n"), ["CONFIG_CPUSETS=y"]);
    }

    #[test]
    fn the_kernel_of_virtual_machines_has_all_but_what_only_user_mode_linux_has() {
        let read = |path: &str| std::fs::read_to_string(root().join("lab").join(path)).unwrap();
        let common = read("kernel/fragment");
        let all = fragment(&common, &read("kernel-pc/without"), &read("kernel-pc/fragment"));
        assert!(!all.contains("UML_NET_VECTOR") && !all.contains("CONFIG_SSL_CHAN"), "{all}");
        for option in
            ["CONFIG_VIRTIO_BLK=y", "CONFIG_OVERLAY_FS=y", "CONFIG_NF_TABLES=y", "# CONFIG_MODULES is not set"]
        {
            assert!(all.lines().any(|line| line == option), "{option}");
        }
        // What is left out stands there: a typing mistake would leave an option in that cannot be taken.
        for option in read("kernel-pc/without").lines().filter(|line| line.starts_with("CONFIG_")) {
            assert!(common.lines().any(|line| line.starts_with(&format!("{option}="))), "{option}");
        }
    }

    #[test]
    fn the_edits_are_readable() {
        let edits = std::fs::read_to_string(root().join("lab/kernel/edits.toml")).unwrap();
        let edits: Edits = toml::from_str(&edits).unwrap();
        assert_eq!(edits.edit.iter().map(|edit| edit.times).sum::<usize>(), 11);
    }
}
