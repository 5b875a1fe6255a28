use super::*;
use crate::machine::testing;
use std::time::Duration;
use tokio::time::Instant;

/// A machine with these services: name, `[Unit]` lines, `[Service]` lines.
fn machine(units: &[(&str, &str, &str)]) -> Arc<Machine> {
    let machine = testing::machine("node01");
    for (name, unit, service) in units {
        let text = format!("[Unit]\n{unit}\n[Service]\n{service}\n[Install]\nWantedBy=multi-user.target\n");
        machine.disk.write(&format!("{UNITS}/{name}"), text.as_bytes(), 0o644).unwrap();
    }
    machine
}

async fn ended(machine: &Arc<Machine>, name: &str) -> Job {
    let mut job = start(machine, name).unwrap();
    job.wait_for(|job| *job != Job::Running).await.unwrap().clone()
}

fn starts(machine: &Machine, name: &str) -> usize {
    machine.console.text().matches(&format!("Starting {name}")).count()
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_waits_and_what_is_required_must_succeed() {
    // Each service makes a folder inside the one before: without the order it fails.
    let machine = machine(&[
        ("a.service", "", "Type=oneshot\nExecStart=/usr/bin/mkdir /a"),
        ("b.service", "After=a.service\nRequires=a.service", "Type=oneshot\nExecStart=/usr/bin/mkdir /a/b"),
        ("c.service", "After=b.service a.service\nWants=b.service", "Type=oneshot\nExecStart=/usr/bin/mkdir /a/b/c"),
        ("bad.service", "", "Type=oneshot\nExecStart=/usr/bin/false"),
        ("needs.service", "After=bad.service\nRequires=bad.service", "Type=oneshot\nExecStart=/usr/bin/mkdir /needs"),
        (
            "wants.service",
            "After=bad.service\nWants=bad.service gone.service",
            "Type=oneshot\nExecStart=/usr/bin/mkdir /wants",
        ),
    ]);
    assert_eq!(ended(&machine, "c.service").await, Job::Done);
    assert!(machine.disk.is_dir("/a/b/c"));
    let Job::Failed(why) = ended(&machine, "needs.service").await else { panic!("it started") };
    assert!(why.contains("dependency failed: bad.service"), "{why}");
    assert!(!machine.disk.exists("/needs"));
    assert_eq!(ended(&machine, "wants.service").await, Job::Done);
}

#[tokio::test(start_paused = true)]
async fn the_boot_orders_units_whatever_their_names() {
    let machine = machine(&[
        ("a-second.service", "After=z-first.service", "Type=oneshot\nExecStart=/usr/bin/mkdir /first/second"),
        ("z-first.service", "", "Type=oneshot\nExecStart=/usr/bin/mkdir /first"),
    ]);
    enable(&machine, "a-second.service").unwrap();
    enable(&machine, "z-first.service").unwrap();
    boot(&machine);
    assert_eq!(ended(&machine, "a-second.service").await, Job::Done);
    assert!(machine.disk.is_dir("/first/second"), "{}", machine.console.text());
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_after_the_pause_until_there_were_too_many() {
    let service = "Type=oneshot\nExecStart=/usr/bin/ln -s /x /made/link\nRestart=on-failure\nRestartSec=30";
    let machine = machine(&[
        ("heals.service", "StartLimitIntervalSec=0", service),
        (
            "limit.service",
            "StartLimitBurst=3\nStartLimitIntervalSec=60",
            "Type=oneshot\nExecStart=/usr/bin/false\nRestart=on-failure\nRestartSec=1",
        ),
    ]);
    let before = Instant::now();
    assert!(matches!(ended(&machine, "heals.service").await, Job::Failed(_)));
    machine.disk.create_dirs("/made").unwrap();
    let mut job = machine.systemd.units()["heals.service"].job.subscribe();
    job.wait_for(|job| *job == Job::Done).await.unwrap();
    assert_eq!((starts(&machine, "heals.service"), before.elapsed().as_secs()), (2, 30));
    let mut job = start(&machine, "limit.service").unwrap();
    job.wait_for(|job| matches!(job, Job::Failed(why) if why.contains("start-limit-hit"))).await.unwrap();
    assert_eq!(starts(&machine, "limit.service"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_happen_stops_nothing_and_one_that_may_not_ends_the_row() {
    let machine = machine(&[(
        "row.service",
        "",
        "Type=oneshot\nExecStart=-/usr/bin/false\nExecStart=/usr/bin/mkdir /one\nExecStart=/usr/bin/kubeadm init\nExecStart=/usr/bin/mkdir /two",
    )]);
    let Job::Failed(why) = ended(&machine, "row.service").await else { panic!("it succeeded") };
    assert!(why.contains("`/usr/bin/kubeadm init` exited with code 127"), "{why}");
    assert!(machine.disk.exists("/one") && !machine.disk.exists("/two"));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_times_out_and_environment_files_must_be_there() {
    let machine = machine(&[
        // Without settings it ends before it is ready.
        ("notify.service", "", "Type=notify\nExecStart=/usr/local/bin/containerd\nTimeoutStartSec=5"),
        // It goes on for longer, and never says that it is ready.
        (
            "waits.service",
            "",
            "Type=notify\nExecStart=/usr/bin/curl --retry 5 --retry-all-errors --output /x http://10.1.1.1/x\nTimeoutStartSec=5",
        ),
        ("env.service", "", "Type=oneshot\nEnvironmentFile=/etc/missing\nExecStart=/usr/bin/true"),
        ("maybe.service", "", "Type=oneshot\nEnvironmentFile=-/etc/missing\nExecStart=/usr/bin/true"),
    ]);
    machine.disk.write("/usr/local/bin/containerd", b"stands for containerd", 0o755).unwrap();
    let Job::Failed(why) = ended(&machine, "notify.service").await else { panic!("it started") };
    assert!(why.contains("/etc/containerd/config.toml"), "{why}");
    let before = Instant::now();
    let Job::Failed(why) = ended(&machine, "waits.service").await else { panic!("it started") };
    assert!(why.contains("TimeoutStartSec"), "{why}");
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    let Job::Failed(why) = ended(&machine, "env.service").await else { panic!("it started") };
    assert!(why.contains("/etc/missing"), "{why}");
    assert_eq!(ended(&machine, "maybe.service").await, Job::Done);
}

#[tokio::test(start_paused = true)]
async fn an_ordering_cycle_and_a_missing_unit_start_nothing() {
    let machine = machine(&[
        ("a.service", "After=b.service\nWants=b.service", "Type=oneshot\nExecStart=/usr/bin/mkdir /a"),
        ("b.service", "After=a.service", "Type=oneshot\nExecStart=/usr/bin/mkdir /b"),
        ("c.service", "Requires=gone.service", "Type=oneshot\nExecStart=/usr/bin/mkdir /c"),
    ]);
    assert!(start(&machine, "a.service").unwrap_err().contains("ordering cycle"));
    assert!(start(&machine, "c.service").unwrap_err().contains("gone.service not found"));
    for path in ["/a", "/b", "/c"] {
        assert!(!machine.disk.exists(path), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_condition_skips_a_unit_and_a_stop_ends_it() {
    let machine = machine(&[(
        "once.service",
        "ConditionPathExists=!/done",
        "Type=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/mkdir /done",
    )]);
    assert_eq!(ended(&machine, "once.service").await, Job::Done);
    assert!(is_active(&machine, "once.service"));
    assert_eq!(ended(&machine, "once.service").await, Job::Done);
    assert_eq!(starts(&machine, "once.service"), 1, "what is up is not started again");
    stop(&machine, "once.service").await;
    assert!(!is_active(&machine, "once.service"));
    assert_eq!(ended(&machine, "once.service").await, Job::Done);
    assert!(machine.console.text().contains("condition ConditionPathExists=!/done is not met"));
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_counts_only_after_a_reload() {
    let machine = machine(&[("a.service", "", "Type=oneshot\nExecStart=/usr/bin/mkdir -p /one")]);
    assert_eq!(ended(&machine, "a.service").await, Job::Done);
    let path = format!("{UNITS}/a.service");
    machine.disk.write(&path, b"[Service]\nType=oneshot\nExecStart=/usr/bin/mkdir -p /two\n", 0o644).unwrap();
    assert_eq!(ended(&machine, "a.service").await, Job::Done);
    assert!(!machine.disk.exists("/two"));
    machine.systemd.reload();
    assert_eq!(ended(&machine, "a.service").await, Job::Done);
    assert!(machine.disk.exists("/two"));
    assert!(enable(&machine, "a.service").unwrap_err().contains("no WantedBy="));
}
