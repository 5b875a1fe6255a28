//! Who may do what: tenants, users, sessions and tokens.

use crate::Secret;
use ferrogate_model::{ClusterId, SessionId, TenantId, Timestamp, TokenId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a user or token may do within its tenant (specification 8.1). Each role may do what the ones after it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look.
    Viewer,
    /// May look, and create, change and delete clusters.
    Operator,
    /// Tenant admin: everything in the tenant, users and gateways included.
    Admin,
}

/// First start: makes the first tenant and its admin, who is also the plane's own administrator.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    /// The one-time set-up token that the plane printed on its first start.
    pub setup_token: Secret,
    /// Name of the first tenant.
    #[schema(example = "acme")]
    pub tenant: String,
    /// The admin's sign-in e-mail.
    #[schema(example = "admin@example.com")]
    pub email: String,
    /// The admin's password, at least 12 characters.
    pub password: Secret,
}

/// Signs in a local user.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionCreate {
    /// Sign-in e-mail.
    #[schema(example = "admin@example.com")]
    pub email: String,
    /// Password.
    pub password: Secret,
}

/// A fresh session. The token is shown only here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionCreated {
    /// The session.
    pub session: Session,
    /// Bearer token of the session.
    pub token: Secret,
    /// Who signed in.
    pub identity: Identity,
}

/// A signed-in browser or command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// Address it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ip: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// The user; absent for service tokens whose user is gone.
    pub user_id: UserId,
    /// Sign-in e-mail.
    pub email: String,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The tenant's name.
    pub tenant: String,
    /// What may be done with these credentials.
    pub role: Role,
    /// Whether the user administers the plane itself (creates tenants).
    pub platform_admin: bool,
    /// The API token that is used, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Id.
    pub id: TenantId,
    /// Name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Makes a tenant with its first admin.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantCreate {
    /// Name of the tenant.
    #[schema(example = "globex")]
    pub name: String,
    /// The first admin's sign-in e-mail.
    #[schema(example = "admin@globex.example")]
    pub admin_email: String,
    /// The first admin's password, at least 12 characters.
    pub admin_password: Secret,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Sign-in e-mail, unique on the plane.
    pub email: String,
    /// What the user may do.
    pub role: Role,
    /// Whether the user administers the plane itself.
    pub platform_admin: bool,
    /// Whether the user may not sign in any more. Gateways the user installed stay connected (specification 3.10).
    pub disabled: bool,
    /// When the user was made.
    pub created_at: Timestamp,
}

/// Makes a user.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserCreate {
    /// Sign-in e-mail.
    #[schema(example = "operator@example.com")]
    pub email: String,
    /// What the user may do.
    pub role: Role,
    /// Password, at least 12 characters.
    pub password: Secret,
}

/// Changes a user; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserUpdate {
    /// New role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Disable or enable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// New password, at least 12 characters; ends the user's sessions, tokens, kubeconfigs and unused pairing codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// With a new password: ends the user's sessions only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_tokens: bool,
}

/// Changes one's own password.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password as it is.
    pub current: Secret,
    /// The new one, at least 12 characters.
    pub new: Secret,
    /// Ends one's other sessions only, and not one's tokens, kubeconfigs and unused pairing codes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_tokens: bool,
}

/// A changed user, and what ended with the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserUpdated {
    /// The user as it is now.
    pub user: User,
    /// What ended: everything after a new password or when the user was disabled, else nothing.
    pub ended: EndedCredentials,
}

/// How many credentials ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndedCredentials {
    /// Sessions.
    pub sessions: u64,
    /// API tokens.
    pub tokens: u64,
    /// Kubeconfigs.
    pub kubeconfigs: u64,
    /// Pairing codes that nobody had used.
    pub pairing_codes: u64,
}

/// An API token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Id.
    pub id: TokenId,
    /// Name, for people.
    pub name: String,
    /// What it may do; never more than its user.
    pub role: Role,
    /// The one cluster it is good for (kubeconfig tokens); any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<ClusterId>,
    /// The token that made it, and takes it along when it is revoked; absent where a person who was signed in made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by_token_id: Option<TokenId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// Makes an API token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenCreate {
    /// Name, for people.
    #[schema(example = "ci")]
    pub name: String,
    /// What it may do; at most what its maker may.
    pub role: Role,
    /// Lifetime in hours, at most 8,760 (a year); 720 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 720)]
    pub expires_in_hours: Option<u32>,
}

/// A fresh API token. The token itself is shown only here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// The token's record.
    pub token: Token,
    /// The token, beginning with `fg_pat_`.
    pub secret: Secret,
}
