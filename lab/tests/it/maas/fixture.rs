//! A simulated MAAS in memory on a paused clock, with clients and a backend that writes down what is asked of it.

use crate::replay::sign;
use async_trait::async_trait;
use bytes::Bytes;
use ferrogate_lab::{
    Backend, Boot, Maas, Power, Seed, Speed,
    maas::{MachineSnapshot, Options},
};
use ferrogate_maas::{Client, ClientOptions, Endpoint};
use ferrogate_model::{Clock, SystemId, Timestamp};
use ferrogate_net::{HttpClient, HttpError, Network, client::Limits};
use http::{Request, Response};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

/// The clock of the paused runtime as a time of day.
#[derive(Debug)]
pub(crate) struct PausedTime(Instant);

impl Clock for PausedTime {
    fn now(&self) -> Timestamp {
        let start = Timestamp::from_second(1_795_337_132).unwrap();
        start.checked_add(jiff::SignedDuration::try_from(self.0.elapsed()).unwrap()).unwrap()
    }
}

pub(crate) struct Site {
    pub(crate) maas: Maas,
    pub(crate) network: Network,
    pub(crate) clock: Arc<PausedTime>,
    pub(crate) http: HttpClient,
}

impl Site {
    /// The recorded site, each step as long as in reality.
    pub(crate) async fn new() -> Self {
        Self::with(Seed::recorded(), |options| options.speed(Speed::Real)).await
    }

    pub(crate) async fn with(seed: Seed, change: impl FnOnce(Options) -> Options) -> Self {
        let network = Network::memory();
        let clock = Arc::new(PausedTime(Instant::now()));
        let options = Options::new(network.clone(), seed)
            .listen("10.20.0.2:5240".parse().unwrap())
            .clock(Arc::clone(&clock) as Arc<dyn Clock>);
        let maas = Maas::start(change(options)).await.unwrap();
        let http = HttpClient::builder(network.connector()).build().unwrap();
        Self { maas, network, clock, http }
    }

    /// The product's own client.
    pub(crate) fn client(&self, user: &str) -> Client {
        let (endpoint, _) = Endpoint::parse(&self.maas.url()).unwrap();
        let key = self.maas.api_key(user).unwrap().expose_secret().parse().unwrap();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Client::new(ClientOptions::new(endpoint, key, self.network.connector(), clock)).unwrap()
    }

    /// A signed request, as it is.
    pub(crate) async fn send(&self, user: &str, method: &str, path: &str, form: &[(&str, &str)]) -> Response<Bytes> {
        self.try_send(user, method, path, form).await.unwrap()
    }

    pub(crate) async fn try_send(
        &self,
        user: &str,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<Response<Bytes>, HttpError> {
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/2.0/{path}", self.maas.url()))
            .header("authorization", sign::header(user, self.clock.now().as_second()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(body))
            .unwrap();
        self.http.send(request, Limits::default()).await
    }

    /// A machine by host name.
    pub(crate) fn machine(&self, name: &str) -> MachineSnapshot {
        self.maas.machine(name).unwrap()
    }

    /// Allocates and deploys a machine of the recorded site as admin.
    pub(crate) async fn deploy(&self, name: &str) -> SystemId {
        let id = self.machine(name).system_id;
        self.send("admin", "POST", "machines/?op=allocate", &[("system_id", &id.0), ("agent_name", "mark")]).await;
        let answer =
            self.send("admin", "POST", &format!("machines/{id}/?op=deploy"), &[("user_data", "aGVsbG8=")]).await;
        assert_eq!(answer.status(), 200, "{}", text(&answer));
        id
    }
}

pub(crate) fn text(answer: &Response<Bytes>) -> String {
    String::from_utf8_lossy(answer.body()).into_owned()
}

pub(crate) fn json(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

pub(crate) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Writes down what is asked of it; does nothing.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) boots: Mutex<Vec<Boot>>,
}

impl Diary {
    fn write(&self, what: &str, machine: &SystemId) {
        self.lines.lock().unwrap().push(format!("{what} {machine}"));
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

#[async_trait]
impl Backend for Diary {
    async fn power_on(&self, boot: Boot) {
        self.write(if boot.install { "install" } else { "on" }, &boot.system_id);
        self.boots.lock().unwrap().push(boot);
    }

    async fn power_off(&self, machine: &SystemId) {
        self.write("off", machine);
    }

    async fn power_cut(&self, machine: &SystemId) {
        self.write("cut", machine);
    }

    async fn power_state(&self, _machine: &SystemId) -> Power {
        Power::Off
    }

    async fn console_log(&self, _machine: &SystemId) -> String {
        String::new()
    }

    async fn wipe(&self, machine: &SystemId) {
        self.write("wipe", machine);
    }
}
