//! How the client asks: signatures, forms, repeats, deadlines, order.

use crate::server::{KEY, PLACE, Server, answer, json};
use ferrogate_maas::{Allocate, Client, Deploy, MaasFailure, MachineFilter, Release};
use ferrogate_model::{Explain as _, Retry, SystemId};
use ferrogate_net::Network;
use secrecy::SecretString;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

const BUSY: &str = "MAAS is restarting";

fn unavailable() -> String {
    answer(503, "Content-Type: text/plain\r\n", BUSY)
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_signed_anew() {
    let server = Server::answering([unavailable(), unavailable(), json(200, "[]")]);
    server.client().zones().await.unwrap();
    let asked = server.asked();
    let signatures: HashSet<String> = asked.iter().map(|asked| asked.authorization.clone()).collect();
    assert_eq!((asked.len(), signatures.len()), (3, 3), "a nonce was used twice");
    for text in signatures {
        assert!(text.starts_with("OAuth ") && text.contains("oauth_timestamp=\"1795336200\""), "{text}");
        assert!(text.contains("oauth_consumer_key=\"ConsumerKey\"") && text.contains("oauth_token=\"TokenKey0001\""));
        assert!(text.contains("oauth_signature=\"%26TokenSecret00000001\""), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_a_few_times_and_then_given_up() {
    let server = Server::with(|_| Some(unavailable()));
    let error = server.client().zones().await.unwrap_err();
    assert!(matches!(*error.failure, MaasFailure::Unavailable(503)));
    assert_eq!(error.words.as_deref(), Some(BUSY));
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_when_connections_break() {
    let count = AtomicUsize::new(0);
    let server = Server::with(move |_| (count.fetch_add(1, Ordering::Relaxed) >= 2).then(|| json(200, "[]")));
    assert!(server.client().pools().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_pass_is_not_asked_again() {
    let refusals = [
        answer(401, "WWW-Authenticate: OAuth realm=\"OAuth\"\r\n", "Authorization Error: Invalid API key."),
        answer(403, "", ""),
        answer(404, "", "No Machine matches the given query."),
        json(400, r#"{"zone": ["No such zone(s): x."]}"#),
        answer(200, "Content-Type: text/html\r\n", "<html><title>Sign in</title>"),
    ];
    for refusal in refusals {
        let server = Server::with(move |_| Some(refusal.clone()));
        let error = server.client().machines(&MachineFilter::default()).await.unwrap_err();
        assert_eq!((error.retry(), server.asked().len()), (Retry::No, 1), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_changes_something_is_never_repeated() {
    let id = SystemId("4y3hb3".into());
    for reply in [Some(unavailable()), Some(answer(502, "", "<html><title>Bad Gateway</title>")), None] {
        let server = Server::with(move |_| reply.clone());
        let client = server.client();
        let errors = [
            client.allocate(&Allocate::default()).await.unwrap_err(),
            client.deploy(&id, &Deploy::default()).await.unwrap_err(),
            client.release(&id, &Release::default()).await.unwrap_err(),
            client.release_ip([10, 20, 1, 1].into()).await.unwrap_err(),
            client.delete_dns_resource(1).await.unwrap_err(),
        ];
        for error in &errors[..4] {
            assert!(error.may_have_happened(), "{error}");
            assert_eq!(error.retry(), Retry::AfterLooking, "{error}");
        }
        assert_eq!(server.asked().len(), errors.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_maas_that_never_answers_is_given_up_at_the_deadline() {
    let network = Network::memory();
    let _silent = network.listen(PLACE.parse().unwrap()).unwrap();
    let mut options = Server::answering([""; 0]).options();
    options.connector = network.connector();
    options.deadline = Duration::from_secs(12);
    let start = Instant::now();
    let client = Client::new(options).unwrap();
    let error = client.allocate(&Allocate::default()).await.unwrap_err();
    assert_eq!((error.code(), start.elapsed()), ("answer_timed_out", Duration::from_secs(12)));
    assert!(error.may_have_happened());
    let error = client.zones().await.unwrap_err();
    assert_eq!((error.code(), start.elapsed()), ("answer_timed_out", Duration::from_secs(24)));
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_run_at_once_than_allowed_and_none_waits_for_ever() {
    let network = Network::memory();
    let listener = network.listen(PLACE.parse().unwrap()).unwrap();
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((io, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            kept.push(io);
        }
    });
    let mut options = Server::answering([""; 0]).options();
    options.connector = network.connector();
    options.max_concurrent = 2;
    let client = Client::new(options).unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let client = client.clone();
        calls.spawn(async move { client.allocate(&Allocate::default()).await.unwrap_err().code() });
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(open.load(Ordering::Relaxed), 2);
    let mut codes = calls.join_all().await;
    codes.sort_unstable();
    assert_eq!(
        codes,
        ["answer_timed_out", "answer_timed_out", "maas_calls_busy", "maas_calls_busy", "maas_calls_busy"]
    );
}

#[tokio::test]
async fn constraints_travel_in_the_body_and_the_operation_in_the_query() {
    let server = Server::with(|_| Some(answer(409, "", "No machine available.")));
    let wanted = Allocate {
        agent_name: Some("ferrogate/cls_1".into()),
        cpu_count: Some(4),
        memory_mib: Some(8192),
        storage: Some("root:60".into()),
        zones: vec!["zone a&b".into()],
        ..Allocate::default()
    };
    let error = server.client().allocate(&wanted).await.unwrap_err();
    assert!(error.is_no_machine() && !error.may_have_happened());
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "machines/"));
    assert_eq!(asked.query, [("op".to_owned(), "allocate".to_owned())], "MAAS ignores constraints in the query");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        asked.form(),
        [
            pair("agent_name", "ferrogate/cls_1"),
            pair("cpu_count", "4"),
            pair("mem", "8192"),
            pair("storage", "root:60"),
            pair("zone", "zone a&b")
        ]
    );
}

#[tokio::test]
async fn user_data_travels_encoded_and_unescaped_and_is_never_shown() {
    let server = Server::with(|_| Some(answer(403, "", "")));
    let what = Deploy {
        distro_series: Some("noble".into()),
        user_data: Some(SecretString::from("#cloud-config\npassword: hunter2 ü?>\n")),
        ..Deploy::default()
    };
    assert!(!format!("{what:?}").contains("hunter2"));
    let error = server.client().deploy(&SystemId("4y3hb3".into()), &what).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
    let asked = &server.asked()[0];
    assert!(asked.content_type.starts_with("multipart/form-data; boundary="), "{}", asked.content_type);
    let form = asked.form();
    assert!(form.contains(&("distro_series".into(), "noble".into())));
    assert!(form.contains(&("user_data".into(), "I2Nsb3VkLWNvbmZpZwpwYXNzd29yZDogaHVudGVyMiDDvD8+Cg==".into())));
}

#[tokio::test]
async fn an_empty_mark_is_refused_because_maas_would_list_every_machine() {
    let server = Server::with(|_| Some(json(200, "[]")));
    for mark in ["", "  "] {
        let error = server.client().machines(&MachineFilter::agent(mark)).await.unwrap_err();
        assert_eq!(error.code(), "maas_call_unsafe");
    }
    assert!(server.asked().is_empty());
    server.client().machines(&MachineFilter::agent("ferrogate/cls_1")).await.unwrap();
    assert_eq!(server.asked()[0].query, [("agent_name".to_owned(), "ferrogate/cls_1".to_owned())]);
}

#[tokio::test]
async fn releasing_nothing_asks_nothing() {
    let server = Server::with(|_| Some(json(200, "[]")));
    assert!(server.client().release_many(&[], None).await.unwrap().is_empty());
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn an_id_cannot_lead_elsewhere() {
    let server = Server::with(|_| Some(answer(404, "", "No Machine matches the given query.")));
    let error = server.client().machine(&SystemId("../users/?op=x#".into())).await.unwrap_err();
    assert!(error.is_not_found());
    let asked = &server.asked()[0];
    assert_eq!((asked.path.as_str(), asked.query.len()), ("machines/../users/?op=x#/", 0), "one segment, escaped");
}

#[tokio::test]
async fn nothing_shows_the_key() {
    let server = Server::with(|_| Some(answer(401, "", "Forbidden")));
    let client = server.client();
    let error = client.whoami().await.unwrap_err();
    let shown = format!("{client:?} {:?} {error:?} {error}", server.options());
    for part in KEY.split(':').skip(1) {
        assert!(!shown.contains(part), "{shown}");
    }
    assert!(error.hint().unwrap().contains("removes the Authorization header"));
}
