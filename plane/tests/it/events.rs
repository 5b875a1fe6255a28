//! Events live, and the audit as a file.

use crate::{
    fixture::{self, Objects, Site},
    plane::TestPlane,
};
use ferrogate_api::{AuditEntry, Event, Page};
use ferrogate_model::EventId;
use std::time::Duration;

async fn add(plane: &TestPlane, objects: &Objects, reason: &str) -> EventId {
    let id = EventId::new();
    let event = fixture::event(objects, id, reason, plane.running.context.now());
    plane.running.context.record(&[event]).await.unwrap();
    id
}

async fn next(stream: &mut ferrogate_api::client::EventStream) -> Event {
    tokio::time::timeout(Duration::from_secs(10), stream.next()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_stream_resumes_after_the_last_event_that_was_received() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let objects = fixture::objects(&plane, &admin, Site::default()).await;
    let client = plane.client(&admin);
    let mut live = client.follow_events(None).await.unwrap();
    let first = add(&plane, &objects, "First").await;
    let seen = next(&mut live).await;
    assert_eq!((seen.id, seen.reason.as_str(), seen.subject.as_str()), (first, "First", "web"));
    drop(live);
    add(&plane, &objects, "Second").await;
    add(&plane, &objects, "Third").await;

    let mut resumed = client.follow_events(Some(&first.to_string())).await.unwrap();
    assert_eq!(next(&mut resumed).await.reason, "Second");
    assert_eq!(next(&mut resumed).await.reason, "Third");
    add(&plane, &objects, "Fourth").await;
    assert_eq!(next(&mut resumed).await.reason, "Fourth");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_stream_shows_one_tenant_s_events_and_ends_with_the_plane() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let objects = fixture::objects(&plane, &admin, Site::default()).await;
    let other = plane.other_tenant(&admin).await;
    let others = fixture::objects(&plane, &other, Site::default()).await;
    let mut live = plane.client(&other).follow_events(None).await.unwrap();
    add(&plane, &objects, "Foreign").await;
    add(&plane, &others, "Own").await;
    assert_eq!(next(&mut live).await.reason, "Own");
    let TestPlane { running, .. } = plane;
    running.shutdown().await;
    assert!(tokio::time::timeout(Duration::from_secs(10), live.next()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_listed_newest_first_and_narrowed() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let objects = fixture::objects(&plane, &admin, Site::default()).await;
    for number in 0..5 {
        add(&plane, &objects, &format!("Number{number}")).await;
    }
    let page: Page<Event> = plane.get("/events?limit=2").token(&admin).await.read(200);
    let reasons = |page: &Page<Event>| page.items.iter().map(|event| event.reason.clone()).collect::<Vec<_>>();
    assert_eq!(reasons(&page), ["Number4", "Number3"]);
    let path = format!("/events?limit=2&after={}", page.next.unwrap());
    let page: Page<Event> = plane.get(&path).token(&admin).await.read(200);
    assert_eq!(reasons(&page), ["Number2", "Number1"]);
    let none: Page<Event> = plane.get("/events?severity=Error").token(&admin).await.read(200);
    assert!(none.items.is_empty());
    let path = format!("/events?subject_id={}", objects.cluster);
    let all: Page<Event> = plane.get(&path).token(&admin).await.read(200);
    assert_eq!(all.items.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_is_filtered_and_given_as_csv_in_full() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    for _ in 0..3 {
        plane.get("/clusters/nothing").token(&admin).await.status(404);
    }
    let refused: Page<AuditEntry> = plane.get("/audit?result=refused&limit=2").token(&admin).await.read(200);
    assert_eq!(refused.items.len(), 2);
    assert_eq!(refused.items[0].action, "cluster.read");
    assert!(refused.items[0].detail.ends_with("404 cluster_not_found"), "{:?}", refused.items[0]);
    let mine: Page<AuditEntry> = plane.get("/audit?actor=admin@example.com").token(&admin).await.read(200);
    assert_eq!(mine.items.len(), 4, "the set-up and three refusals");
    assert_eq!(mine.items[3].action, "plane.setup");
    let csv = plane.get("/audit.csv?action=cluster.read").token(&admin).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let text = csv.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("id,at,"));
    assert!(lines[1].contains("\"cluster.read\""));
}
