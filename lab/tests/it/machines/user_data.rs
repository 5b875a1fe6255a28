//! User-data that a real machine would choke on.

use super::support::{Bench, NodeFiles, Role};

#[tokio::test(start_paused = true)]
async fn broken_user_data_fails_the_deployment_with_the_reason_on_the_console() {
    let bench = Bench::memory().await;
    for (user_data, reason) in [
        ("#cloud-config\nwrite_files: [\n", "failed loading yaml"),
        ("#cloud-config\nwrite_file: []\n", "did you mean 'write_files'?"),
        ("hello\n", "must begin with the line `#cloud-config`"),
        ("#cloud-config\nruncmd:\n- [kubeadm, init]\n", "kubeadm: no such program on this machine"),
        ("#cloud-config\nruncmd:\n- echo hello > /etc/motd\n", "/bin/sh: no such program"),
        ("#cloud-config\nruncmd:\n- [systemctl, enable, --now, nothing.service]\n", "Unit nothing.service not found"),
        ("#cloud-config\nwrite_files:\n- {path: /etc/x, owner: 'sarah:sarah'}\n", "unknown user or group"),
    ] {
        let machine = bench.deploy(user_data).await;
        bench.until_status(&machine, "Failed deployment").await;
        let console = bench.console(&machine).await;
        assert!(console.contains(reason), "{user_data}: {console}");
        bench.maas.release(&machine, &ferrogate_maas::request::Release::default()).await.unwrap();
        bench.until_status(&machine, "Ready").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_systemd_would_refuse_does_not_start() {
    let bench = Bench::memory().await;
    for (from, to, reason) in [
        ("ExecStart=/usr/local/bin/k3s", "ExecStart=k3s", "absolute path"),
        ("[Install]", "[Instal]", "unknown section `[Instal]`"),
        ("Restart=always", "Restart=sometimes", "Restart=sometimes"),
    ] {
        let mut files = NodeFiles::new(&bench, "cp-0", &Role::First);
        files.replace("/etc/systemd/system/k3s.service", from, to);
        let machine = bench.deploy(&files.text()).await;
        bench.until_said(&machine, reason).await;
        let console = bench.console(&machine).await;
        assert!(!console.contains("API server listens"), "{console}");
        bench.maas.release(&machine, &ferrogate_maas::request::Release::default()).await.unwrap();
        bench.until_status(&machine, "Ready").await;
    }
}

#[tokio::test(start_paused = true)]
async fn k3s_refuses_settings_and_authorities_that_the_real_one_refuses() {
    let bench = Bench::memory().await;
    let tls = "/var/lib/rancher/k3s/server/tls";
    let other = &bench.materials.client_ca;
    let other_key = secrecy::ExposeSecret::expose_secret(&other.key_pem).to_owned();
    type Change = Box<dyn Fn(&mut NodeFiles)>;
    let cases: Vec<(Change, &str)> = vec![
        (
            Box::new(|files| files.replace("/etc/rancher/k3s/config.yaml", "node-name", "nodename")),
            "nodename: flag provided",
        ),
        (Box::new(move |files| files.remove(&format!("{tls}/etcd/peer-ca.key"))), "lacks etcd/peer-ca.key"),
        (
            Box::new(move |files| files.set(&format!("{tls}/server-ca.key"), "0600", &other_key)),
            "server-ca: the key does not belong to the certificate",
        ),
        (Box::new(|files| files.remove("/etc/rancher/k3s/token")), "/etc/rancher/k3s/token"),
        (
            Box::new(|files| {
                files.replace("/etc/rancher/k3s/config.yaml", "node-name:", "node-ip: 10.20.0.250\nnode-name:");
            }),
            "node-ip 10.20.0.250 is not an address of this machine",
        ),
        (
            Box::new(|files| files.replace("/etc/systemd/system/ferrogate-node.service", "-m 0755", "-m 0644")),
            "permission denied (the file is not executable)",
        ),
    ];
    for (change, reason) in cases {
        let mut files = NodeFiles::new(&bench, "cp-0", &Role::First);
        change(&mut files);
        let machine = bench.deploy(&files.text()).await;
        bench.until_said(&machine, reason).await;
        bench.maas.release(&machine, &ferrogate_maas::request::Release::default()).await.unwrap();
        bench.until_status(&machine, "Ready").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_with_another_checksum_is_never_installed() {
    let bench = Bench::memory().await;
    let files = NodeFiles::new(&bench, "cp-0", &Role::First);
    bench.files.lock().unwrap().insert("/artifacts/k3s".into(), b"something else".to_vec());
    let machine = bench.deploy(&files.text()).await;
    bench.until_said(&machine, "computed checksum did NOT match").await;
    let root = bench.lab.machines().root(&machine).unwrap();
    assert!(!root.join("usr/local/bin/k3s").exists());
    // The right file appears, the unit's own restart heals it.
    let right = ferrogate_lab::k3s::simulated_binary(super::support::VERSION);
    bench.files.lock().unwrap().insert("/artifacts/k3s".into(), right);
    bench.until_said(&machine, "API server listens").await;
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_down_delays_a_node_and_no_more() {
    let bench = Bench::memory().await;
    bench.lab.proxy().stop().await;
    let machine = bench.deploy(&NodeFiles::new(&bench, "cp-0", &Role::First).text()).await;
    bench.until_status(&machine, "Deployed").await;
    bench.until_said(&machine, "Scheduled restart").await;
    assert!(bench.console(&machine).await.contains("curl: (7)"));
    bench.lab.proxy().resume().unwrap();
    bench.until_said(&machine, "API server listens").await;
}

#[tokio::test(start_paused = true)]
async fn without_the_proxy_there_is_no_way_out_of_the_site() {
    let bench = Bench::memory().await;
    let mut files = NodeFiles::new(&bench, "cp-0", &Role::First);
    files.set("/etc/ferrogate/proxy.env", "0600", "# no proxy\n");
    let machine = bench.deploy(&files.text()).await;
    bench.until_said(&machine, "curl: (6)").await;
    assert!(bench.lab.proxy().log().is_empty());
}
