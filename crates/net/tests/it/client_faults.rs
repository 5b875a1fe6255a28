//! The HTTP client when the other side misbehaves.

use crate::{
    client::{PLACE, client, get, request},
    support::{SECOND, addr, listening, ok, read_request, say, serve},
};
use ferrogate_model::{Explain as _, Retry};
use ferrogate_net::{HttpError, Limits, client::HttpFailure};
use http::Method;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::io::AsyncReadExt as _;

const LIMITS: Limits = Limits { deadline: SECOND.saturating_mul(20), max_body: 100 };

fn counter() -> (Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    (Arc::clone(&count), count)
}

/// A server whose first connection answers once and closes when the next request has been read in full: the client cannot
/// know whether that one was carried out. Counts the requests it has read.
fn closing(answers_on_second: bool) -> (ferrogate_net::Network, Arc<AtomicUsize>) {
    let (network, listener) = listening(PLACE);
    let (seen, count) = counter();
    serve(listener, move |connection, _| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        (number == 0 || (connection > 1 && answers_on_second)).then(|| ok(&connection.to_string()))
    });
    (network, seen)
}

#[tokio::test]
async fn an_idempotent_request_on_a_connection_that_was_closed_is_sent_once_more() {
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let (network, seen) = closing(true);
        let client = client(&network);
        assert_eq!(client.send(get("/"), LIMITS).await.unwrap().body(), "1");
        assert_eq!(client.send(request(method, "/", "body"), LIMITS).await.unwrap().body(), "2");
        assert_eq!(seen.load(Ordering::Relaxed), 3);
    }
}

#[tokio::test]
async fn it_is_sent_once_more_and_not_twice() {
    let (network, seen) = closing(false);
    let client = client(&network);
    client.send(get("/"), LIMITS).await.unwrap();
    let error = client.send(get("/"), LIMITS).await.unwrap_err();
    assert!(matches!(error.failure, HttpFailure::Closed { .. }), "{error:?}");
    assert_eq!(seen.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_server_that_dropped_all_its_connections_costs_one_repetition_and_no_failure() {
    let (network, listener) = listening(PLACE);
    let together = Arc::new(tokio::sync::Barrier::new(3));
    let (seen, count) = counter();
    tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        for connection in 1.. {
            let (mut io, _) = listener.accept().await.unwrap();
            let (together, count) = (Arc::clone(&together), Arc::clone(&count));
            tasks.spawn(async move {
                while read_request(&mut io).await.is_some() {
                    // The first three answer once, all at the same time, so that three connections are kept.
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    if connection <= 3 && number >= 3 {
                        return;
                    }
                    if connection <= 3 {
                        together.wait().await;
                    }
                    say(&mut io, &ok("x")).await;
                }
            });
        }
    });
    let client = client(&network);
    let first = futures::future::join_all((0..3).map(|_| client.send(get("/"), LIMITS))).await;
    assert!(first.iter().all(Result::is_ok));
    assert_eq!(client.send(get("/"), LIMITS).await.unwrap().body(), "x");
    assert_eq!(seen.load(Ordering::Relaxed), 5, "once on a closed connection, once on a new one");
}

#[tokio::test]
async fn a_request_that_may_have_taken_effect_is_never_repeated() {
    let (network, seen) = closing(true);
    let client = client(&network);
    client.send(get("/"), LIMITS).await.unwrap();
    let error = client.send(request(Method::POST, "/", "take one"), LIMITS).await.unwrap_err();
    assert!(error.may_have_been_sent());
    assert_eq!((error.retry(), seen.load(Ordering::Relaxed)), (Retry::AfterLooking, 2));
}

#[tokio::test]
async fn a_new_connection_that_is_closed_is_no_reason_to_repeat() {
    let (network, listener) = listening(PLACE);
    let (seen, count) = counter();
    serve(listener, move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        None
    });
    let error = client(&network).send(get("/"), LIMITS).await.unwrap_err();
    assert_eq!((error.code(), seen.load(Ordering::Relaxed)), ("connection_closed", 1));
}

#[tokio::test(start_paused = true)]
async fn half_an_answer_is_no_reason_to_repeat() {
    for half in ["HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"] {
        let (network, listener) = listening(PLACE);
        let server = tokio::spawn(async move {
            let (mut io, _) = listener.accept().await.unwrap();
            read_request(&mut io).await.unwrap();
            say(&mut io, &ok("first")).await;
            read_request(&mut io).await.unwrap();
            say(&mut io, half).await;
            drop(io);
            listener
        });
        let client = client(&network);
        client.send(get("/"), LIMITS).await.unwrap();
        let error = client.send(get("/"), LIMITS).await.unwrap_err();
        assert!(error.may_have_been_sent(), "{error:?}");
        let listener = server.await.unwrap();
        assert!(tokio::time::timeout(SECOND / 100, listener.accept()).await.is_err(), "it was sent once more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_known_to_be_closed_is_simply_replaced() {
    let (network, listener) = listening(PLACE);
    // One answer for each connection, then the server closes it on its own.
    tokio::spawn(async move {
        for number in 1.. {
            let (mut io, _) = listener.accept().await.unwrap();
            read_request(&mut io).await.unwrap();
            say(&mut io, &ok(&number.to_string())).await;
        }
    });
    let client = client(&network);
    for expected in ["1", "2", "3"] {
        let answer = client.send(request(Method::POST, "/", ""), LIMITS).await.unwrap();
        assert_eq!(answer.body(), expected);
        // Lets the client's side see the end.
        tokio::time::sleep(SECOND / 100).await;
    }
}

async fn timed_out(network: &ferrogate_net::Network) -> HttpError {
    let start = tokio::time::Instant::now();
    let error = client(network).send(get("/secret?key=1"), LIMITS).await.unwrap_err();
    assert_eq!(start.elapsed(), LIMITS.deadline);
    assert_eq!(error.code(), "answer_timed_out");
    assert_eq!(error.to_string(), "no complete answer from http://10.20.0.2:5240 within 20 s");
    error
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up_at_the_deadline() {
    let (network, _listener) = listening(PLACE);
    assert!(timed_out(&network).await.may_have_been_sent());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_in_the_middle_of_its_answer_is_given_up_at_the_deadline() {
    for half in ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"] {
        let (network, listener) = listening(PLACE);
        tokio::spawn(async move {
            let (mut io, _) = listener.accept().await.unwrap();
            read_request(&mut io).await.unwrap();
            say(&mut io, half).await;
            let _ = io.read_u8().await;
        });
        assert!(timed_out(&network).await.may_have_been_sent());
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_behind_a_cut_holds_a_request_until_the_deadline_and_no_longer() {
    let (network, listener) = listening(PLACE);
    serve(listener, |connection, _| Some(ok(&connection.to_string())));
    let client = client(&network);
    client.send(get("/"), LIMITS).await.unwrap();
    network.cut(addr(PLACE));
    let error = client.send(get("/"), LIMITS).await.unwrap_err();
    assert_eq!(error.code(), "answer_timed_out");
    network.heal(addr(PLACE));
    assert_eq!(client.send(get("/"), LIMITS).await.unwrap().body(), "2", "the half-open connection was kept");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_come_about_has_sent_nothing() {
    let (network, _listener) = listening(PLACE);
    network.cut(addr(PLACE));
    let error = client(&network).send(request(Method::POST, "/", ""), LIMITS).await.unwrap_err();
    assert!(!error.may_have_been_sent());
    assert_eq!(error.retry(), Retry::Later);
}

#[tokio::test]
async fn an_answer_longer_than_allowed_is_refused_with_or_without_a_length() {
    for head in ["Content-Length: 101\r\n\r\n", "Connection: close\r\n\r\n"] {
        let (network, listener) = listening(PLACE);
        serve(listener, move |_, _| Some(format!("HTTP/1.1 200 OK\r\n{head}{}", "x".repeat(101))));
        let error = client(&network).send(get("/"), LIMITS).await.unwrap_err();
        assert_eq!(error.to_string(), "the answer of 10.20.0.2:5240 is longer than 100 bytes");
    }
    let (network, listener) = listening(PLACE);
    serve(listener, |_, _| Some(ok(&"x".repeat(100))));
    assert_eq!(client(&network).send(get("/"), LIMITS).await.unwrap().body().len(), 100);
}

#[tokio::test]
async fn what_does_not_speak_http_is_said_not_to() {
    for text in ["SSH-2.0-OpenSSH_9.2p1\r\n", "\u{15}\u{3}\u{1}\0\u{2}\u{2}\n"] {
        let (network, listener) = listening(PLACE);
        serve(listener, move |_, _| Some(text.to_owned()));
        let error = client(&network).send(get("/"), LIMITS).await.unwrap_err();
        assert_eq!(error.code(), "not_http", "{error:?}");
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_refused_without_its_query() {
    let (network, _listener) = listening(PLACE);
    for uri in ["/only/a/path", "ftp://host/x", "ws://host/?token=hunter2"] {
        let request = http::Request::builder().uri(uri).body(bytes::Bytes::new()).unwrap();
        let error = client(&network).send(request, LIMITS).await.unwrap_err();
        assert_eq!(error.code(), "address_not_usable");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
