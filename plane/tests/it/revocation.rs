//! What ends with a credential: what it made, and every body that it opened.

use crate::{
    fixture,
    kubectl::{DEADLINE, World, world},
    plane::{EMAIL, PASSWORD, TestPlane},
};
use ferrogate_api::{Identity, Page, Session, Token, TokenCreated};
use ferrogate_model::TokenId;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

impl World {
    /// An API token of the admin: its id and the token itself.
    async fn api_token(&self, name: &str) -> (TokenId, String) {
        let body = json!({"name": name, "role": "admin"});
        let made: TokenCreated = self.plane.post("/tokens").token(&self.admin).json(body).await.read(201);
        (made.token.id, made.secret.expose().to_owned())
    }

    /// Another administrator of the tenant, signed in.
    async fn second_admin(&self) -> String {
        let body = json!({"email": "second@example.com", "role": "admin", "password": PASSWORD});
        self.plane.post("/users").token(&self.admin).json(body).await.status(201);
        self.plane.sign_in("second@example.com", PASSWORD).await
    }

    async fn revoke(&self, token: TokenId) {
        self.plane.delete(&format!("/tokens/{token}")).token(&self.admin).await.status(204);
    }

    /// What `kubectl` is answered with this token.
    async fn version(&self, token: &str) -> u16 {
        self.plane.get(&self.path("/version")).token(token).await.response.status().as_u16()
    }

    /// The kubeconfig's token that was made last.
    async fn newest_kubeconfig(&self) -> TokenId {
        let tokens: Page<Token> = self.plane.get("/tokens").token(&self.admin).await.read(200);
        tokens.items.iter().find(|token| token.cluster_id.is_some()).unwrap().id
    }
}

async fn current_session(plane: &TestPlane, token: &str) -> String {
    let sessions: Page<Session> = plane.get("/sessions").token(token).await.read(200);
    sessions.items.iter().find(|session| session.current).unwrap().id.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_token_made_ends_when_it_is_revoked_and_nothing_else_does() {
    let world = world().await;
    let ((leaked, secret), (_, other)) = (world.api_token("leaked").await, world.api_token("other").await);
    let (by_leaked, by_other) = (world.kube_token(&secret).await, world.kube_token(&other).await);
    let by_person = world.kube_token(&world.admin).await;
    let code: Value = world.plane.post("/pairing-codes").token(&secret).json(json!({})).await.read(201);
    let kept: Value = world.plane.post("/pairing-codes").token(&world.admin).json(json!({})).await.read(201);
    world.revoke(leaked).await;
    assert_eq!(world.version(&by_leaked).await, 401);
    assert_eq!((world.version(&by_other).await, world.version(&by_person).await), (200, 200));
    let codes: Value = world.plane.get("/pairing-codes").token(&world.admin).await.read(200);
    let state = |made: &Value| {
        let is_it = |code: &&Value| code["id"] == made["pairing_code"]["id"];
        codes["items"].as_array().unwrap().iter().find(is_it).unwrap()["state"].clone()
    };
    assert_eq!((state(&code), state(&kept)), (json!("revoked"), json!("active")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_session_made_outlives_signing_out_and_not_that_it_is_ended_from_another() {
    let world = world().await;
    let made_by = async |session: &str, name: &str| {
        let body = json!({"name": name, "role": "admin"});
        let token: TokenCreated = world.plane.post("/tokens").token(session).json(body).await.read(201);
        let token = token.secret.expose().to_owned();
        [world.kube_token(session).await, world.kube_token(&token).await]
    };
    let signs_out = world.plane.sign_in(EMAIL, PASSWORD).await;
    let stays = made_by(&signs_out, "stays").await;
    world.plane.delete("/sessions/current").token(&signs_out).await.status(204);
    for token in &stays {
        assert_eq!(world.version(token).await, 200);
    }

    let stolen = world.plane.sign_in(EMAIL, PASSWORD).await;
    let goes = made_by(&stolen, "goes").await;
    let id = current_session(&world.plane, &stolen).await;
    world.plane.delete(&format!("/sessions/{id}")).token(&world.admin).await.status(204);
    for token in &goes {
        assert_eq!(world.version(token).await, 401);
    }
    assert_eq!(world.version(&stays[0]).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_is_good_no_longer_than_the_token_that_made_it() {
    let world = world().await;
    let body = json!({"name": "short", "role": "admin", "expires_in_hours": 1});
    let token: TokenCreated = world.plane.post("/tokens").token(&world.admin).json(body).await.read(201);
    let body = json!({"expires_in_hours": 720});
    let ask = world.plane.post("/clusters/web/kubeconfig").token(token.secret.expose()).json(body);
    let made: Value = ask.await.read(201);
    let ends: ferrogate_model::Timestamp = made["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(ends <= token.token.expires_at.unwrap(), "{ends}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_credentials_are_administered_by_people() {
    let world = world().await;
    let (_, token) = world.api_token("admins").await;
    let me: Identity = world.plane.get("/me").token(&world.admin).await.read(200);
    let session = current_session(&world.plane, &world.admin).await;
    let user = json!({"email": "eve@example.com", "role": "admin", "password": PASSWORD});
    for (method, path, body) in [
        (Method::POST, "/users".to_owned(), user),
        (Method::PATCH, format!("/users/{}", me.user_id), json!({"role": "admin"})),
        (Method::POST, "/tokens".to_owned(), json!({"name": "successor", "role": "viewer"})),
        (Method::DELETE, format!("/sessions/{session}"), Value::Null),
        (Method::DELETE, "/sessions/current".to_owned(), Value::Null),
    ] {
        let problem = world.plane.ask(method, &path).token(&token).json(body).await.problem(403, "person_needed");
        assert!(problem.hint.unwrap().contains("sign in"), "{path}");
    }
    world.plane.get("/users").token(&token).await.status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_ends_what_the_old_one_opened_and_says_so() {
    let world = world().await;
    for keep in [false, true] {
        let email = if keep { "kept@example.com" } else { "ended@example.com" };
        let user = json!({"email": email, "role": "operator", "password": PASSWORD});
        let user: Value = world.plane.post("/users").token(&world.admin).json(user).await.read(201);
        let session = world.plane.sign_in(email, PASSWORD).await;
        let body = json!({"name": "ci", "role": "operator"});
        let token: TokenCreated = world.plane.post("/tokens").token(&session).json(body).await.read(201);
        let by_session = world.kube_token(&session).await;
        let by_token = world.kube_token(token.secret.expose()).await;
        let mut change = json!({"password": "another long one"});
        if keep {
            change["keep_tokens"] = json!(true);
        }
        let path = format!("/users/{}", user["id"].as_str().unwrap());
        let changed: Value = world.plane.patch(&path).token(&world.admin).json(change).await.read(200);
        let (tokens, kubeconfigs, status) = if keep { (0, 0, 200) } else { (1, 2, 401) };
        assert_eq!(
            changed["ended"],
            json!({"sessions": 1, "tokens": tokens, "kubeconfigs": kubeconfigs, "pairing_codes": 0})
        );
        world.plane.get("/me").token(&session).await.problem(401, "not_signed_in");
        assert_eq!(world.version(&by_session).await, status);
        assert_eq!(world.version(&by_token).await, status);
        assert_eq!(world.plane.get("/me").token(token.secret.expose()).await.response.status(), status);
    }
    let me: Identity = world.plane.get("/me").token(&world.admin).await.read(200);
    let path = format!("/users/{}", me.user_id);
    let alone = json!({"keep_tokens": true});
    world.plane.patch(&path).token(&world.admin).json(alone).await.problem(422, "nothing_to_keep");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_s_tokens_do_not_come_back() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let viewer = plane.user(&admin, "viewer").await;
    let body = json!({"name": "mine", "role": "viewer"});
    let token: TokenCreated = plane.post("/tokens").token(&viewer).json(body).await.read(201);
    let me: Identity = plane.get("/me").token(&viewer).await.read(200);
    let path = format!("/users/{}", me.user_id);
    for disabled in [true, false] {
        plane.patch(&path).token(&admin).json(json!({"disabled": disabled})).await.status(200);
        plane.get("/me").token(token.secret.expose()).await.problem(401, "not_signed_in");
    }
}

/// Everything `kubectl` asks for with GET: bodies without end in every spelling, and those that only take long.
const READS: [&str; 13] = [
    "/api/v1/pods?watch=true",
    "/api/v1/pods?watch=True",
    "/api/v1/pods?watch=TRUE",
    "/api/v1/pods?watch=t",
    "/api/v1/pods?watch=T",
    "/api/v1/pods?watch=1",
    "/api/v1/pods?w%61tch=%74rue",
    "/api/v1/watch/pods",
    "/api/v1/watch/namespaces/a/pods/b",
    "/api/v1/namespaces/a/pods/b/log?follow=T",
    "/api/v1/namespaces/a/pods/b/log",
    "/api/v1/pods?limit=500",
    "/openapi/v2",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_outlives_its_credential_and_the_last_words_are_not_passed_on() {
    let world = world().await;
    for read in READS {
        let token = world.kube_token(&world.admin).await;
        let (pieces, mut body) = world.stream(&token, read).await;
        world.revoke(world.newest_kubeconfig().await).await;
        // The API server writes on as if nothing had happened, and comes to its end.
        let _ = pieces.send("last words\n".into()).await;
        drop(pieces);
        let end = tokio::time::timeout(DEADLINE, body.chunk()).await.unwrap();
        assert!(end.is_err(), "{read}: what was cut off must not look whole: {end:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_ends_with_what_its_credential_was_made_by_and_with_its_user() {
    let world = world().await;
    let (maker, secret) = world.api_token("maker").await;
    let token = world.kube_token(&secret).await;
    let (pieces, mut body) = world.stream(&token, "/api/v1/pods").await;
    let (_other, mut stays) = world.stream(&world.kube_token(&world.admin).await, "/api/v1/pods").await;
    world.revoke(maker).await;
    assert!(tokio::time::timeout(DEADLINE, body.chunk()).await.unwrap().is_err());
    drop(pieces);
    let goes_on = tokio::time::timeout(Duration::from_millis(200), stays.chunk()).await;
    assert!(goes_on.is_err(), "the body of another credential ended: {goes_on:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_ends_when_its_cluster_is_gone() {
    let world = world().await;
    let (_pieces, mut body) = world.stream(&world.admin, "/api/v1/pods").await;
    fixture::end_cluster(&world.plane, &world.objects).await;
    world.plane.running.context.credentials_changed();
    assert!(tokio::time::timeout(DEADLINE, body.chunk()).await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_and_a_wait_for_an_answer_end_too() {
    let world = world().await;
    let token = world.kube_token(&world.admin).await;
    let mut upload = world.open(&token, "proxy/", "transfer-encoding: chunked").await;
    upload.write_all(b"5\r\nhello\r\n").await.unwrap();
    tokio::time::timeout(DEADLINE, world.stub.read.notified()).await.unwrap();
    world.revoke(world.newest_kubeconfig().await).await;
    let mut answer = [0; 12];
    tokio::time::timeout(DEADLINE, upload.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 401");
}

/// Who may change something is asked for with the request's head; its body may be held back until the right is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_after_the_right_was_taken_away_changes_nothing() {
    let world = world().await;
    let other = world.second_admin().await;
    let me: Identity = world.plane.get("/me").token(&other).await.read(200);
    let itself = format!("/users/{}", me.user_id);
    let eve = json!({"email": "eve@example.com", "role": "admin", "password": PASSWORD});
    for (request, body) in [
        (format!("PATCH /api/v1{itself}"), json!({"role": "admin"})),
        ("POST /api/v1/users".to_owned(), eve),
        ("POST /api/v1/pairing-codes".to_owned(), json!({})),
        (format!("PATCH /api/v1/accounts/{}", world.objects.account), json!({"name": "mine"})),
    ] {
        let body = body.to_string();
        let length = body.len();
        let headers = format!("content-type: application/json\r\ncontent-length: {length}\r\nexpect: 100-continue");
        let mut held = world.begin(&other, &request, &headers).await;
        // It was let in: the plane asks for the body.
        let mut answer = [0; 25];
        tokio::time::timeout(DEADLINE, held.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 100 Continue\r\n\r\n");
        let lesser = json!({"role": "viewer"});
        world.plane.patch(&itself).token(&world.admin).json(lesser).await.status(200);
        held.write_all(body.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        tokio::time::timeout(DEADLINE, held.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 403", "{request}");
        let again: Identity = world.plane.get("/me").token(&other).await.read(200);
        assert_eq!(again.role, ferrogate_api::Role::Viewer, "{request}");
        world.plane.patch(&itself).token(&world.admin).json(json!({"role": "admin"})).await.status(200);
    }
    let users: Value = world.plane.get("/users").token(&world.admin).await.read(200);
    assert!(!users.to_string().contains("eve@example.com"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairing_codes_end_with_the_right_to_make_them() {
    let world = world().await;
    let other = world.second_admin().await;
    let me: Identity = world.plane.get("/me").token(&other).await.read(200);
    let code: Value = world.plane.post("/pairing-codes").token(&other).json(json!({})).await.read(201);
    let path = format!("/users/{}", me.user_id);
    let changed: Value = world.plane.patch(&path).token(&world.admin).json(json!({"role": "operator"})).await.read(200);
    assert_eq!(changed["ended"]["pairing_codes"], 1);
    let codes: Value = world.plane.get("/pairing-codes").token(&world.admin).await.read(200);
    let found = codes["items"].as_array().unwrap().iter().find(|one| one["id"] == code["pairing_code"]["id"]);
    assert_eq!(found.unwrap()["state"], "revoked");
}
