//! What MAAS itself says happened: its events, asked as any client of its API asks.

use super::{
    evidence::Evidence,
    failure::Failure,
    process::{Program, Ran},
    scene::Scene,
    site::Site,
    split::maas_time,
};
use ferrogate_model::{Clock, SystemClock, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A machine was taken.
const ACQUIRED: &str = "User acquiring node";
/// A deployment began.
const DEPLOYING: &str = "User starting deployment";
/// A machine reported that it is deployed.
const DEPLOYED: &str = "Image Deployed";

/// A deployment, or something else, failed.
const FAILED: &str = "Marking node failed";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Event {
    pub(crate) hostname: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) created: String,
    #[serde(default)]
    pub(crate) description: String,
}

#[derive(Deserialize)]
struct Events {
    events: Vec<Event>,
}

/// The header that signs a request with an API key `CONSUMER:TOKEN:SECRET` (OAuth 1.0, PLAINTEXT).
fn signature(api_key: &str, now: Timestamp) -> Option<String> {
    let mut parts = api_key.trim().split(':');
    let (consumer, token, secret) = (parts.next()?, parts.next()?, parts.next()?);
    let nonce = now.as_nanosecond();
    let second = now.as_second();
    Some(format!(
        "Authorization: OAuth oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", \
         oauth_consumer_key=\"{consumer}\", oauth_token=\"{token}\", oauth_signature=\"%26{secret}\", \
         oauth_nonce=\"{nonce}\", oauth_timestamp=\"{second}\"\n"
    ))
}

/// A call of MAAS's API, as its administrator makes it. Answers what came.
async fn call(site: &Site, evidence: &Evidence, label: &str, path: &str, more: &[&str]) -> Result<Ran, Failure> {
    let file = &site.first.files.maas_api_key;
    let key = std::fs::read_to_string(file)
        .map_err(|error| Failure::new("MAAS's API key", format!("{}: {error}", file.display())))?;
    let header = signature(&key, SystemClock.now())
        .ok_or_else(|| Failure::new("MAAS's API key of three parts", "another form").read(file))?;
    let maas = site.first.maas_url.trim_end_matches('/');
    let curl = Program::new("curl")
        .args(["--silent", "--show-error", "--fail-with-body", "--noproxy", "*", "--max-time", "20", "--header", "@-"])
        .args(more)
        .arg(format!("{maas}/api/2.0/{path}"))
        .stdin(header)
        .netns(site.site_netns());
    curl.run(evidence, label).await
}

/// What the site's engineer does in MAAS before anybody comes. A public key: MAAS hands it to every machine it deploys for
/// that user, which is the way into machines whose own user-data names no key. And the setting that disks are erased when a
/// machine is given back.
pub(crate) async fn prepare(site: &Site, evidence: &Evidence) -> Result<(), Failure> {
    let key = format!("key@{}", site.first.files.ssh_public_key.display());
    let ran = call(site, evidence, "maas-ssh-key", "account/prefs/sshkeys/", &["--data-urlencode", &key]).await?;
    if !ran.out.contains("already been added") {
        ran.ok("MAAS to take the public key")?;
    }
    let setting = ["--data", "name=enable_disk_erasing_on_release", "--data", "value=true"];
    let ran = call(site, evidence, "maas-erase", "maas/?op=set_config", &setting).await?;
    ran.ok("MAAS to take the setting that disks are erased").map(drop)
}

impl Scene {
    /// Everything that happened to machines so far, oldest first.
    pub(crate) async fn maas_events(&self) -> Result<Vec<Event>, Failure> {
        let path = "events/?op=query&level=DEBUG&limit=1000";
        let ran = call(&self.site, &self.evidence, "maas-events", path, &[]).await?.ok("MAAS's events")?;
        let mut events: Events = serde_json::from_str(&ran.out)
            .map_err(|error| Failure::new("MAAS's events", error.to_string()).read(&ran.log))?;
        events.events.reverse();
        Ok(events.events)
    }

    /// No machine was taken twice, and this many were taken in all.
    pub(crate) async fn no_machine_twice(&self, count: usize) -> Result<(), Failure> {
        let taken = taken(&self.maas_events().await?);
        let seen = taken.iter().map(|(name, times)| format!("{name} {times}×")).collect::<Vec<_>>().join(", ");
        let name = format!("MAAS gave {count} machines in all, none twice");
        self.holds(&name, taken.len() == count && taken.values().all(|times| *times == 1), seen)
    }
}

/// How often each machine was taken.
pub(crate) fn taken(events: &[Event]) -> BTreeMap<String, u32> {
    let mut taken = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind == ACQUIRED) {
        *taken.entry(event.hostname.clone()).or_default() += 1;
    }
    taken
}

/// The machines whose last deployment failed.
pub(crate) fn failed(events: &[Event]) -> Vec<String> {
    let ends = events.iter().filter(|event| event.kind == DEPLOYED || event.kind == FAILED);
    let last: BTreeMap<&str, &str> = ends.map(|event| (event.hostname.as_str(), event.kind.as_str())).collect();
    last.into_iter().filter(|(_, kind)| *kind == FAILED).map(|(name, _)| name.to_owned()).collect()
}

/// When the first of these machines was switched on for its deployment, and when the last was Deployed.
pub(crate) fn booted(events: &[Event], machines: &[String]) -> Option<(Timestamp, Timestamp)> {
    let times = |kind: &'static str| {
        let mine = move |event: &&Event| event.kind == kind && machines.contains(&event.hostname);
        events.iter().filter(mine).filter_map(|event| maas_time(&event.created))
    };
    Some((times(DEPLOYING).min()?, times(DEPLOYED).max()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(hostname: &str, kind: &str, second: u32) -> Event {
        Event {
            hostname: hostname.into(),
            kind: kind.into(),
            created: format!("Mon, 23 Nov. 2026 11:08:{second:02}"),
            description: String::new(),
        }
    }

    #[test]
    fn who_was_taken_how_often_and_how_long_they_booted() {
        let events = [
            event("amber", ACQUIRED, 1),
            event("amber", DEPLOYING, 2),
            event("calm", ACQUIRED, 3),
            event("calm", DEPLOYING, 4),
            event("amber", DEPLOYED, 20),
            event("calm", DEPLOYED, 25),
            event("calm", ACQUIRED, 50),
        ];
        assert_eq!(taken(&events), [("amber".to_owned(), 1), ("calm".to_owned(), 2)].into());
        let (on, deployed) = booted(&events, &["amber".to_owned(), "calm".to_owned()]).unwrap();
        assert_eq!((on.as_second() % 60, deployed.as_second() % 60), (2, 25));
        assert!(booted(&events, &["other".to_owned()]).is_none());
    }

    #[test]
    fn a_machine_that_failed_and_was_deployed_later_has_not_failed() {
        let events = [event("amber", FAILED, 1), event("calm", FAILED, 2), event("amber", DEPLOYED, 3)];
        assert_eq!(failed(&events), ["calm"]);
    }

    #[test]
    fn a_request_is_signed_with_the_three_parts_of_the_key() {
        let now = Timestamp::from_second(1_795_432_000).unwrap();
        let header = signature("c:t:s\n", now).unwrap();
        assert!(header.contains("oauth_signature=\"%26s\"") && header.contains("oauth_timestamp=\"1795432000\""));
        assert!(signature("c:t", now).is_none());
    }
}
