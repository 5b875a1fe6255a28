//! The ways from a gateway to the plane.

use crate::support::{
    PLANE, World, echo,
    gateway::{Gateway, token},
    open,
    plane::{Certificates, Plane},
    proxy::{PROXY, Proxy},
    site::{ECHO, SOURCE},
};
use ferrogate_model::{GatewayId, proxy::ProxySettings};
use ferrogate_net::{Connector, ViaProxy};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::io::AsyncReadExt;

/// Moves 8 MiB from the site and checks each byte.
async fn download(connector: &Arc<dyn Connector>) {
    let mut io = open(connector, SOURCE).await.unwrap();
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..8 {
        io.read_exact(&mut buffer).await.unwrap();
        assert!(buffer.iter().all(|byte| *byte == 7));
    }
}

async fn requests_pass(plane: &Plane, gateway: GatewayId) {
    for connector in [plane.hub.connector(gateway), plane.hub.bulk_connector(gateway)] {
        assert_eq!(echo(&connector, ECHO, "through the tunnel").await.unwrap(), "through the tunnel");
    }
    download(&plane.hub.bulk_connector(gateway)).await;
    let nodes = plane.hub.nodes(gateway);
    assert_eq!(nodes.len(), 1);
    assert_eq!((nodes[0].carriers, nodes[0].name.as_str()), (2, "node-1"));
    assert!(nodes[0].bytes >= 8 << 20, "{} bytes counted", nodes[0].bytes);
}

#[tokio::test(start_paused = true)]
async fn requests_pass_over_tls_that_answers_with_our_protocol() {
    let world = World::new();
    let plane = Plane::start(&world.network, &world.certificates, &world.book);
    let _gateway = world.gateway_through(world.network.connector()).await;
    requests_pass(&plane, world.gateway).await;
}

#[tokio::test(start_paused = true)]
async fn requests_pass_over_a_websocket_where_only_http_is_answered() {
    let world = World::new();
    let plane = Plane::start_http_only(&world.network, &world.certificates, &world.book);
    let _gateway = world.gateway_through(world.network.connector()).await;
    requests_pass(&plane, world.gateway).await;
}

#[tokio::test(start_paused = true)]
async fn both_carriers_pass_a_proxy_that_wants_a_password() {
    for http_only in [false, true] {
        let world = World::new();
        let plane = if http_only {
            Plane::start_http_only(&world.network, &world.certificates, &world.book)
        } else {
            Plane::start(&world.network, &world.certificates, &world.book)
        };
        // "gate:open sesame"
        let proxy = Proxy::start(&world.network, Some("Basic Z2F0ZTpvcGVuIHNlc2FtZQ=="));
        let settings = ProxySettings {
            https: Some(format!("http://gate:open%20sesame@{PROXY}").parse().unwrap()),
            ..ProxySettings::default()
        };
        let through = Arc::new(ViaProxy::new(world.network.connector(), settings));
        let _gateway = world.gateway_through(through).await;
        requests_pass(&plane, world.gateway).await;
        assert_eq!(proxy.carried.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_refuses_is_named_in_the_status_and_never_its_password() {
    let world = World::new();
    let _plane = Plane::start(&world.network, &world.certificates, &world.book);
    let _proxy = Proxy::start(&world.network, Some("Basic something-else"));
    let settings = ProxySettings {
        https: Some(format!("http://gate:wrong-password@{PROXY}").parse().unwrap()),
        ..ProxySettings::default()
    };
    let through = Arc::new(ViaProxy::new(world.network.connector(), settings));
    let mut gateway =
        Gateway::start_with(&world.network, &world.certificates, &world.key, token("token-1"), through, |_| ());
    let status = gateway.status.wait_for(|status| status.last_error.is_some()).await.unwrap().clone();
    let error = status.last_error.unwrap();
    assert!(error.contains("10.20.0.3") && !error.contains("wrong-password"), "{error}");
    assert!(!status.connected);
}

#[tokio::test(start_paused = true)]
async fn a_plane_with_another_ca_is_not_trusted() {
    let world = World::new();
    let _plane = Plane::start(&world.network, &Certificates::new(), &world.book);
    let mut gateway = Gateway::start(&world.network, &world.certificates, &world.key, token("token-1"));
    gateway.status.wait_for(|status| status.last_error.is_some()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = gateway.status.borrow().clone();
    let error = status.last_error.unwrap();
    assert!(
        (error.contains("not trusted") || error.contains("certificate"))
            && error.contains(PLANE.split(':').next().unwrap()),
        "{error}"
    );
    assert_eq!(world.book.asked(), 0);
}
