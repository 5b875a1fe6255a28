//! Machines as virtual machines of QEMU: with the processor's support (KVM) where a boot probe passes, or emulated
//! instruction by instruction where somebody asks for that. Emulation runs everywhere and is some ten times slower, so nothing
//! falls back to it by itself.

mod qmp;

use crate::hardware::{
    HardwareError, Hypervisor, INIT, NAME_ROOM, Rack, RackOptions, Start, absolute, check_path, word,
};
use async_trait::async_trait;
use ferrogate_model::SystemId;
use std::{
    ffi::OsString,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the processor's support is offered.
const DEVICE: &str = "/dev/kvm";

/// What carries out a machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// This computer's processor.
    Kvm,
    /// A program.
    Emulated,
}

impl Processor {
    const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Emulated => "QEMU",
        }
    }

    /// The accelerator and the processor that the machine sees.
    const fn words(self) -> [&'static str; 4] {
        match self {
            // Some computers that are virtual machines themselves refuse to set the register behind this feature.
            Self::Kvm => ["-accel", "kvm", "-cpu", "host,-arch-capabilities"],
            // One thread, as a machine is tied to one CPU; 256 MiB for translated code instead of 1 GiB.
            Self::Emulated => ["-accel", "tcg,thread=single,tb-size=256", "-cpu", "max"],
        }
    }

    /// More for the kernel's command line.
    const fn kernel_words(self) -> &'static str {
        match self {
            Self::Kvm => "",
            // What guards against spying between programs is slow where every instruction is a function.
            Self::Emulated => " mitigations=off",
        }
    }
}

/// What virtual machines are made with.
#[derive(Clone, Debug)]
pub struct QemuOptions {
    /// QEMU, such as `/usr/bin/qemu-system-x86_64`.
    pub qemu: PathBuf,
    /// What carries out the machines' instructions.
    pub processor: Processor,
    /// The kernel that QEMU starts, with virtio and ext4 built in: there is no initial RAM disk.
    pub kernel: PathBuf,
    /// What all kinds of machines have in common.
    pub rack: RackOptions,
}

impl Rack {
    /// A rack of virtual machines. Needs root, for taps and namespaces. Must be called inside a runtime.
    ///
    /// # Errors
    /// No kernel could be booted here in half a minute, the image is none, the network is not there, or a folder cannot be
    /// written.
    pub async fn qemu(options: QemuOptions) -> Result<Arc<Self>, HardwareError> {
        let QemuOptions { qemu, processor, kernel, mut rack } = options;
        rack.folder = absolute(&rack.folder)?;
        let kernel = absolute(&kernel)?;
        check_path(&rack.folder)?;
        if processor == Processor::Kvm
            && let Err(error) = File::options().read(true).write(true).open(DEVICE)
        {
            return Err(HardwareError::Unsupported { what: processor.name(), why: format!("{DEVICE}: {error}") });
        }
        let sockets = rack.folder.join("run");
        Self::start(rack, Arc::new(Qemu { program: qemu, processor, kernel, sockets })).await
    }
}

#[derive(Debug)]
struct Qemu {
    program: PathBuf,
    processor: Processor,
    kernel: PathBuf,
    sockets: PathBuf,
}

impl Qemu {
    fn socket(&self, machine: &SystemId) -> PathBuf {
        self.sockets.join(word(&machine.0).chars().take(NAME_ROOM).collect::<String>())
    }

    /// The part that every machine has, with the kernel's own arguments.
    fn common(&self, memory_mib: u64, more: &str) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec![self.program.clone().into(), "-machine".into(), "q35".into()];
        line.extend(self.processor.words().map(OsString::from));
        line.extend(["-smp", "1", "-nodefaults", "-no-user-config", "-display", "none"].map(OsString::from));
        line.extend(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"].map(OsString::from));
        line.extend(["-device", "virtio-rng-pci", "-m"].map(OsString::from));
        line.push(memory_mib.to_string().into());
        line.extend(["-kernel".into(), self.kernel.clone().into()]);
        // A dummy interface is taken for a NIC by cloud-init.
        let words = format!("root=/dev/vda console=ttyS0 dummy.numdummies=0{} {more}", self.processor.kernel_words());
        line.extend(["-append".into(), words.into()]);
        line
    }
}

fn disk(path: &Path, more: &str) -> [OsString; 2] {
    ["-drive".into(), format!("file={},format=raw,if=virtio{more}", path.display()).into()]
}

#[async_trait]
impl Hypervisor for Qemu {
    fn name(&self) -> &'static str {
        self.processor.name()
    }

    fn marker(&self) -> String {
        format!("unix:{}/", self.sockets.display())
    }

    fn probe(&self, image: &Path) -> Vec<OsString> {
        let mut line = self.common(256, &format!("ro panic=-1 {INIT}"));
        line.push("-no-reboot".into());
        line.extend(disk(image, ",readonly=on"));
        line
    }

    fn line(&self, start: &Start<'_>) -> Vec<OsString> {
        let mut line = self.common(start.memory_mib, "rw");
        if let Some(path) = start.disk {
            line.extend(disk(path, ",discard=unmap"));
        }
        if let Some(interface) = start.boot.interfaces.first() {
            let netdev = format!("tap,id=nic,ifname={},script=no,downscript=no", start.tap);
            // It starts from its disk: no firmware of the card is needed, which Debian has in a package of its own.
            let device = format!("virtio-net-pci,netdev=nic,romfile=,mac={}", interface.mac_address);
            line.extend(["-netdev".into(), netdev.into(), "-device".into(), device.into()]);
        }
        let socket = format!("unix:{},server=on,wait=off", self.socket(&start.boot.system_id).display());
        line.extend(["-qmp".into(), socket.into()]);
        line
    }

    async fn press(&self, machine: &SystemId) -> io::Result<()> {
        qmp::tell(&self.socket(machine), "system_powerdown").await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::example;

    fn qemu(processor: Processor) -> Qemu {
        let path = |name: &str| Path::new("/lab").join(name);
        Qemu { program: path("qemu"), processor, kernel: path("bzImage"), sockets: path("run") }
    }

    fn words(line: Vec<OsString>) -> String {
        line.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_machine_is_a_virtual_one_with_a_disk_and_a_cable() {
        let boot = example();
        let (disk, image) = (Path::new("/lab/disks/abc123"), Path::new("/lab/prepared.img"));
        let start = Start { boot: &boot, disk: Some(disk), image, tap: "fgt-abc123", memory_mib: 2048 };
        let kvm = qemu(Processor::Kvm);
        let line = words(kvm.line(&start));
        for wanted in [
            "/lab/qemu -machine q35 -accel kvm ",
            "-m 2048 -kernel /lab/bzImage -append root=/dev/vda console=ttyS0 dummy.numdummies=0 rw ",
            "-drive file=/lab/disks/abc123,format=raw,if=virtio,discard=unmap",
            "-netdev tap,id=nic,ifname=fgt-abc123,script=no,downscript=no",
            "-device virtio-net-pci,netdev=nic,romfile=,mac=02:77:00:00:00:01",
            "-qmp unix:/lab/run/abc123,server=on,wait=off",
        ] {
            assert!(line.contains(wanted), "{wanted}: {line}");
        }
        assert!(!line.contains("very secret") && !line.contains("token") && !line.contains("consumer"), "{line}");
        assert!(line.contains(&kvm.marker()));
        let pulled_out = words(kvm.line(&Start { disk: None, ..start }));
        assert!(!pulled_out.contains("-drive"), "{pulled_out}");
    }

    #[test]
    fn the_probe_writes_nothing_and_uses_what_the_machines_will() {
        for (processor, accelerator) in [(Processor::Kvm, "-accel kvm "), (Processor::Emulated, "-accel tcg,")] {
            let line = words(qemu(processor).probe(Path::new("/lab/prepared.img")));
            assert!(line.contains("file=/lab/prepared.img,format=raw,if=virtio,readonly=on"), "{line}");
            assert!(line.contains("-no-reboot") && line.contains(" ro panic=-1 init=/usr/bin/true"), "{line}");
            assert!(line.contains(accelerator), "{line}");
        }
    }
}
