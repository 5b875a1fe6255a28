//! The Kubernetes API beyond what kubectl shows: watches, conflicts, tables.

use super::{cluster::Cluster, support::eventually};
use ferrogate_join::ClusterKind;
use ferrogate_model::{Clock as _, SystemClock};
use ferrogate_net::{HttpClient, Trust};
use http::Method;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(start_paused = true)]
async fn a_watch_tells_each_change_from_the_revision_it_was_given() {
    let cluster = Cluster::memory(ClusterKind::Gateway).await;
    let (_, address, kube) = cluster.first().await;
    let (bench, place) = (&cluster.bench, SocketAddr::new(address, 6443));
    let revision = kube.get(MAPS).await.unwrap()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let identity = bench.materials.admin_identity(SystemClock.now(), Duration::from_secs(3600)).unwrap();
    let trust = Trust::ca(bench.materials.server_ca.certificate_pem.clone())
        .with_identity(identity.certificate_pem, identity.key_pem);
    let client = HttpClient::builder(bench.lab.connector()).trust(trust).build().unwrap();
    let url =
        format!("https://{place}{MAPS}?watch=true&resourceVersion={revision}&timeoutSeconds=30&labelSelector=a%3Db");
    let request = http::Request::get(url).body(bytes::Bytes::new()).unwrap();
    let answer = client.send_streaming(request, Duration::from_secs(60)).await.unwrap();
    let labelled = json!({"metadata": {"name": "x", "labels": {"a": "b"}}});
    kube.send(Method::POST, MAPS, &[], Some(&labelled)).await.unwrap();
    kube.send(Method::POST, MAPS, &[], Some(&json!({"metadata": {"name": "other"}}))).await.unwrap();
    let merge = [("content-type", "application/merge-patch+json")];
    let path = format!("{MAPS}/x");
    let patch = async |body: Value| kube.send(Method::PATCH, &path, &merge, Some(&body)).await;
    patch(json!({"data": {"k": "v"}})).await.unwrap();
    patch(json!({"metadata": {"labels": {"a": null}}})).await.unwrap();
    // The watch ends by itself after the time that was asked for.
    let body = answer.into_body().collect(1 << 20).await.unwrap();
    let events: Vec<Value> =
        String::from_utf8_lossy(&body).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"], "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn changes_are_checked_and_refused_with_a_status_object() {
    let cluster = Cluster::memory(ClusterKind::Gateway).await;
    let (_, _, kube) = cluster.first().await;
    let map = json!({"metadata": {"name": "x"}, "data": {"a": "1"}});
    let (created, object) = kube.send(Method::POST, MAPS, &[], Some(&map)).await.unwrap();
    assert_eq!((created, object["kind"].as_str()), (201, Some("ConfigMap")));
    let one = format!("{MAPS}/x");
    let stale = object.clone();
    let mut newer = object;
    newer["data"]["a"] = "2".into();
    assert_eq!(kube.send(Method::PUT, &one, &[], Some(&newer)).await.unwrap().0, 200);
    let nowhere = json!({"metadata": {"name": "x"}});
    let misfit = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "c"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    for (method, path, body, status, reason) in [
        (Method::PUT, one.as_str(), Some(&stale), 409, "Conflict"),
        (Method::POST, MAPS, Some(&map), 409, "AlreadyExists"),
        (Method::GET, "/api/v1/namespaces/default/configmaps/none", None, 404, "NotFound"),
        (Method::POST, "/api/v1/namespaces/nowhere/configmaps", Some(&nowhere), 404, "NotFound"),
        (Method::POST, MAPS, Some(&json!({"metadata": {"name": "Not A Name"}})), 422, "Invalid"),
        (Method::POST, MAPS, Some(&json!({"kind": "Pod", "metadata": {"name": "x"}})), 400, "BadRequest"),
        (Method::POST, "/apis/apps/v1/namespaces/default/daemonsets", Some(&misfit), 422, "Invalid"),
        (Method::GET, "/apis/nothing/v1/things", None, 404, "NotFound"),
        (Method::GET, "/api/v1/configmaps?labelSelector=a%20b%20c", None, 400, "BadRequest"),
        (Method::PUT, MAPS, Some(&map), 405, "MethodNotAllowed"),
    ] {
        let (got, answer) = kube.send(method.clone(), path, &[], body).await.unwrap();
        assert_eq!((got, answer["reason"].as_str()), (status, Some(reason)), "{method} {path}: {answer}");
        assert_eq!((answer["kind"].as_str(), answer["code"].as_u64()), (Some("Status"), Some(u64::from(status))));
    }
    let strange = kube.send(Method::PATCH, &one, &[("content-type", "text/plain")], Some(&map)).await.unwrap();
    assert_eq!(strange.0, 415);
}

#[tokio::test(start_paused = true)]
async fn a_disruption_budget_refuses_an_eviction_and_a_deleted_set_takes_its_pods_along() {
    let cluster = Cluster::memory(ClusterKind::Gateway).await;
    let (_, _, kube) = cluster.first().await;
    let pods = "/api/v1/namespaces/ferrogate-system/pods";
    let pod = eventually("a pod runs", async || {
        let list = kube.get(pods).await?;
        let pod = &list["items"][0];
        if pod["status"]["phase"] == "Running" { Ok(pod.clone()) } else { Err(list.to_string()) }
    })
    .await;
    let name = pod["metadata"]["name"].as_str().unwrap();
    let labels = kube.get("/apis/apps/v1/namespaces/ferrogate-system/daemonsets/ferrogate-gateway").await.unwrap()["spec"]
        ["selector"]["matchLabels"]
        .clone();
    let budget =
        json!({"metadata": {"name": "all"}, "spec": {"maxUnavailable": 0, "selector": {"matchLabels": labels}}});
    let budgets = "/apis/policy/v1/namespaces/ferrogate-system/poddisruptionbudgets";
    kube.send(Method::POST, budgets, &[], Some(&budget)).await.unwrap();
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    let evict = format!("{pods}/{name}/eviction");
    assert_eq!(kube.send(Method::POST, &evict, &[], Some(&eviction)).await.unwrap().0, 429);
    kube.send(Method::DELETE, &format!("{budgets}/all"), &[], None).await.unwrap();
    assert_eq!(kube.send(Method::POST, &evict, &[], Some(&eviction)).await.unwrap().0, 201);
    // The set replaces it.
    eventually("another pod", async || {
        let list = kube.get(pods).await?;
        let items = list["items"].as_array().unwrap();
        let other = items.len() == 1 && items[0]["metadata"]["name"] != name;
        if other { Ok(()) } else { Err(list.to_string()) }
    })
    .await;
    let set = "/apis/apps/v1/namespaces/ferrogate-system/daemonsets/ferrogate-gateway";
    kube.send(Method::DELETE, set, &[], None).await.unwrap();
    eventually("no pod", async || {
        let list = kube.get(pods).await?;
        if list["items"].as_array().unwrap().is_empty() { Ok(()) } else { Err(list.to_string()) }
    })
    .await;
}
