//! What the tunnel costs, against one rustls connection per visitor, in one run on loopback.
//!
//! `cargo run --release -p ferrogate-tunnel --example bench -- [--json]`
//!
//! Three ways lead from a visitor to a target: `tls` (a pair of relays with a TLS connection for each visitor), `alpn`
//! (the tunnel straight on TLS) and `websocket` (the tunnel over a WebSocket). They are measured in turn, round after
//! round, in one process, so that whatever else the machine does falls on all of them; only the ratios mean something
//! elsewhere.
#![expect(clippy::print_stdout, reason = "a benchmark's figures are its output")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to say")]

mod load;
mod report;
mod target;
mod ways;

use report::Report;
use std::time::{Duration, Instant};
use ways::Way;

/// Rounds; each figure is the median of them.
const ROUNDS: usize = 3;
/// How long each load runs.
const SLICE: Duration = Duration::from_millis(250);

fn main() {
    let json = std::env::args().any(|argument| argument == "--json");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = runtime.block_on(Box::pin(measure()));
    println!("{}", if json { report.json() } else { report.table() });
}

async fn measure() -> Report {
    let began = Instant::now();
    let target = target::start().await;
    let mut ways = vec![Way::relay(target).await, Way::tunnel(target, false).await, Way::tunnel(target, true).await];
    let mut report = Report::default();
    for _ in 0..ROUNDS {
        for way in &ways {
            let mut note = |figure: &'static str, value: f64| report.note(way.name, figure, value);
            note("bulk down 1, Gbit/s", load::bulk(way.bulk, load::Direction::Down, 1, SLICE).await);
            note("bulk up 1, Gbit/s", load::bulk(way.bulk, load::Direction::Up, 1, SLICE).await);
            note("bulk down 8, Gbit/s", load::bulk(way.bulk, load::Direction::Down, 8, SLICE).await);
            note("bulk up 8, Gbit/s", load::bulk(way.bulk, load::Direction::Up, 8, SLICE).await);
            let small = load::small(way.small, 64, SLICE).await;
            note("64 connections, requests/s", small.per_second);
            note("64 connections, p50 ms", small.p50);
            note("64 connections, p99 ms", small.p99);
            let one = load::small(way.small, 1, SLICE).await;
            note("1 connection, p50 ms", one.p50);
            note("1 connection, p99 ms", one.p99);
            let new = load::new_connections(way.small, 8, SLICE).await;
            note("new connection each, requests/s", new.per_second);
            note("new connection each, p50 ms", new.p50);
            let during = load::during_bulk(way.small, way.bulk, SLICE).await;
            note("4 connections during bulk, p50 ms", during.p50);
            note("4 connections during bulk, p99 ms", during.p99);
            let stalled = load::beside_stalled(way.small, 200, SLICE).await;
            note("beside 200 stalled readers, p50 ms", stalled.p50);
            note("beside 200 stalled readers, p99 ms", stalled.p99);
        }
    }
    for way in &mut ways {
        if let Some(seconds) = way.restart().await {
            report.note(way.name, "requests pass again after a restart, s", seconds);
        }
    }
    report.seconds = began.elapsed().as_secs_f64();
    report
}
