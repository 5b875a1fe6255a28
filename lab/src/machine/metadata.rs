//! The machine's side of the MAAS metadata service: signed requests for what to do, and the reports on how it went.

use super::{Machine, console::Console};
use bytes::Bytes;
use ferrogate_model::fault::chain;
use ferrogate_net::{HttpClient, Limits};
use http::{Method, Request};
use secrecy::ExposeSecret as _;
use std::{sync::Arc, time::Duration};

/// Version of the metadata API that cloud-init asks MAAS for.
const VERSION: &str = "2012-03-01";
/// cloud-init's own limits: 50 s for a request, 120 s until it gives up finding its data source.
const REQUEST_DEADLINE: Duration = Duration::from_secs(50);
const MAX_WAIT: Duration = Duration::from_secs(120);
/// The largest answer taken, in bytes.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Fail,
}

/// Talks to the metadata service as one machine.
pub(super) struct Metadata {
    machine: Arc<Machine>,
    client: HttpClient,
}

/// What a machine is told about itself.
pub(super) struct MetaData {
    pub(super) instance_id: String,
    pub(super) local_hostname: String,
}

impl Metadata {
    pub(super) fn new(machine: Arc<Machine>) -> Result<Self, String> {
        let client = HttpClient::builder(machine.connector()).build().map_err(|error| chain(&error))?;
        Ok(Self { machine, client })
    }

    fn console(&self) -> &Console {
        &self.machine.console
    }

    /// The base, ending in a slash.
    fn base(&self) -> String {
        format!("{}/", self.machine.boot.metadata_url.trim_end_matches('/'))
    }

    /// Instance id and host name; waits for the service as cloud-init does.
    pub(super) async fn meta_data(&self) -> Result<MetaData, String> {
        let started = tokio::time::Instant::now();
        let mut pause = Duration::from_secs(1);
        let instance_id = loop {
            match self.get("meta-data/instance-id").await {
                Ok(id) => break id,
                Err(why) if started.elapsed() < MAX_WAIT => {
                    self.console().say("cloud-init", format!("metadata service: {why}; trying again"));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
                Err(why) => return Err(format!("no data source found: {why}")),
            }
        };
        let local_hostname = self.get("meta-data/local-hostname").await?;
        Ok(MetaData { instance_id: text(&instance_id), local_hostname: text(&local_hostname) })
    }

    /// The user-data; `None` where there is none.
    pub(super) async fn user_data(&self) -> Result<Option<Bytes>, String> {
        match self.request(Method::GET, &format!("{}{VERSION}/user-data", self.base()), Bytes::new()).await? {
            (200, body) => Ok(Some(body)),
            (404, _) => Ok(None),
            (status, body) => Err(format!("user-data: status {status}: {}", text(&body))),
        }
    }

    async fn get(&self, item: &str) -> Result<Bytes, String> {
        match self.request(Method::GET, &format!("{}{VERSION}/{item}", self.base()), Bytes::new()).await? {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{item}: status {status}: {}", text(&body))),
        }
    }

    /// Reports the begin of a stage.
    pub(super) async fn start(&self, stage: &str, description: &str) {
        self.report(serde_json::json!({
            "event_type": "start", "name": stage, "description": description, "origin": "cloudinit",
            "timestamp": self.now(),
        }))
        .await;
    }

    /// Reports the end of a stage.
    pub(super) async fn finish(&self, stage: &str, outcome: Outcome, description: &str) {
        let result = if outcome == Outcome::Success { "SUCCESS" } else { "FAIL" };
        self.report(serde_json::json!({
            "event_type": "finish", "name": stage, "description": description, "origin": "cloudinit",
            "result": result, "timestamp": self.now(),
        }))
        .await;
    }

    #[expect(clippy::cast_precision_loss, reason = "the report wants seconds as a floating point number")]
    fn now(&self) -> f64 {
        self.machine.clock.now().as_millisecond() as f64 / 1000.0
    }

    /// Posts an event; tries a few times, because a lost last report makes a good deployment fail.
    async fn report(&self, event: serde_json::Value) {
        let url = format!("{}status/{}", self.base(), self.machine.boot.system_id);
        let body = Bytes::from(event.to_string());
        let mut pause = Duration::from_millis(500);
        for _ in 0..6 {
            match self.request(Method::POST, &url, body.clone()).await {
                Ok((200..=299, _)) => return,
                Ok((status, answer)) => {
                    let answer = text(&answer);
                    self.console().say("cloud-init", format!("report refused: status {status}: {answer}"));
                }
                Err(why) => self.console().say("cloud-init", format!("report failed: {why}")),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn request(&self, method: Method, url: &str, body: Bytes) -> Result<(u16, Bytes), String> {
        let request = Request::builder()
            .method(method.clone())
            .uri(url)
            .header("authorization", self.authorization())
            .header("user-agent", "Cloud-Init/24.4");
        let request = if method == Method::POST { request.header("content-type", "application/json") } else { request };
        let request = request.body(body).map_err(|error| format!("`{url}` cannot be asked for: {error}"))?;
        let limits = Limits { deadline: REQUEST_DEADLINE, max_body: MAX_BODY };
        let answer = self.client.send(request, limits).await.map_err(|error| chain(&error))?;
        Ok((answer.status().as_u16(), answer.into_body()))
    }

    /// OAuth 1.0 PLAINTEXT (RFC 5849 §3.4.4) with an empty consumer secret, as cloud-init signs.
    fn authorization(&self) -> String {
        let boot = &self.machine.boot;
        let nonce: u128 = rand::random();
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        format!(
            "OAuth oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"{}\", \
             oauth_token=\"{}\", oauth_signature=\"%26{}\", oauth_nonce=\"{nonce:032x}\", oauth_timestamp=\"{}\"",
            encode(&boot.consumer_key),
            encode(&boot.token_key),
            encode(boot.token_secret.expose_secret()),
            self.machine.clock.now().as_second(),
        )
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).trim().to_owned()
}
