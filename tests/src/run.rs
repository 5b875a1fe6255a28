//! A run: sites are raised, scenarios play on them, everything is stopped and looked for afterwards.

use super::{
    artifacts, cluster, computer,
    evidence::Evidence,
    failure::Failure,
    faults, give_back, kills, maas, one_node, partition,
    plan::{self, Scenario, Track},
    scene::Scene,
    site::{Programs, Site},
    slot::{Slot, SlotGuard},
    table::{Ended, Report, Row},
    three_nodes,
};
use ferrogate_lab::artifacts::Artifacts;
use futures::FutureExt;
use std::{
    io::Write,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// No scenario takes longer; each wait within has a deadline of its own.
const LONGEST: Duration = Duration::from_secs(45 * 60);

/// What to run, and with what.
#[derive(Clone, Debug)]
pub struct Options {
    /// These and what they build on; all where empty.
    pub only: Vec<Scenario>,
    /// Leave a site on which something failed up until the run is interrupted, for a person to look at.
    pub keep: bool,
    /// Folder for the logs.
    pub logs: PathBuf,
    /// The `ferrogate` program.
    pub ferrogate: PathBuf,
    /// The `ferrogate-lab` program.
    pub lab: PathBuf,
    /// Folder with the artifacts.
    pub artifacts: PathBuf,
    /// Further arguments of `ferrogate-lab serve`.
    pub serve: Vec<String>,
}

struct Run<'a> {
    options: &'a Options,
    programs: Programs,
    slot: Slot,
    cancel: &'a CancellationToken,
}

/// Runs scenarios and reports. When `cancel` is cancelled it stops everything and reports what there is.
pub async fn run(options: &Options, cancel: &CancellationToken) -> Report {
    let begun = Instant::now();
    let tracks = plan::tracks(&options.only);
    let sites: Vec<String> = tracks.iter().map(|track| track.site.to_owned()).collect();
    for found in computer::left_of(&sites) {
        say(&format!("found from before, and removed by the site that begins: {found}"));
    }
    let built = Artifacts::load(&options.artifacts).map_err(|error| say(&format!("{error}"))).ok();
    let programs = Programs {
        ferrogate: options.ferrogate.clone(),
        lab: options.lab.clone(),
        web_image: built.as_ref().and_then(|built| built.web_image.clone()),
    };
    let run = Run { options, programs, slot: Slot::default(), cancel };
    let plays = tracks.iter().enumerate().map(|(rank, track)| Box::pin(run.track(rank, track)));
    let scenarios: Vec<Row> = futures::future::join_all(plays).await.into_iter().flatten().collect();
    let left = computer::left_of(&sites);
    let passed = scenarios.iter().all(|row| row.result == Ended::Passed);
    let ok = passed && left.is_empty() && !cancel.is_cancelled();
    Report {
        ok,
        seconds: begun.elapsed().as_secs(),
        scenarios,
        left,
        versions: built.map(|built| artifacts::facts(&built)).unwrap_or_default(),
    }
}

fn say(text: &str) {
    // Nobody is left to tell where standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

async fn play(scenario: Scenario, scene: &Scene) -> Result<(), Failure> {
    match scenario {
        Scenario::A => Box::pin(one_node::through_nat(scene)).await,
        Scenario::B => Box::pin(one_node::through_proxy(scene)).await,
        Scenario::C => Box::pin(cluster::used(scene)).await,
        Scenario::D => Box::pin(three_nodes::any_may_fail(scene)).await,
        Scenario::E => Box::pin(partition::both(scene)).await,
        Scenario::F => Box::pin(kills::converges(scene)).await,
        Scenario::G => Box::pin(give_back::everything(scene)).await,
        Scenario::H => Box::pin(faults::are_named(scene)).await,
    }
}

impl Run<'_> {
    /// Plays the scenarios of one site, one after the other.
    async fn track(&self, rank: usize, track: &Track) -> Vec<Row> {
        let folder = self.options.logs.join(track.site);
        let Some(guard) = self.guard(rank, None).await else {
            return track.scenarios.iter().map(|s| self.not_run(track, *s, "the run was interrupted")).collect();
        };
        let raised = tokio::select! {
            raised = self.raise(track, &folder) => raised,
            () = self.cancel.cancelled() => Err(Failure::new("the site to be raised", "an interruption")),
        };
        let site = match raised {
            Ok(site) => Arc::new(site),
            Err(failure) => {
                say(&format!("site {} was not raised: {failure}", track.site));
                let why = format!("the site was not raised: {failure}");
                return track.scenarios.iter().map(|s| self.not_run(track, *s, &why)).collect();
            }
        };
        let rows = self.scenarios(rank, track, &site, guard).await;
        let failed = rows.iter().any(|row| row.result == Ended::Failed);
        if failed && self.options.keep && !self.cancel.is_cancelled() {
            say(&format!(
                "site {} stays up to be looked at (`ferrogate-lab status --site {0}`); Ctrl-C ends it",
                site.name
            ));
            self.cancel.cancelled().await;
        }
        if let Err(failure) = site.lower().await {
            say(&format!("site {} did not end well: {failure}", site.name));
        }
        if !self.options.keep {
            // Kubeconfigs and the installer's key are secrets; the logs are kept elsewhere.
            let _ = std::fs::remove_dir_all(&site.folder);
        }
        rows
    }

    async fn raise(&self, track: &Track, folder: &Path) -> Result<Site, Failure> {
        let evidence = Evidence::open(folder.join("site"))?;
        say(&format!("raising site {}", track.site));
        let state = folder.join("state");
        let serve: Vec<String> =
            track.serve.iter().map(|word| (*word).to_owned()).chain(self.options.serve.iter().cloned()).collect();
        let artifacts = ["--artifacts".to_owned(), self.options.artifacts.display().to_string()];
        let serve = [artifacts.to_vec(), serve].concat();
        let site = Site::raise(track.site, track.way_out, &serve, self.programs.clone(), &evidence, state).await?;
        match maas::prepare(&site, &evidence).await {
            Ok(()) => Ok(site),
            Err(failure) => {
                let _ = site.lower().await;
                Err(failure)
            }
        }
    }

    async fn scenarios(&self, rank: usize, track: &Track, site: &Arc<Site>, guard: SlotGuard) -> Vec<Row> {
        let mut guard = Some(guard);
        let mut rows: Vec<Row> = Vec::new();
        for scenario in &track.scenarios {
            let blocked = rows.iter().find(|row| row.result != Ended::Passed);
            // Giving back what a later scenario left is worth a try; without a gateway there is nothing to give back.
            let hopeless = rows.first().is_some_and(|row| row.result != Ended::Passed);
            let why = match blocked {
                _ if self.cancel.is_cancelled() => Some("the run was interrupted".to_owned()),
                Some(row) if *scenario != Scenario::G || hopeless => Some(format!("{} did not pass", row.scenario)),
                _ => None,
            };
            if let Some(why) = why {
                rows.push(self.not_run(track, *scenario, &why));
                continue;
            }
            let Some(mine) = self.guard(rank, guard.take()).await else {
                rows.push(self.not_run(track, *scenario, "the run was interrupted"));
                continue;
            };
            let (row, back) = self.scenario(track, *scenario, site, mine).await;
            guard = back;
            rows.push(row);
        }
        rows
    }

    async fn scenario(
        &self,
        track: &Track,
        scenario: Scenario,
        site: &Arc<Site>,
        guard: SlotGuard,
    ) -> (Row, Option<SlotGuard>) {
        let folder = self.options.logs.join(track.site).join(scenario.letter());
        let evidence = match Evidence::open(folder.clone()) {
            Ok(evidence) => evidence,
            Err(failure) => return (self.not_run(track, scenario, &failure.to_string()), Some(guard)),
        };
        let scene = Scene::new(scenario.letter(), Arc::clone(site), evidence, guard);
        scene.say(&format!("{} begins", scenario.title()));
        let playing = AssertUnwindSafe(play(scenario, &scene)).catch_unwind();
        let result = tokio::select! {
            played = tokio::time::timeout(LONGEST, playing) => match played {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => Err(Failure::new("no panic in the scenario itself", panic_text(panic.as_ref()))),
                Err(_) => Err(Failure::new(format!("an end within {} min", LONGEST.as_secs() / 60), "none")),
            },
            () = self.cancel.cancelled() => Err(Failure::new("the scenario's end", "an interruption")),
        };
        if result.is_err() && !self.cancel.is_cancelled() {
            scene.portrait().await;
        }
        site.keep_logs(&scene.evidence);
        let why = result.as_ref().err().map(ToString::to_string);
        let word = why.as_ref().map_or_else(|| "passed".to_owned(), |why| format!("FAILED: {why}"));
        scene.say(&format!("{} {word}", scenario.title()));
        let (held, facts) = scene.outcome();
        let row = Row {
            scenario: scenario.letter(),
            site: site.name.clone(),
            title: scenario.title(),
            result: if result.is_ok() { Ended::Passed } else { Ended::Failed },
            seconds: scene.seconds(),
            logs: folder,
            held,
            why,
            facts,
        };
        (row, scene.into_slot_guard())
    }

    /// The slot that is held already, or the next that is free.
    async fn guard(&self, rank: usize, had: Option<SlotGuard>) -> Option<SlotGuard> {
        if let Some(guard) = had {
            return Some(guard);
        }
        tokio::select! {
            guard = self.slot.take(rank) => Some(guard),
            () = self.cancel.cancelled() => None,
        }
    }

    fn not_run(&self, track: &Track, scenario: Scenario, why: &str) -> Row {
        Row {
            scenario: scenario.letter(),
            site: track.site.to_owned(),
            title: scenario.title(),
            result: Ended::NotRun,
            seconds: 0,
            logs: self.options.logs.join(track.site),
            held: Vec::new(),
            why: Some(why.to_owned()),
            facts: serde_json::Map::new(),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
