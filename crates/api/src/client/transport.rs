//! HTTP to one plane, and what its failures mean in our words.

use bytes::{Bytes, BytesMut};
use ferrogate_model::{
    fault::chain,
    proxy::{ProxySettings, ProxyUrl},
};
use ferrogate_net::{
    ConnectError, ConnectFailure, HttpError, HttpFailure, Target, Trust, TrustError, explain_tls, proxy::authorization,
};
use http::{Method, StatusCode};
use reqwest::{Proxy, Request, Response, redirect};
use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::time::timeout;
use url::Url;

/// From the first packet to a connection on which a request can be sent, with the proxy's consent and the TLS handshake.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// How long a connection may be silent before the kernel asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How many unused connections are kept, and for how long.
const IDLE: (usize, Duration) = (8, Duration::from_secs(30));

/// How much one call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the first look for a connection to the last byte of the answer.
    pub(super) deadline: Duration,
    /// The longest answer, in bytes.
    pub(super) max_body: usize,
}

/// A client of one host. It reads nothing from the environment, follows no redirect and decompresses nothing.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    origin: String,
    target: Target,
    proxy: Option<ProxyUrl>,
    tls: bool,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// The address, or what was said about the way to it. Why, in words.
    #[error("{0}")]
    Address(String),
    /// The trust settings.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Whom to believe, and the way out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    pub(super) trust: &'a Trust,
    pub(super) proxy: &'a ProxySettings,
    /// Names whose addresses are given and not asked for.
    pub(super) hosts: &'a [(String, IpAddr)],
    pub(super) user_agent: &'a str,
}

impl Transport {
    /// A client of the host of `url`.
    pub(super) fn new(url: &Url, way: Way<'_>) -> Result<Self, Unusable> {
        let unusable = Unusable::Address;
        let host = url.host_str().ok_or_else(|| unusable("its address names no host".into()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tls = url.scheme() == "https";
        let proxy = way.proxy.for_host(host, tls);
        let config = match proxy {
            Some(proxy) if proxy.is_tls() => way.trust.client_config_via(proxy.host(), host, &[b"http/1.1"])?,
            _ => way.trust.client_config(&[b"http/1.1"])?,
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured((*config).clone())
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(way.user_agent)
            .connect_timeout(CONNECT_DEADLINE)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE / 2)
            .pool_max_idle_per_host(IDLE.0)
            .pool_idle_timeout(IDLE.1);
        builder = match proxy {
            Some(proxy) => builder.proxy(through(proxy).map_err(|error| unusable(chain(&error)))?),
            None => builder.no_proxy(),
        };
        for (name, address) in way.hosts {
            // The port is that of the address that is asked.
            builder = builder.resolve(&name.to_ascii_lowercase(), SocketAddr::new(*address, 0));
        }
        let http = builder.build().map_err(|error| unusable(chain(&error.without_url())))?;
        let target = Target::new(host, url.port_or_known_default().unwrap_or(443));
        Ok(Self { http, origin: url.origin().ascii_serialization(), target, proxy: proxy.cloned(), tls })
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub(super) async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let answer = async {
            let mut response = self.exchange(request).await?;
            let too_long =
                || HttpError::new(HttpFailure::TooLong { target: self.target.clone(), limit: limits.max_body }, true);
            let mut body = BytesMut::new();
            while let Some(piece) = response.chunk().await.map_err(|error| self.failed(error))? {
                if body.len() + piece.len() > limits.max_body {
                    return Err(too_long());
                }
                body.extend_from_slice(&piece);
            }
            let mut whole = http::Response::new(body.freeze());
            *whole.status_mut() = response.status();
            Ok(whole)
        };
        timeout(limits.deadline, answer).await.unwrap_or_else(|_| Err(self.timed_out(limits.deadline)))
    }

    /// Sends a request and hands the answer over as soon as its head is there; `deadline` ends with it.
    pub(super) async fn open(&self, request: http::Request<Bytes>, deadline: Duration) -> Result<Response, HttpError> {
        timeout(deadline, self.exchange(request)).await.unwrap_or_else(|_| Err(self.timed_out(deadline)))
    }

    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Response, HttpError> {
        let request = Request::try_from(request).map_err(|error| self.failed(error))?;
        // A kept connection may have been closed by the other side while the request was on its way. Whether anything of it
        // arrived is not known then: what only asks is sent once more, what changes something is not.
        let again = if *request.method() == Method::GET { request.try_clone() } else { None };
        let response = match (self.http.execute(request).await.map_err(|error| self.failed(error)), again) {
            (Err(error), Some(again)) if matches!(error.failure, HttpFailure::Closed { .. }) => {
                self.http.execute(again).await.map_err(|error| self.failed(error))?
            }
            (result, _) => result?,
        };
        if self.proxy.is_some() && !self.tls && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let (failure, detail) = self.refused_by_proxy();
            return Err(HttpError::new(HttpFailure::Connect(self.no_connection(failure, detail)), false));
        }
        Ok(response)
    }

    fn timed_out(&self, after: Duration) -> HttpError {
        // The library does not tell how far the request came.
        HttpError::new(HttpFailure::Timeout { place: self.origin.clone(), after }, true)
    }

    /// Sorts an error of the library. Only where there never was a connection is it certain that nothing was sent.
    pub(super) fn failed(&self, error: reqwest::Error) -> HttpError {
        let error = error.without_url();
        if error.is_builder() {
            let reason = "it is no address that a request can be sent to";
            return HttpError::new(HttpFailure::Address { address: self.origin.clone(), reason }, false);
        }
        if error.is_connect() {
            let (failure, detail) = self.why_no_connection(&error);
            return HttpError::new(HttpFailure::Connect(self.no_connection(failure, detail)), false);
        }
        let (target, detail) = (self.target.clone(), chain(&error));
        let not_http =
            causes(&error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse);
        let failure =
            if not_http { HttpFailure::NotHttp { target, detail } } else { HttpFailure::Closed { target, detail } };
        HttpError::new(failure, true)
    }

    fn no_connection(&self, failure: ConnectFailure, detail: String) -> ConnectError {
        let via = self.proxy.as_ref().map(|proxy| format!("the proxy {proxy}"));
        ConnectError { failure, target: self.target.clone(), via, detail }
    }

    fn why_no_connection(&self, error: &reqwest::Error) -> (ConnectFailure, String) {
        // The type of what goes wrong at a proxy is not public; its text is, and a test holds it.
        let tunnel = causes(error).map(ToString::to_string).find(|text| text.starts_with("tunnel error"));
        match tunnel.as_deref() {
            Some(text) if text.ends_with("proxy authorization required") => return self.refused_by_proxy(),
            Some(text) if text.ends_with("tunnel error: unsuccessful") => {
                let words = "the proxy does not open a connection to it, or is no HTTP proxy";
                return (ConnectFailure::ProxyStatus(None), words.into());
            }
            Some(text) if text.ends_with("unexpected end of file") => {
                return (ConnectFailure::Other, "the proxy closed the connection without an answer".into());
            }
            _ => {}
        }
        if error.is_timeout() {
            let who = if self.proxy.is_some() { "the proxy gave no answer" } else { "no answer" };
            let words = format!("{who} within {} s", CONNECT_DEADLINE.as_secs());
            return (ConnectFailure::Timeout, words);
        }
        let (failure, detail) = reason(error);
        let at_proxy = tunnel.is_some() || (self.proxy.is_some() && failure != ConnectFailure::Tls);
        let detail = if at_proxy { format!("the proxy itself cannot be reached: {detail}") } else { detail };
        (failure, detail)
    }

    fn refused_by_proxy(&self) -> (ConnectFailure, String) {
        let given = self.proxy.as_ref().is_some_and(|proxy| proxy.credentials().is_some());
        let verb = if given { "refuses the" } else { "asks for a" };
        (
            ConnectFailure::ProxyCredentials,
            format!("the proxy {verb} user name {} password (407)", if given { "or" } else { "and" }),
        )
    }
}

/// The library's settings for our proxy. The password goes in a header that is marked as a secret.
fn through(proxy: &ProxyUrl) -> Result<Proxy, reqwest::Error> {
    let scheme = if proxy.is_tls() { "https" } else { "http" };
    let address = format!("{scheme}://{}", Target::new(proxy.host(), proxy.port()));
    let through = Proxy::all(address)?;
    Ok(match authorization(proxy) {
        Some(value) => through.custom_http_auth(value),
        None => through,
    })
}

/// What the operating system or TLS said.
fn reason(error: &reqwest::Error) -> (ConnectFailure, String) {
    let Some(said) = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last() else {
        return (ConnectFailure::Other, chain(error));
    };
    let mut said = said;
    while let Some(inner) = said.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>()) {
        said = inner;
    }
    if error.is_dns() {
        return (ConnectFailure::Dns, said.to_string());
    }
    let tls = said.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    match ConnectFailure::of_io(said) {
        (ConnectFailure::Other, _) if tls || !causes(error).any(|cause| cause.to_string().starts_with("tcp ")) => {
            (ConnectFailure::Tls, explain_tls(said))
        }
        known => known,
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source())
}
