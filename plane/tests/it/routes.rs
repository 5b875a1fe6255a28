//! Every route, walked from the API's own document: who is let in, who is not, and what is written down of it.

use crate::{
    fixture::{self, INSTALL_TOKEN, Objects, Site},
    plane::{EMAIL, PASSWORD, TestPlane},
};
use ferrogate_api::TokenCreated;
use ferrogate_store::{Page, audit};
use http::Method;
use serde_json::{Value, json};

/// One operation of the document, made into a request on the fixture's objects.
#[derive(Debug)]
struct Operation {
    method: Method,
    template: String,
    path: String,
    body: Option<Value>,
    access: String,
    action: String,
}

impl Operation {
    fn changes(&self) -> bool {
        !self.method.is_safe()
    }

    fn is_public(&self) -> bool {
        self.access == "everybody"
    }

    fn is_installers(&self) -> bool {
        self.access.contains("installer")
    }

    fn names_an_object(&self) -> bool {
        self.template.contains('{')
    }
}

fn operations(objects: &Objects, token: &str, session: &str) -> Vec<Operation> {
    let document: Value = serde_json::from_str(&ferrogate_plane::openapi()).unwrap();
    let mut all = Vec::new();
    for (template, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = template
                .replace("{gateway}", &objects.gateway.to_string())
                .replace("{node}", &objects.node.to_string())
                .replace("{account}", &objects.account.to_string())
                .replace("{cluster}", &objects.cluster.to_string())
                .replace("{orphan}", &objects.orphan.to_string())
                .replace("{operation}", &objects.operation.to_string())
                .replace("{pairing_code}", &objects.pairing_code.to_string())
                .replace("{user}", &objects.user.to_string())
                .replace("{token}", token)
                .replace("{session}", session);
            assert!(!path.contains('{'), "the walk does not know what to put into {template}");
            let example = &operation["requestBody"]["content"]["application/json"]["example"];
            all.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                template: template.clone(),
                path: format!("/{path}"),
                body: (!example.is_null()).then(|| example.clone()),
                access: operation["x-ferrogate-access"].as_str().unwrap().to_owned(),
                action: operation["x-ferrogate-audit-action"].as_str().unwrap().to_owned(),
            });
        }
    }
    assert!(all.len() > 40, "{}", all.len());
    all
}

struct Walk {
    plane: TestPlane,
    admin: String,
    objects: Objects,
    operations: Vec<Operation>,
}

async fn walk() -> Walk {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let objects = fixture::objects(&plane, &admin, Site::default()).await;
    let created: TokenCreated =
        plane.post("/tokens").token(&admin).json(json!({"name": "walk", "role": "viewer"})).await.read(201);
    let sessions: Value = plane.get("/sessions").token(&admin).await.read(200);
    let session = sessions["items"][0]["id"].as_str().unwrap().to_owned();
    let operations = operations(&objects, &created.token.id.to_string(), &session);
    Walk { plane, admin, objects, operations }
}

impl Walk {
    async fn call(&self, operation: &Operation, token: Option<&str>, request_id: &str) -> crate::plane::Answer {
        let mut ask = self.plane.ask(operation.method.clone(), &operation.path).header("x-request-id", request_id);
        if let Some(token) = token {
            ask = ask.token(token);
        }
        if let Some(body) = &operation.body {
            ask = ask.json(body.clone());
        }
        ask.await
    }

    async fn audit(&self, request_id: &str) -> Vec<audit::Entry> {
        let store = &self.plane.running.context.store;
        let list = audit::list(store, &audit::Filter::default(), &Page::first(500)).await.unwrap();
        list.items.into_iter().filter(|entry| entry.request_id == request_id).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_refuses_the_anonymous_and_writes_it_down() {
    let walk = walk().await;
    for (index, operation) in walk.operations.iter().enumerate().filter(|(_, operation)| !operation.is_public()) {
        let id = format!("anonymous-{index}");
        walk.call(operation, None, &id).await.problem(401, "not_signed_in");
        let entries = walk.audit(&id).await;
        assert_eq!(entries.len(), 1, "{operation:?}");
        assert_eq!(entries[0].action, operation.action);
        assert_eq!(entries[0].result, audit::AuditResult::Refused);
        assert_eq!(entries[0].actor_kind, audit::ActorKind::Anonymous);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_refuses_what_was_revoked_and_what_that_made() {
    let walk = walk().await;
    let body = json!({"name": "to be revoked", "role": "admin"});
    let token: TokenCreated = walk.plane.post("/tokens").token(&walk.admin).json(body).await.read(201);
    let path = format!("/tokens/{}", token.token.id);
    walk.plane.get("/me").token(token.secret.expose()).await.status(200);
    let made: Value =
        walk.plane.post("/clusters/web/kubeconfig").token(token.secret.expose()).json(json!({})).await.read(201);
    let made: Value = serde_json::from_str(made["kubeconfig"].as_str().unwrap()).unwrap();
    let session = walk.plane.sign_in(EMAIL, PASSWORD).await;
    walk.plane.delete(&path).token(&walk.admin).await.status(204);
    walk.plane.delete("/sessions/current").token(&session).await.status(204);
    let kubeconfig = made["users"][0]["user"]["token"].as_str().unwrap();
    for (kind, ended) in [("token", token.secret.expose()), ("kubeconfig", kubeconfig), ("session", &session)] {
        for (index, operation) in walk.operations.iter().enumerate().filter(|(_, operation)| !operation.is_public()) {
            let answer = walk.call(operation, Some(ended), &format!("revoked-{kind}-{index}")).await;
            answer.problem(401, "not_signed_in");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_route_shows_or_changes_anything_of_another_tenant() {
    let walk = walk().await;
    let other = walk.plane.other_tenant(&walk.admin).await;
    let secrets = [
        walk.objects.gateway.to_string(),
        walk.objects.account.to_string(),
        walk.objects.cluster.to_string(),
        walk.objects.operation.to_string(),
        walk.objects.pairing_code.to_string(),
        walk.objects.user.to_string(),
        walk.objects.event.to_string(),
    ];
    for (index, operation) in walk.operations.iter().enumerate() {
        // The live stream has no end to wait for; that it shows one tenant only is tested with it.
        if operation.is_public() || operation.template.ends_with("/events/stream") {
            continue;
        }
        let answer = walk.call(operation, Some(&other), &format!("tenant-{index}")).await;
        let status = answer.response.status().as_u16();
        if operation.names_an_object() {
            assert!(matches!(status, 403 | 404), "{operation:?}: {status} {}", answer.text());
        }
        for secret in &secrets {
            // What was asked for may be repeated; nothing else of the tenant may show.
            let is_own_question = operation.path.contains(secret.as_str()) || operation.template.contains("audit");
            assert!(is_own_question || !answer.text().contains(secret.as_str()), "{operation:?}: {}", answer.text());
        }
    }
    let cluster: Value =
        walk.plane.get(&format!("/clusters/{}", walk.objects.cluster)).token(&walk.admin).await.read(200);
    assert_eq!(cluster["state"], "Running", "nothing was changed from outside");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutating_route_writes_one_audit_row_of_who_asked() {
    let walk = walk().await;
    // Those that end the walker's own session or the fixture's objects come last.
    let mut changing: Vec<_> = walk.operations.iter().filter(|operation| operation.changes()).collect();
    changing.sort_by_key(|operation| {
        let ends = operation.method == Method::DELETE || operation.template.ends_with("/abandon");
        (ends, operation.template.contains("{session}"))
    });
    for (index, operation) in changing.into_iter().enumerate() {
        let id = format!("mutating-{index}");
        let token = if operation.is_installers() { INSTALL_TOKEN } else { &walk.admin };
        let token = (!operation.is_public()).then_some(token);
        let answer = walk.call(operation, token, &id).await;
        assert!(
            !matches!(answer.response.status().as_u16(), 401 | 403 | 500) || operation.is_public(),
            "{operation:?}: {}",
            answer.text()
        );
        let entries = walk.audit(&id).await;
        assert_eq!(entries.len(), 1, "{operation:?}: {}", answer.text());
        assert_eq!(entries[0].action, operation.action);
        let kind = match (operation.is_public(), operation.is_installers()) {
            (true, _) => continue,
            (false, true) => audit::ActorKind::Installer,
            (false, false) => audit::ActorKind::User,
        };
        assert_eq!(entries[0].actor_kind, kind, "{operation:?}");
        assert!(!entries[0].detail.contains(PASSWORD));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_may_look_and_nothing_else() {
    let walk = walk().await;
    let viewer = walk.plane.user(&walk.admin, "viewer").await;
    for (index, operation) in walk.operations.iter().enumerate() {
        let needs_more = [
            "operators and admins of the tenant",
            "admins of the tenant",
            "admins of the tenant, signed in with their password; not tokens",
            "administrators of the plane",
        ];
        if needs_more.contains(&operation.access.as_str()) {
            let answer = walk.call(operation, Some(&viewer), &format!("viewer-{index}")).await;
            answer.problem(403, "not_permitted");
        }
    }
    walk.plane.get("/clusters").token(&viewer).await.status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_token_is_good_for_its_own_installation_only() {
    let walk = walk().await;
    for (index, operation) in walk.operations.iter().enumerate() {
        if operation.is_public() || operation.is_installers() {
            continue;
        }
        let answer = walk.call(operation, Some(INSTALL_TOKEN), &format!("install-{index}")).await;
        assert!(matches!(answer.response.status().as_u16(), 401 | 403), "{operation:?}: {}", answer.text());
    }
    let stranger = format!("/install/{}", ferrogate_model::GatewayId::new());
    walk.plane.get(&stranger).token(INSTALL_TOKEN).await.problem(401, "not_signed_in");
    let path = format!("/install/{}", walk.objects.gateway);
    walk.plane.get(&path).token(INSTALL_TOKEN).await.status(200);
    walk.plane.get(&path).token(&walk.admin).await.problem(403, "not_permitted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_and_what_is_not_understood_is_said_in_words_that_help() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    plane.get("/no-such-thing").token(&admin).await.problem(404, "no_such_path");
    plane.ask(Method::PUT, "/clusters").token(&admin).await.problem(405, "method_not_allowed");
    let problem = plane.get("/clusters/web").token(&admin).await.problem(404, "cluster_not_found");
    assert!(problem.detail.contains("`web`"), "{problem:?}");
    plane.get("/clusters?limit=0").token(&admin).await.problem(422, "bad_limit");
    plane.get("/clusters?limit=5&ofset=3").token(&admin).await.problem(422, "bad_query");
    plane.get("/events?after=nowhere").token(&admin).await.problem(422, "bad_cursor");
    let unknown = json!({"email": "x@example.com", "roll": "viewer", "password": PASSWORD});
    let problem = plane.post("/users").token(&admin).json(unknown).await.problem(422, "bad_request_body");
    assert_eq!(problem.hint.as_deref(), Some("did you mean `role`?"));
    let mut text = plane.post("/users").token(&admin).header("content-type", "text/plain").build();
    *text.body_mut() = "hello".into();
    let answer = plane.http().send(text, Default::default()).await.unwrap();
    assert_eq!(answer.status(), 415);
    let broken = plane.get("/me").header("authorization", "Basic YTpi").await;
    let problem = broken.problem(401, "not_signed_in");
    assert!(problem.detail.contains("Bearer"), "{problem:?}");
    assert_eq!(broken.header("www-authenticate"), Some("Bearer realm=\"ferrogate\""));
}
