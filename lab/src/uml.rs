//! Machines as User Mode Linux processes: a whole Linux kernel as one program, which needs no support of the processor and
//! none of this computer's kernel. Power on is a start, power off an end, a power cut a kill.

mod cow;
mod mconsole;

use crate::hardware::{
    HardwareError, Hypervisor, INIT, NAME_ROOM, Patch, Rack, RackOptions, Start, absolute, check_path, sparse, word,
};
use async_trait::async_trait;
use ferrogate_model::SystemId;
use std::{
    ffi::OsString,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

/// How long the kernel may take to print its own help.
const HELP: Duration = Duration::from_secs(20);

/// What User Mode Linux machines are made with.
#[derive(Clone, Debug)]
pub struct UmlOptions {
    /// The kernel, a program.
    pub kernel: PathBuf,
    /// Whether disks are whole copies of the image instead of only what differs from it.
    pub plain_disks: bool,
    /// What all kinds of machines have in common.
    pub rack: RackOptions,
}

impl Rack {
    /// A rack of User Mode Linux machines. Needs root, for taps and namespaces. Must be called inside a runtime.
    ///
    /// # Errors
    /// The kernel does not run here, the image is none, the network is not there, or a folder cannot be written.
    pub async fn uml(options: UmlOptions) -> Result<Arc<Self>, HardwareError> {
        let UmlOptions { kernel, plain_disks, mut rack } = options;
        rack.folder = absolute(&rack.folder)?;
        let kernel = absolute(&kernel)?;
        check_path(&rack.folder)?;
        let seccomp = knows_seccomp(&kernel).await?;
        let sockets = rack.folder.join("run");
        Self::start(rack, Arc::new(Uml { kernel, seccomp, sockets, plain_disks })).await
    }
}

#[derive(Debug)]
struct Uml {
    kernel: PathBuf,
    /// Whether the kernel can run its programs with the help of seccomp, about five times faster than with ptrace.
    seccomp: bool,
    /// Each kernel has a folder below.
    sockets: PathBuf,
    plain_disks: bool,
}

/// Whether the kernel knows seccomp (from Linux 6.16 on); one that does falls back to ptrace where the host lacks it.
async fn knows_seccomp(kernel: &Path) -> Result<bool, HardwareError> {
    let unsupported = |why| HardwareError::Unsupported { what: "the User Mode Linux kernel", why };
    let help = tokio::process::Command::new(kernel).arg("--help").stdin(Stdio::null()).kill_on_drop(true).output();
    let help = match tokio::time::timeout(HELP, help).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(unsupported(format!("`{}`: {error}", kernel.display()))),
        Err(_) => return Err(unsupported(format!("`{} --help` does not end", kernel.display()))),
    };
    let text = String::from_utf8_lossy(&help.stdout);
    if !text.contains("umid=") {
        return Err(unsupported(format!("`{} --help` does not print the help of such a kernel", kernel.display())));
    }
    Ok(text.lines().any(|line| line.starts_with("seccomp=")))
}

impl Uml {
    /// The part that every machine has.
    fn common(&self, memory_mib: u64) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec![self.kernel.clone().into()];
        line.extend(
            [
                &format!("mem={memory_mib}M"),
                &self.marker(),
                "root=/dev/ubda",
                // The console is the output; there is no input.
                "con0=null,fd:1",
                "con=null",
                "ssl=null",
                // A dummy interface is taken for a NIC by cloud-init.
                "dummy.numdummies=0",
            ]
            .map(OsString::from),
        );
        if self.seccomp {
            line.push("seccomp=auto".into());
        }
        line
    }
}

#[async_trait]
impl Hypervisor for Uml {
    fn name(&self) -> &'static str {
        "User Mode Linux"
    }

    fn probe(&self, image: &Path) -> Vec<OsString> {
        let mut line = self.common(128);
        // `r`: the kernel opens it for reading alone.
        line.extend(["umid=probe".into(), "ro".into(), INIT.into(), format!("ubdar={}", image.display()).into()]);
        line
    }

    fn marker(&self) -> String {
        format!("uml_dir={}/", self.sockets.display())
    }

    fn line(&self, start: &Start<'_>) -> Vec<OsString> {
        let mac = start.boot.interfaces.first().map(|interface| interface.mac_address.as_str());
        let mut line = self.common(start.memory_mib);
        line.extend([format!("umid={}", name(&start.boot.system_id)).into(), "rw".into()]);
        if let Some(disk) = start.disk {
            let behind = if self.plain_disks { String::new() } else { format!(",{}", start.image.display()) };
            line.push(format!("ubda={}{behind}", disk.display()).into());
        }
        if let Some(mac) = mac {
            line.push(format!("vec0:transport=tap,ifname={},depth=128,gro=1,mac={mac}", start.tap).into());
        }
        line
    }

    async fn press(&self, machine: &SystemId) -> io::Result<()> {
        mconsole::ask(&self.sockets.join(name(machine)).join("mconsole"), "cad").await.map(drop)
    }

    fn fresh_disk(&self, disk: &Path, image: &Path, patches: &[Patch]) -> io::Result<()> {
        if self.plain_disks {
            let file = sparse::copy(image, disk, 0o600)?;
            return patches.iter().try_for_each(|patch| file.write_all_at(&patch.bytes, patch.offset));
        }
        cow::create(disk, image, patches)
    }

    fn read_disk(&self, disk: &Path, to: &Path) -> io::Result<()> {
        if self.plain_disks { sparse::copy(disk, to, 0o600).map(drop) } else { cow::flatten(disk, to) }
    }
}

/// The name of a machine's folder for its socket.
fn name(machine: &SystemId) -> String {
    word(&machine.0).chars().take(NAME_ROOM).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::example;

    fn line(seccomp: bool, plain_disks: bool) -> Vec<String> {
        let (disk, image) = (Path::new("/lab/disks/abc123"), Path::new("/lab/prepared.img"));
        let uml = Uml { kernel: "/lab/linux.uml".into(), seccomp, sockets: "/lab/run".into(), plain_disks };
        let boot = example();
        let start = Start { boot: &boot, disk: Some(disk), image, tap: "fgt-abc123", memory_mib: 2048 };
        uml.line(&start).into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn a_machine_is_a_kernel_with_a_disk_and_a_cable() {
        let line = line(true, false);
        assert_eq!(line[0], "/lab/linux.uml");
        for wanted in [
            "mem=2048M",
            "umid=abc123",
            "uml_dir=/lab/run/",
            "ubda=/lab/disks/abc123,/lab/prepared.img",
            "seccomp=auto",
            "vec0:transport=tap,ifname=fgt-abc123,depth=128,gro=1,mac=02:77:00:00:00:01",
        ] {
            assert!(line.iter().any(|argument| argument == wanted), "{wanted}: {line:?}");
        }
    }

    #[test]
    fn no_key_of_the_machine_is_on_its_command_line() {
        let all = line(true, false).join(" ");
        for secret in ["very secret", "consumer", "token"] {
            assert!(!all.contains(secret), "{all}");
        }
    }

    #[test]
    fn an_older_kernel_is_not_given_options_it_does_not_know() {
        let line = line(false, true);
        assert!(!line.iter().any(|argument| argument.starts_with("seccomp")));
        assert!(line.iter().any(|argument| argument == "ubda=/lab/disks/abc123"));
    }

    #[tokio::test]
    async fn what_is_no_kernel_is_refused() {
        let error = knows_seccomp(Path::new("/bin/true")).await.unwrap_err().to_string();
        assert!(error.contains("does not print the help"), "{error}");
        assert!(knows_seccomp(Path::new("/nowhere/linux.uml")).await.is_err());
        assert!(check_path(Path::new("/a,b")).is_err());
        assert!(check_path(&Path::new("/").join("x".repeat(80))).is_err());
        check_path(Path::new("/var/lib/ferrogate-lab/lab/machines")).unwrap();
    }
}
