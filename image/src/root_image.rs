//! The disk that every machine starts from: Debian with cloud-init, as MAAS deploys an uploaded image.

use crate::cache::Cache;
use crate::error::{Context, Result};
use crate::key::Key;
use crate::workshop::{Step, Workshop};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const TREE_RECIPE: u32 = 1;
const TREE: Step = Step { name: "root-tree", expected: Duration::from_secs(80) };
const IMAGE_RECIPE: u32 = 1;
const IMAGE: Step = Step { name: "root-image", expected: Duration::from_secs(10) };

/// The release of Debian.
const SUITE: &str = "trixie";
/// What a machine has before our user-data reaches it. No kernel, no boot loader, no container runtime: the first two
/// are outside, the last comes in the bundle.
const PACKAGES: &[&str] = &[
    "ca-certificates",
    "cloud-guest-utils",
    "cloud-init",
    "conntrack",
    "curl",
    "dbus",
    "e2fsprogs",
    "ethtool",
    "gzip",
    "ipset",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "less",
    "mount",
    "netbase",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "socat",
    "sudo",
    "systemd-resolved",
    "systemd-sysv",
    "tar",
    "udev",
    "util-linux",
    "zstd",
];
/// Documentation in the image would only cost time and room.
const LEFT_OUT: &[&str] = &["doc", "info", "locale", "man"];
/// Units that do nothing for a machine that lives for an hour, and cost seconds of every boot.
const MASKED: &[&str] = &[
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
];
/// Size of the disk. The file is sparse: it takes what is in it.
const DISK_BYTES: u64 = 10 << 30;
/// Files of the image: where, and what they say.
const FILES: &[(&str, &str)] = &[
    ("etc/hostname", "node\n"),
    ("etc/fstab", "LABEL=rootfs / ext4 rw,relatime,discard 0 1\n"),
    ("etc/cloud/cloud.cfg.d/90_dpkg.cfg", "datasource_list: [ MAAS, NoCloud, None ]\n"),
    // Rendering through netplan costs seven seconds a boot.
    ("etc/cloud/cloud.cfg.d/95-renderer.cfg", "system_info:\n  network:\n    renderers: [networkd]\n"),
    // The first boot makes its own.
    ("etc/machine-id", ""),
    // Nothing below /usr is newer than this: systemd rebuilds none of its caches at boot.
    ("etc/.updated", ""),
    ("var/.updated", ""),
];

/// The unpacked packages; the container images take their nft and iptables from here.
pub struct Tree {
    /// The root of the tree.
    pub folder: PathBuf,
    /// Its inputs' key.
    pub key: String,
}

/// A kernel with everything built in, which boots the root image from outside of it.
pub struct Kernel {
    /// Holds `modules.builtin` and `modules.builtin.modinfo`.
    pub folder: PathBuf,
    /// Its inputs' key.
    pub key: String,
    /// What `uname -r` says on a machine.
    pub release: String,
}

/// Unpacks Debian if it is not there.
///
/// # Errors
/// When mmdebstrap fails.
pub fn tree(cache: &Cache, mirror: &str) -> Result<Tree> {
    let packages = PACKAGES.join(",");
    let key = Key::new(TREE.name, TREE_RECIPE).text("suite", SUITE).text("packages", &packages).digits();
    let folder = cache.artifact(&TREE, &key, |workshop| {
        // It mounts /dev, /proc and /sys into the tree. In namespaces of its own these are gone with it, however it ends.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "mmdebstrap"]);
        command.args(["--mode=root", "--variant=minbase", "--format=directory"]);
        command.args(["--aptopt=Acquire::Languages \"none\"", "--aptopt=APT::Install-Recommends \"false\""]);
        for folder in LEFT_OUT {
            command.arg(format!("--dpkgopt=path-exclude=/usr/share/{folder}/*"));
        }
        command.arg(format!("--include={packages}")).arg(SUITE).arg(workshop.out().join("tree")).arg(mirror);
        workshop.run(&mut command, "unpacking Debian")
    })?;
    Ok(Tree { folder: folder.join("tree"), key })
}

/// Makes the disk if it is not there.
///
/// # Errors
/// When a tool fails.
pub fn build(cache: &Cache, tree: &Tree, kernel: &Kernel) -> Result<PathBuf> {
    let key = Key::new(IMAGE.name, IMAGE_RECIPE)
        .text("tree", &tree.key)
        .text("kernel", &kernel.key)
        .text("files", &format!("{FILES:?}"))
        .text("masked", &MASKED.join(","))
        .text("bytes", &DISK_BYTES.to_string())
        .digits();
    let folder = cache.artifact(&IMAGE, &key, |workshop| {
        let copy = workshop.scratch().join("tree");
        workshop.run(Command::new("cp").arg("-a").arg(&tree.folder).arg(&copy), "copying the tree")?;
        settle(workshop, &copy, kernel)?;
        let disk = workshop.out().join("root.img");
        std::fs::File::create(&disk)?.set_len(DISK_BYTES)?;
        let mut command = Command::new("mkfs.ext4");
        command.args(["-q", "-L", "rootfs", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d"]);
        workshop.run(command.arg(&copy).arg(&disk), "making the disk")
    })?;
    Ok(folder.join("root.img"))
}

/// Turns the packages into a machine that is about to boot for the first time.
fn settle(workshop: &Workshop, tree: &Path, kernel: &Kernel) -> Result<()> {
    for (path, content) in FILES {
        std::fs::write(tree.join(path), content).with_context(|| format!("writing /{path}"))?;
    }
    // Everything is built in; these lists let `modprobe br_netfilter` and the like say so.
    let modules = tree.join("usr/lib/modules").join(&kernel.release);
    std::fs::create_dir_all(&modules)?;
    for list in ["modules.builtin", "modules.builtin.modinfo"] {
        std::fs::copy(kernel.folder.join(list), modules.join(list)).with_context(|| format!("copying {list}"))?;
    }
    std::fs::write(modules.join("modules.order"), "")?;
    let units = tree.join("etc/systemd/system");
    for unit in MASKED {
        replace_link(&units.join(unit), "/dev/null")?;
    }
    replace_link(&units.join("default.target"), "/lib/systemd/system/multi-user.target")?;
    for entry in std::fs::read_dir(tree.join("etc/ssh"))? {
        let path = entry?.path();
        // Each machine makes its own keys.
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ssh_host_")) {
            std::fs::remove_file(path)?;
        }
    }
    let inside = |arguments: &[&str], what: &str| {
        workshop
            .run(Command::new("chroot").arg(tree).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), what)
    };
    inside(&["depmod", &kernel.release], "listing the built-in modules")?;
    inside(&["systemctl", "enable", "ssh", "systemd-networkd", "systemd-resolved"], "enabling units")?;
    inside(&["usermod", "--password", "*", "root"], "locking root's password")?;
    inside(&["ldconfig"], "listing the libraries")?;
    inside(&["journalctl", "--update-catalog"], "listing the journal's messages")?;
    for folder in ["var/lib/apt/lists", "var/cache/apt"] {
        let folder = tree.join(folder);
        std::fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
        std::fs::create_dir_all(&folder)?;
    }
    Ok(())
}

fn replace_link(path: &Path, target: &str) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        std::fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
    }
    symlink(target, path).with_context(|| format!("linking {}", path.display()))
}
