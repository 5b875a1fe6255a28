//! `ferrogate doctor maas` against a simulated MAAS and against things that are none: each failure names its cause.

use crate::{ferrogate, parts};
use ferrogate_lab::{Maas, Seed, maas::Options};
use ferrogate_net::Network;
use secrecy::ExposeSecret;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Output;

struct Site {
    home: tempfile::TempDir,
    maas: Maas,
}

impl Site {
    async fn new() -> Self {
        let maas = Maas::start(Options::new(Network::sockets(), Seed::recorded())).await.unwrap();
        Self { home: tempfile::tempdir().unwrap(), maas }
    }

    fn key_file(&self, key: &str) -> PathBuf {
        let path = self.home.path().join("maas.key");
        std::fs::write(&path, key).unwrap();
        path
    }

    /// The doctor, asked about an endpoint with a key.
    async fn ask(&self, endpoint: &str, key: &str, more: &[&str]) -> (i32, String, String) {
        let mut command = ferrogate(self.home.path());
        command.args(["doctor", "maas", "--endpoint", endpoint, "--api-key-file"]).arg(self.key_file(key)).args(more);
        let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        parts(&output)
    }

    fn admin_key(&self) -> String {
        self.maas.api_key("admin").unwrap().expose_secret().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_maas_is_described_and_nothing_is_touched() {
    let site = Site::new().await;
    let (code, out, err) = site.ask(&site.maas.url(), &site.admin_key(), &["-o", "json"]).await;
    assert_eq!(code, 0, "{err}");
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["version"], "3.6.5");
    assert_eq!((&found["user"], &found["administrator"]), (&"admin".into(), &true.into()));
    assert_eq!((&found["machines"], &found["ready"], &found["fit_a_gateway"]), (&10.into(), &8.into(), &7.into()));
    assert_eq!(found["domains"][0], "maas");
    assert!(site.maas.calls().iter().all(|call| call.method == "GET"), "a doctor only looks");
    assert!(site.maas.machines().iter().all(|machine| machine.allocations == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_was_repaired_says_so() {
    let site = Site::new().await;
    let address = site.maas.local_addr();
    let (code, _, err) = site.ask(&format!("http://{address}/"), &site.admin_key(), &[]).await;
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("note: `/MAAS` was missing"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_denied_and_never_repeated() {
    let site = Site::new().await;
    let (code, _, err) = site.ask(&site.maas.url(), "aaaa:bbbb:cccccccc", &[]).await;
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("refuses the API key") && err.contains("hint: "), "{err}");
    assert!(!err.contains("cccccccc"), "{err}");
    let (code, _, err) = site.ask(&site.maas.url(), "aaaa:bbbb", &[]).await;
    assert_eq!(code, 2);
    assert!(err.contains("three parts"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_path_and_a_closed_port_are_told_apart() {
    let site = Site::new().await;
    let address = site.maas.local_addr();
    let (code, _, err) = site.ask(&format!("http://{address}/else/MAAS"), &site.admin_key(), &[]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("must end in /MAAS"), "{err}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, _, err) = site.ask(&format!("http://{closed}/MAAS"), &site.admin_key(), &[]).await;
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("nothing listens there"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn something_that_is_no_maas_is_recognised() {
    let site = Site::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Answers every request with a page, until the test process ends.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let page = "<html><title>It works</title></html>";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    let (code, _, err) = site.ask(&format!("http://{address}/MAAS"), &site.admin_key(), &[]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.to_lowercase().contains("not") && err.contains("MAAS"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_plane_leaks_are_listed_and_none_is_released() {
    let site = Site::new().await;
    let (endpoint, _) = ferrogate_maas::Endpoint::parse(&site.maas.url()).unwrap();
    let key = site.admin_key().parse().unwrap();
    let connector = Network::sockets().connector();
    let clock = std::sync::Arc::new(ferrogate_model::SystemClock);
    let options = ferrogate_maas::ClientOptions::new(endpoint, key, connector, clock);
    let maas = ferrogate_maas::Client::new(options).unwrap();
    let cluster = ferrogate_model::ClusterId::new().to_string();
    let machine = maas.allocate(&ferrogate_maas::Allocate::default()).await.unwrap();
    maas.set_owner_data(&machine.system_id, [("ferrogate-cluster", cluster.as_str())]).await.unwrap();
    let ask = |more: &[&str]| {
        let mut command = ferrogate(site.home.path());
        command.args(["doctor", "leaks", "--endpoint", &site.maas.url(), "--api-key-file"]);
        command.arg(site.key_file(&site.admin_key())).args(more);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let (code, out, err) = parts(&ask(&["-o", "json"]).await.unwrap());
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("no plane is asked") && err.contains("ferrogate login"), "{err}");
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&found["plane_asked"], &found["leaks"][0]["cluster"]), (&false.into(), &cluster.as_str().into()));
    assert_eq!(found["leaks"][0]["machines"][0]["hostname"], machine.hostname);
    let (code, _, err) = parts(&ask(&["--release", &cluster, "--yes"]).await.unwrap());
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("nothing is released unless a plane says"), "{err}");
    assert_eq!(site.maas.machine(&machine.hostname).unwrap().status, "Allocated");
}
