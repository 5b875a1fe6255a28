use super::*;
use bytes::Bytes;
use ferrogate_model::proxy::ProxySettings;
use ferrogate_net::{ConnectFailure, HttpClient, Limits, ViaProxy};

const SERVER: &str = "10.9.0.1:80";
const PROXY: &str = "10.20.0.3:3128";

/// A network with a server that answers every request the same way and echoes after that.
fn site(credentials: Option<(&str, &str)>) -> (Network, Proxy) {
    let network = Network::memory();
    let listener = network.listen(SERVER.parse().unwrap()).unwrap();
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                let n = io.read(&mut bytes).await.unwrap_or(0);
                let path = String::from_utf8_lossy(&bytes[..n]).split(' ').nth(1).unwrap_or_default().to_owned();
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{path}", path.len());
                let _ = io.write_all(answer.as_bytes()).await;
            });
        }
    });
    let credentials = credentials.map(|(user, password)| (user.to_owned(), password.into()));
    let hosts = BTreeMap::from([("plane.demo.internal".to_owned(), "10.9.0.1".parse().unwrap())]);
    let options = ProxyOptions { network: network.clone(), listen: PROXY.parse().unwrap(), credentials, hosts };
    let proxy = Proxy::start(options).unwrap();
    (network, proxy)
}

fn client(network: &Network, proxy: &Proxy) -> HttpClient {
    let url = proxy.url().expose_secret().parse().unwrap();
    let settings = ProxySettings { http: Some(url), ..ProxySettings::default() };
    HttpClient::builder(network.connector()).proxy(settings).build().unwrap()
}

async fn get(client: &HttpClient) -> (u16, String) {
    let request = http::Request::get("http://plane.demo.internal/artifacts/bundle?x=1").body(Bytes::new()).unwrap();
    let answer = client.send(request, Limits::default()).await.unwrap();
    (answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned())
}

#[tokio::test(start_paused = true)]
async fn an_absolute_form_request_reaches_a_name_only_the_proxy_knows() {
    let (network, proxy) = site(None);
    assert_eq!(get(&client(&network, &proxy)).await, (200, "/artifacts/bundle?x=1".to_owned()));
    let log = proxy.log();
    assert_eq!((log[0].method.as_str(), log[0].target.as_str()), ("GET", "plane.demo.internal:80"));
    assert!(log[0].status == 200 && log[0].received > 0, "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn credentials_are_asked_for_and_a_wrong_password_does_not_pass() {
    let (network, proxy) = site(Some(("site", "s@cret")));
    assert_eq!(get(&client(&network, &proxy)).await.0, 200);
    let wrong =
        ProxySettings { https: Some("http://site:wrong@10.20.0.3:3128".parse().unwrap()), ..ProxySettings::default() };
    let tunnel = ViaProxy::new(network.connector(), wrong);
    let error = tunnel.connect(&Target::new("plane.demo.internal", 80), DEADLINE).await.err().unwrap();
    assert_eq!(error.failure, ConnectFailure::ProxyCredentials);
    assert_eq!(proxy.log().last().unwrap().status, 407);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_carries_bytes_and_ends_when_the_proxy_is_restarted() {
    let (network, proxy) = site(None);
    let settings =
        ProxySettings { https: Some(proxy.url().expose_secret().parse().unwrap()), ..ProxySettings::default() };
    let connector = ViaProxy::new(network.connector(), settings);
    let target = Target::new("plane.demo.internal", 80);
    let mut io = connector.connect(&target, DEADLINE).await.unwrap();
    io.write_all(b"GET /x HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    io.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"/x"));
    let idle = connector.connect(&target, DEADLINE).await.unwrap();
    proxy.stop().await;
    let (mut reader, _writer) = tokio::io::split(idle);
    assert!(matches!(reader.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    assert!(connector.connect(&target, DEADLINE).await.is_err());
    proxy.resume().unwrap();
    connector.connect(&target, DEADLINE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_one_a_client_can_tell() {
    let (network, proxy) = site(None);
    let settings =
        ProxySettings { https: Some(proxy.url().expose_secret().parse().unwrap()), ..ProxySettings::default() };
    let connector = ViaProxy::new(network.connector(), settings);
    let target = Target::new("plane.demo.internal", 443);
    proxy.set_fault(Some(ProxyFault::Html(403)));
    let error = connector.connect(&target, DEADLINE).await.err().unwrap();
    assert_eq!(error.failure, ConnectFailure::ProxyStatus(Some(403)));
    proxy.set_fault(Some(ProxyFault::Hang));
    let error = connector.connect(&target, Duration::from_secs(5)).await.err().unwrap();
    assert_eq!(error.failure, ConnectFailure::Timeout);
    proxy.set_fault(None);
    let error = connector.connect(&Target::new("unknown.example", 443), DEADLINE).await.err().unwrap();
    assert_eq!(error.failure, ConnectFailure::ProxyStatus(Some(502)));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_proxy_neither_forwards_nor_ends_and_thaws_without_loss() {
    let (network, proxy) = site(None);
    let settings =
        ProxySettings { https: Some(proxy.url().expose_secret().parse().unwrap()), ..ProxySettings::default() };
    let connector = ViaProxy::new(network.connector(), settings);
    let mut io = connector.connect(&Target::new("plane.demo.internal", 80), DEADLINE).await.unwrap();
    proxy.freeze();
    let mut work = tokio::spawn(async move {
        io.write_all(b"GET /y HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        io.read_to_end(&mut answer).await.unwrap();
        answer
    });
    assert!(tokio::time::timeout(Duration::from_secs(600), &mut work).await.is_err(), "it went through");
    proxy.thaw();
    let answer = tokio::time::timeout(Duration::from_secs(600), work).await.unwrap().unwrap();
    assert!(answer.ends_with(b"/y"), "{}", String::from_utf8_lossy(&answer));
}
