//! The control channel's messages: the first stream of a carrier, opened by the gateway, spoken both ways.

use serde::{Deserialize, Serialize};

/// One message of the control channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Control {
    /// A sign of life with content, so that nothing in between takes the connection for idle.
    Ping {
        /// Counts up.
        number: u64,
    },
    /// The answer to a ping.
    Pong {
        /// The ping's number.
        number: u64,
    },
    /// The gateway's figures.
    Stats(Stats),
    /// No new streams here; what follows depends on the reason.
    GoAway(GoAway),
    /// A message of a newer version.
    #[serde(other)]
    Other,
}

/// A gateway's figures since its process started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// Connections its allow-list refused.
    #[serde(default)]
    pub(crate) refusals: u64,
}

/// Why new streams should go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub(crate) enum GoAway {
    /// From the plane: make a new carrier first (at some point within this many milliseconds, by chance), then let
    /// this one end with its last stream.
    Drain {
        /// The time over which gateways spread their new dials.
        spread_ms: u64,
    },
    /// From the plane: it stops now.
    Shutdown,
    /// From the plane: a newer process of the same node is connected.
    Superseded,
    /// From the plane: the key was revoked.
    Revoked,
    /// From the plane: disconnected by a person; come again later.
    Disconnected,
    /// From the gateway: it stops; streams that are open may end.
    Leaving,
    /// A reason of a newer version.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{decode, encode};

    #[test]
    fn messages_of_a_newer_version_are_not_errors() {
        let message: Control = decode(br#"{"type":"weather","sun":true}"#).unwrap();
        assert_eq!(message, Control::Other);
        let message: Control = decode(br#"{"type":"go_away","reason":"holiday","days":3}"#).unwrap();
        assert_eq!(message, Control::GoAway(GoAway::Other));
    }

    #[test]
    fn a_go_away_survives_the_wire() {
        let message = Control::GoAway(GoAway::Drain { spread_ms: 7 });
        assert_eq!(decode::<Control>(&encode(&message)[2..]).unwrap(), message);
    }
}
