//! TCP from this host.

use crate::support::{SECOND, addr, hear, refused, say, target};
use ferrogate_net::{ConnectFailure, Connector as _, Direct, Network};
use std::time::Duration;

#[tokio::test]
async fn a_name_from_the_hosts_map_leads_to_its_address() {
    let listener = Network::sockets().listen(addr("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let direct = Direct::new()
        .with_hosts([("Plane.Demo.Internal", addr("127.0.0.1:0").ip())])
        .with_user_timeout(Duration::from_secs(20));
    let mut near = direct.connect(&target(&format!("plane.demo.internal:{port}")), SECOND * 5).await.unwrap();
    let (mut far, peer) = listener.accept().await.unwrap();
    assert!(peer.ip().is_loopback());
    say(&mut near, "over").await;
    hear(&mut far, "over").await;
}

#[tokio::test]
async fn nobody_listening_is_told_apart_from_no_answer() {
    let listener = Network::sockets().listen(addr("127.0.0.1:0")).unwrap();
    let place = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = refused(&Direct::new(), &place, SECOND * 5).await;
    assert_eq!(error.failure, ConnectFailure::Refused);
    assert_eq!(error.to_string(), format!("could not connect to {place}: nothing listens there"));
}

#[tokio::test]
async fn all_kinds_of_network_listen_and_connect_alike() {
    for network in [Network::sockets(), Network::loopback(), Network::memory()] {
        let listener = network.listen(addr("127.0.0.1:0")).unwrap();
        let place = listener.local_addr().unwrap();
        assert_ne!(place.port(), 0);
        let mut near = network.connector().connect(&target(&place.to_string()), SECOND * 5).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        say(&mut far, "hello").await;
        hear(&mut near, "hello").await;
        assert_eq!(network.listen(place).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    }
}

#[tokio::test]
async fn what_imitates_other_computers_reaches_nothing_outside_and_is_noted_where_it_tries() {
    let network = Network::loopback().with_hosts([("far.lab", addr("192.0.2.7:0").ip())]);
    let listener = network.listen(addr("127.0.0.1:0")).unwrap();
    let place = listener.local_addr().unwrap().to_string();
    network.connect(&target(&place), SECOND * 5).await.unwrap();
    assert_eq!(network.outside(), []);
    for (to, failure) in [
        ("192.0.2.1:443", ConnectFailure::Unreachable),
        ("far.lab:443", ConnectFailure::Unreachable),
        // Nobody is asked, not even about a name that every resolver knows.
        ("localhost:443", ConnectFailure::Dns),
    ] {
        assert_eq!(refused(&network, to, SECOND * 5).await.failure, failure, "{to}");
    }
    assert_eq!(network.outside(), ["192.0.2.1:443", "far.lab:443", "localhost:443"].map(target));
}
