//! The programs built from Go modules below `image/programs/`: each module names them as its tools, and `go.sum` pins every source.

use crate::cache::Cache;
use crate::error::{Context, Result};
use crate::key::Key;
use crate::workshop::{Step, answer};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const RECIPE: u32 = 1;

/// The folder with a module for each group of programs.
fn sources() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/programs"))
}

/// How a module's programs are linked.
enum Link {
    /// Pure Go.
    Go,
    /// With C code, statically.
    StaticC,
}

/// What is known of a module beside its files.
struct Recipe {
    step: Step,
    /// Its folder below `image/programs/`.
    folder: &'static str,
    /// The module whose version is that of the programs; ours where it is empty.
    module: &'static str,
    link: Link,
    tags: &'static str,
    /// Variables that hold the version, each with what comes before the number.
    version_variables: &'static [(&'static str, &'static str)],
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

const KUBERNETES: Recipe = Recipe {
    step: Step { name: "kubernetes", expected: minutes(8) },
    folder: "kubernetes",
    module: "k8s.io/kubernetes",
    link: Link::Go,
    tags: "",
    version_variables: &[
        ("k8s.io/component-base/version.gitVersion", "v"),
        ("k8s.io/client-go/pkg/version.gitVersion", "v"),
    ],
};
const CONTAINERD: Recipe = Recipe {
    step: Step { name: "containerd", expected: minutes(2) },
    folder: "containerd",
    module: "github.com/containerd/containerd/v2",
    link: Link::Go,
    // Snapshotters for file systems that no machine of the lab has.
    tags: "no_btrfs,no_devmapper,no_zfs",
    version_variables: &[("github.com/containerd/containerd/v2/version.Version", "v")],
};
const RUNC: Recipe = Recipe {
    step: Step { name: "runc", expected: minutes(1) },
    folder: "runc",
    module: "github.com/opencontainers/runc",
    link: Link::StaticC,
    // kubeadm's own pods ask for the runtime's seccomp profile: without this tag they do not start.
    tags: "seccomp,netgo,osusergo",
    version_variables: &[("main.version", "")],
};
const CNI: Recipe = Recipe {
    step: Step { name: "cni", expected: minutes(1) },
    folder: "cni",
    module: "github.com/containernetworking/plugins",
    link: Link::Go,
    tags: "",
    version_variables: &[("github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion", "v")],
};
const CNI_FLANNEL: Recipe = Recipe {
    step: Step { name: "cni-flannel", expected: minutes(1) },
    folder: "cni-flannel",
    module: "github.com/containernetworking/plugins",
    link: Link::Go,
    tags: "",
    version_variables: &[("github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion", "v")],
};
const FLANNEL: Recipe = Recipe {
    step: Step { name: "flannel", expected: minutes(3) },
    folder: "flannel",
    module: "github.com/flannel-io/flannel",
    // Its udp backend is C.
    link: Link::StaticC,
    tags: "netgo,osusergo",
    version_variables: &[("github.com/flannel-io/flannel/pkg/version.Version", "v")],
};
const COREDNS: Recipe = Recipe {
    step: Step { name: "coredns", expected: minutes(5) },
    folder: "coredns",
    module: "github.com/coredns/coredns",
    link: Link::Go,
    tags: "",
    version_variables: &[],
};
const ETCD: Recipe = Recipe {
    step: Step { name: "etcd", expected: minutes(1) },
    folder: "etcd",
    module: "go.etcd.io/etcd/server/v3",
    link: Link::Go,
    tags: "",
    version_variables: &[],
};
const PAUSE: Recipe = Recipe {
    step: Step { name: "pause", expected: Duration::from_secs(10) },
    folder: "pause",
    module: "",
    link: Link::Go,
    tags: "",
    version_variables: &[],
};
const SHARED_ADDRESS: Recipe = Recipe {
    step: Step { name: "shared-address", expected: minutes(1) },
    folder: "shared-address",
    module: "",
    link: Link::Go,
    tags: "",
    version_variables: &[],
};
const WEB: Recipe = Recipe {
    step: Step { name: "web-program", expected: Duration::from_secs(10) },
    folder: "web",
    module: "",
    link: Link::Go,
    tags: "",
    version_variables: &[],
};

/// The programs of one module.
pub struct Programs {
    /// The folder that holds them.
    pub folder: PathBuf,
    /// Their inputs' key.
    pub key: String,
    /// Their version as the module's tag says it, such as `v1.36.4`; empty for our own.
    pub version: String,
}

/// Everything that is built from Go.
pub struct All {
    pub(crate) kubernetes: Programs,
    pub(crate) containerd: Programs,
    pub(crate) runc: Programs,
    pub(crate) cni: Programs,
    pub(crate) cni_flannel: Programs,
    pub(crate) flannel: Programs,
    pub(crate) coredns: Programs,
    pub(crate) etcd: Programs,
    pub(crate) pause: Programs,
    pub(crate) shared_address: Programs,
    pub(crate) web: Programs,
}

/// How many artifacts [`build`] asks for.
pub const COUNT: usize = 11;

impl All {
    /// One key of all that a node's bundle holds.
    pub fn bundle_keys(&self) -> String {
        let Self {
            kubernetes,
            containerd,
            runc,
            cni,
            cni_flannel,
            flannel,
            coredns,
            etcd,
            pause,
            shared_address,
            web: _,
        } = self;
        [kubernetes, containerd, runc, cni, cni_flannel, flannel, coredns, etcd, pause, shared_address]
            .map(|programs| programs.key.as_str())
            .join(" ")
    }

    /// Names and versions, for people.
    pub fn versions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("kubernetes", &self.kubernetes),
            ("containerd", &self.containerd),
            ("runc", &self.runc),
            ("cni-plugins", &self.cni),
            ("cni-flannel", &self.cni_flannel),
            ("flannel", &self.flannel),
            ("coredns", &self.coredns),
            ("etcd", &self.etcd),
        ]
        .into_iter()
        .map(|(name, programs)| (name, programs.version.as_str()))
    }
}

/// Builds every module that is not there.
///
/// # Errors
/// When Go fails; its log is named.
pub fn build(cache: &Cache) -> Result<All> {
    let go = answer(Command::new("go").args(["env", "GOVERSION"]).current_dir(sources()), "asking Go for its version")?;
    let build = |recipe: &Recipe| one(cache, recipe, &go);
    Ok(All {
        kubernetes: build(&KUBERNETES)?,
        containerd: build(&CONTAINERD)?,
        runc: build(&RUNC)?,
        cni: build(&CNI)?,
        cni_flannel: build(&CNI_FLANNEL)?,
        flannel: build(&FLANNEL)?,
        coredns: build(&COREDNS)?,
        etcd: build(&ETCD)?,
        pause: build(&PAUSE)?,
        shared_address: build(&SHARED_ADDRESS)?,
        web: build(&WEB)?,
    })
}

fn one(cache: &Cache, recipe: &Recipe, go: &str) -> Result<Programs> {
    let folder = sources().join(recipe.folder);
    let version = if recipe.module.is_empty() { String::new() } else { required_version(&folder, recipe.module)? };
    let linking = linker_flags(recipe, &version);
    let mut key = Key::new(recipe.step.name, RECIPE).text("go", go).text("flags", &linking).text("tags", recipe.tags);
    if matches!(recipe.link, Link::StaticC) {
        let compiler = answer(Command::new("gcc").arg("--version"), "asking the compiler for its version")?;
        key = key.text("compiler", compiler.lines().next().unwrap_or_default());
    }
    let key = key.folder(&folder)?.digits();
    let built = cache.artifact(&recipe.step, &key, |workshop| {
        let mut command = Command::new("go");
        command.current_dir(&folder).args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly"]);
        command.args(["-tags", recipe.tags, "-ldflags", &linking, "-o"]);
        // With a slash at its end Go takes it for a folder, and names the programs by their packages.
        command.arg(format!("{}/", workshop.out().display()));
        command.arg(if recipe.module.is_empty() { "." } else { "tool" });
        command.env("CGO_ENABLED", if matches!(recipe.link, Link::StaticC) { "1" } else { "0" });
        workshop.run(&mut command, &format!("compiling {}", recipe.folder))
    })?;
    Ok(Programs { folder: built, key, version })
}

fn linker_flags(recipe: &Recipe, version: &str) -> String {
    let mut flags = String::from("-s -w");
    if matches!(recipe.link, Link::StaticC) {
        flags.push_str(" -linkmode external -extldflags -static");
    }
    let number = version.trim_start_matches('v');
    for (variable, before) in recipe.version_variables {
        flags.push_str(&format!(" -X {variable}={before}{number}"));
    }
    // kubeadm and the API server compare these too.
    if recipe.folder == KUBERNETES.folder {
        let mut parts = number.split('.');
        for name in ["gitMajor", "gitMinor"] {
            flags.push_str(&format!(" -X k8s.io/component-base/version.{name}={}", parts.next().unwrap_or_default()));
        }
        flags.push_str(" -X k8s.io/component-base/version.gitTreeState=clean");
    }
    flags
}

/// The version of a module that `go.mod` requires.
fn required_version(folder: &Path, module: &str) -> Result<String> {
    let path = folder.join("go.mod");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    version_in(&text, module).with_context(|| format!("{} requires no {module}", path.display()))
}

fn version_in(text: &str, module: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word == "require");
        (words.next()? == module)
            .then(|| words.next())
            .flatten()
            .filter(|word| word.starts_with('v'))
            .map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_what_go_mod_requires() {
        let text = "module x\n\ntool (\n\tk8s.io/kubernetes/cmd/kubelet\n)\n\nrequire (\n\tk8s.io/kube v1.0.0\n\tk8s.io/kubernetes v1.36.4 // indirect\n)\n";
        assert_eq!(version_in(text, "k8s.io/kubernetes").as_deref(), Some("v1.36.4"));
        assert_eq!(version_in("require a.test/b v0.1.0\n", "a.test/b").as_deref(), Some("v0.1.0"));
        assert_eq!(version_in(text, "k8s.io/none"), None);
    }

    #[test]
    fn every_module_is_there_and_names_its_version() {
        for recipe in [KUBERNETES, CONTAINERD, RUNC, CNI, CNI_FLANNEL, FLANNEL, COREDNS, ETCD] {
            required_version(&sources().join(recipe.folder), recipe.module).unwrap();
        }
    }

    #[test]
    fn kubernetes_is_told_its_version() {
        let flags = linker_flags(&KUBERNETES, "v1.36.4");
        assert!(flags.contains("component-base/version.gitVersion=v1.36.4"), "{flags}");
        assert!(flags.contains("gitMinor=36"), "{flags}");
    }
}
