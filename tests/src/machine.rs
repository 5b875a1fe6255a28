//! Looking into machines, as an engineer with a key would: commands by ssh, memory, what Kubernetes on it says.

use super::{
    failure::Failure,
    install::GATEWAY,
    process::{Program, Ran},
    read,
    scene::Scene,
};
use std::{path::Path, time::Duration};

/// `kubectl` on a control-plane node, as kubeadm leaves it.
const KUBECTL: [&str; 4] = ["sudo", "/usr/local/bin/kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"];
/// What the kernel keeps of the gateway's name: fifteen characters.
const GATEWAY_PROCESS: &str = "ferrogate-gatew";

impl Scene {
    /// A command on a machine.
    pub(crate) fn ssh_program(&self, machine: &str, command: &[&str]) -> Program {
        Program::new(&self.site.programs.lab)
            .args(["ssh", "--site", self.site.name.as_str(), machine, "--"])
            .args(command)
            .within(Duration::from_secs(90))
    }

    /// A command on a machine, which must end well.
    pub(crate) async fn ssh(&self, machine: &str, command: &[&str]) -> Result<Ran, Failure> {
        let shown = format!("`{}` on {machine} to end well", command.join(" "));
        self.run(&format!("ssh-{machine}-{}", command.join("-")), self.ssh_program(machine, command)).await?.ok(&shown)
    }

    /// A file as the input of a command on a machine.
    pub(crate) async fn ssh_with(&self, machine: &str, file: &Path, command: &[&str]) -> Result<Ran, Failure> {
        let shown = format!("`{}` on {machine} to take {}", command.join(" "), file.display());
        let program = self.ssh_program(machine, command).stdin_file(file).within(Duration::from_secs(180));
        self.run(&format!("ssh-{machine}-{}", command.join("-")), program).await?.ok(&shown)
    }

    /// `kubectl` on a control-plane node itself, without the plane.
    pub(crate) async fn kubectl_on(&self, machine: &str, args: &[&str]) -> Result<Ran, Failure> {
        let command: Vec<&str> = KUBECTL.iter().chain(args).copied().collect();
        self.ssh(machine, &command).await
    }

    /// The nodes as a control-plane node itself sees them.
    pub(crate) async fn nodes_on(&self, machine: &str) -> Result<Vec<read::Node>, Failure> {
        let ran = self.kubectl_on(machine, &["get", "nodes", "-o", "json"]).await?;
        Ok(read::nodes(&ran.json("the nodes")?))
    }

    /// Memory of a gateway node and of the gateway's process on it.
    pub(crate) async fn measure_gateway(&self, machine: &str) -> Result<(), Failure> {
        let free = self.ssh(machine, &["free", "-m"]).await?;
        if let Some(used) = read::used_mib(&free.out) {
            self.fact("gateway_node_used_mib", used);
        }
        let status = self.site.status().await?;
        if let Some(rss) = status.machine(machine).and_then(|machine| machine.rss_mib) {
            self.fact("gateway_node_on_this_computer_mib", rss);
        }
        let seen = self.ssh(machine, &["grep", "-HsE", "'^(Name|VmRSS):'", "/proc/[0-9]*/status"]).await?;
        if let Some(rss) = process_rss(&seen.out, GATEWAY_PROCESS) {
            self.fact("gateway_process_rss_mib", rss);
        }
        Ok(())
    }

    /// The states of the gateway's own operations and what its node says are kept for whoever reads the logs.
    pub(crate) async fn keep_node(&self, machine: &str) {
        let _ = self.run("describe-gateway", self.person(&["describe", "gateway", GATEWAY])).await;
        let _ = self.kubectl_on(machine, &["get", "nodes,pods", "-A", "-o", "wide"]).await;
    }
}

/// The memory of the first process of this name in the lines of `grep -H '^(Name|VmRSS):' /proc/*/status`.
fn process_rss(lines: &str, name: &str) -> Option<f64> {
    let named = format!(":Name:\t{name}");
    let file = lines.lines().find_map(|line| line.strip_suffix(&named))?;
    let line = lines.lines().find_map(|line| line.strip_prefix(file)?.strip_prefix(':')?.strip_prefix("VmRSS:"))?;
    read::rss_mib(&format!("VmRSS:{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processs_memory_is_found_by_its_name() {
        let lines = "/proc/1/status:Name:\tsystemd\n/proc/1/status:VmRSS:\t   9000 kB\n\
                     /proc/12/status:Name:\tkthreadd\n\
                     /proc/120/status:Name:\tferrogate-gatew\n/proc/120/status:VmRSS:\t   12800 kB\n";
        assert_eq!(process_rss(lines, GATEWAY_PROCESS), Some(12.5));
        assert_eq!(process_rss(lines, "kthreadd"), None);
        assert_eq!(process_rss(lines, "other"), None);
    }
}
