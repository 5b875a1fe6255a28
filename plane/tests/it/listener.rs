//! The listener: TLS, what is told by ALPN, pages and health.

use crate::{fixture, plane::TestPlane};
use ferrogate_net::{Connector as _, Direct, HttpClient, Limits, Target, Trust, connect_tls};
use http::Request;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_is_good_for_every_name_and_the_fingerprint_is_enough_to_trust_it() {
    let plane = TestPlane::start_with(|options| options.extra_names = vec!["plane.demo.internal".into()]).await;
    let pinned = Trust::pinned(plane.running.fingerprint.parse().unwrap());
    for trust in [Trust::ca(&plane.running.ca_pem), pinned] {
        for name in ["localhost", "127.0.0.1", "plane.demo.internal"] {
            let connector = Direct::new().with_hosts([(name, "127.0.0.1".parse().unwrap())]);
            let client = HttpClient::builder(std::sync::Arc::new(connector)).trust(trust.clone()).build().unwrap();
            let url = format!("https://{name}:{}/livez", plane.running.local_addr.port());
            let request = Request::get(url).body(Default::default()).unwrap();
            assert_eq!(client.send(request, Limits::default()).await.unwrap().status(), 200, "{name}");
        }
    }
    let stranger = HttpClient::builder(std::sync::Arc::new(Direct::new())).build().unwrap();
    let request = Request::get(plane.url("/livez")).body(Default::default()).unwrap();
    assert!(stranger.send(request, Limits::default()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_s_protocol_goes_to_the_hub_and_not_to_http() {
    let plane = TestPlane::start().await;
    let target = Target::new("127.0.0.1", plane.running.local_addr.port());
    let config = Trust::ca(&plane.running.ca_pem).client_config(&[ferrogate_tunnel::ALPN, b"http/1.1"]).unwrap();
    let io = Direct::new().connect(&target, DEADLINE).await.unwrap();
    let mut stream = connect_tls(io, &target, None, config, DEADLINE).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(ferrogate_tunnel::ALPN));
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_websocket_s_address_tells_people_that_it_is_not_for_them() {
    let plane = TestPlane::start().await;
    plane.get("//tunnel").await.problem(426, "websocket_expected");
    let upgrade = plane
        .get("//tunnel")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let response = plane.http().send_streaming(upgrade.build(), DEADLINE).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_run_no_script_and_health_is_for_everybody() {
    let plane = TestPlane::start().await;
    let page = plane.get("//").await;
    assert!(page.status(200).text().contains("set-up token"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.text().contains("<script"));
    assert_eq!(plane.get("//livez").await.status(200).text(), "ok\n");
    assert_eq!(plane.get("//readyz").await.status(200).text(), "ok\n");
    assert!(plane.get("//problems/cluster_not_found").await.status(200).text().contains("cluster_not_found"));
    let document = plane.get("/openapi.json").await;
    assert_eq!(document.status(200).text(), ferrogate_plane::openapi());
    plane.get("//metrics").await.problem(401, "not_signed_in");
    let admin = plane.set_up().await;
    let metrics = plane.get("//metrics").token(&admin).await;
    assert!(
        metrics.status(200).text().contains("ferrogate_http_requests_total{action=\"plane.setup\",status=\"201\"} 1")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_listener_has_health_and_metrics_and_nothing_else() {
    let plane = TestPlane::start_with(|options| options.admin_listen = Some("127.0.0.1:0".parse().unwrap())).await;
    let admin = plane.running.admin_addr.unwrap();
    let client = HttpClient::builder(std::sync::Arc::new(Direct::new())).build().unwrap();
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/api/v1/version", 404), ("/", 404)] {
        let request = Request::get(format!("http://{admin}{path}")).body(Default::default()).unwrap();
        assert_eq!(client.send(request, Limits::default()).await.unwrap().status(), status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_address_that_cannot_be_one_stops_the_start() {
    for (url, problem) in [
        ("http://plane.example.com", "https"),
        ("https://user@plane.example.com", "more than"),
        ("https://a/b", "path"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut options = ferrogate_plane::Options::new(
            folder.path(),
            "127.0.0.1:0".parse().unwrap(),
            fixture::release(),
            std::sync::Arc::new(ferrogate_firstboot::Kubeadm),
        );
        options.public_url = Some(url.parse().unwrap());
        let error = ferrogate_plane::Server::start(options).await.unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_cannot_fill_the_audit() {
    use ferrogate_store::{Page, audit};
    let plane = TestPlane::start().await;
    let long = "x".repeat(2_000);
    for number in 0..130 {
        plane.get(&format!("/{number}/{long}")).await.problem(404, "no_such_path");
    }
    let store = &plane.running.context.store;
    let rows = audit::list(store, &audit::Filter::default(), &Page::first(Page::MAX)).await.unwrap().items;
    // One more may be written every ten seconds.
    assert!((100..110).contains(&rows.len()), "{}", rows.len());
    assert!(rows.iter().all(|row| row.detail.len() < 600), "{}", rows[0].detail);
}

/// A connection to the plane from one of this computer's many own addresses.
async fn connect_from(address: &str, plane: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
    socket.connect(plane).await.unwrap()
}

/// Whether the plane closed a connection that nothing was sent on. One that it serves is closed as well, but only after
/// the deadline of the TLS handshake.
async fn is_closed_at_once(mut stream: TcpStream) -> bool {
    let soon = Duration::from_secs(5);
    tokio::time::timeout(soon, stream.read_u8()).await.is_ok_and(|read| read.is_err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_cannot_take_every_connection_and_an_upgraded_one_counts() {
    let plane = TestPlane::start_with(|options| options.max_connections_per_source = 2).await;
    let address = plane.running.local_addr;
    let config = Trust::ca(&plane.running.ca_pem).client_config(&[b"http/1.1"]).unwrap();
    let target = Target::new("127.0.0.1", address.port());
    let tls = async |from: &str| {
        let io = Box::new(connect_from(from, address).await);
        connect_tls(io, &target, None, config.clone(), DEADLINE).await
    };
    let mut upgraded = tls("127.0.0.1").await.unwrap();
    let request = "GET /tunnel HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    upgraded.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(DEADLINE, upgraded.read_u8()).await.unwrap().unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    let idle = tls("127.0.0.1").await.unwrap();
    assert!(is_closed_at_once(connect_from("127.0.0.1", address).await).await, "a third was taken");
    tls("127.0.0.2").await.unwrap();

    // What is closed makes room, also after an upgrade.
    drop((idle, upgraded));
    let freed = async {
        loop {
            if let Ok(stream) = tls("127.0.0.1").await {
                return stream;
            }
        }
    };
    tokio::time::timeout(DEADLINE, freed).await.unwrap();
}
