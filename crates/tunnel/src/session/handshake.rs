//! Both ends of the handshake, as state machines over messages.

use crate::{
    authenticate::KnownNode,
    key::NodeKey,
    wire::{
        frame::{self, FrameError},
        hello::{
            Binding, Hello, NONCE_BYTES, NodeClaim, PROTOCOL, PROTOCOL_MIN, Proof, Refusal, RefusalCode, ServerMessage,
            Welcome, signed_text,
        },
    },
};
use std::sync::Arc;

/// The plane's end: hello in, challenge out, proof in.
pub(crate) struct ServerHandshake {
    exporter: Option<[u8; 32]>,
    nonce: [u8; NONCE_BYTES],
    hello: Option<(Hello, Vec<u8>)>,
}

/// A hello whose proof is right: the other side holds the key it shows. Not yet that the key is registered.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    /// The hello.
    pub(crate) hello: Hello,
    /// The version both speak.
    pub(crate) protocol: u16,
}

impl ServerHandshake {
    /// A handshake on a carrier whose TLS session has this exporter value (`None` on a WebSocket), with a fresh nonce.
    pub(crate) const fn new(exporter: Option<[u8; 32]>, nonce: [u8; NONCE_BYTES]) -> Self {
        Self { exporter, nonce, hello: None }
    }

    /// The first message.
    pub(crate) fn on_hello(&mut self, content: Vec<u8>) -> Result<ServerMessage, Refusal> {
        let hello: Hello = frame::decode(&content)
            .map_err(|error| Refusal::new(RefusalCode::BadHello, format!("the hello was not understood: {error}")))?;
        if hello.protocol_min > PROTOCOL || hello.protocol_max < PROTOCOL_MIN {
            let message = format!(
                "the gateway speaks tunnel versions {} to {}, this plane {PROTOCOL_MIN} to {PROTOCOL}",
                hello.protocol_min, hello.protocol_max
            );
            let hint = "update the older of the two".to_owned();
            return Err(Refusal::new(RefusalCode::Version, message).hint(Some(hint)));
        }
        self.hello = Some((hello, content));
        Ok(ServerMessage::Challenge { nonce: self.nonce.to_vec() })
    }

    /// The second message.
    pub(crate) fn on_proof(self, content: &[u8]) -> Result<Proven, Refusal> {
        let (hello, hello_bytes) =
            self.hello.ok_or_else(|| Refusal::new(RefusalCode::BadHello, "a proof came before the hello"))?;
        let proof: Proof = frame::decode(content)
            .map_err(|error| Refusal::new(RefusalCode::BadProof, format!("the proof was not understood: {error}")))?;
        let expected = if self.exporter.is_some() { Binding::Exporter } else { Binding::Unbound };
        if proof.binding != expected {
            let message = "the gateway and the plane do not see the same TLS session";
            let hint = "check for something between them that ends TLS but passes the tunnel's own protocol on";
            return Err(Refusal::new(RefusalCode::Downgrade, message).hint(Some(hint.into())));
        }
        let exporter = self.exporter.unwrap_or_default();
        let text = signed_text(proof.binding, &hello_bytes, &self.nonce, &hello.public_key, &exporter);
        if !hello.public_key.verifies(&text, &proof.signature) {
            return Err(Refusal::new(RefusalCode::BadProof, "the signature does not fit the key and this connection"));
        }
        let protocol = hello.protocol_max.min(PROTOCOL);
        Ok(Proven { hello, protocol })
    }
}

/// Whether what is registered for a node fits what it proved.
pub(crate) fn check_known(proven: &Proven, known: Option<KnownNode>) -> Result<KnownNode, Refusal> {
    let rebuild = || Some("let the plane rebuild this node, so that it registers again".to_owned());
    // One answer for an unknown node and a wrong key: a stranger learns nothing about which nodes exist.
    let known = known
        .filter(|known| known.public_key == proven.hello.public_key)
        .ok_or_else(|| Refusal::new(RefusalCode::UnknownNode, "the plane does not know this node").hint(rebuild()))?;
    if known.revoked {
        return Err(Refusal::new(RefusalCode::Revoked, "the plane revoked this node").hint(rebuild()));
    }
    Ok(known)
}

/// The gateway's end: challenge in, proof out, welcome in.
pub(crate) struct ClientHandshake {
    key: Arc<NodeKey>,
    exporter: Option<[u8; 32]>,
    hello: Vec<u8>,
    proved: bool,
}

/// What the gateway does with a message of the plane.
#[derive(Debug)]
pub(crate) enum ClientStep {
    /// Send this frame.
    Send(Vec<u8>),
    /// It is in.
    Welcome(Welcome),
    /// It is not.
    Refused(Refusal),
}

impl ClientHandshake {
    /// A handshake and its first frame.
    pub(crate) fn start(
        node: NodeClaim,
        key: Arc<NodeKey>,
        version: String,
        carrier: crate::wire::hello::CarrierKind,
        epoch: u64,
        exporter: Option<[u8; 32]>,
    ) -> (Self, Vec<u8>) {
        let hello = Hello {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL,
            node,
            public_key: key.public_key(),
            version,
            carrier,
            epoch,
        };
        let first = frame::encode(&hello);
        (Self { key, exporter, hello: first[2..].to_vec(), proved: false }, first)
    }

    /// A message of the plane.
    pub(crate) fn on_message(&mut self, content: &[u8]) -> Result<ClientStep, FrameError> {
        match frame::decode(content)? {
            // A second challenge would make this node sign what somebody else chose, again.
            ServerMessage::Challenge { nonce } if !self.proved && nonce.len() == NONCE_BYTES => {
                self.proved = true;
                let binding = if self.exporter.is_some() { Binding::Exporter } else { Binding::Unbound };
                let exporter = self.exporter.unwrap_or_default();
                let text = signed_text(binding, &self.hello, &nonce, &self.key.public_key(), &exporter);
                let proof = Proof { binding, signature: self.key.sign(&text) };
                Ok(ClientStep::Send(frame::encode(&proof)))
            }
            ServerMessage::Welcome(welcome) if self.proved => Ok(ClientStep::Welcome(welcome)),
            ServerMessage::Refused(refusal) => Ok(ClientStep::Refused(refusal)),
            ServerMessage::Challenge { .. } | ServerMessage::Welcome(_) => Err(FrameError::OutOfTurn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::hello::CarrierKind;
    use ferrogate_model::{GatewayId, NodeId};

    fn known(key: &NodeKey, revoked: bool) -> KnownNode {
        KnownNode { gateway: GatewayId::new(), name: "n-1".parse().unwrap(), public_key: key.public_key(), revoked }
    }

    fn client(key: &Arc<NodeKey>, exporter: Option<[u8; 32]>) -> (ClientHandshake, Vec<u8>) {
        let claim = NodeClaim::Known(NodeId::new());
        ClientHandshake::start(claim, key.clone(), "0.1.0".into(), CarrierKind::Control, 7, exporter)
    }

    /// Runs a handshake whose ends see these exporter values; `change` may alter the proof on its way.
    fn run(
        gateway: Option<[u8; 32]>,
        plane: Option<[u8; 32]>,
        change: impl FnOnce(&mut Proof),
    ) -> Result<Proven, Refusal> {
        let key = Arc::new(NodeKey::generate().unwrap());
        let (mut client, hello) = client(&key, gateway);
        let mut server = ServerHandshake::new(plane, [9; NONCE_BYTES]);
        let challenge = server.on_hello(hello[2..].to_vec())?;
        let ClientStep::Send(proof) = client.on_message(&frame::encode(&challenge)[2..]).unwrap() else {
            panic!("a challenge is answered with a proof");
        };
        let mut proof: Proof = frame::decode(&proof[2..]).unwrap();
        change(&mut proof);
        server.on_proof(&frame::encode(&proof)[2..])
    }

    fn code(result: Result<Proven, Refusal>) -> RefusalCode {
        result.unwrap_err().code
    }

    #[test]
    fn a_right_proof_is_accepted_on_both_carriers() {
        assert!(run(Some([1; 32]), Some([1; 32]), |_| ()).is_ok());
        assert!(run(None, None, |_| ()).is_ok());
    }

    #[test]
    fn a_proof_made_for_another_tls_session_is_refused() {
        assert_eq!(code(run(Some([1; 32]), Some([2; 32]), |_| ())), RefusalCode::BadProof);
    }

    #[test]
    fn a_carrier_that_only_one_end_takes_for_bound_is_refused() {
        assert_eq!(code(run(Some([1; 32]), None, |_| ())), RefusalCode::Downgrade);
        assert_eq!(code(run(None, Some([1; 32]), |_| ())), RefusalCode::Downgrade);
        // Claiming the other way round does not help: the claim is signed.
        let lied = run(None, Some([1; 32]), |proof| proof.binding = Binding::Exporter);
        assert_eq!(code(lied), RefusalCode::BadProof);
    }

    #[test]
    fn a_changed_signature_hello_or_nonce_is_refused() {
        assert_eq!(code(run(None, None, |proof| proof.signature[3] ^= 1)), RefusalCode::BadProof);
        assert_eq!(code(run(None, None, |proof| proof.signature.clear())), RefusalCode::BadProof);

        let key = Arc::new(NodeKey::generate().unwrap());
        let (mut client, hello) = client(&key, None);
        let mut first = ServerHandshake::new(None, [1; NONCE_BYTES]);
        let challenge = first.on_hello(hello[2..].to_vec()).unwrap();
        let ClientStep::Send(proof) = client.on_message(&frame::encode(&challenge)[2..]).unwrap() else { panic!() };
        // The same proof, replayed to a later handshake.
        let mut second = ServerHandshake::new(None, [2; NONCE_BYTES]);
        second.on_hello(hello[2..].to_vec()).unwrap();
        assert_eq!(code(second.on_proof(&proof[2..])), RefusalCode::BadProof);
        // The same proof for a hello that was changed on its way (here: its epoch).
        let changed = String::from_utf8(hello[2..].to_vec()).unwrap().replace("\"epoch\":7", "\"epoch\":8");
        let mut third = ServerHandshake::new(None, [1; NONCE_BYTES]);
        third.on_hello(changed.into_bytes()).unwrap();
        assert_eq!(code(third.on_proof(&proof[2..])), RefusalCode::BadProof);
    }

    #[test]
    fn strangers_and_wrong_keys_get_the_same_answer_and_the_revoked_another() {
        let key = NodeKey::generate().unwrap();
        let other = NodeKey::generate().unwrap();
        let mut proven = run(None, None, |_| ()).unwrap();
        proven.hello.public_key = key.public_key();
        let unknown = check_known(&proven, None).unwrap_err();
        assert_eq!(unknown, check_known(&proven, Some(known(&other, true))).unwrap_err());
        assert_eq!(check_known(&proven, Some(known(&key, true))).unwrap_err().code, RefusalCode::Revoked);
        assert!(check_known(&proven, Some(known(&key, false))).is_ok());
    }

    #[test]
    fn versions_without_overlap_are_named() {
        let key = Arc::new(NodeKey::generate().unwrap());
        let (_, hello) = client(&key, None);
        let text = String::from_utf8(hello[2..].to_vec()).unwrap();
        let newer = text.replace("\"protocol_min\":1,\"protocol_max\":1", "\"protocol_min\":8,\"protocol_max\":9");
        let refusal = ServerHandshake::new(None, [0; NONCE_BYTES]).on_hello(newer.into_bytes()).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::Version);
        assert!(refusal.message.contains("8 to 9"), "{}", refusal.message);
    }

    #[test]
    fn a_gateway_signs_one_challenge_only_and_takes_no_welcome_before_it() {
        let key = Arc::new(NodeKey::generate().unwrap());
        let (mut client, _) = client(&key, None);
        let challenge = frame::encode(&ServerMessage::Challenge { nonce: vec![1; NONCE_BYTES] });
        let welcome = frame::encode(&ServerMessage::Welcome(Welcome {
            protocol: 1,
            node_id: NodeId::new(),
            gateway_id: GatewayId::new(),
            ping_every_ms: 1,
            dead_after_ms: 2,
        }));
        assert!(matches!(client.on_message(&welcome[2..]), Err(FrameError::OutOfTurn)));
        assert!(client.on_message(&challenge[2..]).is_ok());
        assert!(matches!(client.on_message(&challenge[2..]), Err(FrameError::OutOfTurn)));
        assert!(matches!(client.on_message(&welcome[2..]), Ok(ClientStep::Welcome(_))));
    }
}
