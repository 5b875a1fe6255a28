//! Starts programs inside a network namespace, tied to one CPU of this computer, so that none of them outlives us.
//!
//! A thread of its own enters the namespace and stays there: what it starts begins in that namespace with the CPUs that
//! the thread had. `setpriv` (util-linux) makes the kernel kill the program when that thread ends, and it ends with this
//! process in any way that a process can end. Nothing of this needs unsafe code between fork and exec.

use super::HardwareError;
use rustix::thread::{CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_getaffinity, sched_setaffinity};
use std::{
    ffi::OsString,
    fs::File,
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::mpsc,
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    sync::oneshot,
};

/// How long a short program, such as `ip`, may take.
const SHORT: Duration = Duration::from_secs(20);

/// A program to start.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its path or name, then its arguments.
    pub(crate) line: Vec<OsString>,
    /// Where its output goes, both streams; `None` is a pipe each.
    pub(crate) temporary: Option<PathBuf>,
    /// The CPU of this computer that it is tied to.
    pub(crate) host_cpu: Option<usize>,
}

struct Order {
    program: Program,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// The thread's handle. Dropping it ends the thread, and with it everything that was started.
#[derive(Debug)]
pub(crate) struct Launcher {
    orders: mpsc::Sender<Order>,
}

impl Launcher {
    /// Starts the thread in the namespace that `ip netns` knows by this name; in our own where there is none. Must be
    /// called inside a runtime.
    pub(crate) fn start(namespace: Option<&str>) -> Result<Self, HardwareError> {
        let entered = |source| HardwareError::Namespace { namespace: namespace.unwrap_or_default().into(), source };
        let namespace_file =
            namespace.map(|name| File::open(Path::new("/run/netns").join(name))).transpose().map_err(entered)?;
        let (orders, inbox) = mpsc::channel::<Order>();
        let (ready, is_ready) = mpsc::channel();
        let runtime = tokio::runtime::Handle::current();
        let work = move || {
            let _runtime = runtime.enter();
            let enter = |namespace_file: &File| {
                move_into_link_name_space(namespace_file.as_fd(), Some(LinkNameSpaceType::Network))
            };
            let entered = namespace_file.as_ref().map_or(Ok(()), enter);
            let all = sched_getaffinity(None);
            let failed = entered.is_err();
            let _ = ready.send(entered);
            if failed {
                return;
            }
            while let Ok(order) = inbox.recv() {
                let child = tie(order.program.host_cpu, all.as_ref().ok()).and_then(|()| spawn(&order.program));
                // A child that nobody takes is killed when it is dropped.
                let _ = order.answer.send(child);
            }
        };
        let thread = std::thread::Builder::new().name("launcher".into());
        thread.spawn(work).map_err(HardwareError::file("start the thread", "launcher"))?;
        // The thread answers at once, and where it cannot the channel closes.
        is_ready.recv().unwrap_or(Err(rustix::io::Errno::SRCH)).map_err(|errno| entered(errno.into()))?;
        Ok(Self { orders })
    }

    /// Starts a program in a process group of its own. It is killed when the child is dropped.
    pub(crate) async fn spawn(&self, program: Program) -> io::Result<Child> {
        let (answer, child) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts programs has ended");
        self.orders.send(Order { program, answer }).map_err(|_| gone())?;
        child.await.map_err(|_| gone())?
    }

    /// Runs a short program to its end and gives what it printed.
    pub(crate) async fn run(&self, line: &[&str]) -> Result<String, HardwareError> {
        let failed = |why: String| HardwareError::Program { program: line.join(" "), why };
        let program = Program { line: line.iter().map(Into::into).collect(), temporary: None, host_cpu: None };
        let child = self.spawn(program).await.map_err(|error| failed(error.to_string()))?;
        let output = tokio::time::timeout(SHORT, child.wait_with_output()).await;
        let output = output
            .map_err(|_| failed(format!("no end after {} s", SHORT.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(failed(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
        }
    }
}

/// Gives the calling thread the CPUs that its next child is to have.
fn tie(host_cpu: Option<usize>, all: Option<&CpuSet>) -> io::Result<()> {
    let set = match host_cpu {
        Some(cpu) if cpu < CpuSet::MAX_CPU => {
            let mut set = CpuSet::new();
            set.set(cpu);
            set
        }
        Some(cpu) => return Err(io::Error::other(format!("there is no CPU {cpu}"))),
        None => match all {
            Some(all) => *all,
            None => return Ok(()),
        },
    };
    Ok(sched_setaffinity(None, &set)?)
}

fn spawn(program: &Program) -> io::Result<Child> {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .args(&program.line)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(folder) = &program.temporary {
        command.env("TMPDIR", folder);
    }
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_fails_is_told_with_its_words() {
        let launcher = Launcher::start(None).unwrap();
        assert_eq!(launcher.run(&["printf", "%s", "well"]).await.unwrap(), "well");
        let error = launcher.run(&["ls", "/nowhere"]).await.unwrap_err().to_string();
        assert!(error.contains("`ls /nowhere` failed") && error.contains("No such file"), "{error}");
        let error = Launcher::start(Some("no-such-namespace")).unwrap_err().to_string();
        assert!(error.contains("no-such-namespace"), "{error}");
    }

    #[tokio::test]
    async fn a_program_has_the_one_cpu_it_was_given_and_ends_with_the_launcher() {
        let launcher = Launcher::start(None).unwrap();
        let all = sched_getaffinity(None).unwrap();
        let cpu = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).unwrap();
        let line = ["sleep", "600"].map(OsString::from).to_vec();
        let mut child = launcher.spawn(Program { line, temporary: None, host_cpu: Some(cpu) }).await.unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
        assert!(status.contains(&format!("Cpus_allowed_list:\t{cpu}\n")), "{status}");
        // setpriv has to have become the program before its parent ends.
        while !std::fs::read_to_string(format!("/proc/{}/comm", child.id().unwrap())).unwrap().contains("sleep") {
            tokio::task::yield_now().await;
        }
        drop(launcher);
        let status = tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}
