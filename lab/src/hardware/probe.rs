//! Whether a hypervisor really runs a kernel with programs on this computer. That its program or device is there says
//! little: a virtual machine may be given a `/dev/kvm` that runs no ordinary kernel, and the User Mode Linux of Debian 12
//! and 13 ends with its first program on processors with large registers (Intel AMX). So one is booted.

use super::{
    HardwareError,
    launcher::{Launcher, Program},
    process_group::kill_group,
};
use std::{ffi::OsString, path::PathBuf, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The kernel's arguments for the probe: a first program that does nothing, well. A kernel whose first program ends stops,
/// and says how it ended.
pub(crate) const INIT: &str = "init=/usr/bin/true";
const WELL: &str = "exitcode=0x00000000";
/// It takes one to two seconds, ten times as long on a busy computer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Most of the output that is looked at, in bytes.
const LIMIT: u64 = 256 * 1024;
/// How many of the last lines are told.
const TOLD: usize = 4;

/// Boots once and looks at what the kernel says.
///
/// # Errors
/// [`HardwareError::Unsupported`] with the kernel's own words.
pub(crate) async fn boot(
    launcher: &Launcher,
    what: &'static str,
    line: Vec<OsString>,
    temporary: PathBuf,
) -> Result<(), HardwareError> {
    let unsupported = |why: String| HardwareError::Unsupported { what, why };
    let program = Program { line, temporary: Some(temporary), host_cpu: None };
    let mut child = launcher.spawn(program).await.map_err(|error| unsupported(error.to_string()))?;
    let (mut said, mut errors) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = async {
        // The verdict is in one of them; without it, both end.
        tokio::select! {
            true = until_the_verdict(stdout, &mut said) => {}
            true = until_the_verdict(stderr, &mut errors) => {}
            else => {}
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, read).await.is_ok();
    kill_group(&child);
    // It was killed, so it ends.
    let _ = tokio::time::timeout(DEADLINE, child.wait()).await;
    said.extend(errors);
    let said = String::from_utf8_lossy(&said);
    if said.contains(WELL) {
        return Ok(());
    }
    let late = if in_time { "" } else { "no program ran within half a minute; " };
    Err(unsupported(match verdict(&said) {
        Some(words) => format!("{late}its kernel said: {words}"),
        None => format!("{late}its kernel said nothing"),
    }))
}

/// Reads until the stream ends or the kernel's good verdict is in it: then true.
async fn until_the_verdict(stream: Option<impl AsyncRead + Unpin>, said: &mut Vec<u8>) -> bool {
    let Some(stream) = stream else { return false };
    let mut stream = stream.take(LIMIT);
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        said.extend_from_slice(&bytes[..length]);
        if String::from_utf8_lossy(said).contains(WELL) {
            return true;
        }
    }
    false
}

/// The line with the reason and the one before, else the last lines; `None` where there is none.
fn verdict(said: &str) -> Option<String> {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let panic = lines.iter().position(|line| line.contains("Kernel panic"));
    let told = match panic {
        Some(at) => &lines[at.saturating_sub(1)..=at],
        None => &lines[lines.len().saturating_sub(TOLD)..],
    };
    (!told.is_empty()).then(|| told.join(" / "))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn probed(script: &str) -> Result<(), HardwareError> {
        let launcher = Launcher::start(None).unwrap();
        let line = ["sh", "-c", script].map(OsString::from).to_vec();
        boot(&launcher, "the test", line, std::env::temp_dir()).await
    }

    #[tokio::test]
    async fn a_kernel_that_ran_a_program_passes_and_another_is_quoted() {
        probed("echo 'Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000'; sleep 60")
            .await
            .unwrap();
        let wrong =
            "echo start; echo 'ptrace set fp regs failed'; echo 'Kernel panic - exitcode=0x0000000b'; echo more";
        let error = probed(wrong).await.unwrap_err().to_string();
        assert!(
            error.ends_with("its kernel said: ptrace set fp regs failed / Kernel panic - exitcode=0x0000000b"),
            "{error}"
        );
        let error = probed("echo 'Could not access KVM' >&2; exit 1").await.unwrap_err().to_string();
        assert!(error.contains("Could not access KVM"), "{error}");
        let error = probed("true").await.unwrap_err().to_string();
        assert!(error.ends_with("its kernel said nothing"), "{error}");
    }
}
