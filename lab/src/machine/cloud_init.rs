//! What cloud-init does with user-data on the first boot of an instance, stage by stage, each reported to MAAS.

use super::{
    Machine,
    cloud_config::{self, CloudConfig, WriteFile},
    metadata::{Metadata, Outcome},
    process::{self, Process},
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Where cloud-init keeps what it has done for an instance.
const INSTANCES: &str = "/var/lib/cloud/instances";

/// Runs cloud-init for one boot, up to and with its final stage.
pub(super) async fn run(machine: &Arc<Machine>, cancel: &CancellationToken) {
    let metadata = match Metadata::new(Arc::clone(machine)) {
        Ok(metadata) => metadata,
        Err(why) => return machine.console.say("cloud-init", format!("FAILED: {why}")),
    };
    if let Err(why) = stages(machine, &metadata, cancel).await {
        machine.console.say("cloud-init", format!("FAILED: {why}"));
        metadata.finish("modules-final", Outcome::Fail, &why).await;
        return;
    }
    machine.console.say("cloud-init", "finished, data source DataSourceMAAS");
    metadata.finish("modules-final", Outcome::Success, "running modules for final").await;
}

async fn stages(machine: &Arc<Machine>, metadata: &Metadata, cancel: &CancellationToken) -> Result<(), String> {
    let console = &machine.console;
    console.say("cloud-init", format!("running 'init' at {}", machine.boot.metadata_url));
    let meta = metadata.meta_data().await?;
    metadata.start("init-network", "searching for network data sources").await;
    // It goes by whether the file is there, not by what is in it: a file that a power cut emptied says the same.
    let configured = format!("{INSTANCES}/{}/sem/config_scripts_user", meta.instance_id);
    if machine.disk.exists(&configured) {
        console.say("cloud-init", "this instance was configured on an earlier boot");
        metadata.finish("init-network", Outcome::Success, "restored from cache").await;
        return Ok(());
    }
    let config = match metadata.user_data().await? {
        Some(data) => cloud_config::parse(&data).map_err(|wrong| wrong.join("\n"))?,
        None => CloudConfig::default(),
    };
    for key in &config.without_effect {
        console.say("cloud-init", format!("`{key}` has no effect in a simulated machine"));
    }
    prepare(machine, &config, &meta.local_hostname).map_err(|error| format!("init: {error}"))?;
    let now = |file: &&WriteFile| !file.defer;
    write_files(machine, config.write_files.iter().filter(now))?;
    metadata.finish("init-network", Outcome::Success, "found network data from DataSourceMAAS").await;
    metadata.start("modules-config", "running modules for config").await;
    metadata.finish("modules-config", Outcome::Success, "running modules for config").await;
    metadata.start("modules-final", "running modules for final").await;
    write_files(machine, config.write_files.iter().filter(|file| file.defer))?;
    // An instance counts as configured before its commands run: a machine that loses power now does not run them again.
    let when = format!("{}\n", machine.clock.now());
    machine.disk.write(&configured, when.as_bytes(), 0o644).map_err(|error| format!("{configured}: {error}"))?;
    runcmd(machine, &config.runcmd, cancel).await
}

/// Host name, keys and time servers.
fn prepare(machine: &Machine, config: &CloudConfig, local_hostname: &str) -> std::io::Result<()> {
    let given = config.hostname.as_deref().or(config.fqdn.as_deref()).unwrap_or(local_hostname);
    let hostname = given.split('.').next().unwrap_or(given);
    machine.disk.write("/etc/hostname", format!("{hostname}\n").as_bytes(), 0o644)?;
    machine.console.say("cloud-init", format!("host name is {hostname}"));
    if !config.ssh_authorized_keys.is_empty() {
        let keys = config.ssh_authorized_keys.join("\n") + "\n";
        machine.disk.write("/home/ubuntu/.ssh/authorized_keys", keys.as_bytes(), 0o600)?;
    }
    if !config.ntp_servers.is_empty() {
        let line = format!("[Time]\nNTP={}\n", config.ntp_servers.join(" "));
        machine.disk.write("/etc/systemd/timesyncd.conf.d/cloud-init.conf", line.as_bytes(), 0o644)?;
    }
    Ok(())
}

fn write_files<'a>(machine: &Machine, files: impl Iterator<Item = &'a WriteFile>) -> Result<(), String> {
    for file in files {
        let user = file.owner.split(':').next().unwrap_or_default();
        // The stock image has these users; cloud-init fails on one that is missing.
        if !matches!(user, "root" | "ubuntu" | "nobody" | "") {
            return Err(format!("write_files: {}: unknown user or group: '{}'", file.path, file.owner));
        }
        let result = if file.append {
            machine.disk.append(&file.path, &file.content, file.mode)
        } else {
            machine.disk.write(&file.path, &file.content, file.mode)
        };
        result.map_err(|error| format!("write_files: {}: {error}", file.path))?;
        machine
            .console
            .say("cloud-init", format!("wrote {} ({} bytes, {:04o})", file.path, file.content.len(), file.mode));
    }
    Ok(())
}

async fn runcmd(machine: &Arc<Machine>, commands: &[Vec<String>], cancel: &CancellationToken) -> Result<(), String> {
    for argv in commands {
        machine.console.say("cloud-init", format!("runcmd: {}", argv.join(" ")));
        let process = Process::new("cloud-init", argv.clone(), cancel.child_token());
        let exit = process::run(machine, process).await;
        if exit.code != 0 {
            // The real one runs all commands as one shell script, which ends as its last command did. Here the first
            // failure ends it: a command that fails unnoticed is a defect of the user-data.
            let command = argv.join(" ");
            return Err(format!("runcmd: `{command}` failed with exit code {}: {}", exit.code, exit.why));
        }
    }
    Ok(())
}
