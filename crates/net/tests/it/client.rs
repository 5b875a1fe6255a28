//! The HTTP client when all goes well: connections kept, bodies whole or in pieces.

use crate::support::{SECOND, listening, ok, read_request, say, serve};
use bytes::Bytes;
use ferrogate_net::{HttpClient, Limits, Network};
use http::{Method, Request};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

pub(crate) const PLACE: &str = "10.20.0.2:5240";

pub(crate) fn client(network: &Network) -> HttpClient {
    HttpClient::builder(network.connector()).build().unwrap()
}

pub(crate) fn request(method: Method, path: &str, body: &'static str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(format!("http://{PLACE}{path}"))
        .body(Bytes::from_static(body.as_bytes()))
        .unwrap()
}

pub(crate) fn get(path: &str) -> Request<Bytes> {
    request(Method::GET, path, "")
}

#[tokio::test]
async fn a_request_goes_out_in_origin_form_and_its_answer_comes_back_whole() {
    let (network, listener) = listening(PLACE);
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        let request = read_request(&mut io).await.unwrap();
        say(&mut io, "HTTP/1.1 201 Created\r\nX-Kind: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            .await;
        request
    });
    let answer = client(&network).send(request(Method::POST, "/MAAS/?op=x", "body"), Limits::default()).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-kind"]), (201, &"test".parse().unwrap()));
    assert_eq!(answer.body(), "abcde");
    let seen = server.await.unwrap().to_ascii_lowercase();
    assert!(seen.starts_with("post /maas/?op=x http/1.1\r\n"), "{seen}");
    assert!(seen.contains("host: 10.20.0.2:5240\r\n") && seen.contains("user-agent: ferrogate/"), "{seen}");
    assert!(seen.ends_with("\r\n\r\nbody"), "{seen}");
}

#[tokio::test]
async fn one_connection_serves_request_after_request() {
    let (network, listener) = listening(PLACE);
    serve(listener, |connection, _| Some(ok(&connection.to_string())));
    let client = client(&network);
    for method in [Method::GET, Method::POST, Method::GET, Method::DELETE, Method::POST] {
        let answer = client.send(request(method, "/", ""), Limits::default()).await.unwrap();
        assert_eq!(answer.body(), "1");
    }
}

#[tokio::test]
async fn no_more_connections_are_kept_than_allowed() {
    let (network, listener) = listening(PLACE);
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        let barrier = Arc::new(tokio::sync::Barrier::new(5));
        while let Ok((mut io, _)) = listener.accept().await {
            let (count, barrier) = (Arc::clone(&count), Arc::clone(&barrier));
            tasks.spawn(async move {
                count.fetch_add(1, Ordering::Relaxed);
                if read_request(&mut io).await.is_some() {
                    // All five at once, so that none can be reused.
                    barrier.wait().await;
                    say(&mut io, &ok("x")).await;
                }
                let _ = read_request(&mut io).await;
                count.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    let client = HttpClient::builder(network.connector()).keep_alive(2, Duration::from_secs(30)).build().unwrap();
    let calls = (0..5).map(|_| client.send(get("/"), Limits::default()));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap().body(), "x");
    }
    for _ in 0..1000 {
        if open.load(Ordering::Relaxed) == 2 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} connections are kept", open.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_not_used_after_its_time() {
    let (network, listener) = listening(PLACE);
    serve(listener, |connection, _| Some(ok(&connection.to_string())));
    let client = HttpClient::builder(network.connector()).keep_alive(8, SECOND * 10).build().unwrap();
    let ask = |method| {
        let client = client.clone();
        async move { client.send(request(method, "/", ""), Limits::default()).await.unwrap().into_body() }
    };
    assert_eq!(ask(Method::GET).await, "1");
    tokio::time::sleep(SECOND * 9).await;
    // What must not be repeated takes no connection that has lain unused for long.
    assert_eq!(ask(Method::POST).await, "2");
    assert_eq!(ask(Method::GET).await, "2");
    tokio::time::sleep(SECOND * 11).await;
    assert_eq!(ask(Method::GET).await, "3");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_its_time_without_being_asked_for() {
    let (network, listener) = listening(PLACE);
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        let mut times = Vec::new();
        while read_request(&mut io).await.is_some() {
            times.push(tokio::time::Instant::now());
            say(&mut io, &ok("x")).await;
        }
        times.last().unwrap().elapsed()
    });
    let client = HttpClient::builder(network.connector()).keep_alive(8, SECOND * 10).build().unwrap();
    for _ in 0..2 {
        client.send(get("/"), Limits::default()).await.unwrap();
        tokio::time::sleep(SECOND * 5).await;
    }
    let idle = server.await.unwrap();
    assert!((SECOND * 10..=SECOND * 20).contains(&idle), "closed after {idle:?}");
    drop(client);
}

#[tokio::test]
async fn a_connection_the_server_wants_closed_is_not_kept() {
    let (network, listener) = listening(PLACE);
    serve(listener, |connection, _| {
        let body = connection.to_string();
        Some(format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    });
    let client = client(&network);
    for expected in ["1", "2", "3"] {
        let answer = client.send(request(Method::POST, "/", ""), Limits::default()).await.unwrap();
        assert_eq!(answer.body(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_hands_over_each_piece_as_it_comes_and_outlives_the_deadline() {
    let (network, listener) = listening(PLACE);
    tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        read_request(&mut io).await.unwrap();
        say(&mut io, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for text in ["5\r\nfirst\r\n", "6\r\nsecond\r\n", "0\r\n\r\n"] {
            tokio::time::sleep(SECOND * 60).await;
            say(&mut io, text).await;
        }
        read_request(&mut io).await.unwrap();
        say(&mut io, &ok("same connection")).await;
    });
    let client = client(&network);
    let mut body = client.send_streaming(get("/events"), SECOND * 5).await.unwrap().into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "first");
    assert_eq!(body.chunk().await.unwrap().unwrap(), "second");
    assert!(body.chunk().await.unwrap().is_none());
    assert!(body.chunk().await.unwrap().is_none());
    assert_eq!(client.send(get("/"), Limits::default()).await.unwrap().body(), "same connection");
}

#[tokio::test]
async fn a_stream_dropped_early_closes_its_connection() {
    let (network, listener) = listening(PLACE);
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        read_request(&mut io).await.unwrap();
        say(&mut io, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome").await;
        read_request(&mut io).await
    });
    let mut body = client(&network).send_streaming(get("/"), SECOND).await.unwrap().into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "some");
    drop(body);
    assert_eq!(server.await.unwrap(), None);
}
