//! Set-up, sign-in, users and tokens.

use crate::{
    fixture,
    plane::{EMAIL, PASSWORD, TestPlane},
};
use ferrogate_api::{EndedCredentials, Identity, Role, TokenCreated, UserUpdated, Version};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::time::Duration;

fn setup(token: &str) -> Value {
    json!({"setup_token": token, "tenant": "acme", "email": EMAIL, "password": PASSWORD})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plane_is_set_up_once_and_only_with_its_token() {
    let plane = TestPlane::start().await;
    let version: Version = plane.get("/version").await.read(200);
    assert!(!version.is_set_up);
    plane.post("/setup").json(setup("fg_setup_wrong")).await.problem(403, "setup_token_refused");
    let token = plane.running.setup_token.as_ref().unwrap().expose_secret().to_owned();
    let weak = json!({"setup_token": token, "tenant": "acme", "email": EMAIL, "password": "short"});
    plane.post("/setup").json(weak).await.problem(422, "password_too_weak");

    let session = plane.set_up().await;
    let identity: Identity = plane.get("/me").token(&session).await.read(200);
    assert_eq!((identity.email.as_str(), identity.role, identity.platform_admin), (EMAIL, Role::Admin, true));
    assert_eq!(identity.tenant, "acme");
    plane.post("/setup").json(setup(&token)).await.problem(409, "already_set_up");
    let version: Version = plane.get("/version").await.read(200);
    assert!(version.is_set_up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_set_ups_at_once_one_wins() {
    let plane = TestPlane::start().await;
    let token = plane.running.setup_token.as_ref().unwrap().expose_secret().to_owned();
    let (first, second) = tokio::join!(
        plane.post("/setup").json(setup(&token)),
        plane
            .post("/setup")
            .json(json!({"setup_token": token, "tenant": "globex", "email": "b@example.com", "password": PASSWORD})),
    );
    let statuses = [first.response.status().as_u16(), second.response.status().as_u16()];
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_everything_but_the_set_up_token() {
    let plane = TestPlane::start().await;
    let first_token = plane.running.setup_token.as_ref().unwrap().expose_secret().to_owned();
    let plane = plane.restart().await;
    let second_token = plane.running.setup_token.as_ref().unwrap().expose_secret().to_owned();
    assert_ne!(first_token, second_token, "a lost token is replaced by starting again");
    plane.post("/setup").json(setup(&first_token)).await.problem(403, "setup_token_refused");

    let session = plane.set_up().await;
    let fingerprint = plane.running.fingerprint.clone();
    let plane = plane.restart().await;
    assert!(plane.running.setup_token.is_none());
    assert_eq!(plane.running.fingerprint, fingerprint);
    let identity: Identity = plane.get("/me").token(&session).await.read(200);
    assert_eq!(identity.email, EMAIL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_it_is_ended_and_when_nobody_uses_it() {
    let plane = TestPlane::start().await;
    plane.set_up().await;
    let session = plane.sign_in(EMAIL, PASSWORD).await;
    plane.delete("/sessions/current").token(&session).await.status(204);
    plane.get("/me").token(&session).await.problem(401, "not_signed_in");

    let session = plane.sign_in(EMAIL, PASSWORD).await;
    plane.clock.advance(Duration::from_secs(11 * 3600));
    plane.get("/me").token(&session).await.status(200);
    plane.clock.advance(Duration::from_secs(11 * 3600));
    plane.get("/me").token(&session).await.status(200);
    plane.clock.advance(Duration::from_secs(13 * 3600));
    plane.get("/me").token(&session).await.problem(401, "not_signed_in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_an_unknown_user_are_answered_alike_and_not_for_ever() {
    let plane = TestPlane::start().await;
    plane.set_up().await;
    let wrong = json!({"email": EMAIL, "password": "not the password"});
    let unknown = json!({"email": "nobody@example.com", "password": PASSWORD});
    let first = plane.post("/sessions").json(wrong.clone()).await.problem(401, "sign_in_refused");
    let second = plane.post("/sessions").json(unknown).await.problem(401, "sign_in_refused");
    assert_eq!((first.detail, first.hint), (second.detail, second.hint));

    for _ in 0..7 {
        plane.post("/sessions").json(wrong.clone()).await.problem(401, "sign_in_refused");
    }
    let right = json!({"email": EMAIL, "password": PASSWORD});
    let refused = plane.post("/sessions").json(right.clone()).await;
    refused.problem(429, "too_many_tries");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    plane.clock.advance(Duration::from_secs(31));
    plane.post("/sessions").json(right).await.status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_is_shut_out_at_once() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let viewer = plane.user(&admin, "viewer").await;
    let token: TokenCreated =
        plane.post("/tokens").token(&viewer).json(json!({"name": "mine", "role": "viewer"})).await.read(201);
    let identity: Identity = plane.get("/me").token(&viewer).await.read(200);
    let path = format!("/users/{}", identity.user_id);
    let changed: UserUpdated = plane.patch(&path).token(&admin).json(json!({"disabled": true})).await.read(200);
    assert!(changed.user.disabled);
    assert_eq!((changed.ended.sessions, changed.ended.tokens), (1, 1));
    plane.get("/me").token(&viewer).await.problem(401, "not_signed_in");
    plane.get("/me").token(token.secret.expose()).await.problem(401, "not_signed_in");
    let body = json!({"email": "viewer@example.com", "password": PASSWORD});
    plane.post("/sessions").json(body).await.problem(401, "sign_in_refused");

    let me: Identity = plane.get("/me").token(&admin).await.read(200);
    let path = format!("/users/{}", me.user_id);
    plane.patch(&path).token(&admin).json(json!({"disabled": true})).await.problem(409, "not_yourself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_ends_the_sessions_of_the_old_one() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let viewer = plane.user(&admin, "viewer").await;
    let identity: Identity = plane.get("/me").token(&viewer).await.read(200);
    let path = format!("/users/{}", identity.user_id);
    plane.patch(&path).token(&admin).json(json!({"password": "another long one"})).await.status(200);
    plane.get("/me").token(&viewer).await.problem(401, "not_signed_in");
    plane.sign_in("viewer@example.com", "another long one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_can_do_no_more_than_its_maker_and_not_for_ever() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let operator = plane.user(&admin, "operator").await;
    let body = json!({"name": "too much", "role": "admin"});
    plane.post("/tokens").token(&operator).json(body).await.problem(403, "not_permitted");
    let body = json!({"name": "ci", "role": "viewer", "expires_in_hours": 1});
    let token: TokenCreated = plane.post("/tokens").token(&operator).json(body).await.read(201);
    let secret = token.secret.expose();
    assert!(secret.starts_with("fg_pat_"));
    let identity: Identity = plane.get("/me").token(secret).await.read(200);
    assert_eq!((identity.role, identity.token_id), (Role::Viewer, Some(token.token.id)));
    let successor = json!({"name": "successor", "role": "viewer"});
    plane.post("/tokens").token(secret).json(successor).await.problem(403, "person_needed");
    let listed = plane.get("/tokens").token(&operator).await;
    assert!(!listed.text().contains(secret));
    plane.clock.advance(Duration::from_secs(3601));
    plane.get("/me").token(secret).await.problem(401, "not_signed_in");

    // A platform admin's token does not administer the plane.
    let body = json!({"name": "root", "role": "admin"});
    let token: TokenCreated = plane.post("/tokens").token(&admin).json(body).await.read(201);
    plane.get("/tenants").token(token.secret.expose()).await.problem(403, "not_permitted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_s_token_can_be_revoked_by_an_operator() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let operator = plane.user(&admin, "operator").await;
    let body = json!({"name": "admins", "role": "admin"});
    let token: TokenCreated = plane.post("/tokens").token(&admin).json(body).await.read(201);
    let path = format!("/tokens/{}", token.token.id);
    plane.delete(&path).token(&operator).await.problem(404, "token_not_found");
    plane.get("/me").token(token.secret.expose()).await.status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plane_whose_master_key_is_lost_says_so_and_makes_no_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let options = || {
        let mut options = ferrogate_plane::Options::new(
            folder.path(),
            "127.0.0.1:0".parse().unwrap(),
            fixture::release(),
            std::sync::Arc::new(ferrogate_firstboot::Kubeadm),
        );
        options.reconcile = false;
        options
    };
    ferrogate_plane::Server::start(options()).await.unwrap().shutdown().await;
    let key = folder.path().join("master.key");
    std::fs::rename(&key, folder.path().join("elsewhere")).unwrap();
    let error = ferrogate_plane::Server::start(options()).await.unwrap_err();
    assert_eq!(ferrogate_model::Explain::code(&error), "master_key_lost");
    assert!(!key.exists());
    std::fs::rename(folder.path().join("elsewhere"), &key).unwrap();
    ferrogate_plane::Server::start(options()).await.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_changes_their_own_password_with_the_old_one() {
    const NEW: &str = "another long pass phrase";
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let body = json!({"email": "viewer@example.com", "role": "viewer", "password": PASSWORD});
    plane.post("/users").token(&admin).json(body).await.status(201);
    let session = plane.sign_in("viewer@example.com", PASSWORD).await;
    let other = plane.sign_in("viewer@example.com", PASSWORD).await;
    let body = json!({"name": "ci", "role": "viewer"});
    let token: TokenCreated = plane.post("/tokens").token(&session).json(body).await.read(201);
    let token = token.secret.expose();
    let change = |current: &str, new: &str| json!({"current": current, "new": new});

    plane.post("/me/password").json(change(PASSWORD, NEW)).await.problem(401, "not_signed_in");
    plane.post("/me/password").token(token).json(change(PASSWORD, NEW)).await.problem(403, "person_needed");
    plane.post("/me/password").token(&session).json(change("not this one", NEW)).await.problem(422, "wrong_password");
    plane.post("/me/password").token(&session).json(change(PASSWORD, "short")).await.problem(422, "password_too_weak");
    for credential in [&session, &other, token] {
        plane.get("/me").token(credential).await.status(200);
    }

    let ended: EndedCredentials =
        plane.post("/me/password").token(&session).json(change(PASSWORD, NEW)).await.read(200);
    assert_eq!((ended.sessions, ended.tokens), (1, 1));
    plane.get("/me").token(&session).await.status(200);
    for credential in [&other, token] {
        plane.get("/me").token(credential).await.problem(401, "not_signed_in");
    }
    let sign_in = json!({"email": "viewer@example.com", "password": PASSWORD});
    plane.post("/sessions").json(sign_in).await.problem(401, "sign_in_refused");

    let body = json!({"name": "ci", "role": "viewer"});
    let token: TokenCreated = plane.post("/tokens").token(&session).json(body).await.read(201);
    let mut keep = change(NEW, PASSWORD);
    keep["keep_tokens"] = json!(true);
    let ended: EndedCredentials = plane.post("/me/password").token(&session).json(keep).await.read(200);
    assert_eq!((ended.sessions, ended.tokens), (0, 0));
    plane.get("/me").token(token.secret.expose()).await.status(200);
    plane.sign_in("viewer@example.com", PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_session_does_not_let_anybody_guess_the_password() {
    let plane = TestPlane::start().await;
    let session = plane.set_up().await;
    for _ in 0..100 {
        let body = json!({"current": "a guess of many", "new": "another long pass phrase"});
        let answer = plane.post("/me/password").token(&session).json(body).await;
        if answer.response.status().as_u16() == 429 {
            return;
        }
        answer.problem(422, "wrong_password");
    }
    panic!("a hundred guesses were answered");
}
