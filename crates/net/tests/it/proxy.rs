//! The forward proxy on the way, and everything it may do instead of its work.

use crate::support::{SECOND, addr, hear, listening, read_request, refused, say, target};
use ferrogate_model::{Explain as _, Fault, Retry, proxy::ProxySettings};
use ferrogate_net::{BoxIo, ConnectError, ConnectFailure, Connector as _, Network, ViaProxy};
use std::{future::Future, sync::Arc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PROXY: &str = "10.1.1.1:3128";

fn settings(url: &str, no_proxy: &str) -> ProxySettings {
    ProxySettings { https: Some(url.parse().unwrap()), http: None, no_proxy: no_proxy.parse().unwrap() }
}

fn via(network: &Network, url: &str) -> ViaProxy {
    ViaProxy::new(network.connector(), settings(url, ""))
}

/// What happens when the proxy answers its first connection like this.
async fn with_proxy<F>(answer: impl FnOnce(BoxIo) -> F + Send + 'static) -> Result<BoxIo, ConnectError>
where
    F: Future<Output = ()> + Send,
{
    let (network, listener) = listening(PROXY);
    tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        read_request(&mut io).await.unwrap();
        answer(io).await;
    });
    via(&network, "http://user:hunter2@10.1.1.1:3128").connect(&target("maas.lab:443"), SECOND * 5).await
}

async fn failing<F>(answer: impl FnOnce(BoxIo) -> F + Send + 'static) -> ConnectError
where
    F: Future<Output = ()> + Send,
{
    let Err(error) = with_proxy(answer).await else { panic!("connected") };
    assert!(!format!("{error} {error:?}").contains("hunter2"), "the password is shown: {error:?}");
    assert!(error.to_string().contains("through the proxy http://***@10.1.1.1:3128"), "{error}");
    error
}

#[tokio::test]
async fn connect_carries_the_target_and_the_credentials_and_then_the_bytes() {
    let (network, listener) = listening(PROXY);
    let proxy = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        let request = read_request(&mut io).await.unwrap();
        // The first bytes of the tunnel may arrive in one packet with the answer.
        say(&mut io, "HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\nearly ").await;
        hear(&mut io, "question").await;
        say(&mut io, "answer").await;
        request
    });
    let connector = via(&network, "http://user:p%40ss@10.1.1.1:3128");
    let mut io = connector.connect(&target("[fd00::5]:443"), SECOND).await.unwrap();
    say(&mut io, "question").await;
    hear(&mut io, "early answer").await;
    let request = proxy.await.unwrap();
    assert_eq!(
        request,
        "CONNECT [fd00::5]:443 HTTP/1.1\r\nHost: [fd00::5]:443\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n"
    );
}

#[tokio::test]
async fn an_answer_that_dribbles_in_is_still_an_answer() {
    let io = with_proxy(async |mut io: BoxIo| {
        for byte in b"HTTP/1.0 200 OK\r\n\r\nx" {
            io.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(io.unwrap().read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn no_proxy_is_reached_directly() {
    let network = Network::memory();
    let maas = network.listen(addr("10.20.0.2:5240")).unwrap();
    let connector = ViaProxy::new(network.connector(), settings("http://10.1.1.1:3128", "10.20.0.0/22"));
    assert!(connector.connect(&target("10.20.0.2:5240"), SECOND).await.is_ok());
    maas.accept().await.unwrap();
    let error = refused(&connector, "10.99.0.2:5240", SECOND).await;
    assert_eq!(error.via.as_deref(), Some("the proxy http://10.1.1.1:3128"));
    assert_eq!(error.failure, ConnectFailure::Refused);
    assert!(error.detail.contains("the proxy itself cannot be reached"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_hangs_is_given_up_at_the_deadline() {
    let start = tokio::time::Instant::now();
    let error = failing(async |_io| std::future::pending().await).await;
    assert_eq!((error.failure, start.elapsed()), (ConnectFailure::Timeout, SECOND * 5));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_sends_one_byte_a_second_is_given_up_at_the_deadline() {
    let error = failing(async |mut io: BoxIo| {
        for byte in "HTTP/1.1 200 OK and a long story".bytes() {
            let _ = io.write_all(&[byte]).await;
            tokio::time::sleep(SECOND).await;
        }
    })
    .await;
    assert_eq!(error.failure, ConnectFailure::Timeout);
}

#[tokio::test]
async fn a_proxy_that_wants_other_credentials_is_the_callers_affair() {
    let error = failing(async |mut io: BoxIo| {
        say(&mut io, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n").await;
    })
    .await;
    assert_eq!(error.failure, ConnectFailure::ProxyCredentials);
    assert_eq!((error.fault(), error.retry()), (Fault::Caller, Retry::No));
    assert!(error.detail.contains("refuses the user name or password"), "{error}");
}

#[tokio::test]
async fn a_proxy_that_refuses_with_a_web_page_is_named_with_its_status() {
    let error = failing(async |mut io: BoxIo| {
        say(&mut io, "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html><title>Blocked</title>").await;
    })
    .await;
    assert_eq!(error.failure, ConnectFailure::ProxyStatus(Some(403)));
    assert!(error.hint().unwrap().contains("CONNECT to maas.lab:443"));
}

#[tokio::test]
async fn what_is_no_proxy_is_said_to_be_none() {
    for text in
        ["<html>I am a web server</html>", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 ok\r\n\r\n"]
    {
        let error = failing(async move |mut io: BoxIo| say(&mut io, text).await).await;
        assert_eq!(error.failure, ConnectFailure::Other);
        assert!(error.detail.contains("not an HTTP proxy"), "{text}: {error}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let error = failing(async |mut io: BoxIo| {
        let _ = io.write_all(b"HTTP/1.1 200 OK\r\nX: ").await;
        while io.write_all(&[b'a'; 1024]).await.is_ok() {}
    })
    .await;
    assert_eq!(error.failure, ConnectFailure::Other);
}

#[tokio::test]
async fn a_proxy_that_hangs_up_is_said_to() {
    let error = failing(async |io| drop(io)).await;
    assert!(error.detail.contains("closed the connection without an answer"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_would_smuggle_a_header_is_not_asked_for() {
    let (network, listener) = listening(PROXY);
    let connector = Arc::new(via(&network, "http://10.1.1.1:3128"));
    let error = refused(&*connector, "a\r\nX-Evil: 1:443", SECOND).await;
    assert!(error.detail.contains("cannot be the name of a host"), "{error:?}");
    assert!(tokio::time::timeout(SECOND, listener.accept()).await.is_err());
}
