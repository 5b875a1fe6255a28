//! The ways of the HTTP client to its server: TLS, forward proxies, and both.

use crate::{
    certificates::{Ca, accept, acceptor},
    client::{PLACE, get},
    support::{SECOND, addr, listening, ok, read_request, say, serve},
};
use bytes::Bytes;
use ferrogate_model::{Explain as _, proxy::ProxySettings};
use ferrogate_net::{BoxIo, Connector as _, HttpClient, Limits, Network, Target, Trust};
use http::Request;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

const PROXY: &str = "10.1.1.1:3128";

fn uri(text: &str) -> Request<Bytes> {
    Request::builder().uri(text).body(Bytes::new()).unwrap()
}

fn proxied(network: &Network, no_proxy: &str) -> ferrogate_net::HttpClientBuilder {
    let url = Some("http://user:hunter2@10.1.1.1:3128".parse().unwrap());
    let settings = ProxySettings { https: url.clone(), http: url, no_proxy: no_proxy.parse().unwrap() };
    HttpClient::builder(network.connector()).proxy(settings)
}

/// A proxy that does its work, on `network`.
fn working_proxy(network: &Network, tls: Option<TlsAcceptor>) {
    let listener = network.listen(addr(PROXY)).unwrap();
    let network = network.clone();
    tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let (network, tls) = (network.clone(), tls.clone());
            tasks.spawn(async move {
                if let Some(tls) = tls {
                    let Ok(stream) = tls.accept(near).await else { return };
                    near = Box::new(stream);
                }
                let request = read_request(&mut near).await.unwrap();
                let place = request.split(' ').nth(1).unwrap();
                let (host, port) = place.rsplit_once(':').unwrap();
                let target = Target::new(host, port.parse().unwrap());
                let mut far = network.connect(&target, SECOND).await.unwrap();
                say(&mut near, "HTTP/1.1 200 OK\r\n\r\n").await;
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
}

/// A TLS server that answers every request with `body`.
fn tls_server(network: &Network, place: &str, ca: &Ca, name: &str, body: &'static str) {
    let listener = network.listen(addr(place)).unwrap();
    let acceptor = acceptor(&ca.sign(&[name]), &[&ca.made], None);
    tokio::spawn(async move {
        while let Ok(stream) = accept(&listener, &acceptor).await {
            let mut io: BoxIo = Box::new(stream);
            while read_request(&mut io).await.is_some() {
                say(&mut io, &ok(body)).await;
            }
        }
    });
}

#[tokio::test]
async fn plain_http_through_a_proxy_sends_the_whole_address_and_the_credentials() {
    let (network, listener) = listening(PROXY);
    serve(listener, |_, request| Some(ok(request)));
    let answer = proxied(&network, "").build().unwrap().send(get("/MAAS/?op=x"), Limits::default()).await.unwrap();
    let seen = String::from_utf8(answer.body().to_vec()).unwrap().to_ascii_lowercase();
    assert!(seen.starts_with("get http://10.20.0.2:5240/maas/?op=x http/1.1\r\n"), "{seen}");
    assert!(seen.contains("proxy-authorization: basic dxnlcjpodw50zxiy\r\n"), "{seen}");
    assert!(seen.contains("host: 10.20.0.2:5240\r\n"), "{seen}");
}

#[tokio::test]
async fn a_host_in_no_proxy_gets_neither_the_detour_nor_the_credentials() {
    let (network, listener) = listening(PLACE);
    serve(listener, |_, request| Some(ok(request)));
    let answer = proxied(&network, "10.20.0.0/16").build().unwrap().send(get("/"), Limits::default()).await.unwrap();
    let seen = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(seen.starts_with("GET / HTTP/1.1\r\n") && !seen.to_ascii_lowercase().contains("proxy"), "{seen}");
}

#[tokio::test]
async fn https_through_a_proxy_is_a_tunnel_and_the_proxy_sees_no_request() {
    let network = Network::memory();
    let ca = Ca::new("site CA");
    working_proxy(&network, None);
    tls_server(&network, "10.9.9.9:443", &ca, "10.9.9.9", "secret");
    let client = proxied(&network, "").trust(Trust::ca(&ca.made.pem)).build().unwrap();
    for _ in 0..2 {
        let answer = client.send(uri("https://10.9.9.9/"), Limits::default()).await.unwrap();
        assert_eq!(answer.body(), "secret");
    }
}

#[tokio::test]
async fn a_proxy_reached_by_tls_is_checked_too_and_a_pin_is_not_meant_for_it() {
    let network = Network::memory();
    let (ours, theirs) = (Ca::new("plane CA"), Ca::new("proxy CA"));
    working_proxy(&network, Some(acceptor(&theirs.sign(&["10.1.1.1"]), &[], None)));
    tls_server(&network, "10.9.9.9:443", &ours, "10.9.9.9", "secret");
    let url = Some("https://10.1.1.1:3128".parse().unwrap());
    let settings = ProxySettings { https: url, http: None, no_proxy: "".parse().unwrap() };
    let pinned = Trust::pinned(ours.made.fingerprint());
    let client =
        |trust: Trust| HttpClient::builder(network.connector()).proxy(settings.clone()).trust(trust).build().unwrap();
    let good = client(pinned.clone().with_ca(&theirs.made.pem));
    assert_eq!(good.send(uri("https://10.9.9.9/"), Limits::default()).await.unwrap().body(), "secret");
    let bad = client(pinned.with_ca(&ours.made.pem));
    let error = bad.send(uri("https://10.9.9.9/"), Limits::default()).await.unwrap_err();
    assert_eq!(error.code(), "tls_not_trusted");
    assert!(error.to_string().contains("the proxy itself cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_proxy_that_refuses_the_credentials_of_plain_http_is_named() {
    let (network, listener) = listening(PROXY);
    serve(listener, |_, _| Some("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n".into()));
    let error = proxied(&network, "").build().unwrap().send(get("/"), Limits::default()).await.unwrap_err();
    assert_eq!(error.code(), "proxy_credentials_refused");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_server_known_by_another_name_is_checked_against_that_name() {
    let network = Network::memory();
    let ca = Ca::new("cluster CA");
    tls_server(&network, "10.20.0.7:6443", &ca, "kubernetes", "ok");
    let build = |name: Option<&str>| {
        let builder = HttpClient::builder(network.connector()).trust(Trust::ca(&ca.made.pem));
        builder.server_name(name.map(str::to_owned)).build().unwrap()
    };
    let ask = || uri("https://10.20.0.7:6443/version");
    assert_eq!(build(Some("kubernetes")).send(ask(), Limits::default()).await.unwrap().body(), "ok");
    let error = build(None).send(ask(), Limits::default()).await.unwrap_err();
    assert_eq!(error.code(), "tls_not_trusted");
    assert!(!error.may_have_been_sent());
    assert!(error.to_string().contains("not for `10.20.0.7` but for"), "{error}");
}

#[tokio::test]
async fn a_client_without_authorities_still_speaks_plain_http() {
    let (network, listener) = listening(PLACE);
    serve(listener, |_, _| Some(ok("plain")));
    let trust = Trust { system_roots: false, ..Trust::system() };
    let client = HttpClient::builder(Arc::new(network.clone())).trust(trust).build().unwrap();
    assert_eq!(client.send(get("/"), Limits::default()).await.unwrap().body(), "plain");
    let error = client.send(uri("https://10.20.0.2:5240/"), Limits::default()).await.unwrap_err();
    assert_eq!(error.code(), "no_trusted_authorities");
}
