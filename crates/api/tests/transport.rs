//! The way to the plane over real sockets: whose fault a failure is, and whether a request may have taken effect.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ferrogate_api::{ApiError, Client, ClientOptions, SetupRequest};
use ferrogate_model::{Explain as _, Retry, fault::chain, proxy::ProxySettings};
use ferrogate_net::{Fingerprint, Trust, trust::provider};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

const EMPTY_PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"items\":[]}";

struct Authority {
    acceptor: TlsAcceptor,
    pem: String,
    fingerprint: Fingerprint,
}

/// A certificate for `name` and the authority that signed it.
fn authority(name: &str) -> Authority {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone(), ca.der().clone()], private)
        .unwrap();
    Authority { acceptor: Arc::new(config).into(), pem: ca.pem(), fingerprint: Fingerprint::of(ca.der()) }
}

/// What ends the head of a request, with the head; `None` where the other side hung up.
async fn head(io: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(io.read_u8().await.ok()?);
    }
    String::from_utf8(read).ok()
}

struct Plane {
    address: SocketAddr,
    authority: Authority,
    asked: Arc<AtomicUsize>,
    _task: JoinHandle<()>,
}

impl Plane {
    /// Answers every request with these bytes and closes the connection.
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let (answer, asked) = (answer.into(), Arc::new(AtomicUsize::new(0)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, authority, count) = (listener.local_addr().unwrap(), authority("127.0.0.1"), asked.clone());
        let acceptor = authority.acceptor.clone();
        let task = tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                let Ok(mut io) = acceptor.accept(io).await else { continue };
                if head(&mut io).await.is_some() {
                    count.fetch_add(1, Ordering::SeqCst);
                    // Who has read enough hangs up.
                    let _ = io.write_all(&answer).await;
                    let _ = io.shutdown().await;
                }
            }
        });
        Self { address, authority, asked, _task: task }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn client(&self) -> Client {
        client(self.address, Trust::pinned(self.authority.fingerprint), None)
    }
}

fn client(plane: SocketAddr, trust: Trust, proxy: Option<String>) -> Client {
    Client::new(ClientOptions {
        url: format!("https://{plane}").parse().unwrap(),
        token: None,
        trust,
        proxy: ProxySettings { https: proxy.map(|proxy| proxy.parse().unwrap()), ..ProxySettings::default() },
        hosts: Vec::new(),
        user_agent: "test".into(),
    })
    .unwrap()
}

/// A proxy that answers every `CONNECT` with these bytes, or never where there are none, and gives back what it was asked.
async fn proxy(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        let asked = head(&mut io).await.unwrap_or_default();
        if answer.is_empty() {
            std::future::pending::<()>().await;
        }
        io.write_all(answer.as_bytes()).await.unwrap();
        asked
    });
    (address, task)
}

fn anyone() -> Trust {
    Trust::pinned(Fingerprint::of(b"nobody"))
}

fn setup() -> SetupRequest {
    serde_json::from_value(serde_json::json!({
        "setup_token": "t", "tenant": "t", "email": "a@example.com", "password": "p"
    }))
    .unwrap()
}

#[track_caller]
fn expect(error: &ApiError, code: &str, retry: Retry, words: &str) {
    let text = chain(error);
    assert_eq!((error.code(), error.retry()), (code, retry), "{text}");
    assert!(text.contains(words), "{text}");
}

#[tokio::test]
async fn a_proxy_that_asks_for_a_password_is_named_and_the_one_given_is_not_shown() {
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
    let plane: SocketAddr = "127.0.0.1:9".parse().unwrap();
    for (credentials, words) in [("site:s3cret@", "refuses the user name or password"), ("", "asks for a user name")] {
        let (address, task) = proxy(refusal).await;
        let error = client(plane, anyone(), Some(format!("http://{credentials}{address}"))).me().await.unwrap_err();
        expect(&error, "proxy_credentials_refused", Retry::No, words);
        assert!(!format!("{} {error:?}", chain(&error)).contains("s3cret"));
        let asked = task.await.unwrap().to_ascii_lowercase();
        assert!(asked.starts_with("connect 127.0.0.1:9 http/1.1\r\n"), "{asked}");
        // `site:s3cret` in base64.
        assert_eq!(asked.contains("proxy-authorization: basic c2l0ztpzm2nyzxq="), !credentials.is_empty(), "{asked}");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_open_a_connection_is_told_apart_from_the_plane() {
    let plane: SocketAddr = "127.0.0.1:9".parse().unwrap();
    for answer in ["HTTP/1.1 403 Forbidden\r\n\r\n", "220 mail.example.com ESMTP\r\n\r\n"] {
        let (address, _task) = proxy(answer).await;
        let error = client(plane, anyone(), Some(format!("http://{address}"))).me().await.unwrap_err();
        expect(&error, "proxy_refused", Retry::Later, "does not open a connection");
        assert!(error.hint().unwrap().contains("CONNECT to 127.0.0.1:9"), "{:?}", error.hint());
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client(plane, anyone(), Some(format!("http://{gone}"))).me().await.unwrap_err();
    expect(&error, "connection_refused", Retry::Later, "the proxy itself cannot be reached: nothing listens there");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_hangs_is_not_waited_for_and_nothing_was_sent() {
    let (address, _task) = proxy("").await;
    let plane: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let error = client(plane, anyone(), Some(format!("http://{address}"))).setup(&setup()).await.unwrap_err();
    expect(&error, "connection_timed_out", Retry::Later, "the proxy gave no answer within 30 s");
}

#[tokio::test]
async fn a_pin_holds_behind_a_proxy_that_is_reached_by_tls_itself() {
    let plane = Plane::answering(EMPTY_PAGE).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // By another name than the plane's: that is how the two are told apart.
    let (port, own, behind) = (listener.local_addr().unwrap().port(), authority("localhost"), plane.address);
    let acceptor = own.acceptor.clone();
    let _task = tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let Ok(mut io) = acceptor.accept(io).await else { continue };
            if head(&mut io).await.is_some() {
                io.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut plane = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut io, &mut plane).await;
            }
        }
    });
    let address = Some(format!("https://localhost:{port}"));
    let trust = |pin| Trust::pinned(pin).with_ca(own.pem.clone());
    let good = client(plane.address, trust(plane.authority.fingerprint), address.clone());
    assert!(good.all_clusters().await.unwrap().is_empty());
    // The proxy's own authority is no authority for the plane.
    let error = client(plane.address, trust(own.fingerprint), address.clone()).me().await.unwrap_err();
    expect(&error, "tls_not_trusted", Retry::No, "not the expected one");
    // And the plane's is none for the proxy.
    let error = client(plane.address, Trust::pinned(plane.authority.fingerprint), address).me().await.unwrap_err();
    expect(&error, "tls_not_trusted", Retry::No, "the proxy itself cannot be reached: the certificate is signed by");
}

#[tokio::test]
async fn another_certificate_is_refused_before_anything_is_sent() {
    let plane = Plane::answering(EMPTY_PAGE).await;
    assert!(plane.client().all_clusters().await.unwrap().is_empty());
    let private = client(plane.address, Trust::ca(plane.authority.pem.clone()), None);
    assert!(private.all_clusters().await.unwrap().is_empty());

    let before = plane.asked();
    let error = client(plane.address, anyone(), None).setup(&setup()).await.unwrap_err();
    expect(&error, "tls_not_trusted", Retry::No, "the certificate is not the expected one: expected sha256:");
    let error = client(plane.address, Trust::ca(authority("127.0.0.1").pem), None).setup(&setup()).await.unwrap_err();
    expect(&error, "tls_not_trusted", Retry::No, "the certificate is");
    assert_eq!(plane.asked(), before);
}

#[tokio::test]
async fn nothing_that_listens_is_said_so() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client(gone, anyone(), None).setup(&setup()).await.unwrap_err();
    expect(&error, "connection_refused", Retry::Later, "nothing listens there");
}

#[tokio::test]
async fn an_answer_that_is_cut_leaves_the_fate_of_its_request_unknown() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":"] {
        let plane = Plane::answering(answer).await;
        let error = plane.client().setup(&setup()).await.unwrap_err();
        expect(&error, "connection_closed", Retry::AfterLooking, "before the answer was complete");
        assert_eq!(plane.asked(), 1, "what changes something is never sent again: {answer:?}");
    }
    let plane = Plane::answering("").await;
    let error = plane.client().me().await.unwrap_err();
    expect(&error, "connection_closed", Retry::AfterLooking, "before the answer was complete");
    assert_eq!(plane.asked(), 2, "what only asks is sent once more, and not for ever");
}

#[tokio::test]
async fn what_is_no_answer_of_a_plane_is_refused() {
    let plane = Plane::answering("SSH-2.0-OpenSSH_9.6\r\n").await;
    expect(&plane.client().setup(&setup()).await.unwrap_err(), "not_http", Retry::AfterLooking, "does not speak HTTP");

    // Followed, it would carry the token to another host.
    let moved =
        Plane::answering("HTTP/1.1 302 Found\r\nlocation: https://other.example/\r\ncontent-length: 0\r\n\r\n").await;
    let error = moved.client().me().await.unwrap_err();
    expect(&error, "not_a_plane", Retry::No, "HTTP 302");
    assert_eq!(moved.asked(), 1);

    let mut long = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    long.resize(9 * 1024 * 1024, b' ');
    let error = Plane::answering(long).await.client().me().await.unwrap_err();
    expect(&error, "answer_too_long", Retry::AfterLooking, "is longer than 8388608 bytes");
}

#[tokio::test(start_paused = true)]
async fn a_plane_that_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = client(listener.local_addr().unwrap(), anyone(), None).setup(&setup()).await.unwrap_err();
    expect(&error, "connection_timed_out", Retry::Later, "no answer within 30 s");
}
