//! HTTP/1.1 over any [`Connector`]: keep-alive, TLS, forward proxies, deadlines and limits.
//!
//! It follows no redirect, keeps no cookie and decompresses nothing: who needs that says so in the request.

mod body;
mod error;
mod pool;
mod wire;

pub use body::BodyStream;
pub use error::{HttpError, HttpFailure};

use crate::{
    connect::{BoxIo, ConnectError, ConnectFailure, Connector, Target},
    proxy::{ViaProxy, authorization},
    tls::connect_tls,
    trust::{Trust, TrustError},
};
use bytes::Bytes;
use ferrogate_model::proxy::ProxySettings;
use http::{Method, Request, Response, StatusCode, Uri, header, uri::Scheme};
use pool::{Key, Pool};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;

/// How much one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first look for a connection to the last byte of the answer.
    pub deadline: Duration,
    /// The longest answer body accepted, in bytes.
    pub max_body: usize,
}

impl Default for Limits {
    /// 30 s and 16 MiB.
    fn default() -> Self {
        Self { deadline: Duration::from_secs(30), max_body: 16 * 1024 * 1024 }
    }
}

/// Settings of an [`HttpClient`].
#[derive(Debug)]
pub struct HttpClientBuilder {
    connector: Arc<dyn Connector>,
    trust: Trust,
    proxy: ProxySettings,
    server_name: Option<String>,
    user_agent: String,
    max_idle_per_host: usize,
    idle_timeout: Duration,
}

impl HttpClientBuilder {
    /// Whom to believe; the host's authorities unless set.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The forward proxy on the way; none unless set.
    #[must_use]
    pub fn proxy(mut self, proxy: ProxySettings) -> Self {
        self.proxy = proxy;
        self
    }

    /// The name that the server's certificate must bear, where it is not the host of the address.
    #[must_use]
    pub fn server_name(mut self, name: Option<String>) -> Self {
        self.server_name = name;
        self
    }

    /// The `User-Agent` sent with requests that bring none.
    #[must_use]
    pub fn user_agent(mut self, text: impl Into<String>) -> Self {
        self.user_agent = text.into();
        self
    }

    /// How many unused connections are kept for one host, and for how long. 8 and 30 s unless set.
    #[must_use]
    pub const fn keep_alive(mut self, max_idle_per_host: usize, idle_timeout: Duration) -> Self {
        self.max_idle_per_host = max_idle_per_host;
        self.idle_timeout = idle_timeout;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// A private CA, the client certificate or its key cannot be read.
    pub fn build(self) -> Result<HttpClient, TrustError> {
        self.trust.check()?;
        Ok(HttpClient(Arc::new(Inner {
            via: ViaProxy::new(Arc::clone(&self.connector), self.proxy.clone()).with_trust(self.trust.authorities()),
            proxy: self.proxy,
            connector: self.connector,
            trust: self.trust,
            tls: OnceLock::new(),
            server_name: self.server_name,
            user_agent: self.user_agent,
            pool: Arc::new(Pool::new(self.max_idle_per_host, self.idle_timeout)),
        })))
    }
}

/// An HTTP/1.1 client. Clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connector: Arc<dyn Connector>,
    via: ViaProxy,
    proxy: ProxySettings,
    trust: Trust,
    /// Made at the first `https` request: a client that only speaks `http` needs no authorities.
    tls: OnceLock<Result<Arc<rustls::ClientConfig>, TrustError>>,
    server_name: Option<String>,
    user_agent: String,
    pool: Arc<Pool>,
}

impl HttpClient {
    /// A client whose connections `connector` opens.
    #[must_use]
    pub fn builder(connector: Arc<dyn Connector>) -> HttpClientBuilder {
        HttpClientBuilder {
            connector,
            trust: Trust::system(),
            proxy: ProxySettings::default(),
            server_name: None,
            user_agent: concat!("ferrogate/", env!("CARGO_PKG_VERSION")).into(),
            max_idle_per_host: 8,
            idle_timeout: Duration::from_secs(30),
        }
    }

    /// Sends a request with an absolute `http` or `https` address and reads the whole answer, whatever its status.
    ///
    /// A connection kept from before that turns out to be closed is replaced. The request is then sent once more only if
    /// nothing of it was sent, or if it is idempotent and no byte of an answer had arrived.
    ///
    /// # Errors
    /// [`HttpError`] says whether the request may have reached the server.
    pub async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, HttpError> {
        let end = Instant::now() + limits.deadline;
        let uri = request.uri().clone();
        let response = self.exchange(request, end, limits.deadline).await?;
        let (parts, body) = response.into_parts();
        let body = match tokio::time::timeout_at(end, body.collect(limits.max_body)).await {
            Ok(result) => result?,
            Err(_) => return Err(HttpError::timeout(&uri, limits.deadline, true)),
        };
        Ok(Response::from_parts(parts, body))
    }

    /// Sends a request and hands the answer over as soon as its head has arrived. `deadline` ends with the head: whoever
    /// reads the body decides how long to wait for its pieces.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub async fn send_streaming(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<BodyStream>, HttpError> {
        self.exchange(request, Instant::now() + deadline, deadline).await
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        end: Instant,
        deadline: Duration,
    ) -> Result<Response<BodyStream>, HttpError> {
        let uri = request.uri().clone();
        let sent = wire::Sent::default();
        match tokio::time::timeout_at(end, self.attempt(request, end, &sent)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::timeout(&uri, deadline, sent.get())),
        }
    }
}

impl HttpClient {
    async fn attempt(
        &self,
        request: Request<Bytes>,
        end: Instant,
        sent: &wire::Sent,
    ) -> Result<Response<BodyStream>, HttpError> {
        let route = Route::of(&self.0, request.uri())?;
        let mut request = self.prepare(request, &route);
        let repeatable = is_idempotent(request.method());
        let mut may_repeat = true;
        loop {
            // The other kept connections are as old as the one that failed: the repetition gets a new one.
            let kept = if may_repeat { self.0.pool.take(&route.key, repeatable) } else { None };
            let reused = kept.is_some();
            let connection = match kept {
                Some(connection) => connection,
                None => wire::Connection::open(self.0.open(&route, end).await?, &route.key).await?,
            };
            let copy = (reused && repeatable).then(|| request.clone());
            match connection.exchange(request, sent, &self.0.pool).await {
                Ok(response) if route.absolute && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                    return Err(route.refused_by_proxy());
                }
                Ok(response) => return Ok(response),
                Err(wire::Failed { unsent: Some(returned), .. }) if reused => {
                    sent.clear();
                    request = returned;
                }
                Err(wire::Failed { answered: false, error, .. }) => match copy {
                    Some(again) => {
                        tracing::debug!(target = %route.key.target, "a kept connection was closed; sending once more");
                        may_repeat = false;
                        request = again;
                    }
                    None => return Err(error),
                },
                Err(failed) => return Err(failed.error),
            }
        }
    }

    fn prepare(&self, mut request: Request<Bytes>, route: &Route) -> Request<Bytes> {
        let headers = request.headers_mut();
        if let Ok(host) = route.host_header().parse() {
            headers.entry(header::HOST).or_insert(host);
        }
        if let Ok(agent) = self.0.user_agent.parse() {
            headers.entry(header::USER_AGENT).or_insert(agent);
        }
        if let (true, Some(proxy)) = (route.absolute, self.0.proxy.for_host(&route.key.target.host, false)) {
            if let Some(value) = authorization(proxy) {
                headers.insert(header::PROXY_AUTHORIZATION, value);
            }
        } else {
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        }
        request
    }
}

/// The way of one request.
struct Route {
    key: Key,
    /// Whether the whole address is sent, as a proxy wants it for `http`.
    absolute: bool,
}

impl Route {
    fn of(inner: &Inner, uri: &Uri) -> Result<Self, HttpError> {
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(HttpError::address(uri, "it does not begin with http:// or https://")),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| HttpError::address(uri, "it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let target = Target::new(host, uri.port_u16().unwrap_or(if tls { 443 } else { 80 }));
        let absolute = !tls && inner.proxy.for_host(host, false).is_some();
        Ok(Self { key: Key { tls, target }, absolute })
    }

    fn host_header(&self) -> String {
        let Key { tls, target } = &self.key;
        let text = target.to_string();
        let default = if *tls { ":443" } else { ":80" };
        text.strip_suffix(default).map_or_else(|| text.clone(), str::to_owned)
    }

    fn refused_by_proxy(&self) -> HttpError {
        HttpError::connect(ConnectError {
            failure: ConnectFailure::ProxyCredentials,
            target: self.key.target.clone(),
            via: Some("the forward proxy".into()),
            detail: "the proxy asks for a user name and password (407)".into(),
        })
    }
}

impl Inner {
    async fn open(&self, route: &Route, end: Instant) -> Result<BoxIo, HttpError> {
        let Key { tls, target } = &route.key;
        let rest = || end.saturating_duration_since(Instant::now());
        if !tls {
            return match self.proxy.for_host(&target.host, false) {
                Some(proxy) => self.via.reach(proxy, rest()).await.map_err(|mut error| {
                    error.via = Some(format!("the proxy {proxy}"));
                    HttpError::connect(error)
                }),
                None => self.connector.connect(target, rest()).await.map_err(HttpError::connect),
            };
        }
        let config = self.tls.get_or_init(|| self.trust.client_config(&[b"http/1.1"])).clone();
        let config = config.map_err(|error| HttpError::trust(target, error))?;
        let io = self.via.connect(target, rest()).await.map_err(HttpError::connect)?;
        let stream = connect_tls(io, target, self.server_name.as_deref(), config, rest()).await;
        Ok(Box::new(stream.map_err(HttpError::connect)?))
    }
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}
