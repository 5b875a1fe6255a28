//! The simulated MAAS against the recordings of a real one: every recorded request is sent to a fresh one with the same
//! seed, in the recorded order, and the answers are compared: status, reason, headers, and JSON field by field.

mod compare;
mod exchange;
mod scope;
pub(crate) mod sign;

use compare::{Ids, differences};
use ferrogate_lab::{
    Maas, Seed, Speed,
    maas::{Call, Options},
};
use ferrogate_model::{Clock, Timestamp};
use ferrogate_net::{HttpClient, Network, client::Limits};
use scope::{Scope, pause_before};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Fewer compared exchanges than this mean that the scope has shrunk: a defect of the test.
const FLOOR: usize = 840;

/// The time of the recording, which its words about old signatures name.
#[derive(Debug)]
struct RecordedTime;

/// `now` in the refusal of an old signature, recording 01.
const NOW: i64 = 1_795_337_132;

impl Clock for RecordedTime {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }
}

/// How one file went.
#[derive(Default)]
struct Tally {
    compared: usize,
    skipped: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

async fn replay(file: &str) -> Tally {
    let network = Network::memory();
    let options = Options::new(network.clone(), Seed::recorded())
        .listen("10.20.0.2:5240".parse().unwrap())
        .speed(Speed::Real)
        .clock(Arc::new(RecordedTime));
    let maas = Maas::start(options).await.unwrap();
    let client = HttpClient::builder(network.connector()).build().unwrap();
    let mut ids = Ids::default();
    let mut tally = Tally::default();
    for exchange in exchange::read(file) {
        tokio::time::sleep(pause_before(file, exchange.n)).await;
        let scope = scope::of(file, &exchange);
        let shape = match scope {
            Scope::In => false,
            Scope::Shape => true,
            Scope::Out(reason) => {
                *tally.skipped.entry(reason).or_default() += 1;
                continue;
            }
        };
        let request = exchange.request(&maas.url(), &ids);
        let answer =
            match client.send(request, Limits { deadline: Duration::from_secs(600), ..Limits::default() }).await {
                Ok(answer) => answer,
                Err(error) => {
                    tally.wrong.push(format!("{file} {}: {error}", exchange.n));
                    continue;
                }
            };
        tally.compared += 1;
        ids.learn(&exchange, answer.body());
        let found = differences(&exchange, &answer, &ids, shape);
        tally.wrong.extend(found.into_iter().map(|text| {
            format!("{file} {} {} {} {:?}: {text}", exchange.n, exchange.method, exchange.path, exchange.query)
        }));
    }
    maas.shutdown().await;
    tally
}

fn run(file: &str) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(replay(file))
}

#[test]
fn the_simulated_maas_answers_as_the_recorded_one_did() {
    let only = std::env::var("REPLAY_ONLY").ok();
    let mut all = Tally::default();
    for file in exchange::files() {
        if only.as_deref().is_some_and(|only| !file.starts_with(only)) {
            continue;
        }
        let tally = run(&file);
        println!(
            "{file}: {} compared, {} skipped, {} differences",
            tally.compared,
            tally.skipped.values().sum::<usize>(),
            tally.wrong.len()
        );
        all.compared += tally.compared;
        for (reason, count) in tally.skipped {
            *all.skipped.entry(reason).or_default() += count;
        }
        all.wrong.extend(tally.wrong);
    }
    for (reason, count) in &all.skipped {
        println!("skipped {count}: {reason}");
    }
    println!("all: {} compared, {} skipped", all.compared, all.skipped.values().sum::<usize>());
    assert!(all.wrong.is_empty(), "{} differences:\n{}", all.wrong.len(), all.wrong.join("\n"));
    assert!(
        only.is_some() || all.compared >= FLOOR,
        "only {} exchanges were compared, {FLOOR} are wanted",
        all.compared
    );
}

#[test]
fn every_reason_to_skip_still_skips_something() {
    let exchanges: Vec<_> = exchange::files()
        .into_iter()
        .flat_map(|file| exchange::read(&file).into_iter().map(move |exchange| (file.clone(), exchange)))
        .collect();
    for rule in scope::rules() {
        let hits = exchanges.iter().filter(|(file, exchange)| rule.applies(file, exchange)).count();
        assert!(hits > 0, "the rule {rule:?} applies to nothing: take it away");
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_is_noted_with_its_user_and_status() {
    let network = Network::memory();
    let maas =
        Maas::start(Options::new(network.clone(), Seed::recorded()).clock(Arc::new(RecordedTime))).await.unwrap();
    let client = HttpClient::builder(network.connector()).build().unwrap();
    let url = format!("{}/api/2.0/users/?op=whoami", maas.url());
    let request = http::Request::get(url).header("authorization", sign::header("bob", NOW)).body(bytes::Bytes::new());
    client.send(request.unwrap(), Limits::default()).await.unwrap();
    let calls: Vec<Call> = maas.calls();
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_eq!((call.op.as_deref(), call.user.as_deref(), call.status), (Some("whoami"), Some("bob"), Some(200)));
}
