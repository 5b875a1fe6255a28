//! A server that does what a test tells it, byte for byte.

use ferrogate_net::{BoxIo, ConnectError, Connector, Listener, Network, Target};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn target(text: &str) -> Target {
    let (host, port) = text.rsplit_once(':').unwrap();
    Target::new(host.trim_start_matches('[').trim_end_matches(']'), port.parse().unwrap())
}

/// The error of a connection that must not come about.
pub(crate) async fn refused(connector: &dyn Connector, to: &str, deadline: Duration) -> ConnectError {
    match connector.connect(&target(to), deadline).await {
        Ok(_) => panic!("{to} could be reached"),
        Err(error) => error,
    }
}

/// Reads a request's head, and its body where a length is given.
pub(crate) async fn read_request(io: &mut BoxIo) -> Option<String> {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        if io.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        read.push(byte[0]);
    }
    let head = String::from_utf8(read).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").and_then(|n| n.parse().ok()))
        .unwrap_or(0_usize);
    let mut body = vec![0; length];
    io.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

pub(crate) async fn say(io: &mut BoxIo, text: &str) {
    io.write_all(text.as_bytes()).await.unwrap();
    io.flush().await.unwrap();
}

pub(crate) async fn hear(io: &mut BoxIo, text: &str) {
    let mut bytes = vec![0; text.len()];
    io.read_exact(&mut bytes).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Answers every connection's requests with `answer(connection number, request)` until `answer` has none left for it, then
/// closes it. Connections are counted from 1.
pub(crate) fn serve<F>(listener: Listener, answer: F) -> tokio::task::JoinHandle<()>
where
    F: Fn(usize, &str) -> Option<String> + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 1.. {
            let Ok((mut io, _)) = listener.accept().await else { return };
            let answer = Arc::clone(&answer);
            tasks.spawn(async move {
                while let Some(request) = read_request(&mut io).await {
                    let Some(text) = answer(number, &request) else { return };
                    say(&mut io, &text).await;
                }
            });
        }
    })
}

/// A network with a listener on it.
pub(crate) fn listening(address: &str) -> (Network, Listener) {
    let network = Network::memory();
    let listener = network.listen(addr(address)).unwrap();
    (network, listener)
}
