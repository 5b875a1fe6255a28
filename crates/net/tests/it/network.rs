//! The network inside this process, and its faults.

use crate::support::{SECOND, addr, hear, listening, refused, say, target};
use ferrogate_net::{ConnectFailure, Connector as _, Network};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

#[tokio::test]
async fn an_address_nobody_listens_on_is_refused_and_an_unknown_name_has_none() {
    let (network, listener) = listening("10.20.0.5:6443");
    let named = network.with_hosts([("node.lab", addr("10.20.0.5:0").ip())]);
    assert!(named.connect(&target("NODE.lab:6443"), SECOND).await.is_ok());
    assert_eq!(refused(&network, "node.lab:6443", SECOND).await.failure, ConnectFailure::Dns);
    assert_eq!(refused(&network, "10.20.0.5:6444", SECOND).await.failure, ConnectFailure::Refused);
    drop(listener);
    assert_eq!(refused(&network, "10.20.0.5:6443", SECOND).await.failure, ConnectFailure::Refused);
}

#[tokio::test]
async fn listening_everywhere_hears_every_address() {
    let network = Network::memory();
    let listener = network.listen(addr("0.0.0.0:80")).unwrap();
    let mut near = network.connector().connect(&target("10.9.8.7:80"), SECOND).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    say(&mut near, "x").await;
    hear(&mut far, "x").await;
    assert_eq!(refused(&network, "10.9.8.7:81", SECOND).await.failure, ConnectFailure::Refused, "of this port alone");
}

#[tokio::test(start_paused = true)]
async fn what_crosses_a_cut_is_held_and_flows_on_when_it_is_healed() {
    let (network, listener) = listening("10.0.0.1:1");
    let mut near = network.connect(&target("10.0.0.1:1"), SECOND).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    network.cut(addr("10.0.0.1:1"));
    say(&mut far, "late").await;
    let mut bytes = [0; 4];
    assert!(timeout(SECOND * 3600, near.read(&mut bytes)).await.is_err(), "bytes crossed the cut");
    network.heal(addr("10.0.0.1:1"));
    hear(&mut near, "late").await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_wakes_nobody_and_healing_wakes_a_reader_that_waits() {
    let (network, listener) = listening("10.0.0.1:1");
    let mut near = network.connect(&target("10.0.0.1:1"), SECOND).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    network.cut(addr("10.0.0.1:1"));
    let reader = tokio::spawn(async move { hear(&mut near, "late").await });
    say(&mut far, "late").await;
    tokio::time::sleep(SECOND).await;
    assert!(!reader.is_finished());
    network.heal(addr("10.0.0.1:1"));
    timeout(SECOND, reader).await.expect("the reader was woken").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cut_hides_that_the_other_side_is_gone() {
    let (network, listener) = listening("10.0.0.1:1");
    let near = network.connect(&target("10.0.0.1:1"), SECOND).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    network.cut(addr("10.0.0.1:1"));
    drop(near);
    let mut byte = [0];
    assert!(timeout(SECOND, far.read(&mut byte)).await.is_err(), "the end crossed the cut");
    network.heal(addr("10.0.0.1:1"));
    assert_eq!(far.read(&mut byte).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_waits_behind_a_cut_until_its_deadline_or_the_healing() {
    let (network, _listener) = listening("10.0.0.1:1");
    network.cut(addr("10.0.0.1:1"));
    let error = refused(&network, "10.0.0.1:1", SECOND * 5).await;
    assert_eq!((error.failure, error.detail.as_str()), (ConnectFailure::Timeout, "no answer within 5 s"));
    let patient = network.clone();
    let waiting = tokio::spawn(async move { patient.connect(&target("10.0.0.1:1"), SECOND * 60).await.is_ok() });
    tokio::time::sleep(SECOND).await;
    network.heal(addr("10.0.0.1:1"));
    assert!(waiting.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_reset_breaks_what_is_open_and_nothing_later() {
    let (network, listener) = listening("10.0.0.1:1");
    let mut near = network.connect(&target("10.0.0.1:1"), SECOND).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    let reader = tokio::spawn(async move { near.read_u8().await.unwrap_err().kind() });
    tokio::time::sleep(Duration::from_millis(1)).await;
    network.reset(addr("10.0.0.1:1"));
    assert_eq!(reader.await.unwrap(), std::io::ErrorKind::ConnectionReset);
    let mut byte = [0];
    assert_eq!(far.read(&mut byte).await.unwrap(), 0);
    let mut again = network.connect(&target("10.0.0.1:1"), SECOND).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    say(&mut again, "y").await;
    hear(&mut far, "y").await;
}

#[tokio::test]
async fn sockets_can_be_cut_as_well() {
    let network = Network::sockets();
    let listener = network.listen(addr("127.0.0.1:0")).unwrap();
    let place = listener.local_addr().unwrap();
    let mut near = network.connect(&target(&place.to_string()), SECOND * 5).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    network.cut(place);
    say(&mut far, "late").await;
    let mut bytes = [0; 4];
    far.flush().await.unwrap();
    // Often enough for the runtime to have seen that the socket has something to read.
    for _ in 0..200 {
        assert!(futures::poll!(std::pin::pin!(near.read(&mut bytes))).is_pending());
        tokio::task::yield_now().await;
    }
    network.heal(place);
    hear(&mut near, "late").await;
}
