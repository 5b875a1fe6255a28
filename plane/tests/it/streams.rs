//! Streams end with the credentials that opened them: live events, and sessions in containers. Bodies: `revocation`.

use crate::{
    kubectl::{DEADLINE, world},
    plane::{PASSWORD, TestPlane},
};
use ferrogate_api::client::EventStream;
use ferrogate_api::{Page, Session, User};
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// Whether a stream comes to its end.
async fn has_ended(events: &mut EventStream) -> bool {
    tokio::time::timeout(DEADLINE, events.next()).await.unwrap().is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_events_end_with_their_session_and_no_other() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let other = plane.sign_in(crate::plane::EMAIL, PASSWORD).await;
    let mut ends = plane.client(&other).follow_events(None).await.unwrap();
    let mut stays = plane.client(&admin).follow_events(None).await.unwrap();
    let sessions: Page<Session> = plane.get("/sessions").token(&other).await.read(200);
    let id = sessions.items.iter().find(|session| session.current).unwrap().id;
    plane.delete(&format!("/sessions/{id}")).token(&admin).await.status(204);
    assert!(has_ended(&mut ends).await);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), stays.next()).await.is_err(),
        "another session's stream ended"
    );

    // The other session ends by itself when nobody used it for half a day.
    plane.clock.advance(Duration::from_secs(12 * 3600 + 1));
    plane.running.context.credentials_changed();
    assert!(has_ended(&mut stays).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_in_a_container_ends_when_its_user_loses_the_right() {
    for change in [json!({"disabled": true}), json!({"role": "viewer"})] {
        let world = world().await;
        let operator = world.plane.user(&world.admin, "operator").await;
        let token = world.kube_token(&operator).await;
        let mut session = world.exec(&token).await;
        let users: Page<User> = world.plane.get("/users").token(&world.admin).await.read(200);
        let id = users.items.iter().find(|user| user.email == "operator@example.com").unwrap().id;
        world.plane.patch(&format!("/users/{id}")).token(&world.admin).json(change).await.status(200);
        // However TLS words the end: it is one.
        let read = tokio::time::timeout(DEADLINE, session.read_u8()).await.unwrap();
        assert!(read.is_err(), "{read:?}");
    }
}
