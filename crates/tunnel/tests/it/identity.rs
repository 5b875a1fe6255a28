//! Who may connect, and what becomes of who may not.

use crate::support::{
    World, echo, eventually,
    gateway::{Gateway, token},
    plane::Plane,
    site::ECHO,
};
use ferrogate_model::NodeId;
use ferrogate_net::{BoxIo, Target, connect_tls};
use ferrogate_tunnel::{ALPN, AgentEnd, DisconnectReason, HubOptions, Identity, NodeKey};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_token_registers_one_key_and_no_second_one() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway().await;
    let registered = gateway.status.borrow().registered.unwrap();
    assert_eq!(registered.0, world.gateway);

    // The same token with another key: refused, kept trying slowly, never let in.
    let thief = Arc::new(NodeKey::generate().unwrap());
    let mut second = Gateway::start(&world.network, &world.certificates, &thief, token("token-1"));
    let status = second.status.wait_for(|status| status.last_error.is_some()).await.unwrap().clone();
    assert!(status.last_error.unwrap().contains("used before"), "{:?}", second.status.borrow());
    tokio::time::sleep(300 * SECOND).await;
    assert!(!second.status.borrow().connected);
    let tries = second.figures().carriers_failed;
    assert!((10..=21).contains(&tries), "{tries} tries in five minutes");
    assert_eq!(plane.hub.nodes(world.gateway).len(), 1);

    // The same token with the same key: the first answer may have been lost.
    gateway.kill();
    let again = world.gateway().await;
    assert_eq!(again.status.borrow().registered, Some(registered));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_and_a_node_with_another_key_are_refused() {
    let world = World::new();
    let plane = world.plane();
    let node = world.book.register(world.gateway, NodeKey::generate().unwrap().public_key());
    for claim in [node, NodeId::new()] {
        let mut gateway = Gateway::start(&world.network, &world.certificates, &world.key, Identity::Known(claim));
        let status = gateway.status.wait_for(|status| status.last_error.is_some()).await.unwrap().clone();
        assert!(status.last_error.unwrap().contains("does not know this node"));
        assert!(plane.hub.nodes(world.gateway).is_empty());
        gateway.kill();
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_node_is_thrown_out_and_stops_for_good() {
    let world = World::new();
    let plane = world.plane();
    let gateway = world.gateway().await;
    let node = gateway.status.borrow().registered.unwrap().1;
    world.book.revoke(node);
    plane.hub.disconnect(node, DisconnectReason::Revoked);
    let status = gateway.status.clone();
    assert_eq!(gateway.ended().await, AgentEnd::Revoked);
    assert!(status.borrow().revoked && !status.borrow().connected);
    assert!(plane.hub.nodes(world.gateway).is_empty());

    // A new process of the same node learns it at its first handshake.
    let again = Gateway::start(&world.network, &world.certificates, &world.key, Identity::Known(node));
    assert_eq!(again.ended().await, AgentEnd::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_only_disconnected_comes_back() {
    let world = World::new();
    let plane = world.plane();
    let mut gateway = world.gateway().await;
    let node = gateway.status.borrow().registered.unwrap().1;
    plane.hub.disconnect(node, DisconnectReason::Asked("maintenance".into()));
    gateway.status.wait_for(|status| !status.connected).await.unwrap();
    let began = Instant::now();
    gateway.connected().await;
    assert!((15..=31).contains(&began.elapsed().as_secs()), "back after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn two_gateways_with_one_identity_do_not_take_turns() {
    let world = World::new();
    let plane = world.plane();
    let mut first = world.gateway_with(|options| options.epoch_floor = u64::MAX / 4).await;
    let node = first.status.borrow().registered.unwrap().1;
    let start = |epoch| {
        let connector = world.network.connector();
        let known = Identity::Known(node);
        Gateway::start_with(&world.network, &world.certificates, &world.key, known, connector, |options| {
            options.epoch_floor = epoch;
        })
    };
    let mut second = start(u64::MAX / 2);
    second.connected().await;
    first.status.wait_for(|status| !status.connected).await.unwrap();

    let made = first.figures().carriers_made + second.figures().carriers_made;
    tokio::time::sleep(600 * SECOND).await;
    assert_eq!(first.figures().carriers_made + second.figures().carriers_made, made, "nobody takes turns");
    assert!(second.status.borrow().connected);
    let error = first.status.borrow().last_error.clone().unwrap();
    assert!(error.contains("newer process"), "{error}");
    // Two supervisors, one try in 15 to 30 s each.
    assert!(first.figures().carriers_failed <= 82, "{} tries in ten minutes", first.figures().carriers_failed);
    assert_eq!(plane.hub.nodes(world.gateway).len(), 1);

    // When the newer one goes, the older one serves.
    second.kill();
    first.connected().await;
    assert_eq!(echo(&plane.hub.connector(world.gateway), ECHO, "back").await.unwrap(), "back");
}

#[tokio::test(start_paused = true)]
async fn a_plane_whose_database_is_away_asks_to_come_again() {
    let world = World::new();
    let plane = world.plane();
    let node = world.book.register(world.gateway, world.key.public_key());
    world.book.set_unavailable(true);
    let mut gateway = Gateway::start(&world.network, &world.certificates, &world.key, Identity::Known(node));
    gateway.status.wait_for(|status| status.last_error.is_some()).await.unwrap();
    tokio::time::sleep(60 * SECOND).await;
    world.book.set_unavailable(false);
    gateway.connected().await;
    assert_eq!(plane.hub.nodes(world.gateway).len(), 1);
}

/// A TLS connection to the plane that negotiated our protocol.
async fn raw(world: &World) -> BoxIo {
    let target = Target::new("203.0.113.10", 443);
    let io = world.network.connector().connect(&target, SECOND).await.unwrap();
    let trust = ferrogate_net::Trust::ca(world.certificates.ca_pem.clone());
    Box::new(connect_tls(io, &target, None, trust.client_config(&[ALPN]).unwrap(), SECOND).await.unwrap())
}

async fn answer(world: &World, bytes: &[u8]) -> String {
    let mut io = raw(world).await;
    io.write_all(bytes).await.unwrap();
    io.flush().await.unwrap();
    let mut answer = Vec::new();
    let _ = io.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(start_paused = true)]
async fn garbage_and_oversize_hellos_are_refused_and_silence_is_not_waited_for() {
    let world = World::new();
    let plane = world.plane();
    assert!(answer(&world, b"GET / HTTP/1.1\r\n\r\n").await.contains("bad_hello"), "an announced length too large");
    assert!(answer(&world, b"\x00\x02{}").await.contains("bad_hello"), "not a hello");
    assert!(answer(&world, b"\x00\x05hello").await.contains("bad_hello"), "not even JSON");
    let began = Instant::now();
    assert_eq!(answer(&world, b"\x00").await, "", "an unfinished hello");
    assert!(began.elapsed() <= HubOptions::default().handshake_deadline + SECOND);
    assert!(plane.hub.nodes(world.gateway).is_empty());
    let _gateway = world.gateway().await;
}

#[tokio::test(start_paused = true)]
async fn more_handshakes_than_the_plane_takes_are_told_when_to_come_again() {
    let world = World::new();
    let options = HubOptions { max_handshakes: 3, max_handshakes_per_source: 3, ..HubOptions::default() };
    let plane = Plane::start_with(&world.network, &world.certificates, &world.book, options, false);
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut io = raw(&world).await;
        io.write_all(b"\x00").await.unwrap();
        io.flush().await.unwrap();
        idle.push(io);
    }
    eventually(SECOND, "a fourth is refused", async || answer(&world, b"\x00").await.contains("busy")).await;
    // Those that dawdle are thrown out, so a gateway gets in.
    let _gateway = world.gateway().await;
    assert_eq!(plane.hub.nodes(world.gateway).len(), 1);
    drop(idle);
}

#[tokio::test(start_paused = true)]
async fn silent_strangers_from_one_address_do_not_keep_others_out() {
    let world = World::new();
    let options = HubOptions { max_handshakes: 4, max_handshakes_per_source: 2, ..HubOptions::default() };
    let plane = Plane::start_with(&world.network, &world.certificates, &world.book, options, false);
    let mut serving = tokio::task::JoinSet::new();
    let mut connect = |from: &str| {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (hub, peer) = (plane.hub.clone(), std::net::SocketAddr::new(from.parse().unwrap(), 40_000));
        serving.spawn(async move { hub.serve(Box::new(theirs), Some([0; 32]), peer).await });
        ours
    };
    // One host with two addresses of its network, which never says a word.
    let silent = [connect("2001:db8::1"), connect("2001:db8::2")];
    tokio::task::yield_now().await;
    for (from, expected) in [("2001:db8::3", "from this address"), ("2001:db8:0:1::1", "bad_hello")] {
        let mut io = connect(from);
        io.write_all(b"\x00\x05hello").await.unwrap();
        let mut answer = vec![0; 4096];
        let length = io.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.contains(expected), "{from}: {answer}");
    }
    let began = Instant::now();
    let _gateway = world.gateway().await;
    assert!(began.elapsed() < HubOptions::default().handshake_deadline, "it waited for the strangers");
    drop(silent);
}
