//! One dial toward the plane: connect, TLS, the carrier that TLS's answer allows, handshake.

use super::{Credentials, DialMaterial, Identity, Shared};
use crate::{
    ALPN, EXPORTER_LABEL, WEBSOCKET_PATH,
    carrier::websocket::{self, WebSocketIo},
    session::{
        handshake::{ClientHandshake, ClientStep},
        reconnect::Ended,
    },
    wire::{
        frame::{self, FrameError},
        hello::{CarrierKind, NodeClaim, Refusal, RefusalCode, Welcome},
    },
};
use ferrogate_model::fault::chain;
use ferrogate_net::{BoxIo, ConnectError, Target, connect_tls};
use std::{sync::Arc, time::Duration};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite;

/// For the connection itself, a proxy on the way included.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// For TLS, then for the upgrade, then for the handshake.
pub(super) const STEP_DEADLINE: Duration = Duration::from_secs(10);
/// TLS reads the socket in pieces of 4 KiB; this makes one system call of many.
const READ_BUFFER: usize = 64 * 1024;
/// What an HTTP status that is not about us may ask for at most in `Retry-After`.
const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(300);

/// A carrier the plane has accepted.
pub(super) struct Dialled {
    pub(super) io: BoxIo,
    pub(super) welcome: Welcome,
    /// Whether it goes through a WebSocket.
    pub(super) websocket: bool,
}

/// A dial that led nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("the gateway's own files cannot be used: {0}")]
    Credentials(String),
    #[error("{}", .0)]
    Connect(#[from] ConnectError),
    #[error("the plane's address {0} is not usable")]
    Address(String),
    #[error("the plane's TLS session cannot be used for a tunnel: {0}")]
    Session(String),
    #[error("the answer to the WebSocket upgrade was HTTP status {status}")]
    Upgrade { status: u16, retry_after: Option<Duration> },
    #[error("the WebSocket upgrade failed")]
    WebSocket(#[source] Box<tungstenite::Error>),
    #[error("the handshake with the plane broke off")]
    Handshake(#[from] FrameError),
    #[error("the plane refused this node: {}{}", .0.message, .0.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default())]
    Refused(Refusal),
    #[error("{0} took too long")]
    TooLong(&'static str),
}

impl DialError {
    /// What it means for the next dial.
    pub(super) fn ended(&self) -> Ended {
        match self {
            Self::Refused(refusal) => match refusal.code {
                RefusalCode::Revoked => Ended::Revoked,
                RefusalCode::UnknownNode
                | RefusalCode::BadProof
                | RefusalCode::BadHello
                | RefusalCode::Downgrade
                | RefusalCode::Version
                | RefusalCode::EnrolmentRefused
                | RefusalCode::Busy
                | RefusalCode::Draining
                | RefusalCode::Superseded
                | RefusalCode::Unavailable
                | RefusalCode::Other => {
                    Ended::Refused { retry_after: refusal.retry_after_ms.map(Duration::from_millis) }
                }
            },
            Self::Upgrade { status: 400..500, retry_after } => Ended::Refused { retry_after: *retry_after },
            Self::Upgrade { retry_after: Some(wait), .. } => Ended::Refused { retry_after: Some(*wait) },
            Self::Credentials(_) | Self::Address(_) => Ended::Refused { retry_after: None },
            Self::Connect(_)
            | Self::Session(_)
            | Self::Upgrade { .. }
            | Self::WebSocket(_)
            | Self::Handshake(_)
            | Self::TooLong(_) => Ended::Lost,
        }
    }
}

/// Dials the plane.
pub(super) async fn dial(shared: &Shared, kind: CarrierKind) -> Result<Dialled, DialError> {
    let options = &shared.options;
    let material = options.credentials.load().await.map_err(DialError::Credentials)?;
    let url = &options.plane_url;
    let target = target(url).ok_or_else(|| DialError::Address(url.to_string()))?;
    let connect = options.connector.connect(&target, CONNECT_DEADLINE);
    let socket = step("connecting", CONNECT_DEADLINE, connect).await??;
    let tls = secure(socket, &target, &material.tls).await?;

    let session = tls.get_ref().1;
    let raw = session.alpn_protocol() == Some(ALPN);
    let (io, exporter): (BoxIo, _) = if raw {
        if session.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
            return Err(DialError::Session("it is older than TLS 1.3".into()));
        }
        let exporter = session
            .export_keying_material([0; 32], EXPORTER_LABEL, None)
            .map_err(|error| DialError::Session(error.to_string()))?;
        (Box::new(tls), Some(exporter))
    } else {
        (step("the WebSocket upgrade", STEP_DEADLINE, Box::pin(upgrade(tls, url))).await??, None)
    };
    let (io, welcome) =
        step("the handshake", STEP_DEADLINE, shake_hands(io, shared, material, kind, exporter)).await??;
    keep_registration(&*options.credentials, &welcome).await;
    Ok(Dialled { io, welcome, websocket: !raw })
}

/// Speaks TLS, offering our protocol before HTTP.
pub(super) async fn secure(
    socket: BoxIo,
    target: &Target,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<TlsStream<BoxIo>, DialError> {
    let mut config = (**tls).clone();
    config.alpn_protocols = vec![ALPN.to_vec(), b"http/1.1".to_vec()];
    let socket = Box::new(BufReader::with_capacity(READ_BUFFER, socket));
    Ok(connect_tls(socket, target, None, Arc::new(config), STEP_DEADLINE).await?)
}

/// Does `work`, but not for ever.
pub(super) async fn step<T>(
    name: &'static str,
    deadline: Duration,
    work: impl Future<Output = T>,
) -> Result<T, DialError> {
    tokio::time::timeout(deadline, work).await.map_err(|_| DialError::TooLong(name))
}

/// Where the plane's address leads; `None` where it is not an https address.
pub(super) fn target(url: &url::Url) -> Option<Target> {
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    (url.scheme() == "https").then_some(())?;
    Some(Target::new(host, url.port_or_known_default()?))
}

/// Asks for a WebSocket.
pub(super) async fn upgrade(tls: TlsStream<BoxIo>, url: &url::Url) -> Result<BoxIo, DialError> {
    let mut address = url.clone();
    let path = format!("{}{WEBSOCKET_PATH}", url.path().trim_end_matches('/'));
    address.set_path(&path);
    // The scheme of a WebSocket over TLS; the address has no user part, so nothing secret can be in an error.
    let text = address.as_str().replacen("https://", "wss://", 1);
    match tokio_tungstenite::client_async_with_config(text, tls, Some(websocket::config())).await {
        Ok((socket, _)) => Ok(Box::new(WebSocketIo::new(socket))),
        Err(tungstenite::Error::Http(response)) => {
            let retry_after = response.headers().get(http::header::RETRY_AFTER);
            let seconds = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let retry_after = seconds.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_LONGEST));
            Err(DialError::Upgrade { status: response.status().as_u16(), retry_after })
        }
        Err(error) => Err(DialError::WebSocket(Box::new(error))),
    }
}

async fn shake_hands(
    mut io: BoxIo,
    shared: &Shared,
    material: DialMaterial,
    kind: CarrierKind,
    exporter: Option<[u8; 32]>,
) -> Result<(BoxIo, Welcome), DialError> {
    let claim = match material.identity {
        Identity::Known(node) => NodeClaim::Known(node),
        Identity::Enrol { token, node_name } => NodeClaim::Enrol { token, node_name },
    };
    let version = shared.options.version.clone();
    let (mut handshake, mut frame) = ClientHandshake::start(claim, material.key, version, kind, shared.epoch, exporter);
    loop {
        io.write_all(&frame).await.map_err(FrameError::Io)?;
        io.flush().await.map_err(FrameError::Io)?;
        match handshake.on_message(&frame::read(&mut io).await?)? {
            ClientStep::Send(next) => frame = next,
            ClientStep::Welcome(welcome) => return Ok((io, welcome)),
            ClientStep::Refused(refusal) => return Err(DialError::Refused(refusal)),
        }
    }
}

async fn keep_registration(credentials: &dyn Credentials, welcome: &Welcome) {
    if let Err(error) = credentials.registered(welcome.gateway_id, welcome.node_id).await {
        tracing::warn!(error, "the registration could not be kept; it will be needed again after a restart");
    }
}

/// The error with its causes, for the log and the status.
pub(super) fn words(error: &DialError) -> String {
    chain(error)
}
