//! What a gateway dials, what it refuses, and how streams end.

use crate::support::{
    World, echo, eventually, open,
    site::{ECHO, HALF, MAAS, SILENT, SOURCE},
};
use ferrogate_model::Explain;
use ferrogate_net::ConnectFailure;
use ferrogate_tunnel::AgentOptions;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn only_what_the_allow_list_names_is_dialled_and_refusals_are_counted_and_told() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway().await;
    let connector = plane.hub.connector(world.gateway);
    assert_eq!(echo(&connector, ECHO, "in the range").await.unwrap(), "in the range");
    assert_eq!(echo(&connector, "maas.site.example:5240", "by name").await.unwrap(), "by name");
    for target in [MAAS, "10.20.0.7:22", "192.0.2.1:6443", "maas.site.example:6443", "127.0.0.1:9470"] {
        let error = echo(&connector, target, "x").await.unwrap_err();
        assert_eq!(error.failure, ConnectFailure::NotAllowed, "{target}");
        assert_eq!(error.code(), "target_not_allowed");
        assert!(error.hint().unwrap().contains("allow-list"));
    }
    assert_eq!(gateway.figures().refusals, 5);
    eventually(SECOND, "the plane is told", async || plane.hub.nodes(world.gateway)[0].refusals == 5).await;
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_fails_says_why() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway().await;
    let connector = plane.hub.connector(world.gateway);
    let error = open(&connector, "10.20.3.3:6443").await.err().unwrap();
    assert_eq!(error.failure, ConnectFailure::Refused);
    assert!(error.to_string().contains(&format!("gateway {}", world.gateway)), "{error}");
    let error = open(&connector, "nowhere.example:6443").await.err().unwrap();
    assert_eq!(error.failure, ConnectFailure::Dns);
    let long = format!("{}:6443", "x".repeat(70_000));
    assert_eq!(open(&connector, &long).await.err().unwrap().failure, ConnectFailure::Dns);
    let dials = gateway.figures().dials;
    let count = |result| dials.iter().find(|dial| dial.result == result).unwrap().count;
    assert_eq!((count("refused"), count("dns"), count("connected")), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_speaks_first_is_heard() {
    let world = World::new();
    let plane = world.plane();
    let _gateway = world.gateway().await;
    let mut io = open(&plane.hub.connector(world.gateway), SOURCE).await.unwrap();
    assert_eq!(io.read_u8().await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_stream_on_which_nothing_moves_is_reaped() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway().await;
    let mut io = open(&plane.hub.connector(world.gateway), HALF).await.unwrap();
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await.unwrap();
    let began = Instant::now();
    // The site's side has ended, ours has not, and nobody says a word.
    let reaped = async || gateway.figures().streams == 0 && world.site.held_ended().await;
    assert!(!reaped().await);
    eventually(AgentOptions::HALF_CLOSED + 2 * SECOND, "the stream is reaped", reaped).await;
    assert!(began.elapsed() >= AgentOptions::HALF_CLOSED - SECOND);
    // Who still writes into it is not left waiting for ever either.
    let error = io.write_all(&vec![0; 1 << 20]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_stream_the_plane_drops_ends_in_the_site_at_once() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway().await;
    let io = open(&plane.hub.connector(world.gateway), SILENT).await.unwrap();
    eventually(SECOND, "the service has it", async || world.site.held.lock().await.len() == 1).await;
    drop(io);
    eventually(SECOND, "the site's side ends too", async || world.site.held_ended().await).await;
    eventually(SECOND, "and is forgotten", async || gateway.figures().streams == 0).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_requests_leave_nothing_behind() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway().await;
    let connector = plane.hub.connector(world.gateway);
    for round in 0..100 {
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..100 {
            let connector = connector.clone();
            requests.spawn(async move {
                let mut io = open(&connector, ECHO).await.unwrap();
                // Half of them are aborted with an answer on the way.
                if number % 2 == 0 { io.write_all(&[1; 3000]).await.unwrap() } else { io.shutdown().await.unwrap() }
            });
        }
        while let Some(ended) = requests.join_next().await {
            ended.unwrap();
        }
        assert!(plane.hub.nodes(world.gateway)[0].streams <= 100, "round {round}");
    }
    eventually(SECOND, "no stream stays", async || {
        gateway.figures().streams == 0 && plane.hub.nodes(world.gateway)[0].streams == 0
    })
    .await;
}
