//! What can be made to go wrong.

use super::fixture::{Site, json, pass, text};
use async_trait::async_trait;
use ferrogate_lab::maas::{Call, Fault, Gate, MachineFault, Pattern, Verdict, When};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

fn allocate(fault: Fault) -> (Pattern, When, Fault) {
    (Pattern::op("allocate"), When::Nth(1), fault)
}

#[tokio::test(start_paused = true)]
async fn every_fault_is_seen_once_and_leaves_what_it_says() {
    let taken = |site: &Site| site.maas.machines().iter().filter(|machine| machine.owner.is_some()).count();
    let cases = [
        (Fault::Unavailable, Some(503), 0),
        (Fault::ProxyPage, Some(502), 0),
        (Fault::Conflict, Some(409), 0),
        (Fault::Status(500, "oops".into()), Some(500), 0),
        (Fault::DropBefore, None, 0),
        (Fault::DropAfter, None, 1),
        (Fault::Slow(Duration::from_secs(20)), Some(200), 1),
    ];
    for (fault, status, machines) in cases {
        let site = Site::new().await;
        let (pattern, when, fault) = allocate(fault);
        site.maas.faults().add(pattern, when, fault.clone());
        let begin = Instant::now();
        let answer = site.try_send("admin", "POST", "machines/?op=allocate", &[]).await;
        assert_eq!(answer.as_ref().ok().map(|answer| answer.status().as_u16()), status, "{fault:?}");
        assert_eq!(taken(&site), machines, "{fault:?}");
        assert_eq!(begin.elapsed() >= Duration::from_secs(20), matches!(fault, Fault::Slow(_)), "{fault:?}");
        assert_eq!(site.maas.calls()[0].status, status, "{fault:?}");
        let answer = site.send("admin", "POST", "machines/?op=allocate", &[]).await;
        assert_eq!(answer.status(), 200, "after {fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxys_page_is_html_and_bears_no_mark_of_maas() {
    let site = Site::new().await;
    site.maas.faults().add(Pattern::path("GET", "/zones/"), When::Always, Fault::ProxyPage);
    let answer = site.send("admin", "GET", "zones/", &[]).await;
    assert_eq!(answer.headers()["content-type"], "text/html");
    assert!(answer.headers().get("x-maas-api-hash").is_none());
    assert!(text(&answer).contains("502 Bad Gateway"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_fails_to_deploy_says_why_and_can_be_released() {
    let site = Site::new().await;
    site.maas.faults().machine("node01", MachineFault::FailsToDeploy);
    let id = site.deploy("node01").await;
    pass(300).await;
    let machine = json(&site.send("admin", "GET", &format!("machines/{id}/"), &[]).await);
    assert_eq!(machine["status_name"], "Failed deployment");
    assert_eq!(machine["status"], 11);
    assert!(machine["error_description"].as_str().unwrap().starts_with("Installation failed"));
    site.send("admin", "POST", &format!("machines/{id}/?op=release"), &[]).await;
    pass(2).await;
    assert_eq!(site.machine("node01").status, "Ready");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_never_reports_is_given_up_after_half_an_hour() {
    let site = Site::new().await;
    site.maas.faults().machine("node01", MachineFault::NeverReports);
    site.deploy("node01").await;
    pass(29 * 60).await;
    assert_eq!(site.machine("node01").status, "Deploying");
    pass(2 * 60).await;
    assert_eq!(site.machine("node01").status, "Failed deployment");
}

/// Holds the first call it is told to hold, and lets go of it when the client is gone.
#[derive(Debug, Default)]
struct Holding {
    before: bool,
    arrived: Notify,
    seen: Mutex<Vec<(u64, Option<u16>)>>,
}

#[async_trait]
impl Gate for Holding {
    async fn before(&self, call: &Call) -> Verdict {
        self.hold(call, self.before).await
    }

    async fn after(&self, call: &Call) -> Verdict {
        self.hold(call, !self.before).await
    }
}

impl Holding {
    async fn hold(&self, call: &Call, wanted: bool) -> Verdict {
        if wanted && call.op.as_deref() == Some("allocate") {
            self.seen.lock().unwrap().push((call.number, call.status));
            self.arrived.notify_one();
            std::future::pending::<()>().await;
        }
        Verdict::Pass
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_dies_at_the_gate_has_a_machine_or_none_as_the_side_of_the_gate_says() {
    for before in [true, false] {
        let site = Site::new().await;
        let gate = Arc::new(Holding { before, ..Holding::default() });
        site.maas.set_gate(Some(Arc::clone(&gate) as _));
        tokio::select! {
            _ = site.try_send("admin", "POST", "machines/?op=allocate", &[("agent_name", "mark")]) => panic!("answered"),
            () = gate.arrived.notified() => {}
        }
        let marked = site.maas.machines().iter().filter(|machine| machine.agent_name == "mark").count();
        assert_eq!(marked, usize::from(!before));
        assert_eq!(*gate.seen.lock().unwrap(), [(1, (!before).then_some(200))]);
        site.maas.set_gate(None);
        assert_eq!(site.send("admin", "GET", "zones/", &[]).await.status(), 200, "others are served meanwhile");
    }
}
