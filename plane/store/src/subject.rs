//! What an event, an operation or an audit row is about.

use ferrogate_model::{AccountId, ClusterId, GatewayId, NodeId, PairingCodeId, SystemId, TenantId, TokenId, UserId};
use std::{fmt, str::FromStr};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// The word kept in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(format!("`{text}` is not one of {}", [$($text),*].join(", "))),
                }
            }
        }

        impl From<$name> for crate::sql::Value {
            fn from(word: $name) -> Self {
                word.as_str().into()
            }
        }
    };
}
pub(crate) use words;

words! {
    /// A kind of thing that something can be about.
    SubjectKind {
        /// A tenant.
        Tenant = "tenant",
        /// A user.
        User = "user",
        /// An API token.
        Token = "token",
        /// A pairing code.
        PairingCode = "pairing_code",
        /// A gateway.
        Gateway = "gateway",
        /// A node of a gateway.
        GatewayNode = "gateway_node",
        /// A cloud account.
        Account = "account",
        /// A cluster.
        Cluster = "cluster",
        /// A machine of MAAS.
        Machine = "machine",
    }
}

/// One thing that something is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Its kind.
    pub kind: SubjectKind,
    /// Its id, as text.
    pub id: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, id) = text.split_once('/').ok_or_else(|| format!("`{text}` is not KIND/ID"))?;
        Ok(Self { kind: kind.parse()?, id: id.to_owned() })
    }
}

macro_rules! subjects {
    ($($id:ty => $kind:ident;)*) => {$(
        impl From<$id> for Subject {
            fn from(id: $id) -> Self {
                Self { kind: SubjectKind::$kind, id: id.to_string() }
            }
        }
    )*};
}

subjects! {
    TenantId => Tenant;
    UserId => User;
    TokenId => Token;
    PairingCodeId => PairingCode;
    GatewayId => Gateway;
    NodeId => GatewayNode;
    AccountId => Account;
    ClusterId => Cluster;
    SystemId => Machine;
}
