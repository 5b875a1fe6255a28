//! The handshake's messages, and what exactly a node signs.

use crate::key::PublicKey;
use ferrogate_model::{GatewayId, Name, NodeId};
use ring::digest;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, time::Duration};

/// The version this build speaks.
pub(crate) const PROTOCOL: u16 = 1;
/// The oldest version this build speaks.
pub(crate) const PROTOCOL_MIN: u16 = 1;
/// Bytes of a challenge.
pub(crate) const NONCE_BYTES: usize = 32;

/// The two carriers of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CarrierKind {
    /// Small requests and long quiet streams.
    Control,
    /// Streams that move much data.
    Bulk,
}

impl CarrierKind {
    /// Both, in the order they are dialled.
    pub(crate) const ALL: [Self; 2] = [Self::Control, Self::Bulk];
}

impl fmt::Display for CarrierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Bulk => "bulk",
        })
    }
}

/// Who a node says it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NodeClaim {
    /// Registered before.
    Known(NodeId),
    /// Wants to register the key it shows.
    Enrol {
        /// The one-time token.
        #[serde(serialize_with = "exposed")]
        token: SecretString,
        /// Its name.
        node_name: Name,
    },
}

fn exposed<S: Serializer>(token: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose_secret())
}

/// The first message, from the gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The oldest version it speaks.
    pub(crate) protocol_min: u16,
    /// The newest version it speaks.
    pub(crate) protocol_max: u16,
    /// Who it is.
    pub(crate) node: NodeClaim,
    /// Its key.
    pub(crate) public_key: PublicKey,
    /// The gateway's version, for people.
    pub(crate) version: String,
    /// What this carrier is for.
    pub(crate) carrier: CarrierKind,
    /// Which process of the node this is: a later start has a higher number.
    pub(crate) epoch: u64,
}

/// Whether the two ends see the same TLS session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Binding {
    /// Yes: the proof covers its exporter value.
    Exporter,
    /// Not known: something that speaks http/1.1 may end the TLS session between them.
    Unbound,
}

/// The gateway's second message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Proof {
    /// What the signature covers, as the gateway sees it.
    pub(crate) binding: Binding,
    /// Ed25519 over [`signed_text`].
    #[serde(with = "base64_bytes")]
    pub(crate) signature: Vec<u8>,
}

/// What the plane says during the handshake.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerMessage {
    /// Sign this.
    Challenge {
        /// Random, used once.
        #[serde(with = "base64_bytes")]
        nonce: Vec<u8>,
    },
    /// Come in.
    Welcome(Welcome),
    /// Go away.
    Refused(Refusal),
}

/// The plane's last message of a handshake that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// The version both speak from now on.
    pub(crate) protocol: u16,
    /// The node's id.
    pub(crate) node_id: NodeId,
    /// The gateway's id.
    pub(crate) gateway_id: GatewayId,
    /// How often each side sends a ping, in milliseconds.
    pub(crate) ping_every_ms: u64,
    /// After how long without a byte the other side is taken for dead, in milliseconds.
    pub(crate) dead_after_ms: u64,
}

/// Why the plane does not let a node in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefusalCode {
    /// The node's key was revoked. The only one after which a gateway stops trying.
    Revoked,
    /// No such node, or another key than the registered one.
    UnknownNode,
    /// The signature does not fit the key and the challenge.
    BadProof,
    /// The hello was not understood.
    BadHello,
    /// The two ends do not see the same TLS session although one of them says so.
    Downgrade,
    /// No common protocol version.
    Version,
    /// The enrolment token was not accepted.
    EnrolmentRefused,
    /// Too many handshakes at once.
    Busy,
    /// This plane is about to stop.
    Draining,
    /// A newer process of the same node is connected.
    Superseded,
    /// The plane cannot check the node now.
    Unavailable,
    /// A code of a newer plane.
    #[serde(other)]
    Other,
}

/// A refusal, in words and in code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// Why.
    pub(crate) code: RefusalCode,
    /// Why, in words.
    pub(crate) message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// Not before this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal without hint or time.
    pub(crate) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, retry_after_ms: None }
    }

    /// The same, with what to do.
    pub(crate) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The same, with the earliest time to come again.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }
}

/// What a node signs: a text that nothing else signs, the way the ends see each other, the whole hello (by its digest),
/// the challenge, the key, and the TLS session's exporter value or zeros.
pub(crate) fn signed_text(
    binding: Binding,
    hello: &[u8],
    nonce: &[u8],
    key: &PublicKey,
    exporter: &[u8; 32],
) -> Vec<u8> {
    let mut text = b"ferrogate node proof 1\0".to_vec();
    text.push(match binding {
        Binding::Exporter => 1,
        Binding::Unbound => 0,
    });
    text.extend_from_slice(digest::digest(&digest::SHA256, hello).as_ref());
    text.extend_from_slice(nonce);
    text.extend_from_slice(key.as_bytes());
    text.extend_from_slice(exporter);
    text
}

mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD_NO_PAD.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}
