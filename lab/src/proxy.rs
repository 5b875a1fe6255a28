//! A forward HTTP proxy, as sites put between themselves and the world: CONNECT and absolute-form requests, Basic
//! credentials, a list of names that only it knows, a log of what went through, and every way in which proxies fail.

mod request;

use base64::Engine as _;
use ferrogate_net::{BoxIo, Connector, Listener, Network, Target};
use request::Head;
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a client may take for its request, and an upstream to accept a connection.
const DEADLINE: Duration = Duration::from_secs(30);
/// Requests kept in the log.
const KEPT: usize = 10_000;
/// Bytes moved at once.
const PIECE: usize = 16 * 1024;

/// Settings of a [`Proxy`].
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// The network it listens on and dials out over.
    pub network: Network,
    /// Where it listens.
    pub listen: SocketAddr,
    /// User name and password it asks for.
    pub credentials: Option<(String, SecretString)>,
    /// Names it knows and where they lead. Other names are the network's own to resolve.
    pub hosts: BTreeMap<String, IpAddr>,
}

/// What a proxy does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// Accepts connections and never answers.
    Hang,
    /// Answers every request with this status and a page of HTML.
    Html(u16),
    /// Says 200 to CONNECT and then sends a page of HTML instead of the tunnel.
    HtmlInTunnel,
}

/// One request that went through, or tried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `CONNECT` or the request's own method.
    pub method: String,
    /// Host and port.
    pub target: String,
    /// The status the proxy answered, or the first it passed on; 0 while there is none.
    pub status: u16,
    /// Bytes from the client to the target, so far.
    pub sent: u64,
    /// Bytes from the target to the client, so far.
    pub received: u64,
}

/// An entry of the log while its connection may still change it.
#[derive(Debug, Default)]
struct Counted {
    method: String,
    target: String,
    status: AtomicU16,
    sent: AtomicU64,
    received: AtomicU64,
}

/// A running proxy. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: ProxyOptions,
    address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<ProxyFault>,
    hosts: BTreeMap<String, IpAddr>,
    /// The last [`KEPT`] requests.
    log: VecDeque<Arc<Counted>>,
    running: Option<(CancellationToken, TaskTracker)>,
}

impl Proxy {
    /// Starts it. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start(options: ProxyOptions) -> io::Result<Self> {
        let listener = options.network.listen(options.listen)?;
        let address = listener.local_addr()?;
        let state = State { hosts: options.hosts.clone(), ..State::default() };
        let proxy = Self(Arc::new(Inner { options, address, state: Mutex::new(state) }));
        proxy.serve(listener);
        Ok(proxy)
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// Its address as proxy settings write it, with the credentials where it wants some.
    #[must_use]
    pub fn url(&self) -> SecretString {
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let user = self
            .0
            .options
            .credentials
            .as_ref()
            .map(|(name, password)| format!("{}:{}@", encode(name), encode(password.expose_secret())));
        format!("http://{}{}", user.unwrap_or_default(), self.0.address).into()
    }

    /// Makes it misbehave from the next connection on, or well again.
    pub fn set_fault(&self, fault: Option<ProxyFault>) {
        self.0.state().fault = fault;
    }

    /// What went through, oldest first; the last ten thousand requests.
    #[must_use]
    pub fn log(&self) -> Vec<Access> {
        let state = self.0.state();
        let seen = |entry: &Arc<Counted>| Access {
            method: entry.method.clone(),
            target: entry.target.clone(),
            status: entry.status.load(Ordering::Relaxed),
            sent: entry.sent.load(Ordering::Relaxed),
            received: entry.received.load(Ordering::Relaxed),
        };
        state.log.iter().map(seen).collect()
    }

    /// Stops it: the port is closed, every connection ends.
    pub async fn stop(&self) {
        let running = self.0.state().running.take();
        if let Some((cancel, tasks)) = running {
            cancel.cancel();
            tasks.close();
            tasks.wait().await;
        }
    }

    /// Starts it again on the port it had.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub fn resume(&self) -> io::Result<()> {
        if self.0.state().running.is_none() {
            let listener = self.0.options.network.listen(self.0.address)?;
            self.serve(listener);
        }
        Ok(())
    }

    /// Stops forwarding without ending any connection, as a dead router does; [`Proxy::thaw`] ends it.
    pub fn freeze(&self) {
        self.0.options.network.cut(self.0.address);
    }

    /// Forwards again.
    pub fn thaw(&self) {
        self.0.options.network.heal(self.0.address);
    }

    /// Ends everything without waiting for it.
    pub(crate) fn abort(&self) {
        if let Some((cancel, _)) = self.0.state().running.take() {
            cancel.cancel();
        }
    }

    fn serve(&self, listener: Listener) {
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        self.0.state().running = Some((cancel.clone(), tasks.clone()));
        let inner = Arc::clone(&self.0);
        let (connections, stop) = (tasks.clone(), cancel.clone());
        tasks.spawn(cancel.run_until_cancelled_owned(async move {
            loop {
                match listener.accept().await {
                    Ok((io, _)) => {
                        let inner = Arc::clone(&inner);
                        let work = async move {
                            if let Err(error) = inner.connection(io).await {
                                tracing::debug!(%error, "proxied connection ended");
                            }
                        };
                        connections.spawn(stop.clone().run_until_cancelled_owned(Box::pin(work)));
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the proxy could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        }));
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self, mut client: BoxIo) -> io::Result<()> {
        let fault = self.state().fault;
        if fault == Some(ProxyFault::Hang) {
            return std::future::pending().await;
        }
        let head = tokio::time::timeout(DEADLINE, Head::read(&mut client)).await??;
        let entry = self.enter(&head);
        if let Some(ProxyFault::Html(status)) = fault {
            return answer(&mut client, &entry, status, "text/html", "<html><body>blocked</body></html>").await;
        }
        if !self.may_pass(&head) {
            return answer(&mut client, &entry, 407, "text/plain", "credentials are needed\n").await;
        }
        if fault == Some(ProxyFault::HtmlInTunnel) && head.is_connect() {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            entry.status.store(200, Ordering::Relaxed);
            return client.write_all(b"HTTP/1.1 200 OK\r\n\r\n<html>login</html>").await;
        }
        let Some(target) = head.target() else {
            return answer(&mut client, &entry, 400, "text/plain", "this is a proxy: give a whole address\n").await;
        };
        let upstream = match self.dial(&target).await {
            Ok(upstream) => upstream,
            Err(why) => return answer(&mut client, &entry, 502, "text/plain", &format!("{why}\n")).await,
        };
        forward(client, upstream, &head, &entry).await
    }

    /// Notes a request.
    fn enter(&self, head: &Head) -> Arc<Counted> {
        let target = head.target().map_or_else(|| head.address.clone(), |target| target.to_string());
        let entry = Arc::new(Counted { method: head.method.clone(), target, ..Counted::default() });
        let mut state = self.state();
        if state.log.len() == KEPT {
            state.log.pop_front();
        }
        state.log.push_back(Arc::clone(&entry));
        entry
    }

    fn may_pass(&self, head: &Head) -> bool {
        let Some((user, password)) = &self.options.credentials else { return true };
        let pair = format!("{user}:{}", password.expose_secret());
        let wanted = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        head.header("proxy-authorization") == Some(wanted.as_str())
    }

    async fn dial(&self, target: &Target) -> Result<BoxIo, String> {
        let known = self.state().hosts.get(&target.host.to_lowercase()).copied();
        let place = known.map_or_else(|| target.clone(), |address| Target::new(address.to_string(), target.port));
        self.options.network.connect(&place, DEADLINE).await.map_err(|error| error.to_string())
    }
}

async fn answer(client: &mut BoxIo, entry: &Counted, status: u16, kind: &str, body: &str) -> io::Result<()> {
    entry.status.store(status, Ordering::Relaxed);
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let ask = if status == 407 { "Proxy-Authenticate: Basic realm=\"site\"\r\n" } else { "" };
    let text = format!(
        "HTTP/1.1 {status} {}\r\n{ask}Content-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        reason.unwrap_or("Error"),
        body.len()
    );
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}

async fn forward(mut client: BoxIo, mut upstream: BoxIo, head: &Head, entry: &Counted) -> io::Result<()> {
    if head.is_connect() {
        entry.status.store(200, Ordering::Relaxed);
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        upstream.write_all(&head.rest).await?;
    } else {
        upstream.write_all(&head.for_origin()).await?;
    }
    entry.sent.fetch_add(head.rest.len() as u64, Ordering::Relaxed);
    let (client_in, client_out) = tokio::io::split(client);
    let (upstream_in, upstream_out) = tokio::io::split(upstream);
    let up = pump(client_in, upstream_out, &entry.sent, |_| ());
    let mut first = !head.is_connect();
    let down = pump(upstream_in, client_out, &entry.received, |piece| {
        // The status line of the first answer: `HTTP/1.1 200 …`.
        if std::mem::take(&mut first) {
            let status = std::str::from_utf8(piece.get(9..12).unwrap_or_default()).ok();
            entry.status.store(status.and_then(|text| text.parse().ok()).unwrap_or_default(), Ordering::Relaxed);
        }
    });
    tokio::try_join!(up, down).map(|_| ())
}

async fn pump(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    counter: &AtomicU64,
    mut seen: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            n => {
                seen(&buffer[..n]);
                counter.fetch_add(n as u64, Ordering::Relaxed);
                to.write_all(&buffer[..n]).await?;
                to.flush().await?;
            }
        }
    }
}

#[cfg(test)]
mod tests;
