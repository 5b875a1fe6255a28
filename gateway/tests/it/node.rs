//! `run`, from the first start to the last stream.

use crate::support::{Machine, Plane, echo_service};
use ferrogate_gateway::{RunError, doctor, run};
use ferrogate_net::{ConnectFailure, Target};
use ferrogate_tunnel::DisconnectReason;
use std::{os::unix::fs::PermissionsExt, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_node_registers_serves_reports_and_comes_back_under_the_same_identity() {
    let plane = Plane::start().await;
    let (echo, _service) = echo_service().await;
    let machine = Machine::new(&plane, echo);
    let cancel = CancellationToken::new();
    let node = tokio::spawn(run(machine.options(), cancel.clone()));
    machine.wait_for("/readyz", "200 OK").await;
    assert!(!machine.path("etc/ferrogate/enrolment-token").exists(), "the token is of no use any more");
    let key = machine.path("var/lib/ferrogate/node.key");
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);

    let connector = plane.hub.connector(plane.book.gateway);
    let target = Target::new(echo.ip().to_string(), echo.port());
    let mut io = connector.connect(&target, DEADLINE).await.unwrap();
    io.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    io.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
    let forbidden = Target::new(machine.admin.ip().to_string(), machine.admin.port());
    let refused = connector.connect(&forbidden, DEADLINE).await.err().unwrap();
    assert_eq!(refused.failure, ConnectFailure::NotAllowed);

    let metrics = machine.get("/metrics").await;
    for line in [
        "ferrogate_gateway_connected 1",
        "ferrogate_gateway_streams 1",
        "ferrogate_gateway_bytes_total{direction=\"to_site\"} 5",
        "ferrogate_gateway_bytes_total{direction=\"to_plane\"} 5",
        "ferrogate_gateway_dials_total{result=\"connected\"} 1",
        "ferrogate_gateway_refusals_total 1",
        "ferrogate_gateway_carrier_dials_total{result=\"failed\"} 0",
        "ferrogate_gateway_build_info{version=",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "no `{line}` in {metrics}");
    }

    drop(io);
    cancel.cancel();
    assert!(node.await.unwrap().is_ok());
    assert_eq!(machine.get("/livez").await, "", "nothing listens any more");

    // No token any more: the key and the registration are all a later start needs.
    let cancel = CancellationToken::new();
    let node = tokio::spawn(run(machine.options(), cancel.clone()));
    machine.wait_for("/readyz", "200 OK").await;
    cancel.cancel();
    assert!(node.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_node_is_alive_but_not_ready_while_it_cannot_reach_the_plane_and_says_why() {
    let plane = Plane::start().await;
    let (echo, _service) = echo_service().await;
    let machine = Machine::new(&plane, echo);
    std::fs::write(machine.path("etc/ferrogate/enrolment-token"), "another").unwrap();
    let cancel = CancellationToken::new();
    let node = tokio::spawn(run(machine.options(), cancel.clone()));
    machine.wait_for("/readyz", "enrolment token is not known").await;
    assert!(machine.get("/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(machine.get("/livez").await.starts_with("HTTP/1.1 200"));
    assert!(machine.get("/metrics").await.contains("ferrogate_gateway_connected 0"));
    assert!(machine.path("etc/ferrogate/enrolment-token").exists());
    cancel.cancel();
    assert!(node.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_revoked_node_ends_with_its_own_error() {
    let plane = Plane::start().await;
    let (echo, _service) = echo_service().await;
    let machine = Machine::new(&plane, echo);
    let node = tokio::spawn(run(machine.options(), CancellationToken::new()));
    machine.wait_for("/readyz", "200 OK").await;
    *plane.book.revoked.lock().unwrap() = true;
    plane.hub.disconnect(plane.book.node, DisconnectReason::Revoked);
    assert!(matches!(node.await.unwrap(), Err(RunError::Revoked)));
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_before_any_port_is_bound_or_key_made() {
    let plane = Plane::start().await;
    let (echo, _service) = echo_service().await;
    let machine = Machine::new(&plane, echo);
    let file = machine.path("etc/ferrogate/gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("node_name", "nodename")).unwrap();
    let _taken = TcpListener::bind(machine.admin).await.unwrap();
    let error = run(machine.options(), CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&error, RunError::Config(error) if error.hint.as_deref() == Some("did you mean `node_name`?")));
    assert!(!machine.path("var").exists());

    std::fs::write(&file, text).unwrap();
    let error = run(machine.options(), CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, RunError::Listen { address, .. } if address == machine.admin));
}

#[tokio::test]
async fn the_doctor_names_the_step_that_fails_and_registers_nothing() {
    let plane = Plane::start().await;
    let (echo, _service) = echo_service().await;
    let machine = Machine::new(&plane, echo);
    let checks = doctor::examine(&machine.options()).await;
    assert!(checks.iter().all(|check| check.result.is_ok()), "{checks:#?}");
    assert_eq!(checks.last().unwrap().title, "tunnel");
    assert!(machine.path("etc/ferrogate/enrolment-token").exists());
    assert!(plane.hub.nodes(plane.book.gateway).is_empty());

    let other = Plane::start().await;
    std::fs::write(machine.path("etc/ferrogate/plane-ca.pem"), &other.ca_pem).unwrap();
    let checks = doctor::examine(&machine.options()).await;
    let failed: Vec<_> = checks.iter().filter(|check| check.result.is_err()).map(|check| &*check.title).collect();
    assert_eq!(failed, ["TLS"], "{checks:#?}");
}
