//! Typed ids: a gateway's id does not compile where a cluster's is wanted.
//!
//! Text form: a short prefix that names the kind, an underscore, and a UUIDv7 as 32 hexadecimal digits, so ids sort by
//! age and can be found with grep. `gw_0199…`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text that is not an id of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the id of a {kind}: expected `{prefix}_` followed by 32 hexadecimal digits")]
pub struct BadId {
    text: String,
    kind: &'static str,
    prefix: &'static str,
}

/// The OpenAPI schema of a value that travels as text.
pub(crate) fn text_schema(
    description: &str,
    pattern: Option<&str>,
    example: &str,
) -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(pattern)
        .examples([serde_json::Value::from(example)])
        .into()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What the text form begins with, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, sorted after all that were made before.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would be a new one each time, which surprises")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id's UUID.
            #[must_use]
            pub const fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                text_schema(
                    concat!("Id of a ", $kind),
                    Some(concat!("^", $prefix, "_[0-9a-f]{32}$")),
                    concat!($prefix, "_01990f3e6b0a7c31a5d2c0ffee123456"),
                )
            }
        }

        impl utoipa::ToSchema for $name {}

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32)
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| BadId { text: text.chars().take(80).collect(), kind: $kind, prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A tenant: an organisation with its own users, gateways and clusters.
    TenantId = "ten", "tenant";
    /// A user of the plane.
    UserId = "usr", "user";
    /// A browser or CLI session.
    SessionId = "ses", "session";
    /// An API token.
    TokenId = "tok", "API token";
    /// A pairing code (its record; the code itself is a secret).
    PairingCodeId = "pair", "pairing code";
    /// A gateway.
    GatewayId = "gw", "gateway";
    /// One node of a gateway.
    NodeId = "gwn", "gateway node";
    /// A one-time enrolment token (its record; the token itself is a secret).
    EnrolmentId = "enr", "enrolment token";
    /// A cloud account.
    AccountId = "acct", "cloud account";
    /// A Kubernetes cluster; the gateway's own cluster has one too.
    ClusterId = "cls", "cluster";
    /// A long-running operation.
    OperationId = "op", "operation";
    /// An event.
    EventId = "ev", "event";
    /// The record of something that may have been left behind in a MAAS.
    OrphanId = "orph", "orphan";
}

/// A machine's id in MAAS (`system_id`), such as `4y3hb3`. MAAS makes it; we never do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(example = "4y3hb3")]
pub struct SystemId(pub String);

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = GatewayId::new();
        assert_eq!(id.to_string().parse::<GatewayId>(), Ok(id));
        assert_eq!(serde_json::from_str::<GatewayId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
    }

    #[test]
    fn an_id_of_another_kind_is_refused_by_name() {
        let error = ClusterId::new().to_string().parse::<GatewayId>().unwrap_err();
        assert!(error.to_string().contains("not the id of a gateway"), "{error}");
    }

    #[test]
    fn ids_sort_by_age() {
        let ids: Vec<_> = (0..100).map(|_| OperationId::new()).collect();
        assert!(ids.is_sorted());
    }
}
