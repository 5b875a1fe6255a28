//! Real machines: a kernel of their own, Debian, systemd and the real cloud-init, deployed by the simulated MAAS with the
//! user-data that the product renders.
//!
//! They run where `FERROGATE_LAB_KERNEL` (a User Mode Linux kernel) or `FERROGATE_LAB_PC_KERNEL` (one for virtual machines) and
//! `FERROGATE_LAB_ROOT_IMAGE` (a root image) are set and the tests run as root; elsewhere they say what is missing.

mod site;

use ferrogate_join::cloud_config::{CloudConfig, Mode};
use ferrogate_lab::{Backend as _, Power, Processor, RackOptions};
use ferrogate_maas::request::Release;
use secrecy::ExposeSecret as _;
use site::{Kind, PROOF, Site, in_a_site, user_data};
use std::{path::Path, process::Command, time::Duration};

/// What debugfs says about a disk.
fn debugfs(disk: &Path, command: &str) -> String {
    let path = "/usr/sbin:/sbin:/usr/bin:/bin";
    let output = Command::new("debugfs").arg("-R").arg(command).arg(disk).env("PATH", path).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Every file of the user-data is on the disk as it was asked for: its bytes, its mode, its owner.
fn assert_files(disk: &Path, config: &CloudConfig) {
    for file in &config.files {
        let about = debugfs(disk, &format!("stat {}", file.path));
        let mode = if file.mode == Mode::Private { "0600" } else { "0644" };
        assert!(about.contains("Type: regular"), "{} is not there: {about}", file.path);
        assert!(about.contains(&format!("Mode:  {mode}")), "{}: {about}", file.path);
        assert!(about.contains("User:     0   Group:     0"), "{}: {about}", file.path);
        assert_eq!(debugfs(disk, &format!("cat {}", file.path)), file.content, "{}", file.path);
    }
}

#[test]
fn a_machine_deploys_itself_outlives_a_power_cut_and_is_wiped_when_it_is_given_back() {
    life(Kind::Uml, Duration::from_secs(240));
}

#[test]
fn an_emulated_machine_does_all_of_that() {
    life(Kind::Virtual(Processor::Emulated), Duration::from_secs(900));
}

#[test]
fn a_machine_on_this_computers_processor_does_all_of_that() {
    life(Kind::Virtual(Processor::Kvm), Duration::from_secs(240));
}

fn life(kind: Kind, deploy_timeout: Duration) {
    in_a_site(
        kind,
        "life",
        deploy_timeout,
        |_| {},
        async |site: &Site| {
            let config = user_data();
            let id = site.deploy(config.user_data().unwrap().expose_secret()).await;
            site.until(&id, "Deployed").await;
            assert_eq!(site.rack.power_state(&id).await, Power::On);
            assert_eq!(site.unsigned(&format!("metadata/status/{id}")).await, 401);
            assert_eq!(site.unsigned("metadata/2012-03-01/user-data").await, 401);
            site.assert_no_keys_in_arguments(&id);

            // What was enabled comes back by itself, and nothing is deployed twice.
            site.rack.power_cut(&id).await;
            assert_eq!(site.rack.power_state(&id).await, Power::Off);
            let before = site.said(&id, PROOF).await;
            site.maas.power_on(&id, None).await.unwrap();
            site.until_said(&id, PROOF, before + 1).await;
            let machine = site.simulated.machine(&id.0).unwrap();
            assert_eq!((machine.status, machine.deploys), ("Deployed", 1));

            site.maas.power_off(&id, false, None).await.unwrap();
            site.until_said(&id, "power: off", 2).await;
            assert_eq!(site.said(&id, "it switched itself off").await, 1, "{}", site.rack.console_log(&id).await);
            let disk = site.folder.path().join("plain.img");
            site.rack.read_disk(&id, &disk).await.unwrap();
            assert_files(&disk, &config);
            let hostname = debugfs(&disk, "cat /etc/hostname");
            assert_eq!(hostname.trim(), machine.hostname);

            site.maas.release(&id, &Release { erase: true, ..Release::default() }).await.unwrap();
            site.until(&id, "Ready").await;
            assert!(site.rack.disks().is_empty());
            assert!(!site.has_files_with("disks", b"PRIVATE KEY"), "a disk is left");
            // Whoever switches it on now boots nothing of what was there.
            let boot = site.last_boot(&id);
            site.rack.power_on(boot).await;
            assert_eq!(site.rack.power_state(&id).await, Power::Off);
            assert!(site.rack.console_log(&id).await.contains("no bootable device"));
        },
    );
}

#[test]
fn a_machine_that_does_not_boot_fails_its_deployment_and_shows_why() {
    dead(Kind::Uml);
}

#[test]
fn an_emulated_machine_that_does_not_boot_fails_its_deployment_and_shows_why() {
    dead(Kind::Virtual(Processor::Emulated));
}

fn dead(kind: Kind) {
    in_a_site(
        kind,
        "dead",
        Duration::from_secs(20),
        |_| {},
        async |site: &Site| {
            site.rack.never_boots(&site.next_machine(), true);
            let id = site.deploy(user_data().user_data().unwrap().expose_secret()).await;
            site.until(&id, "Failed deployment").await;
            let console = site.rack.console_log(&id).await;
            assert!(console.contains("Unable to mount root fs"), "{console}");
            // MAAS erases the disks of machines that were deployed, and of no others.
            site.maas.release(&id, &Release::default()).await.unwrap();
            site.until(&id, "Ready").await;
            assert_eq!(site.rack.power_state(&id).await, Power::Off);
        },
    );
}

#[test]
fn a_machine_that_does_not_report_in_time_fails_its_deployment() {
    let limit = |options: &mut RackOptions| options.shutdown_limit = Duration::from_secs(3);
    in_a_site(Kind::Uml, "mute", Duration::from_secs(45), limit, async |site: &Site| {
        // It boots, and its last stage never ends.
        let wait = "#cloud-config\nruncmd:\n- [sh, -c, 'echo WAITING > /dev/console; exec sleep 3600']\n";
        let id = site.deploy(wait).await;
        site.until(&id, "Failed deployment").await;
        assert_eq!(site.said(&id, "WAITING").await, 1, "{}", site.rack.console_log(&id).await);
        assert_eq!(site.rack.power_state(&id).await, Power::On, "MAAS leaves a failed machine as it is");
        site.maas.release(&id, &Release { erase: true, ..Release::default() }).await.unwrap();
        site.until(&id, "Ready").await;
        assert_eq!(site.rack.power_state(&id).await, Power::Off);
    });
}

/// As many machines as `FERROGATE_LAB_MACHINES` says (two unless it is set), at once: prints how long they take.
#[test]
fn several_machines_deploy_at_once() {
    let count = std::env::var("FERROGATE_LAB_MACHINES").ok().and_then(|count| count.parse().ok()).unwrap_or(2);
    in_a_site(
        Kind::Uml,
        "many",
        Duration::from_secs(300),
        |_| {},
        async |site: &Site| {
            let started = tokio::time::Instant::now();
            let mut ids = Vec::new();
            for _ in 0..count {
                ids.push(site.deploy(user_data().user_data().unwrap().expose_secret()).await);
            }
            for id in &ids {
                site.until(id, "Deployed").await;
                println!("{id}: Deployed after {:.1} s: {:?}", started.elapsed().as_secs_f64(), site.rack.running(id));
            }
            let cpus: std::collections::BTreeSet<_> =
                ids.iter().filter_map(|id| site.rack.running(id)?.host_cpu).collect();
            let all = std::thread::available_parallelism().unwrap().get();
            assert_eq!(cpus.len(), all.min(count), "machines are not spread over the CPUs");
        },
    );
}
