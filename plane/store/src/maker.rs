//! Which credential made another.

use crate::sql::Value;
use ferrogate_model::{SessionId, TokenId};
use std::{fmt, str::FromStr};

/// The credential with which a token, a kubeconfig or a pairing code was made. It may be gone by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maker {
    /// A session: a person who was signed in.
    Session(SessionId),
    /// An API token.
    Token(TokenId),
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => id.fmt(f),
            Self::Token(id) => id.fmt(f),
        }
    }
}

impl FromStr for Maker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let session = text.parse().map(Self::Session);
        session.or_else(|_| text.parse().map(Self::Token)).map_err(|error| format!("nor a session's: {error}"))
    }
}

impl From<Maker> for Value {
    fn from(maker: Maker) -> Self {
        maker.to_string().into()
    }
}
