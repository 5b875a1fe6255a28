//! A site that a run raises for itself: the daemon `ferrogate-lab serve` and what is known of it.

use super::{
    evidence::Evidence,
    failure::Failure,
    process::{Program, Running},
};
use ferrogate_lab::{
    control::{Client, ControlError, Leftovers, Status, WayOut},
    folder::Folder,
};
use ferrogate_model::Explain;
use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// A site has a plane, a MAAS and its networks in a few seconds; the first start of a plane makes its keys.
const UP: Duration = Duration::from_secs(90);
const DOWN: Duration = Duration::from_secs(60);

/// The programs of one build.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// `ferrogate`.
    pub(crate) ferrogate: PathBuf,
    /// `ferrogate-lab`.
    pub(crate) lab: PathBuf,
    /// The archive of the image that scenarios deploy, where there is one.
    pub(crate) web_image: Option<PathBuf>,
}

/// A site that runs.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its name: that of its namespaces and of its folder.
    pub(crate) name: String,
    /// The programs.
    pub(crate) programs: Programs,
    /// What people and the installer keep: configuration, kubeconfigs, the installer's state.
    pub(crate) folder: PathBuf,
    /// How it was when it came up; files and namespaces stay.
    pub(crate) first: Status,
    client: Client,
    daemon: tokio::sync::Mutex<Running>,
}

fn of_control(expected: &str, error: &ControlError) -> Failure {
    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    Failure::new(expected, format!("{error}{hint}"))
}

impl Site {
    /// Raises a site and waits until its plane answers.
    pub(crate) async fn raise(
        name: &str,
        way_out: WayOut,
        extra: &[String],
        programs: Programs,
        evidence: &Evidence,
        folder: PathBuf,
    ) -> Result<Self, Failure> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| Failure::new(format!("the folder {}", folder.display()), error.to_string()))?;
        let client = Client::new(name);
        // Somebody's site, or another run of the scenarios: it is not ours to use, and least of all to end.
        if client.status().await.is_ok() {
            let expected = format!("no site `{name}` on this computer before the scenarios raise theirs");
            let seen = format!("it is up; wait for who uses it, or end it with `cargo xtask lab down --site {name}`");
            return Err(Failure::new(expected, seen));
        }
        let way = match way_out {
            WayOut::Nat => "nat",
            WayOut::Proxy => "proxy",
        };
        let daemon = Program::new(&programs.lab)
            .args(["serve", "--site", name, "--way-out", way])
            .args(extra)
            .arg("--ferrogate")
            .arg(&programs.ferrogate);
        let mut daemon = daemon.start(evidence, "daemon").await?;
        let end = Instant::now() + UP;
        let first = loop {
            let seen = match client.status().await {
                Ok(status) if status.plane_running => break status,
                Ok(_) => "its plane does not run yet".to_owned(),
                Err(error) => error.to_string(),
            };
            let expected = format!("the site `{name}` to be up within {} s", UP.as_secs());
            if let Some(ran) = daemon.ended()? {
                return Err(Failure::new(expected, ran.said()).read(ran.log));
            }
            if Instant::now() >= end {
                return Err(Failure::new(expected, seen).read(daemon.log()));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        };
        Ok(Self { name: name.to_owned(), programs, folder, first, client, daemon: tokio::sync::Mutex::new(daemon) })
    }

    /// The namespace in which people and the plane are.
    pub(crate) fn plane_netns(&self) -> &str {
        &self.first.namespaces.plane
    }

    /// The namespace of MAAS and the installer.
    pub(crate) fn site_netns(&self) -> &str {
        &self.first.namespaces.site
    }

    /// The namespace of router, firewall and proxy.
    pub(crate) fn edge_netns(&self) -> &str {
        &self.first.namespaces.edge
    }

    /// The control socket's client; its errors become [`Failure`]s with [`Site::asked`].
    pub(crate) fn control(&self) -> &Client {
        &self.client
    }

    /// A daemon's answer, or what went wrong.
    pub(crate) fn asked<T>(&self, expected: &str, answer: Result<T, ControlError>) -> Result<T, Failure> {
        answer.map_err(|error| of_control(expected, &error).read(self.daemon_log()))
    }

    /// How it is now.
    pub(crate) async fn status(&self) -> Result<Status, Failure> {
        self.asked("the state of the site", self.client.status().await)
    }

    /// What is there beyond what it began with.
    pub(crate) async fn leftovers(&self) -> Result<Leftovers, Failure> {
        self.asked("the list of what is left", self.client.leftovers().await)
    }

    /// The daemon's log.
    pub(crate) fn daemon_log(&self) -> PathBuf {
        Folder::new(&self.name).daemon_log()
    }

    /// Keeps the logs that go with the site: daemon, plane, machines' consoles, proxy.
    pub(crate) fn keep_logs(&self, evidence: &Evidence) {
        let folder = Folder::new(&self.name);
        let _ = evidence.copy(&folder.daemon_log(), "daemon.log");
        let _ = evidence.copy(&self.first.files.plane_log, "plane.log");
        for machine in &self.first.machines {
            let console = folder.console(&machine.hostname);
            if console.exists() {
                let _ = evidence.copy(&console, &format!("consoles/{}.log", machine.hostname));
            }
        }
        for part in [folder.edge(), folder.edge().join("squid")] {
            for log in logs_in(&part) {
                let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let _ = evidence.copy(&log, &format!("edge/{name}"));
            }
        }
    }

    /// Ends it; the daemon stops everything of its own.
    pub(crate) async fn lower(&self) -> Result<(), Failure> {
        let mut daemon = self.daemon.lock().await;
        // Where it does not answer any more it is ended the hard way below; its parts end with it.
        let asked = self.client.shutdown().await;
        match daemon.end_within(DOWN).await {
            Ok(ran) if asked.is_ok() => ran.ok("the daemon to end well").map(drop),
            Ok(_) => asked.map_err(|error| of_control("the daemon to end", &error)),
            Err(failure) => Err(failure),
        }
    }
}

/// The log files directly in a folder.
fn logs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut logs: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && path.extension().is_some_and(|ending| ending == "log"))
        .collect();
    logs.sort();
    logs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_logs_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["squid.log", "access.log", "squid.passwd"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let names: Vec<_> = logs_in(folder.path()).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["access.log", "squid.log"]);
        assert!(logs_in(Path::new("/nowhere")).is_empty());
    }
}
