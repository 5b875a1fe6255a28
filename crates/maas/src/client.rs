//! The client itself: signing, sending, retrying, decoding.

mod addresses;
mod machines;
mod names;
mod retry;
mod site;

use crate::{
    endpoint::Endpoint,
    error::{Answer, MaasError, MaasFailure, classify},
    form::{self, Fields},
    key::ApiKey,
    oauth,
};
use bytes::Bytes;
use ferrogate_model::{Clock, proxy::ProxySettings};
use ferrogate_net::{Connector, HttpClient, Limits, Trust};
use http::{Method, Request, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::Instant};

/// The longest answer accepted, in bytes. One machine's record takes about 20 kB, and MAAS lists all of them at once.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// How to reach a MAAS.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Where it is.
    pub endpoint: Endpoint,
    /// As whom to speak.
    pub key: ApiKey,
    /// Opens the connections: directly, or through a gateway's tunnel.
    pub connector: Arc<dyn Connector>,
    /// Whom to believe when the endpoint is `https`.
    pub trust: Trust,
    /// The forward proxy on the way, if any.
    pub proxy: ProxySettings,
    /// Signs requests with its time.
    pub clock: Arc<dyn Clock>,
    /// The longest one call may take, waiting and retries included. Some writes take MAAS many seconds.
    pub deadline: Duration,
    /// How many calls may run at once.
    pub max_concurrent: usize,
}

impl ClientOptions {
    /// With the host's authorities, no proxy, 60 s for a call and 8 calls at once.
    #[must_use]
    pub fn new(endpoint: Endpoint, key: ApiKey, connector: Arc<dyn Connector>, clock: Arc<dyn Clock>) -> Self {
        Self {
            endpoint,
            key,
            connector,
            trust: Trust::system(),
            proxy: ProxySettings::default(),
            clock,
            deadline: Duration::from_secs(60),
            max_concurrent: 8,
        }
    }
}

/// A client of one MAAS as one user. Clones share connections and the bound on concurrent calls.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: ClientOptions,
    http: HttpClient,
    permits: Semaphore,
}

/// One request, before it is signed.
struct Call {
    /// In words, to follow "could not".
    about: String,
    method: Method,
    /// Behind `/api/2.0/`, escaped, with its trailing slash: MAAS redirects nothing.
    path: String,
    op: Option<&'static str>,
    query: Fields,
    form: Option<Fields>,
    /// Sends the form as multipart, for long values.
    multipart: bool,
    about_address: bool,
}

impl Call {
    fn new(method: Method, about: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            about: about.into(),
            method,
            path: path.into(),
            op: None,
            query: Fields::new(),
            form: None,
            multipart: false,
            about_address: false,
        }
    }

    fn get(about: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new(Method::GET, about, path)
    }

    fn post(about: impl Into<String>, path: impl Into<String>, form: Fields) -> Self {
        Self { form: Some(form), ..Self::new(Method::POST, about, path) }
    }

    fn put(about: impl Into<String>, path: impl Into<String>, form: Fields) -> Self {
        Self { form: Some(form), ..Self::new(Method::PUT, about, path) }
    }

    fn delete(about: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, about, path)
    }

    const fn op(mut self, op: &'static str) -> Self {
        self.op = Some(op);
        self
    }

    fn query(mut self, fields: Fields) -> Self {
        self.query = fields;
        self
    }

    const fn multipart(mut self) -> Self {
        self.multipart = true;
        self
    }

    const fn about_address(mut self) -> Self {
        self.about_address = true;
        self
    }

    /// Whether it changes nothing, so that it may be repeated whatever became of it.
    fn is_safe(&self) -> bool {
        self.method == Method::GET
    }

    fn fail(&self, failure: MaasFailure) -> MaasError {
        MaasError::new(&self.about, failure)
    }
}

impl Client {
    /// A client; nothing is asked of MAAS yet.
    ///
    /// # Errors
    /// A private CA or a client certificate cannot be used.
    pub fn new(options: ClientOptions) -> Result<Self, MaasError> {
        let http = HttpClient::builder(Arc::clone(&options.connector))
            .trust(options.trust.clone())
            .proxy(options.proxy.clone())
            .build()
            .map_err(|error| MaasError::new("reach MAAS", MaasFailure::Trust(error)))?;
        let permits = Semaphore::new(options.max_concurrent.max(1));
        Ok(Self(Arc::new(Inner { options, http, permits })))
    }

    /// Where the MAAS is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.options.endpoint
    }

    /// Calls and decodes the answer.
    async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, MaasError> {
        let response = self.call(&call).await?;
        serde_json::from_slice(response.body()).map_err(|error| self.undecodable(&call, &response, &error))
    }

    /// Calls where the answer says nothing more than that it was done.
    async fn done(&self, call: Call) -> Result<(), MaasError> {
        self.call(&call).await.map(|_| ())
    }

    /// One call: waits for its turn, repeats what may be repeated, and lets only a success pass.
    async fn call(&self, call: &Call) -> Result<Response<Bytes>, MaasError> {
        let end = Instant::now() + self.0.options.deadline;
        let _permit = match tokio::time::timeout_at(end, self.0.permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(call.fail(MaasFailure::Busy)),
        };
        if Instant::now() >= end {
            // Its turn came in the moment its time was over.
            return Err(call.fail(MaasFailure::Busy));
        }
        let mut attempt = 0;
        loop {
            let error = match self.send(call, end).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let pause = if call.is_safe() { retry::pause(&error, attempt) } else { None };
            let Some(pause) = pause.filter(|pause| Instant::now() + *pause < end) else { return Err(error) };
            tracing::debug!(call = %call.about, %error, ?pause, "asking MAAS again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn send(&self, call: &Call, end: Instant) -> Result<Response<Bytes>, MaasError> {
        let request = self.request(call)?;
        let limits = Limits { deadline: end.saturating_duration_since(Instant::now()), max_body: MAX_ANSWER };
        tracing::trace!(method = %call.method, path = %call.path, op = call.op, "asking MAAS");
        let response = self.0.http.send(request, limits).await.map_err(|error| call.fail(MaasFailure::Http(error)))?;
        if matches!(response.status(), StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT) {
            return Ok(response);
        }
        Err(self.classify(call, &response))
    }

    /// Signed anew for each attempt: MAAS refuses a nonce it has seen.
    fn request(&self, call: &Call) -> Result<Request<Bytes>, MaasError> {
        let options = &self.0.options;
        let mut uri = format!("{}/api/2.0/{}", options.endpoint, call.path);
        let op = call.op.map(|op| ("op", op));
        let fields = call.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let query = form::query(op.into_iter().chain(fields));
        if !query.is_empty() {
            uri.push('?');
            uri.push_str(&query);
        }
        let malformed = || call.fail(MaasFailure::Unsafe("the request cannot be written down"));
        let authorization = oauth::header(&options.key, options.clock.now()).ok_or_else(malformed)?;
        let mut builder = Request::builder()
            .method(call.method.clone())
            .uri(uri)
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, "application/json");
        let mut bytes = Bytes::new();
        if let Some(fields) = &call.form {
            let body = if call.multipart { form::multipart(fields) } else { form::urlencoded(fields) };
            builder = builder.header(header::CONTENT_TYPE, body.content_type);
            bytes = body.bytes;
        }
        builder.body(bytes).map_err(|_| malformed())
    }

    fn classify(&self, call: &Call, response: &Response<Bytes>) -> MaasError {
        let options = &self.0.options;
        classify(
            &call.about,
            &Answer {
                status: response.status(),
                headers: response.headers(),
                body: response.body(),
                place: &options.endpoint.to_string(),
                now: options.clock.now(),
                key: &options.key,
                about_address: call.about_address,
            },
        )
    }

    /// A success that is not what was expected: a web page in its place, or another shape.
    fn undecodable(&self, call: &Call, response: &Response<Bytes>, error: &serde_json::Error) -> MaasError {
        let is_json = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/json"));
        if is_json {
            let mut failed = call.fail(MaasFailure::Undecodable(error.to_string()));
            failed.status = Some(response.status());
            return failed;
        }
        self.classify(call, response)
    }
}
