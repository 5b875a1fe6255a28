//! The ones who call.

use ferrogate_api::Role;
use ferrogate_model::{ClusterId, GatewayId, SessionId, TenantId, TokenId, UserId};
use ferrogate_store::Maker;

/// Whoever sent a request.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Nobody known.
    Anonymous,
    /// A user, or a token that acts for one.
    User(Principal),
    /// The installer of one gateway.
    Installer(Installer),
}

/// A user with the rights of the credentials that were shown.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// The user.
    pub(crate) user: UserId,
    /// Sign-in e-mail.
    pub(crate) email: String,
    /// The tenant; everything else is invisible.
    pub(crate) tenant: TenantId,
    /// What may be done: the lesser of the user's role and the token's.
    pub(crate) role: Role,
    /// Whether the plane itself may be administered. Never through a token.
    pub(crate) platform_admin: bool,
    /// The credentials.
    pub(crate) credentials: Credentials,
}

/// What was shown to prove who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Credentials {
    /// A session.
    Session(SessionId),
    /// An API token.
    Token(TokenId),
    /// A kubeconfig's token, good for one cluster's Kubernetes API and nothing else.
    Kubeconfig(TokenId, ClusterId),
}

/// The installer of one gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Installer {
    /// The gateway it builds.
    pub(crate) gateway: GatewayId,
    /// The gateway's tenant.
    pub(crate) tenant: TenantId,
}

impl Principal {
    /// The session in use, where it is one.
    pub(crate) const fn session(&self) -> Option<SessionId> {
        match self.credentials {
            Credentials::Session(id) => Some(id),
            Credentials::Token(_) | Credentials::Kubeconfig(..) => None,
        }
    }

    /// The credentials, as what made others.
    pub(crate) const fn maker(&self) -> Maker {
        match self.credentials {
            Credentials::Session(id) => Maker::Session(id),
            Credentials::Token(id) | Credentials::Kubeconfig(id, _) => Maker::Token(id),
        }
    }

    /// The API token in use, where it is one.
    pub(crate) const fn token(&self) -> Option<TokenId> {
        match self.credentials {
            Credentials::Token(id) | Credentials::Kubeconfig(id, _) => Some(id),
            Credentials::Session(_) => None,
        }
    }
}

/// Who may call a route. Every route declares one; a route that declares none is refused to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody, signed in or not.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Whoever has at least this role in a tenant; what they see is that tenant only.
    Role(Role),
    /// The same, but only in person: with a session, not with a token.
    Person(Role),
    /// Those who administer the plane itself.
    PlatformAdmin,
    /// The installer of the gateway in the path.
    Installer,
    /// Whoever may reach the cluster in the path with `kubectl`.
    Kubernetes,
}

impl Access {
    /// In words, for the API's document.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Public => "everybody",
            Self::SignedIn => "whoever is signed in",
            Self::Role(Role::Viewer) => "viewers, operators and admins of the tenant",
            Self::Role(Role::Operator) => "operators and admins of the tenant",
            Self::Role(Role::Admin) => "admins of the tenant",
            Self::Person(Role::Viewer) => "whoever is signed in with a password; not tokens",
            Self::Person(Role::Operator) => {
                "operators and admins of the tenant, signed in with their password; not tokens"
            }
            Self::Person(Role::Admin) => "admins of the tenant, signed in with their password; not tokens",
            Self::PlatformAdmin => "administrators of the plane",
            Self::Installer => "the installer of the gateway, with its install token",
            Self::Kubernetes => "viewers, operators and admins of the tenant, and the cluster's kubeconfig tokens",
        }
    }
}
