//! `nft` and `iptables` with the libraries they load, out of the root image's tree: kube-proxy and flannel call them.

use crate::archive::Layer;
use crate::error::{Context, Result};
use crate::workshop::answer;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The two programs that all names of nftables and iptables stand for.
const PROGRAMS: &[&str] = &["/usr/sbin/nft", "/usr/sbin/xtables-nft-multi"];
/// Names of `xtables-nft-multi`.
const FAMILIES: &[&str] = &["iptables", "ip6tables"];
const FORMS: &[&str] = &["", "-save", "-restore"];
/// Folders that Debian has merged into /usr; programs name their loader by the old place.
const MERGED: &[&str] = &["bin", "lib", "lib64", "sbin"];
/// Protocols by name, for rules that say `tcp`.
const PROTOCOLS: &str = "etc/protocols";

/// Puts the tools into a layer.
///
/// # Errors
/// When the tree lacks one of their files.
pub(crate) fn add(layer: &mut Layer, tree: &Path) -> Result<()> {
    for folder in MERGED {
        layer.link(folder, &format!("usr/{folder}"))?;
    }
    let extensions = format!("/usr/lib/{}-linux-gnu/xtables", std::env::consts::ARCH);
    let mut files: BTreeSet<String> = PROGRAMS.iter().map(|program| (*program).to_owned()).collect();
    let extension_folder = tree.join(extensions.trim_start_matches('/'));
    for entry in
        std::fs::read_dir(&extension_folder).with_context(|| format!("reading {}", extension_folder.display()))?
    {
        let name = entry?.file_name();
        files.insert(format!("{extensions}/{}", name.display()));
    }
    for program in PROGRAMS {
        let needed = answer(Command::new("chroot").arg(tree).arg("/usr/bin/ldd").arg(program), "asking for libraries")?;
        files.extend(libraries(&needed));
    }
    for file in files {
        // Where Debian says /lib it means /usr/lib, and a layer has each file in one place only.
        let place = file.trim_start_matches('/');
        let place = if place.starts_with("usr/") { place.to_owned() } else { format!("usr/{place}") };
        // A library's name is a link to its version: what it says is wanted under the name that programs ask for.
        let content =
            std::fs::read(tree.join(&place)).with_context(|| format!("reading /{place} of the root image"))?;
        layer.file(&place, 0o755, &content)?;
    }
    for family in FAMILIES {
        for form in FORMS {
            layer.link(&format!("usr/sbin/{family}{form}"), "xtables-nft-multi")?;
            layer.link(&format!("usr/sbin/{family}-nft{form}"), "xtables-nft-multi")?;
        }
    }
    let protocols = std::fs::read(tree.join(PROTOCOLS)).context("reading /etc/protocols of the root image")?;
    layer.file(PROTOCOLS, 0o644, &protocols)
}

/// The paths that `ldd` names.
fn libraries(ldd: &str) -> impl Iterator<Item = String> {
    ldd.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/'))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found() {
        let said = "\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<_> = libraries(said).collect();
        assert_eq!(found, ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
