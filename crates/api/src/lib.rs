//! The wire types of the plane's API (`/api/v1`), its problems, and a typed client. Console, CLI and installer use
//! nothing else to talk to a plane, and the plane's handlers are written in the same types.
//!
//! Conventions: field names are snake_case; times are RFC 3339 in UTC; ids have a prefix that names their kind; lists
//! answer `{"items": […], "next": "…"}` and take `limit` and `after`; long work answers 202 with an [`Operation`];
//! errors are [`Problem`]s; unknown fields in a request are refused.

pub mod account;
pub mod audit;
pub mod auth;
pub mod client;
pub mod cluster;
pub mod event;
pub mod gateway;
pub mod install;
pub mod operation;
pub mod page;
pub mod pairing;
pub mod problem;
pub mod query;
pub mod secret;
pub mod version;

pub use account::{Account, AccountCreate, AccountProperties, AccountState, AccountUpdate, PoolCount, ZoneCount};
pub use audit::{AuditEntry, AuditResult};
pub use auth::{
    EndedCredentials, Identity, PasswordChange, Role, Session, SessionCreate, SessionCreated, SetupRequest, Tenant,
    TenantCreate, Token, TokenCreate, TokenCreated, User, UserCreate, UserUpdate, UserUpdated,
};
pub use client::{ApiError, Client, ClientOptions, EventStream};
pub use cluster::{
    Check, CheckStatus, Cluster, ClusterAccepted, ClusterCreate, ClusterDelete, ClusterLookup, ClusterPlan,
    ClusterUpdate, Known, KnownCluster, KubeconfigCreate, KubeconfigCreated, Machine, PlannedMachine,
};
pub use event::{Event, SubjectKind};
pub use gateway::{Gateway, GatewayForceDelete, GatewayNode, Orphan, OrphanKind};
pub use install::{EnrolmentTokenCreate, EnrolmentTokenCreated, InstallProgress, InstallStatus};
pub use operation::{Operation, OperationKind, Step};
pub use page::{Page, PageQuery};
pub use pairing::{
    PairRequest, PairResponse, PairedMaas, PairingCode, PairingCodeCreate, PairingCodeCreated, PairingCodeState,
    ProxyConfig,
};
pub use problem::Problem;
pub use query::{AuditQuery, EventQuery, OperationQuery};
pub use secret::Secret;
pub use version::Version;

/// What every path of the API begins with.
pub const API_PREFIX: &str = "/api/v1";
/// Where a gateway opens its WebSocket carrier.
pub const TUNNEL_PATH: &str = "/tunnel";
/// Where nodes download what they are built from.
pub const ARTIFACTS_PREFIX: &str = "/artifacts";
/// Where `kubectl` reaches clusters: `/k8s/clusters/{id}/…`.
pub const KUBERNETES_PREFIX: &str = "/k8s/clusters";
