//! What stands between us and MAAS, or in its place.

use crate::{
    recordings::exchange,
    server::{PLACE, Server, answer, json},
};
use ferrogate_maas::{Client, MaasError, MaasFailure};
use ferrogate_model::{Explain as _, Fault, Retry, proxy::ProxySettings};
use ferrogate_net::{Network, Trust, trust};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn failing(reply: String) -> MaasError {
    let server = Server::with(move |_| Some(reply.clone()));
    server.client().whoami().await.unwrap_err()
}

fn page(status: u16, title: &str) -> String {
    answer(
        status,
        "Content-Type: text/html\r\n",
        &format!("<!DOCTYPE html>\n<HTML><Title>{title}</Title><p>Ü</p></HTML>"),
    )
}

#[tokio::test]
async fn a_path_without_maas_is_named_as_the_cause() {
    for name in ["01/50", "01/40"] {
        let error = failing(exchange(name).answer()).await;
        assert_eq!((error.code(), error.fault()), ("maas_wrong_path", Fault::Caller), "{error}");
        assert!(error.hint().unwrap().contains("must end in /MAAS"));
    }
}

#[tokio::test]
async fn another_web_server_is_said_not_to_be_maas() {
    for (status, title) in
        [(200, "Welcome to nginx!"), (404, "404 Not Found"), (400, "The plain HTTP request was sent")]
    {
        let error = failing(page(status, title)).await;
        assert_eq!(error.code(), "not_maas", "{error}");
        assert!(error.to_string().contains(&format!("titled `{title}`")), "{error}");
        assert!(error.to_string().contains(&format!("http://{PLACE}/MAAS")), "{error}");
    }
    let error = failing(answer(200, "Content-Type: application/json\r\n", "{\"hello\": 1}")).await;
    assert_eq!(error.code(), "maas_answer_not_understood");
    let error = failing(answer(200, "", "hello")).await;
    assert_eq!(error.code(), "maas_answer_not_understood");
    let error = failing(answer(418, "", "teapot")).await;
    assert_eq!(error.code(), "not_maas");
}

#[tokio::test]
async fn a_redirection_says_where_to() {
    let reply = answer(301, "Location: https://maas.lab/MAAS/?token=hunter2\r\n", "");
    let error = failing(reply).await;
    assert!(error.to_string().contains("a redirection to https://maas.lab/MAAS/"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_proxy_is_the_networks_fault() {
    for (status, title) in
        [(403, "Access Denied by Policy"), (502, "Bad Gateway"), (504, "Gateway Time-out"), (511, "Log in")]
    {
        let error = failing(page(status, title)).await;
        assert_eq!((error.code(), error.fault()), ("maas_intercepted", Fault::Network), "{error}");
        assert!(error.to_string().contains(title), "{error}");
        assert_eq!(error.words, None, "a proxy's words are not MAAS's");
    }
    let basic = answer(401, "WWW-Authenticate: Basic realm=\"intranet\"\r\n", "who are you");
    assert_eq!(failing(basic).await.code(), "maas_intercepted");
}

#[tokio::test]
async fn a_clock_that_is_behind_is_named_with_the_seconds() {
    // The client's clock says 08:30:00.
    let refused = |date: &str| {
        answer(
            401,
            &format!("Date: {date}\r\nWWW-Authenticate: OAuth realm=\"OAuth\"\r\n"),
            "Authorization Error: Invalid API key.",
        )
    };
    let error = failing(refused("Sun, 22 Nov 2026 08:40:00 GMT")).await;
    assert!(matches!(*error.failure, MaasFailure::ClockSkew { seconds: -600 }), "{error:?}");
    assert!(error.to_string().contains("this host's clock is 600 s behind MAAS's"), "{error}");
    // A little behind is allowed, and MAAS lets a clock that is ahead pass: then the key is the cause.
    for date in ["Sun, 22 Nov 2026 08:34:00 GMT", "Sun, 22 Nov 2026 07:30:00 GMT", "nonsense"] {
        assert_eq!(failing(refused(date)).await.code(), "maas_key_refused", "{date}");
    }
}

#[tokio::test]
async fn the_secret_that_maas_repeats_is_taken_out() {
    let error = failing(exchange("01/9").answer()).await;
    assert!(!format!("{error:?}").contains("AdminTokenSecret"), "{error:?}");
    let echo = answer(401, "", "Authorization Error: TokenSecret00000001 of TokenKey0001 is odd");
    assert_eq!(failing(echo).await.words.as_deref(), Some("Authorization Error: *** of *** is odd"));
}

#[tokio::test]
async fn endless_words_are_cut() {
    let error = failing(answer(500, "", &"word ".repeat(10_000))).await;
    assert!(error.words.unwrap().len() < 700);
}

#[tokio::test]
async fn exhaustion_is_told_apart_from_a_maas_that_is_down() {
    let exhausted = exchange("23/28").answer();
    let server =
        Server::with(move |asked| Some(if asked.method == "GET" { json(200, "[]") } else { exhausted.clone() }));
    let wanted = ferrogate_maas::ReserveIp { subnet: Some("10.40.0.0/30".parse().unwrap()), ..Default::default() };
    let error = server.client().reserve_ip(&wanted).await.unwrap_err();
    assert_eq!(error.code(), "maas_addresses_exhausted");
    assert!(!error.may_have_happened());
}

#[tokio::test]
async fn a_collision_inside_maas_is_its_own_and_did_nothing() {
    let reply = exchange("29/2").answer();
    let server = Server::with(move |_| Some(reply.clone()));
    let error = server.client().allocate(&ferrogate_maas::Allocate::default()).await.unwrap_err();
    assert_eq!((error.code(), error.fault(), error.retry()), ("maas_collision", Fault::Maas, Retry::Later));
    assert!(!error.may_have_happened());
    assert_eq!(failing(page(409, "Blocked by policy")).await.code(), "maas_intercepted");
}

#[tokio::test]
async fn a_deployment_without_addresses_is_exhaustion_in_any_words() {
    let id = ferrogate_model::SystemId("4y3hb3".into());
    for words in [
        "No more IPs available in subnet: 10.40.0.0/30.",
        "Failed to allocate the required AUTO IP addresses after 2 retries",
    ] {
        let server = Server::with(move |_| Some(answer(503, "Content-Type: text/plain\r\n", words)));
        let error = server.client().deploy(&id, &ferrogate_maas::Deploy::default()).await.unwrap_err();
        assert!(matches!(&*error.failure, MaasFailure::Exhausted(text) if text == words), "{error:?}");
    }
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

/// A MAAS behind TLS at 10.20.0.2:5443 that answers a version.
fn tls_maas(network: &Network, issuer: &Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["10.20.0.2".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let mut config = tokio_rustls::rustls::ServerConfig::builder_with_provider(trust::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = network.listen("10.20.0.2:5443".parse().unwrap()).unwrap();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(io).await else { continue };
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(json(200, r#"{"version": "3.6.5"}"#).as_bytes()).await;
            let _ = stream.flush().await;
        }
    });
}

fn over_tls(network: &Network, trust: Trust) -> Client {
    let mut options = Server::answering([""; 0]).options();
    options.endpoint = "https://10.20.0.2:5443/MAAS".parse().unwrap();
    options.connector = network.connector();
    options.trust = trust;
    Client::new(options).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_private_authority_must_be_given_and_is_then_enough() {
    let network = Network::memory();
    let (pem, issuer) = authority();
    tls_maas(&network, &issuer);
    assert_eq!(over_tls(&network, Trust::ca(pem)).version().await.unwrap().version, "3.6.5");
    let error = over_tls(&network, Trust::ca(authority().0)).version().await.unwrap_err();
    assert_eq!((error.code(), error.fault()), ("tls_not_trusted", Fault::Network));
    assert!(error.hint().unwrap().contains("--ca-file"));
    let broken = Client::new({
        let mut options = Server::answering([""; 0]).options();
        options.trust = Trust::ca("nonsense");
        options
    });
    assert_eq!(broken.unwrap_err().code(), "ca_not_usable");
}

#[tokio::test]
async fn a_forward_proxy_is_used_unless_maas_is_excepted() {
    let server = Server::with(|_| Some(json(200, r#"{"version": "3.6.5"}"#)));
    let proxy = server.network.listen("10.1.1.1:3128".parse().unwrap()).unwrap();
    let with = |no_proxy: &str| {
        let mut options = server.options();
        options.proxy = ProxySettings {
            http: Some("http://10.1.1.1:3128".parse().unwrap()),
            https: None,
            no_proxy: no_proxy.parse().unwrap(),
        };
        Client::new(options).unwrap()
    };
    assert!(with("10.20.0.0/22").version().await.is_ok());
    let client = with("");
    let asking = tokio::spawn(async move { client.version().await });
    let (mut io, _) = proxy.accept().await.unwrap();
    let mut request = vec![0; 60];
    io.read_exact(&mut request).await.unwrap();
    assert!(request.starts_with(b"GET http://10.20.0.2:5240/MAAS/api/2.0/version/ HTTP/1.1"));
    io.write_all(json(200, r#"{"version": "2.9.0"}"#).as_bytes()).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap().version, "2.9.0");
}
