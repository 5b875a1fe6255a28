//! Through a forward proxy, by `CONNECT`.

use crate::{
    connect::{BoxIo, ConnectError, ConnectFailure, Connector, Target},
    tls::connect_tls,
    trust::Trust,
};
use async_trait::async_trait;
use base64::Engine as _;
use ferrogate_model::proxy::{ProxySettings, ProxyUrl};
use http::HeaderValue;
use secrecy::ExposeSecret;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::Instant,
};

/// The longest answer head a proxy may send, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Opens connections through the site's forward proxy where the settings say so, and directly where `NO_PROXY` does.
#[derive(Clone, Debug)]
pub struct ViaProxy {
    inner: Arc<dyn Connector>,
    settings: ProxySettings,
    trust: Trust,
}

impl ViaProxy {
    /// `inner` reaches the proxy, and what needs no proxy. The proxy for `https` is used.
    #[must_use]
    pub fn new(inner: Arc<dyn Connector>, settings: ProxySettings) -> Self {
        Self { inner, settings, trust: Trust::system() }
    }

    /// Whom to believe when the proxy itself is reached by TLS.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// A connection to the proxy itself, TLS already spoken where its address says `https`.
    pub(crate) async fn reach(&self, proxy: &ProxyUrl, deadline: Duration) -> Result<BoxIo, ConnectError> {
        let start = Instant::now();
        let place = Target::new(proxy.host(), proxy.port());
        let io = self.inner.connect(&place, deadline).await?;
        if !proxy.is_tls() {
            return Ok(io);
        }
        let config = self.trust.client_config(&[b"http/1.1"]).map_err(|error| ConnectError {
            failure: ConnectFailure::Tls,
            target: place.clone(),
            via: None,
            detail: error.to_string(),
        })?;
        let rest = deadline.saturating_sub(start.elapsed());
        Ok(Box::new(connect_tls(io, &place, None, config, rest).await?))
    }

    async fn tunnel(&self, proxy: &ProxyUrl, target: &Target, deadline: Duration) -> Result<BoxIo, ConnectError> {
        let fail = |failure, detail: String| ConnectError {
            failure,
            target: target.clone(),
            via: Some(format!("the proxy {proxy}")),
            detail,
        };
        // The name becomes part of the request's head.
        if target.host.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(fail(ConnectFailure::Other, "this cannot be the name of a host".into()));
        }
        let mut io = self.reach(proxy, deadline).await.map_err(|error| {
            let detail = format!("the proxy itself cannot be reached: {}", error.detail);
            fail(error.failure, detail)
        })?;
        let broken = |error: std::io::Error| fail(ConnectFailure::Other, format!("the proxy hung up: {error}"));
        io.write_all(connect_request(proxy, target).as_bytes()).await.map_err(broken)?;
        io.flush().await.map_err(broken)?;

        let mut read = Vec::with_capacity(512);
        let end = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if !b"HTTP/".starts_with(&read[..read.len().min(5)]) || read.len() > MAX_HEAD {
                return Err(fail(ConnectFailure::Other, "what answers there is not an HTTP proxy".into()));
            }
            if io.read_buf(&mut read).await.map_err(broken)? == 0 {
                return Err(fail(ConnectFailure::Other, "the proxy closed the connection without an answer".into()));
            }
        };
        let early = read.split_off(end);
        match status(&read) {
            Some(200..=299) => Ok(Box::new(Replayed { early, given: 0, io })),
            Some(407) => {
                let words = if proxy.credentials().is_some() {
                    "the proxy refuses the user name or password (407)"
                } else {
                    "the proxy asks for a user name and password (407)"
                };
                Err(fail(ConnectFailure::ProxyCredentials, words.into()))
            }
            Some(status) => {
                let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
                let detail = format!("the proxy answered {status} {}", reason.unwrap_or_default());
                Err(fail(ConnectFailure::ProxyStatus(Some(status)), detail.trim_end().to_owned()))
            }
            None => Err(fail(ConnectFailure::Other, "what answers there is not an HTTP proxy".into())),
        }
    }
}

#[async_trait]
impl Connector for ViaProxy {
    async fn connect(&self, target: &Target, deadline: Duration) -> Result<BoxIo, ConnectError> {
        let Some(proxy) = self.settings.for_host(&target.host, true) else {
            return self.inner.connect(target, deadline).await;
        };
        match tokio::time::timeout(deadline, self.tunnel(proxy, target, deadline)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError {
                failure: ConnectFailure::Timeout,
                target: target.clone(),
                via: Some(format!("the proxy {proxy}")),
                detail: format!("the proxy gave no answer within {} s", deadline.as_secs_f32()),
            }),
        }
    }
}

/// The value of `Proxy-Authorization`, where the proxy's address has a user name.
#[must_use]
pub fn authorization(proxy: &ProxyUrl) -> Option<HeaderValue> {
    let (user, password) = proxy.credentials()?;
    let pair = format!("{user}:{}", password.expose_secret());
    let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn connect_request(proxy: &ProxyUrl, target: &Target) -> String {
    let mut text = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(value) = authorization(proxy).as_ref().and_then(|value| value.to_str().ok()) {
        text.push_str("Proxy-Authorization: ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}

/// The status of an answer's head, `None` if its first line is none of HTTP/1.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.splitn(3, ' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

/// A connection whose first bytes arrived together with the proxy's answer.
struct Replayed {
    early: Vec<u8>,
    given: usize,
    io: BoxIo,
}

impl AsyncRead for Replayed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.given < self.early.len() {
            let count = (self.early.len() - self.given).min(buffer.remaining());
            buffer.put_slice(&self.early[self.given..self.given + count]);
            self.given += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Replayed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
