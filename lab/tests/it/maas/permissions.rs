//! Who may do what: an administrator, a plain user, and somebody else.

use super::fixture::{Site, json, pass, text};

#[tokio::test(start_paused = true)]
async fn a_plain_user_takes_deploys_and_gives_back_but_touches_nobody_elses() {
    let site = Site::new().await;
    let mine = json(&site.send("bob", "POST", "machines/?op=allocate", &[("agent_name", "bobs")]).await);
    let id = mine["system_id"].as_str().unwrap();
    assert_eq!(mine["owner"], "bob");
    assert_eq!(site.send("bob", "POST", &format!("machines/{id}/?op=deploy"), &[]).await.status(), 200);
    pass(300).await;
    let others = site.deploy("node02").await;
    for op in ["release", "deploy", "power_off", "abort", "mark_broken", "set_owner_data"] {
        let answer = site.send("bob", "POST", &format!("machines/{others}/?op={op}"), &[]).await;
        assert_eq!((answer.status().as_u16(), text(&answer).as_str()), (403, ""), "{op}");
    }
    let answer = site.send("bob", "POST", "machines/?op=release", &[("machines", id), ("machines", &others.0)]).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(site.machine(id).status, "Deployed", "of several, none is released");
    assert_eq!(site.send("bob", "POST", &format!("machines/{id}/?op=release"), &[]).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_plain_user_does_not_see_what_another_has() {
    let site = Site::new().await;
    site.deploy("node02").await;
    let seen = json(&site.send("bob", "GET", "machines/", &[]).await);
    assert_eq!(seen.as_array().unwrap().len(), 9);
    let seen = json(&site.send("bob", "GET", "machines/?agent_name=mark", &[]).await);
    assert_eq!(seen, serde_json::json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_deleted_signs_nothing_any_more() {
    let site = Site::new().await;
    let path = "account/?op=delete_authorisation_token";
    assert_eq!(site.send("bob", "POST", path, &[("token_key", "BobTokenKey000001")]).await.status(), 204);
    let answer = site.send("bob", "GET", "users/?op=whoami", &[]).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], "OAuth realm=\"OAuth\"");
}

#[tokio::test(start_paused = true)]
async fn an_answer_never_says_another_machines_power_password_to_a_plain_user() {
    let site = Site::new().await;
    for path in ["machines/?op=power_parameters".to_owned(), "machines/4y3hb3/?op=power_parameters".to_owned()] {
        let answer = site.send("bob", "GET", &path, &[]).await;
        assert_eq!(answer.status(), 403, "{path}");
        assert!(!text(&answer).contains("secret"));
    }
}
