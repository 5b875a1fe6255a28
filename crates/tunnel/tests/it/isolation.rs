//! One stream's trouble is no other's.

use crate::support::{
    DEADLINE, World, echo, eventually, open,
    plane::Plane,
    site::{ECHO, SILENT, SOURCE},
};
use ferrogate_net::{ConnectFailure, Target};
use ferrogate_tunnel::HubOptions;
use std::time::Duration;
use tokio::{io::AsyncReadExt, time::Instant};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn two_hundred_stalled_readers_hold_up_nobody() {
    let world = World::new();
    let plane = world.plane();
    let _gateway = world.gateway().await;
    let connector = plane.hub.connector(world.gateway);
    let mut stalled = Vec::new();
    for _ in 0..200 {
        stalled.push(open(&connector, SOURCE).await.unwrap());
    }
    // Every window fills, and nothing more can come for them.
    tokio::time::sleep(SECOND).await;
    let carried = plane.hub.nodes(world.gateway)[0].bytes;
    for number in 0..50 {
        let text = format!("request {number}");
        let began = Instant::now();
        assert_eq!(echo(&connector, ECHO, &text).await.unwrap(), text);
        assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    }
    // A reader that goes on reading gets all it wants.
    let mut buffer = vec![0; 2 << 20];
    stalled[100].read_exact(&mut buffer).await.unwrap();
    assert!(plane.hub.nodes(world.gateway)[0].bytes > carried);
    assert_eq!(plane.hub.nodes(world.gateway)[0].streams, 200);
    drop(stalled);
    eventually(5 * SECOND, "every stream ends", async || plane.hub.nodes(world.gateway)[0].streams == 0).await;
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_the_budget_are_refused_and_not_parked() {
    let world = World::new();
    let options = HubOptions { max_streams: 5, ..HubOptions::default() };
    let plane = Plane::start_with(&world.network, &world.certificates, &world.book, options, false);
    let _gateway = world.gateway().await;
    let connector = plane.hub.connector(world.gateway);
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(open(&connector, SILENT).await.unwrap());
    }
    let began = Instant::now();
    let refused = open(&connector, ECHO).await.err().unwrap();
    assert_eq!(refused.failure, ConnectFailure::Budget);
    assert!(began.elapsed() < Duration::from_millis(10));
    streams.pop();
    assert_eq!(echo(&connector, ECHO, "room again").await.unwrap(), "room again");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_may_be_buffered_limit_the_streams_too() {
    let world = World::new();
    let options = HubOptions { max_buffered_bytes: 512 * 1024, ..HubOptions::default() };
    let plane = Plane::start_with(&world.network, &world.certificates, &world.book, options, false);
    let _gateway = world.gateway().await;
    let connector = plane.hub.connector(world.gateway);
    let _two = (open(&connector, SOURCE).await.unwrap(), open(&connector, SOURCE).await.unwrap());
    assert_eq!(open(&connector, ECHO).await.err().unwrap().failure, ConnectFailure::Budget);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_has_a_budget_of_its_own() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway_with(|options| options.max_streams = 2).await;
    let connector = plane.hub.connector(world.gateway);
    let _two = (open(&connector, SILENT).await.unwrap(), open(&connector, SILENT).await.unwrap());
    assert_eq!(open(&connector, ECHO).await.err().unwrap().failure, ConnectFailure::Budget);
    assert_eq!(gateway.figures().streams, 2);
}

#[tokio::test(start_paused = true)]
async fn four_hundred_dials_that_hang_do_not_hold_up_one_that_works() {
    let world = World::new();
    let plane = world.plane();
    let _gateway = world.gateway().await;
    let connector = plane.hub.connector(world.gateway);
    let hole = "10.20.1.1:6443";
    world.network.cut(hole.parse().unwrap());
    let mut hanging = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let connector = connector.clone();
        hanging.spawn(async move { connector.connect(&Target::new("10.20.1.1", 6443), DEADLINE).await.map(drop) });
    }
    tokio::time::sleep(SECOND).await;
    let began = Instant::now();
    assert_eq!(echo(&connector, ECHO, "quick").await.unwrap(), "quick");
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    while let Some(ended) = hanging.join_next().await {
        assert_eq!(ended.unwrap().unwrap_err().failure, ConnectFailure::Timeout);
    }
    assert!(began.elapsed() <= DEADLINE, "every dial keeps its deadline");
}
