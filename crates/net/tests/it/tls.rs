//! Whom we believe, and what we say when we do not.

use crate::{
    certificates::{Ca, Made, accept, acceptor},
    support::{SECOND, listening, say, target},
};
use ferrogate_model::Explain as _;
use ferrogate_net::{BoxIo, ConnectError, ConnectFailure, Connector as _, Trust, TrustError, connect_tls};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, client::TlsStream};

const PLACE: &str = "10.0.0.9:443";

/// Connects to a server with `acceptor` as if its name were `name`.
async fn speak(trust: &Trust, acceptor: TlsAcceptor, name: &str) -> Result<TlsStream<BoxIo>, ConnectError> {
    let (network, listener) = listening(PLACE);
    tokio::spawn(async move {
        if let Ok(mut stream) = accept(&listener, &acceptor).await {
            let _ = stream.write_all(b"hi").await;
            let _ = stream.flush().await;
            let _ = stream.read_u8().await;
        }
    });
    let config = trust.client_config(&[b"ferrogate/1", b"http/1.1"]).unwrap();
    let io = network.connect(&target(PLACE), SECOND).await.unwrap();
    let mut stream = connect_tls(io, &target(PLACE), Some(name), config, SECOND).await?;
    let mut bytes = [0; 2];
    stream.read_exact(&mut bytes).await.map_err(|error| ConnectError {
        failure: ConnectFailure::Tls,
        target: target(PLACE),
        via: None,
        detail: error.to_string(),
    })?;
    Ok(stream)
}

async fn why_not(trust: &Trust, acceptor: TlsAcceptor, name: &str) -> String {
    let Err(error) = speak(trust, acceptor, name).await else { panic!("believed") };
    assert_eq!(error.failure, ConnectFailure::Tls);
    error.detail
}

fn only(leaf: &Made) -> TlsAcceptor {
    acceptor(leaf, &[], None)
}

#[tokio::test]
async fn a_private_authority_is_believed_and_no_other() {
    let ca = Ca::new("site CA");
    let leaf = ca.sign(&["maas.lab"]);
    let stream = speak(&Trust::ca(&ca.made.pem), only(&leaf), "maas.lab").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"ferrogate/1".as_slice()));
    let renewed = why_not(&Trust::ca(Ca::new("site CA").made.pem), only(&leaf), "maas.lab").await;
    assert!(renewed.ends_with("by another one of the same name"), "{renewed}");
    let other = Trust::ca(Ca::new("other CA").made.pem);
    assert_eq!(
        why_not(&other, only(&leaf), "maas.lab").await,
        "the certificate is signed by an authority that is not trusted here"
    );
    let both = other.with_ca(&ca.made.pem);
    assert!(speak(&both, only(&leaf), "maas.lab").await.is_ok());
}

#[tokio::test]
async fn a_certificate_for_another_name_says_for_which() {
    let ca = Ca::new("site CA");
    let leaf = ca.sign(&["maas.lab", "10.0.0.9"]);
    let trust = Trust::ca(&ca.made.pem);
    assert!(speak(&trust, only(&leaf), "10.0.0.9").await.is_ok());
    let detail = why_not(&trust, only(&leaf), "plane.lab").await;
    assert!(
        detail.starts_with("the certificate is not for `plane.lab` but for ") && detail.contains("maas.lab"),
        "{detail}"
    );
    assert_eq!(why_not(&trust, only(&leaf), "not a name").await, "`not a name` cannot be the name in a certificate");
}

#[tokio::test]
async fn an_expired_or_future_certificate_is_named_as_such() {
    let ca = Ca::new("site CA");
    let trust = Trust::ca(&ca.made.pem);
    let old = ca.sign_with(&["a.lab"], |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    assert_eq!(why_not(&trust, only(&old), "a.lab").await, "the certificate has expired");
    let new = ca.sign_with(&["a.lab"], |params| params.not_before = rcgen::date_time_ymd(4000, 1, 1));
    assert!(why_not(&trust, only(&new), "a.lab").await.starts_with("the certificate is not valid yet"));
}

#[tokio::test]
async fn a_pin_on_the_servers_own_certificate_needs_no_authority_and_no_name() {
    let leaf = Ca::new("anything").sign(&["whatever.lab"]);
    assert!(speak(&Trust::pinned(leaf.fingerprint()), only(&leaf), "plane.lab").await.is_ok());
}

#[tokio::test]
async fn a_pin_decides_alone() {
    let ca = Ca::new("site CA");
    let (pinned, other) = (ca.sign(&["plane.lab"]), ca.sign(&["plane.lab"]));
    let mut trust = Trust::pinned(pinned.fingerprint()).with_ca(&ca.made.pem);
    trust.system_roots = true;
    let detail = why_not(&trust, only(&other), "plane.lab").await;
    assert!(detail.contains(&pinned.fingerprint().to_string()), "{detail}");
    assert!(detail.contains(&other.fingerprint().to_string()), "{detail}");
}

#[tokio::test]
async fn a_pinned_issuer_is_the_only_authority_and_names_count() {
    let ca = Ca::new("plane CA");
    let leaf = ca.sign(&["plane.lab"]);
    let trust = Trust::pinned(ca.made.fingerprint());
    let server = || acceptor(&leaf, &[&ca.made], None);
    assert!(speak(&trust, server(), "plane.lab").await.is_ok());
    assert!(why_not(&trust, server(), "evil.lab").await.contains("not for `evil.lab`"));
    // A server that does not send its issuer along cannot be judged.
    assert!(why_not(&trust, only(&leaf), "plane.lab").await.contains("not the expected one"));
}

#[tokio::test]
async fn the_pinned_issuer_sent_along_by_somebody_else_proves_nothing() {
    let real = Ca::new("plane CA");
    let evil = Ca::new("plane CA");
    let leaf = evil.sign(&["plane.lab"]);
    let trust = Trust::pinned(real.made.fingerprint());
    for chain in [vec![&real.made], vec![&evil.made, &real.made], vec![&real.made, &evil.made]] {
        let detail = why_not(&trust, acceptor(&leaf, &chain, None), "plane.lab").await;
        assert!(detail.ends_with("by another one of the same name"), "{detail}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_presented_where_it_is_asked_for() {
    let ca = Ca::new("cluster CA");
    let server = ca.sign(&["kubernetes"]);
    let admin = ca.sign(&["admin"]);
    let trust = Trust::ca(&ca.made.pem);
    let with = trust.clone().with_identity(&admin.pem, SecretString::from(admin.key_pem.clone()));
    assert!(speak(&with, acceptor(&server, &[], Some(&ca)), "kubernetes").await.is_ok());
    let detail = why_not(&trust, acceptor(&server, &[], Some(&ca)), "kubernetes").await;
    assert!(detail.contains("CertificateRequired"), "{detail}");
    assert!(!format!("{with:?}").contains("PRIVATE KEY"));
}

#[tokio::test]
async fn what_does_not_speak_tls_is_said_not_to() {
    let (network, listener) = listening(PLACE);
    tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        say(&mut io, "HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port").await;
        let _ = io.read_u8().await;
    });
    let io = network.connect(&target(PLACE), SECOND).await.unwrap();
    let config = Trust::ca(Ca::new("x").made.pem).client_config(&[]).unwrap();
    let error = connect_tls(io, &target(PLACE), None, config, SECOND).await.unwrap_err();
    assert_eq!(error.detail, "what answers there does not speak TLS");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_is_given_up_at_the_deadline() {
    let (network, _listener) = listening(PLACE);
    let io = network.connect(&target(PLACE), SECOND).await.unwrap();
    let config = Trust::ca(Ca::new("x").made.pem).client_config(&[]).unwrap();
    let error = connect_tls(io, &target(PLACE), None, config, SECOND * 7).await.unwrap_err();
    assert_eq!(error.failure, ConnectFailure::Timeout);
    assert!(error.detail.contains("TLS handshake within 7 s"), "{error}");
}

#[test]
fn unusable_settings_are_refused_before_any_connection() {
    let none = Trust { system_roots: false, ..Trust::system() };
    assert!(matches!(none.client_config(&[]), Err(TrustError::NoAuthorities)));
    assert!(none.check().is_ok());
    for pem in ["", "-----BEGIN CERTIFICATE-----\nnonsense", "hello"] {
        assert!(matches!(Trust::ca(pem).check(), Err(TrustError::Ca(_))), "{pem}");
    }
    let made = Ca::new("x").made;
    for (chain, key) in [("", made.key_pem.as_str()), (made.pem.as_str(), "no key")] {
        let trust = Trust::system().with_identity(chain, key.to_owned().into());
        let error = trust.check().unwrap_err();
        assert_eq!(error.code(), "client_certificate_not_usable");
    }
    let stranger = Ca::new("y").made.key_pem;
    let trust = Trust::ca(&made.pem).with_identity(&made.pem, stranger.into());
    assert!(matches!(trust.client_config(&[]), Err(TrustError::Identity(_))));
}
