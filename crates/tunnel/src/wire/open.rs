//! How a stream is opened: the plane says where to, the gateway says whether, then bytes flow.

use super::frame::{self, FrameError};
use crate::carrier::stream::MuxStream;
use ferrogate_net::{ConnectFailure, Target};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where a stream is to lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenRequest {
    /// Host name or literal address.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
    /// How long the plane waits for the answer, in milliseconds.
    pub(crate) deadline_ms: u64,
    /// Ties the log lines of both ends together.
    pub(crate) trace_id: String,
}

impl OpenRequest {
    /// The request for a target.
    pub(crate) fn new(target: &Target, deadline: Duration, trace_id: String) -> Self {
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        Self { host: target.host.clone(), port: target.port, deadline_ms, trace_id }
    }

    /// Where to.
    pub(crate) fn target(&self) -> Target {
        Target::new(self.host.clone(), self.port)
    }
}

/// Why a gateway did not open a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenRefused {
    /// Why.
    pub(crate) code: OpenRefusedCode,
    /// In words, without secrets.
    pub(crate) detail: String,
}

/// The codes of [`OpenRefused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OpenRefusedCode {
    /// The allow-list does not permit the target.
    NotAllowed,
    /// Too many streams are open already.
    Budget,
    /// The name has no address.
    Dns,
    /// Nothing listens there.
    Refused,
    /// No answer in time.
    Timeout,
    /// No way there.
    Unreachable,
    /// Anything else, and what newer gateways say.
    #[serde(other)]
    Other,
}

impl From<OpenRefusedCode> for ConnectFailure {
    fn from(code: OpenRefusedCode) -> Self {
        match code {
            OpenRefusedCode::NotAllowed => Self::NotAllowed,
            OpenRefusedCode::Budget => Self::Budget,
            OpenRefusedCode::Dns => Self::Dns,
            OpenRefusedCode::Refused => Self::Refused,
            OpenRefusedCode::Timeout => Self::Timeout,
            OpenRefusedCode::Unreachable => Self::Unreachable,
            OpenRefusedCode::Other => Self::Other,
        }
    }
}

impl From<&ConnectFailure> for OpenRefusedCode {
    fn from(failure: &ConnectFailure) -> Self {
        match failure {
            ConnectFailure::NotAllowed => Self::NotAllowed,
            ConnectFailure::Budget => Self::Budget,
            ConnectFailure::Dns => Self::Dns,
            ConnectFailure::Refused => Self::Refused,
            ConnectFailure::Timeout => Self::Timeout,
            ConnectFailure::Unreachable => Self::Unreachable,
            ConnectFailure::ProxyCredentials
            | ConnectFailure::ProxyStatus(_)
            | ConnectFailure::Tls
            | ConnectFailure::NoCarrier
            | ConnectFailure::Other => Self::Other,
        }
    }
}

/// First byte of an answer: the stream arrived, the answer follows. The multiplexer lets only so many streams be
/// unacknowledged (256), so a dial that hangs must not leave its stream without a byte.
const SEEN: u8 = 0;
/// First byte of an answer: connected; everything after it is the target's.
const CONNECTED: u8 = 1;
/// First byte of an answer: not connected; a frame with [`OpenRefused`] follows.
const REFUSED: u8 = 2;

/// The plane's side: waits for the answer. The outer error is a carrier that broke before it answered.
pub(crate) async fn read_answer(stream: &mut MuxStream) -> Result<Result<(), OpenRefused>, FrameError> {
    loop {
        match stream.read_u8().await? {
            SEEN => {}
            CONNECTED => return Ok(Ok(())),
            REFUSED => return Ok(Err(frame::decode(&frame::read(stream).await?)?)),
            other => return Err(FrameError::Unexpected(other)),
        }
    }
}

/// The gateway's side: the stream arrived.
pub(crate) async fn answer_seen(stream: &mut MuxStream) -> std::io::Result<()> {
    stream.write_u8(SEEN).await
}

/// The gateway's side: connected.
pub(crate) async fn answer_connected(stream: &mut MuxStream) -> std::io::Result<()> {
    stream.write_u8(CONNECTED).await
}

/// The gateway's side: not connected. Ends the stream in order.
pub(crate) async fn answer_refused(stream: &mut MuxStream, refused: &OpenRefused) -> std::io::Result<()> {
    let mut answer = vec![REFUSED];
    answer.extend(frame::encode(refused));
    stream.write_all(&answer).await?;
    stream.shutdown().await
}
