//! The installer, run in the site as people run it: a configuration first, then `ferrogate install --config`.

use super::{
    failure::Failure,
    process::{Program, Ran, Running},
    scene::Scene,
};
use std::{
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// The gateway's name.
pub(crate) const GATEWAY: &str = "lab-gateway";
/// Longest installation: three machines on two CPUs, one after the other.
pub(crate) const INSTALLATION: Duration = Duration::from_secs(20 * 60);

/// An installation's configuration.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    /// `pcg.yaml`.
    pub(crate) file: PathBuf,
}

impl Configuration {
    /// The installer's log beside it.
    pub(crate) fn log(&self) -> PathBuf {
        self.file.with_file_name("install.log")
    }
}

impl Scene {
    /// `ferrogate …` on a host of the site.
    pub(crate) fn installer(&self, args: &[&str]) -> Program {
        Program::new(&self.site.programs.ferrogate)
            .args(args)
            .env("FERROGATE_LOG", "info")
            .netns(self.site.site_netns())
            .within(INSTALLATION)
    }

    /// Makes a pairing code and writes pcg.yaml; asserts on both.
    pub(crate) async fn configure(&self, nodes: u32, more: &[&str]) -> Result<Configuration, Failure> {
        self.configure_in("default", nodes, more).await
    }

    /// The same, with machines of this resource pool.
    pub(crate) async fn configure_in(&self, pool: &str, nodes: u32, more: &[&str]) -> Result<Configuration, Failure> {
        let code = self.site.folder.join("pairing.code");
        // The code is a secret: it goes to a file, not into the evidence.
        let made = self.person(&["pairing", "create", "--note", "lab", "-o", "name"]);
        let ran = self.run("pairing-create", made).await?.ok("a pairing code")?;
        write_secret(&code, ran.out.trim())?;
        let _ = std::fs::remove_file(ran.log.with_extension("out"));

        let state = self.site.folder.join("install");
        std::fs::create_dir_all(&state)
            .map_err(|error| Failure::new(format!("the folder {}", state.display()), error.to_string()))?;
        let files = &self.site.first.files;
        let nodes = nodes.to_string();
        let mut program = self
            .installer(&["install", "--config-only", "--yes", "--name", GATEWAY, "--nodes", &nodes])
            .args(["--endpoint", self.site.first.plane_url.as_str()])
            .args(["--fingerprint", self.site.first.plane_fingerprint.as_str()])
            .args(["--maas-endpoint", self.site.first.maas_url.as_str()])
            .args(["--domain", "maas", "--zone", "default", "--resource-pool", pool])
            .args(more)
            .arg("--pairing-code-file")
            .arg(&code)
            .arg("--maas-api-key-file")
            .arg(&files.maas_api_key)
            .arg("--state-dir")
            .arg(&state);
        if let Some(file) = &files.proxy_url {
            let proxy = std::fs::read_to_string(file)
                .map_err(|error| Failure::new("the proxy's address", format!("{}: {error}", file.display())))?;
            program = program
                .env("FERROGATE_HTTPS_PROXY", proxy.trim().to_owned())
                .env("FERROGATE_HTTP_PROXY", proxy.trim().to_owned());
        }
        let ran = self.run("install-config-only", program).await?.ok("the configuration to be written")?;
        let file = newest_configuration(&state)
            .ok_or_else(|| Failure::new("a pcg.yaml", format!("none below {}", state.display())).read(ran.log))?;
        let mode = std::fs::metadata(&file).map_or(0, |meta| meta.permissions().mode() & 0o777);
        self.holds("pcg.yaml is written, readable by its owner alone", mode == 0o600, format!("mode {mode:o}"))?;
        Ok(Configuration { file })
    }

    fn install_program(&self, configuration: &Configuration) -> Program {
        self.installer(&["install", "--yes", "--config"]).arg(&configuration.file)
    }

    /// Starts `ferrogate install --config` and lets it run.
    pub(crate) async fn install_begins(&self, configuration: &Configuration) -> Result<Running, Failure> {
        self.install_program(configuration).start(&self.evidence, "install").await
    }

    /// Runs it to its end, whatever that is, and keeps its log.
    pub(crate) async fn install_tries(&self, configuration: &Configuration) -> Result<Ran, Failure> {
        let ran = self.run("install", self.install_program(configuration)).await;
        self.keep_install_log(configuration);
        ran
    }

    /// Runs it to its good end.
    pub(crate) async fn install(&self, configuration: &Configuration) -> Result<Ran, Failure> {
        let ran = self.install_tries(configuration).await?;
        let log = configuration.log();
        self.holds("`ferrogate install --config` ends well", ran.code == Some(0), ran.said())
            .map_err(|failure| Failure { read: Some(log), ..failure })?;
        Ok(ran)
    }

    pub(crate) fn keep_install_log(&self, configuration: &Configuration) {
        let _ = self.evidence.copy(&configuration.log(), "install.log");
    }

    /// The gateway is Running and Healthy with this many nodes, and the cloud account came with it.
    pub(crate) async fn gateway_stands(&self, nodes: u32) -> Result<(), Failure> {
        let gateway = self.gateway().await?;
        let seen = format!(
            "{}, {}, {}/{} nodes: {}",
            gateway.state, gateway.health, gateway.connected_nodes, gateway.desired_nodes, gateway.reason
        );
        let well = gateway.state == "Running" && gateway.health == "Healthy" && gateway.connected_nodes == nodes;
        self.holds(&format!("the gateway is Running and Healthy with {nodes} connected"), well, seen)?;
        let accounts = self.accounts().await?;
        let made = accounts.len() == 1 && accounts[0].auto_created && accounts[0].gateway_id == gateway.id;
        let names: Vec<_> = accounts.iter().map(|account| account.name.as_str()).collect();
        self.holds("one cloud account was created with it", made, names.join(", "))
    }

    /// Exactly this many machines are Deployed and on; all others are Ready and off. Answers their names.
    pub(crate) async fn machines_taken(&self, count: usize) -> Result<Vec<String>, Failure> {
        let status = self.site.status().await?;
        let deployed =
            |machine: &&ferrogate_lab::control::MachineStatus| machine.status == "Deployed" && machine.power == "on";
        let taken: Vec<_> = status.machines.iter().filter(deployed).map(|machine| machine.hostname.clone()).collect();
        let odd: Vec<_> = status
            .machines
            .iter()
            .filter(|machine| !taken.contains(&machine.hostname))
            .filter(|machine| machine.status != "Ready" || machine.power != "off")
            .map(|machine| format!("{} is {} and {}", machine.hostname, machine.status, machine.power))
            .collect();
        let seen = format!("Deployed: {}; neither taken nor free: {}", taken.join(", "), odd.join(", "));
        let name = format!("MAAS has {count} machines Deployed and on, the others Ready and off");
        self.holds(&name, taken.len() == count && odd.is_empty(), seen)?;
        Ok(taken)
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::new(format!("to write {}", path.display()), error.to_string()))
}

/// The newest pcg.yaml below the state folder; the folders' names end in their time.
fn newest_configuration(state: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(state).ok()?.flatten();
    entries.map(|entry| entry.path().join("pcg.yaml")).filter(|file| file.is_file()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_configuration_is_found() {
        let state = tempfile::tempdir().unwrap();
        for name in ["install-x-20261123110000", "install-x-20261123120000", "install-x-20261123130000"] {
            std::fs::create_dir(state.path().join(name)).unwrap();
        }
        assert_eq!(newest_configuration(state.path()), None);
        for name in ["install-x-20261123110000", "install-x-20261123120000"] {
            std::fs::write(state.path().join(name).join("pcg.yaml"), "").unwrap();
        }
        let found = newest_configuration(state.path()).unwrap();
        assert!(found.ends_with("install-x-20261123120000/pcg.yaml"));
    }
}
