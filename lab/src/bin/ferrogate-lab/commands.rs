//! The short commands: each asks the daemon one thing.

use crate::{Place, table};
use ferrogate_lab::{
    command::{Failure, Result, data, note},
    control::{Client, Status},
    folder::Folder,
    host::Tool,
};
use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

/// User of the machines' image.
const USER: &str = "debian";

pub(crate) async fn status(site: &str, json: bool) -> Result<()> {
    let status = Client::new(site).status().await?;
    if json {
        let text = serde_json::to_string_pretty(&status);
        data(&text.map_err(|error| Failure::new(format!("the status cannot be shown: {error}"), None))?);
    } else {
        data(&table::summary(&status));
        data(&table::machines(&status.machines));
    }
    Ok(())
}

pub(crate) async fn console(site: &str, machine: &str) -> Result<()> {
    let text = Client::new(site).console(machine).await?;
    if text.is_empty() {
        note(&format!("{machine} has written nothing yet"));
    } else {
        data(text.trim_end());
    }
    Ok(())
}

pub(crate) async fn cut(site: &str, machine: &str) -> Result<()> {
    Client::new(site).cut(machine).await?;
    note(&format!("{machine} has no power"));
    Ok(())
}

pub(crate) async fn power_on(site: &str, machine: &str) -> Result<()> {
    Client::new(site).power_on(machine).await?;
    note(&format!("{machine} is switched on"));
    Ok(())
}

pub(crate) async fn partition(site: &str, seconds: Option<u64>, end: bool) -> Result<()> {
    let client = Client::new(site);
    if end {
        client.heal().await?;
        note("site and plane reach each other");
        return Ok(());
    }
    client.partition(seconds).await?;
    match seconds {
        Some(seconds) => note(&format!("site and plane are cut off from each other for {seconds} s")),
        None => note("site and plane are cut off from each other until `partition --end`"),
    }
    Ok(())
}

/// What is in use; success only where nothing is.
pub(crate) async fn leftovers(site: &str) -> Result<ExitCode> {
    let left = Client::new(site).leftovers().await?;
    if left.is_empty() {
        note("nothing is in use: every machine is Ready and off, its disk empty, no address or name is left");
        return Ok(ExitCode::SUCCESS);
    }
    for (what, names) in [
        ("machines not Ready", &left.machines_not_ready),
        ("machines on", &left.machines_on),
        ("disks with data", &left.disks_with_data),
        ("addresses", &left.addresses),
        ("names", &left.dns_records),
    ] {
        if !names.is_empty() {
            data(&format!("{what:<18} {}", names.join(", ")));
        }
    }
    Ok(ExitCode::FAILURE)
}

/// This process becomes a session on the machine; it comes back only where it cannot.
pub(crate) async fn ssh(site: &str, machine: &str, command: &[String]) -> Failure {
    let find = async {
        let status = Client::new(site).status().await?;
        let Some(found) = status.machine(machine) else {
            let known: Vec<_> = status.machines.iter().map(|machine| machine.hostname.as_str()).collect();
            let next = format!("name one of {}", known.join(", "));
            return Err(Failure::new(format!("there is no machine `{machine}`"), Some(&next)));
        };
        let Some(address) = found.address.filter(|_| found.power == "on") else {
            let what =
                format!("{} is {} and its power {}: nobody can enter it", found.hostname, found.status, found.power);
            return Err(Failure::new(what, Some("install a gateway or make a cluster first, and see `status`")));
        };
        let mut words = vec![OsString::from("-i"), status.files.ssh_key.clone().into_os_string()];
        // Every deployment has a new host key, and the way there is inside this computer.
        let settings = [
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=10",
        ];
        words.extend(settings.iter().flat_map(|setting| ["-o".into(), OsString::from(setting)]));
        words.push(format!("{USER}@{address}").into());
        words.extend(command.iter().map(OsString::from));
        let program = Tool::Ssh.find()?;
        Ok((status.namespaces.site.clone(), program, words))
    };
    match find.await {
        Ok((namespace, program, words)) => become_program(&namespace, program.as_os_str(), words, Vec::new()),
        Err(failure) => failure,
    }
}

/// This process becomes the program, inside the site or beside the plane; it comes back only where it cannot.
pub(crate) async fn run(site: &str, place: Place, command: &[String]) -> Failure {
    let status = match Client::new(site).status().await {
        Ok(status) => status,
        Err(error) => return error.into(),
    };
    let namespace = match place {
        Place::Site => &status.namespaces.site,
        Place::Plane => &status.namespaces.plane,
    };
    let Some((program, words)) = command.split_first() else { return Failure::new("no program is named", None) };
    become_program(namespace, program.as_ref(), words.iter().map(OsString::from).collect(), environment(&status, place))
}

/// What programs find in their environment, so that nothing known has to be typed.
fn environment(status: &Status, place: Place) -> Vec<(&'static str, OsString)> {
    let files = &status.files;
    let mut path = files.ferrogate.parent().map(|folder| folder.as_os_str().to_owned()).unwrap_or_default();
    if let Some(before) = std::env::var_os("PATH") {
        path.push(":");
        path.push(before);
    }
    let mut set: Vec<(&'static str, OsString)> =
        vec![("PATH", path), ("FERROGATE_CONFIG", files.cli_config.clone().into())];
    if place == Place::Site {
        let state = Folder::new(&status.site).installer();
        set.extend([
            ("FERROGATE_ENDPOINT", OsString::from(&status.plane_url)),
            ("FERROGATE_FINGERPRINT", OsString::from(&status.plane_fingerprint)),
            ("FERROGATE_MAAS_ENDPOINT", OsString::from(&status.maas_url)),
            ("FERROGATE_MAAS_API_KEY_FILE", files.maas_api_key.clone().into()),
            ("FERROGATE_STATE_DIR", state.into()),
        ]);
        let proxy = files.proxy_url.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        set.extend(proxy.map(|url| ("FERROGATE_HTTPS_PROXY", OsString::from(url.trim()))));
    }
    set
}

fn become_program(
    namespace: &str,
    program: &OsStr,
    words: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
) -> Failure {
    let ip = match Tool::Ip.find() {
        Ok(ip) => ip,
        Err(error) => return error.into(),
    };
    let error = Command::new(ip).args(["netns", "exec", namespace]).arg(program).args(words).envs(environment).exec();
    Failure::new(format!("{} could not be started: {error}", program.display()), None)
}
