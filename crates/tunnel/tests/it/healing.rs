//! What breaks comes back by itself.

use crate::support::{
    DEADLINE, PLANE, World, echo, eventually, exchange,
    gateway::{Gateway, token},
    open,
    plane::Plane,
    proxy::{PROXY, Proxy},
    site::{ECHO, SILENT},
};
use ferrogate_model::proxy::ProxySettings;
use ferrogate_net::{ConnectFailure, Target, ViaProxy};
use ferrogate_tunnel::{AgentEnd, AgentOptions, DisconnectReason, DrainScope, HubEvent, HubOptions, NodeKey};
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt, time::Instant};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_carrier_that_is_cut_without_a_reset_is_found_and_replaced() {
    let world = World::new();
    let plane = world.plane();
    let mut gateway = world.gateway().await;
    let mut events = plane.hub.watch();
    let connector = plane.hub.connector(world.gateway);
    let mut open_stream = open(&connector, ECHO).await.unwrap();

    let cut = Instant::now();
    world.network.cut(PLANE.parse().unwrap());
    let lost = events.recv().await.unwrap();
    assert!(matches!(lost, HubEvent::Disconnected { reason: DisconnectReason::Silent, .. }), "{lost:?}");
    assert!(cut.elapsed() <= 30 * SECOND, "found after {:?}", cut.elapsed());
    // The stream that was open breaks, and does not end as if its answer were complete.
    assert!(open_stream.read_u8().await.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    gateway.status.wait_for(|status| !status.connected).await.unwrap();

    world.network.heal(PLANE.parse().unwrap());
    let healed = Instant::now();
    eventually(20 * SECOND, "carriers are back", async || plane.hub.nodes(world.gateway).len() == 1).await;
    assert_eq!(echo(&connector, ECHO, "again").await.unwrap(), "again");
    assert!(healed.elapsed() < 20 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_plane_that_is_killed_and_started_again_is_found_by_its_gateways() {
    let world = World::new();
    let plane = world.plane();
    let mut gateway = world.gateway().await;
    plane.stop().await;
    world.network.reset(PLANE.parse().unwrap());
    gateway.status.wait_for(|status| !status.connected).await.unwrap();
    tokio::time::sleep(15 * SECOND).await;

    let plane = world.plane();
    let back = Instant::now();
    // The back-off had grown to its cap, so the wait is at most that; requests wait 5 s for a carrier.
    gateway.connected().await;
    assert!(back.elapsed() <= 16 * SECOND, "back after {:?}", back.elapsed());
    assert_eq!(echo(&plane.hub.connector(world.gateway), ECHO, "hello").await.unwrap(), "hello");
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_a_little_for_a_gateway_that_reconnects_and_then_fails_by_name() {
    let world = World::new();
    let plane = world.plane();
    let connector = plane.hub.connector(world.gateway);
    let began = Instant::now();
    let error = echo(&connector, ECHO, "x").await.unwrap_err();
    assert_eq!(error.failure, ConnectFailure::NoCarrier);
    assert_eq!(began.elapsed().as_secs(), 5);

    let late = tokio::spawn(async move { echo(&connector, ECHO, "just in time").await });
    tokio::time::sleep(2 * SECOND).await;
    let _gateway = world.gateway().await;
    assert_eq!(late.await.unwrap().unwrap(), "just in time");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_restarted_is_passed_again() {
    let world = World::new();
    let plane = world.plane();
    let proxy = Proxy::start(&world.network, None);
    let settings =
        ProxySettings { https: Some(format!("http://{PROXY}").parse().unwrap()), ..ProxySettings::default() };
    let through = Arc::new(ViaProxy::new(world.network.connector(), settings));
    let mut gateway = world.gateway_through(through).await;
    drop(proxy);
    world.network.reset(PROXY.parse().unwrap());
    gateway.status.wait_for(|status| !status.connected).await.unwrap();
    let error = gateway.status.wait_for(|status| status.last_error.is_some()).await.unwrap().last_error.clone();
    assert!(error.is_some());
    tokio::time::sleep(5 * SECOND).await;
    let _proxy = Proxy::start(&world.network, None);
    gateway.connected().await;
    assert_eq!(echo(&plane.hub.connector(world.gateway), ECHO, "hello").await.unwrap(), "hello");
}

#[tokio::test(start_paused = true)]
async fn a_drain_makes_new_carriers_first_and_lets_open_streams_live_on() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway().await;
    let connector = plane.hub.connector(world.gateway);
    let mut events = plane.hub.watch();
    let mut live = open(&connector, ECHO).await.unwrap();
    let before = gateway.figures().carriers_made;

    plane.hub.drain(DrainScope::Gateway(world.gateway));
    eventually(30 * SECOND, "both carriers are made anew", async || gateway.figures().carriers_made == before + 2)
        .await;
    // Requests pass meanwhile and afterwards, and the stream that was open still works on its old carrier.
    for round in 0..20 {
        let text = format!("round {round}");
        assert_eq!(echo(&connector, ECHO, &text).await.unwrap(), text);
        assert_eq!(exchange(&mut live, &text).await.unwrap(), text);
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(
        plane.hub.nodes(world.gateway)[0].carriers,
        3,
        "the old bulk carrier is gone, the old control one is used"
    );
    drop(live);
    eventually(5 * SECOND, "the old carrier ends with its last stream", async || {
        plane.hub.nodes(world.gateway)[0].carriers == 2
    })
    .await;
    assert!(events.try_recv().is_err(), "the node was never away");
}

#[tokio::test(start_paused = true)]
async fn a_plane_that_is_about_to_stop_takes_no_new_gateways_and_keeps_its_old_ones() {
    let world = World::new();
    let plane = world.plane();
    let mut gateway = world.gateway().await;
    plane.hub.drain(DrainScope::All);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(echo(&plane.hub.connector(world.gateway), ECHO, "still").await.unwrap(), "still");
    assert!(gateway.figures().carriers_failed > 0, "new carriers are refused");
    plane.hub.shutdown().await;
    gateway.status.wait_for(|status| !status.connected).await.unwrap();
    assert!(plane.hub.nodes(world.gateway).is_empty());
    plane.stop().await;
    let plane = world.plane();
    gateway.connected().await;
    assert_eq!(echo(&plane.hub.connector(world.gateway), ECHO, "hello").await.unwrap(), "hello");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_told_to_stop_lets_its_streams_end_first() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway().await;
    let connector = plane.hub.connector(world.gateway);
    let mut events = plane.hub.watch();
    let mut live = open(&connector, ECHO).await.unwrap();
    gateway.stop.cancel();
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(exchange(&mut live, "still here").await.unwrap(), "still here");
    let error = echo(&connector, ECHO, "new").await.unwrap_err();
    assert_eq!(error.failure, ConnectFailure::NoCarrier, "new connections do not go to a gateway that leaves");
    drop(live);
    let ended = Instant::now();
    assert_eq!(gateway.ended().await, AgentEnd::Cancelled);
    assert!(ended.elapsed() < 2 * SECOND);
    let left = events.recv().await.unwrap();
    assert!(matches!(left, HubEvent::Disconnected { reason: DisconnectReason::Left, .. }), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever_for_a_stream() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway().await;
    let mut live = open(&plane.hub.connector(world.gateway), SILENT).await.unwrap();
    gateway.stop.cancel();
    let began = Instant::now();
    assert_eq!(gateway.ended().await, AgentEnd::Cancelled);
    assert!(began.elapsed() <= AgentOptions::DRAIN_DEADLINE + 5 * SECOND);
    assert!(live.read_u8().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_open_that_a_carrier_did_not_answer_is_tried_once_on_the_other() {
    let world = World::new();
    let plane = Plane::start_with(
        &world.network,
        &world.certificates,
        &world.book,
        HubOptions { dead_after: 3 * SECOND, ping_every: SECOND, ..HubOptions::default() },
        false,
    );
    let gateway = world.gateway().await;
    let connector = plane.hub.connector(world.gateway);
    // Bytes stop, the open goes out unanswered, the carriers are found dead, and new ones come in time.
    world.network.cut(PLANE.parse().unwrap());
    let request = tokio::spawn(async move {
        let mut io = connector.connect(&Target::new("10.20.0.7", 6443), 6 * DEADLINE).await?;
        Ok::<_, ferrogate_net::ConnectError>(exchange(&mut io, "twice").await.unwrap_or_default())
    });
    tokio::time::sleep(4 * SECOND).await;
    world.network.reset(PLANE.parse().unwrap());
    world.network.heal(PLANE.parse().unwrap());
    assert_eq!(request.await.unwrap().unwrap(), "twice");
    drop(gateway);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_lost_its_power_holds_up_no_request_while_another_is_there() {
    let world = World::new();
    let plane = world.plane();
    // The first is reached by another way, so that it alone can fall silent; among equals it is asked first.
    let _proxy = Proxy::start(&world.network, None);
    let proxies = ProxySettings { https: Some(format!("http://{PROXY}").parse().unwrap()), ..ProxySettings::default() };
    let _first = world.gateway_through(Arc::new(ViaProxy::new(world.network.connector(), proxies))).await;
    world.book.token(world.gateway, "token-2");
    let (key, way) = (Arc::new(NodeKey::generate().unwrap()), world.network.connector());
    let mut second = Gateway::start_with(&world.network, &world.certificates, &key, token("token-2"), way, |_| ());
    second.connected().await;
    eventually(DEADLINE, "both are there", async || plane.hub.nodes(world.gateway).len() == 2).await;
    let connector = plane.hub.connector(world.gateway);
    world.network.cut(PROXY.parse().unwrap());
    let cut = Instant::now();
    for number in 0..8 {
        assert_eq!(echo(&connector, ECHO, "here").await.unwrap(), "here", "request {number} after {:?}", cut.elapsed());
    }
    assert!(cut.elapsed() < 60 * SECOND, "{:?}", cut.elapsed());
}
