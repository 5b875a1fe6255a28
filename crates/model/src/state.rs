//! The states of the long-lived things and which may follow which. Words are those of the specification, 5.1 and 7.2.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal => [$($next:ident),*];)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every state, in the order in which they usually come.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word shown to people and kept in the store.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whether `next` may follow this state. A state may always stay what it is.
            #[must_use]
            pub fn may_become(self, next: Self) -> bool {
                self == next || match self { $(Self::$variant => [$(Self::$next),*].contains(&next),)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|state| state.as_str().eq_ignore_ascii_case(text))
                    .ok_or_else(|| format!("`{text}` is not one of {}", Self::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ")))
            }
        }
    };
}

states! {
    /// Where a gateway is in its life.
    GatewayState {
        /// A record exists, nothing has been built.
        Pending = "Pending" => [Provisioning, Deleting, Failed];
        /// The installer builds it.
        Provisioning = "Provisioning" => [Running, Failed, Deleting];
        /// At least one node is registered.
        Running = "Running" => [Updating, Provisioning, Deleting, Failed];
        /// A release is being applied.
        Updating = "Updating" => [Running, Failed, Deleting];
        /// Its machines are being given back.
        Deleting = "Deleting" => [Deleted, DeletionStuck];
        /// Its machines could not be given back, or nobody knows whether they were: a person must look, or force it.
        DeletionStuck = "DeletionStuck" => [Deleting, Deleted];
        /// Gone; kept for the record.
        Deleted = "Deleted" => [];
        /// Stopped with a cause that a person must remove.
        Failed = "Failed" => [Provisioning, Running, Deleting];
    }
}

impl GatewayState {
    /// Whether it is on its way out, or gone: nothing new may begin on it.
    #[must_use]
    pub const fn is_ending(self) -> bool {
        matches!(self, Self::Deleting | Self::DeletionStuck | Self::Deleted)
    }
}

states! {
    /// How a gateway is, seen from the plane.
    GatewayHealth {
        /// Not known yet: no node has ever connected.
        Unknown = "Unknown" => [Healthy, Degraded, Unreachable];
        /// Every node is connected.
        Healthy = "Healthy" => [Degraded, Unreachable];
        /// Some nodes are connected, some are not.
        Degraded = "Degraded" => [Healthy, Unreachable];
        /// No node is connected.
        Unreachable = "Unreachable" => [Healthy, Degraded];
    }
}

states! {
    /// Where a cluster is in its life (specification 7.2).
    ClusterState {
        /// Accepted; waits for its gateway, or for its turn.
        Queued = "Queued" => [Provisioning, Deleting, Failed];
        /// Machines are being taken and joined.
        Provisioning = "Provisioning" => [Running, Failed, Deleting, Degraded, Queued];
        /// Everything asked for is there and healthy.
        Running = "Running" => [Updating, Degraded, Deleting, Provisioning, Failed];
        /// A change is being carried out.
        Updating = "Updating" => [Running, Degraded, Failed, Deleting];
        /// Works, but something asked for is missing or unhealthy.
        Degraded = "Degraded" => [Running, Updating, Deleting, Failed, Provisioning];
        /// Machines are being given back.
        Deleting = "Deleting" => [Deleted, Failed];
        /// Gone; listed for 72 hours.
        Deleted = "Deleted" => [];
        /// Stopped with a cause that a person must remove.
        Failed = "Failed" => [Provisioning, Running, Updating, Deleting, Queued];
    }
}

states! {
    /// Where a machine of a cluster is (specification 7.2).
    MachineState {
        /// Asked for; MAAS has not answered, or has just given it.
        Allocating = "Allocating" => [Deploying, Failed, Releasing];
        /// MAAS installs the operating system.
        Deploying = "Deploying" => [Joining, Failed, Releasing];
        /// The operating system runs; Kubernetes is not ready on it yet.
        Joining = "Joining" => [Running, Failed, Draining, Releasing];
        /// A healthy member.
        Running = "Running" => [Joining, Draining, Failed, Releasing];
        /// Its work is being moved away.
        Draining = "Draining" => [Releasing, Running, Failed];
        /// Being given back to MAAS.
        Releasing = "Releasing" => [Failed];
        /// Did not become, or no longer is, a member; the reason is beside it.
        Failed = "Failed" => [Releasing, Joining, Running];
    }
}

states! {
    /// Where a long-running operation, or one of its steps, is.
    OperationState {
        /// Not begun.
        Queued = "Queued" => [Running, Failed, Cancelled];
        /// Being carried out.
        Running = "Running" => [Succeeded, Failed, Cancelled, Queued];
        /// Done.
        Succeeded = "Succeeded" => [];
        /// Given up, with a cause.
        Failed = "Failed" => [Running];
        /// Stopped by a person, or made pointless by a later one.
        Cancelled = "Cancelled" => [];
    }
}

states! {
    /// How serious an event is.
    Severity {
        /// For the record.
        Info = "Info" => [Warning, Error];
        /// May need a look.
        Warning = "Warning" => [Info, Error];
        /// Needs a person.
        Error = "Error" => [Info, Warning];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_things_stay_deleted() {
        for state in ClusterState::ALL {
            assert_eq!(ClusterState::Deleted.may_become(*state), *state == ClusterState::Deleted);
        }
        for state in GatewayState::ALL {
            assert_eq!(GatewayState::Deleted.may_become(*state), *state == GatewayState::Deleted);
        }
    }

    #[test]
    fn everything_alive_can_be_deleted() {
        for state in ClusterState::ALL.iter().filter(|s| **s != ClusterState::Deleted) {
            assert!(state.may_become(ClusterState::Deleting), "{state}");
        }
    }

    #[test]
    fn a_word_is_read_back_in_any_case() {
        assert_eq!("running".parse::<ClusterState>(), Ok(ClusterState::Running));
        assert!("runing".parse::<ClusterState>().unwrap_err().contains("Queued, Provisioning"));
    }
}
