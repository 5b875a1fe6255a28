//! The metadata service: what a machine is given, and that only its own report ends a deployment.

use super::fixture::{Diary, Site, pass, text};
use bytes::Bytes;
use ferrogate_lab::{Boot, Seed, Speed};
use ferrogate_net::client::Limits;
use http::{Request, Response};
use secrecy::ExposeSecret;
use serde_json::json;
use std::sync::Arc;

async fn booted() -> (Site, Boot) {
    let diary = Arc::new(Diary::default());
    let site =
        Site::with(Seed::recorded(), |options| options.speed(Speed::Real).backend(Arc::clone(&diary) as _)).await;
    let id = site.deploy("node01").await;
    pass(2).await;
    assert_eq!(diary.lines(), [format!("install {id}")]);
    let boot = diary.boots.lock().unwrap()[0].clone();
    (site, boot)
}

async fn ask(site: &Site, boot: &Boot, method: &str, path: &str, body: String) -> Response<Bytes> {
    let signature = format!(
        "OAuth oauth_consumer_key=\"{}\", oauth_token=\"{}\", oauth_signature_method=\"PLAINTEXT\", \
         oauth_signature=\"%26{}\", oauth_nonce=\"1\", oauth_timestamp=\"1\", oauth_version=\"1.0\"",
        boot.consumer_key,
        boot.token_key,
        boot.token_secret.expose_secret()
    );
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", boot.metadata_url))
        .header("authorization", signature)
        .header("content-type", "application/json")
        .body(Bytes::from(body))
        .unwrap();
    site.http.send(request, Limits::default()).await.unwrap()
}

async fn report(site: &Site, boot: &Boot, kind: &str, name: &str, result: Option<&str>) -> Response<Bytes> {
    let mut body =
        json!({"event_type": kind, "name": name, "description": "d", "origin": "cloudinit", "timestamp": 1.0});
    if let Some(result) = result {
        body["result"] = json!(result);
    }
    ask(site, boot, "POST", &format!("status/{}", boot.system_id), body.to_string()).await
}

#[tokio::test(start_paused = true)]
async fn a_machine_reads_its_name_and_its_user_data_with_its_own_key() {
    let (site, boot) = booted().await;
    assert_eq!(boot.addresses, site.machine("node01").addresses);
    assert_eq!((boot.fqdn.as_str(), boot.image.as_str(), boot.install), ("node01.maas", "ubuntu/noble", true));
    let get = |path: &'static str| ask(&site, &boot, "GET", path, String::new());
    assert_eq!(text(&get("2012-03-01/user-data").await), "hello");
    assert_eq!(text(&get("2012-03-01/meta-data/local-hostname").await), "node01.maas");
    assert_eq!(text(&get("2012-03-01/meta-data/instance-id").await), boot.system_id.0);
    let listing = text(&get("2012-03-01/meta-data/").await);
    assert!(listing.lines().any(|line| line == "local-hostname"), "{listing}");
}

#[tokio::test(start_paused = true)]
async fn only_the_end_of_the_last_stage_makes_a_machine_deployed() {
    let (site, boot) = booted().await;
    for (kind, name, result) in
        [("start", "init-network", None), ("finish", "init-network", Some("SUCCESS")), ("start", "modules-final", None)]
    {
        assert_eq!(report(&site, &boot, kind, name, result).await.status(), 204);
        assert_eq!(site.machine("node01").status, "Deploying", "{kind} {name}");
    }
    pass(400).await;
    assert_eq!(site.machine("node01").status, "Deploying", "time alone deploys nothing where there is a machine");
    report(&site, &boot, "finish", "modules-final", Some("SUCCESS")).await;
    assert_eq!(site.machine("node01").status, "Deployed");
}

#[tokio::test(start_paused = true)]
async fn a_last_stage_that_fails_fails_the_deployment() {
    let (site, boot) = booted().await;
    report(&site, &boot, "finish", "modules-final", Some("FAIL")).await;
    assert_eq!(site.machine("node01").status, "Failed deployment");
}

#[tokio::test(start_paused = true)]
async fn a_machine_speaks_for_nobody_else_and_a_released_one_for_nobody() {
    let (site, boot) = booted().await;
    let other = site.deploy("node02").await;
    let body = json!({"event_type": "finish", "name": "modules-final", "result": "SUCCESS"}).to_string();
    assert_eq!(ask(&site, &boot, "POST", &format!("status/{other}"), body).await.status(), 403);
    assert_eq!(site.machine("node02").status, "Deploying");
    site.send("admin", "POST", &format!("machines/{}/?op=release", boot.system_id), &[]).await;
    pass(5).await;
    assert_eq!(report(&site, &boot, "finish", "modules-final", Some("SUCCESS")).await.status(), 401);
    assert_eq!(ask(&site, &boot, "GET", "2012-03-01/user-data", String::new()).await.status(), 401);
    assert_eq!(site.machine("node01").status, "Ready");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_silent_too_long_fails_and_its_late_report_changes_nothing() {
    let (site, boot) = booted().await;
    pass(31 * 60).await;
    assert_eq!(site.machine("node01").status, "Failed deployment");
    report(&site, &boot, "finish", "modules-final", Some("SUCCESS")).await;
    assert_eq!(site.machine("node01").status, "Failed deployment");
}
