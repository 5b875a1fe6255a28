//! A plane of the test's own, and the ways to talk to it.

use crate::fixture;
use bytes::Bytes;
use ferrogate_api::{Problem, SessionCreated, SetupRequest};
use ferrogate_model::{Clock, Timestamp};
use ferrogate_net::{Connector, Direct, HttpClient, Limits, Network, Trust};
use ferrogate_plane::{Options, Running, Server, SiteNetwork};
use ferrogate_tunnel::{DisconnectReason, HubEvent, NodeStatus};
use http::{Method, Request, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::broadcast;

pub(crate) const EMAIL: &str = "admin@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A clock that the test moves. It begins at the real time, because certificates are checked against that.
#[derive(Debug)]
pub(crate) struct TestClock(Mutex<Timestamp>);

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A site without a tunnel: every gateway reaches the same network in memory.
#[derive(Debug)]
pub(crate) struct MemorySite {
    pub(crate) network: Network,
    events: broadcast::Sender<HubEvent>,
    pub(crate) disconnected: Mutex<Vec<ferrogate_model::NodeId>>,
}

impl SiteNetwork for MemorySite {
    fn connector(&self, _: ferrogate_model::GatewayId) -> Arc<dyn Connector> {
        self.network.connector()
    }

    fn nodes(&self, _: ferrogate_model::GatewayId) -> Vec<NodeStatus> {
        Vec::new()
    }

    fn watch(&self) -> broadcast::Receiver<HubEvent> {
        self.events.subscribe()
    }

    fn disconnect(&self, node: ferrogate_model::NodeId, _: DisconnectReason) {
        self.disconnected.lock().unwrap().push(node);
    }
}

/// A running plane with its folder.
pub(crate) struct TestPlane {
    pub(crate) running: Running,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) site: Arc<MemorySite>,
    pub(crate) folder: tempfile::TempDir,
    http: HttpClient,
}

/// One request, being made.
pub(crate) struct Ask<'p> {
    plane: &'p TestPlane,
    method: Method,
    path: String,
    token: Option<String>,
    body: Option<Value>,
    headers: Vec<(&'static str, String)>,
}

/// An answer that was read whole.
pub(crate) struct Answer {
    pub(crate) response: Response<Bytes>,
}

impl TestPlane {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        Self::open(tempfile::tempdir().unwrap(), change).await
    }

    async fn open(folder: tempfile::TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let clock = Arc::new(TestClock(Mutex::new(ferrogate_model::SystemClock.now())));
        let site = Arc::new(MemorySite {
            network: Network::memory(),
            events: broadcast::Sender::new(16),
            disconnected: Mutex::default(),
        });
        fixture::write_files(&folder.path().join("images"));
        let mut options = Options::new(
            folder.path(),
            "127.0.0.1:0".parse().unwrap(),
            fixture::release(),
            Arc::new(ferrogate_firstboot::Kubeadm),
        );
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        options.site_network = Some(Arc::clone(&site) as Arc<dyn SiteNetwork>);
        // What the reconcilers make of things is tested with them; here things stay as they were written.
        options.reconcile = false;
        change(&mut options);
        let running = Server::start(options).await.unwrap();
        let http = HttpClient::builder(Arc::new(Direct::new())).trust(Trust::ca(&running.ca_pem)).build().unwrap();
        Self { running, clock, site, folder, http }
    }

    /// Stops the plane and starts it again over the same folder.
    pub(crate) async fn restart(self) -> Self {
        let Self { running, folder, .. } = self;
        running.shutdown().await;
        Self::open(folder, |_| {}).await
    }

    /// Sets the plane up and signs its first admin in.
    pub(crate) async fn set_up(&self) -> String {
        let request = SetupRequest {
            setup_token: self.running.setup_token.as_ref().unwrap().expose_secret().into(),
            tenant: "acme".into(),
            email: EMAIL.into(),
            password: PASSWORD.into(),
        };
        let created: SessionCreated = self.post("/setup").json(json!(request)).await.read(201);
        created.token.expose().to_owned()
    }

    /// The token of a fresh session.
    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> String {
        let body = json!({"email": email, "password": password});
        let created: SessionCreated = self.post("/sessions").json(body).await.read(201);
        created.token.expose().to_owned()
    }

    /// A second tenant, with its admin signed in.
    pub(crate) async fn other_tenant(&self, admin: &str) -> String {
        let body = json!({"name": "globex", "admin_email": "admin@globex.example", "admin_password": PASSWORD});
        self.post("/tenants").token(admin).json(body).await.status(201);
        self.sign_in("admin@globex.example", PASSWORD).await
    }

    /// A user of a role in the first tenant, signed in.
    pub(crate) async fn user(&self, admin: &str, role: &str) -> String {
        let email = format!("{role}@example.com");
        let body = json!({"email": email, "role": role, "password": PASSWORD});
        self.post("/users").token(admin).json(body).await.status(201);
        self.sign_in(&email, PASSWORD).await
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Ask<'_> {
        self.ask(Method::POST, path)
    }

    pub(crate) fn patch(&self, path: &str) -> Ask<'_> {
        self.ask(Method::PATCH, path)
    }

    pub(crate) fn delete(&self, path: &str) -> Ask<'_> {
        self.ask(Method::DELETE, path)
    }

    /// `path` is below `/api/v1`, or absolute where it begins with `//`.
    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let path = path
            .strip_prefix('/')
            .filter(|rest| rest.starts_with('/'))
            .map_or_else(|| format!("/api/v1{path}"), str::to_owned);
        Ask { plane: self, method, path, token: None, body: None, headers: Vec::new() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.running.local_addr)
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// A typed client, as the CLI uses it.
    pub(crate) fn client(&self, token: &str) -> ferrogate_api::client::Client {
        ferrogate_api::client::Client::new(ferrogate_api::client::ClientOptions {
            url: self.running.url.clone(),
            token: Some(SecretString::from(token.to_owned())),
            trust: Trust::ca(&self.running.ca_pem),
            hosts: Vec::new(),
            proxy: Default::default(),
            user_agent: "test".into(),
        })
        .unwrap()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

impl<'p> Ask<'p> {
    pub(crate) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn build(&self) -> Request<Bytes> {
        let mut request = Request::builder().method(self.method.clone()).uri(self.plane.url(&self.path));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let body = match &self.body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                serde_json::to_vec(body).unwrap().into()
            }
            None => Bytes::new(),
        };
        request.body(body).unwrap()
    }
}

impl<'p> IntoFuture for Ask<'p> {
    type Output = Answer;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Answer> + Send + 'p>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let limits = Limits { deadline: Duration::from_secs(30), ..Limits::default() };
            Answer { response: self.plane.http.send(self.build(), limits).await.unwrap() }
        })
    }
}

impl Answer {
    /// The body, where the status is the expected one.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, status: u16) -> T {
        serde_json::from_slice(self.status(status).response.body()).unwrap()
    }

    pub(crate) fn status(&self, status: u16) -> &Self {
        assert_eq!(self.response.status().as_u16(), status, "{}", self.text());
        self
    }

    /// The problem document, where the status and the code are the expected ones.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Problem {
        assert_eq!(self.response.headers()["content-type"], "application/problem+json", "{}", self.text());
        let problem: Problem = self.read(status);
        assert_eq!(problem.code, code, "{problem:?}");
        assert_eq!(problem.status, status);
        assert_eq!(problem.kind, format!("/problems/{code}"));
        assert_eq!(problem.request_id.as_deref(), self.response.headers()["x-request-id"].to_str().ok());
        problem
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.response.body()).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }
}
