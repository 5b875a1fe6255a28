//! The calls, a method each. Names follow the paths.

use super::{ApiError, Client, segment, to_json};
use crate::{
    Account, AccountCreate, AccountProperties, AccountUpdate, AuditEntry, Cluster, ClusterAccepted, ClusterCreate,
    ClusterDelete, ClusterLookup, ClusterPlan, ClusterUpdate, EnrolmentTokenCreate, EnrolmentTokenCreated, Event,
    Gateway, GatewayForceDelete, GatewayNode, Identity, InstallProgress, InstallStatus, KnownCluster, KubeconfigCreate,
    KubeconfigCreated, Machine, Operation, Orphan, Page, PageQuery, PairRequest, PairResponse, PairingCode,
    PairingCodeCreate, PairingCodeCreated, Session, SessionCreate, SessionCreated, SetupRequest, Tenant, TenantCreate,
    Token, TokenCreate, TokenCreated, User, UserCreate, UserUpdate, UserUpdated,
};
use ferrogate_model::{GatewayId, OperationId, OrphanId, PairingCodeId, TokenId, UserId};
use http::Method;

/// The query string of a page.
fn query(page: &PageQuery) -> String {
    let mut parts = Vec::new();
    if let Some(limit) = page.limit {
        parts.push(format!("limit={limit}"));
    }
    if let Some(after) = &page.after {
        parts.push(format!("after={}", segment(after)));
    }
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

/// Lists whose every page can be fetched in one call.
macro_rules! lists {
    ($($(#[$doc:meta])* $page:ident, $all:ident: $path:literal => $item:ty;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                /// One page.
                ///
                /// # Errors
                /// [`ApiError`].
                pub async fn $page(&self, page: &PageQuery) -> Result<Page<$item>, ApiError> {
                    self.get(&format!(concat!($path, "{}"), query(page))).await
                }

                $(#[$doc])*
                /// All pages.
                ///
                /// # Errors
                /// [`ApiError`].
                pub async fn $all(&self) -> Result<Vec<$item>, ApiError> {
                    let mut all = Vec::new();
                    let mut page = PageQuery { limit: Some(500), after: None };
                    loop {
                        let answer = self.$page(&page).await?;
                        all.extend(answer.items);
                        match answer.next {
                            // A list that never ends would be a fault of the plane; stop at a million entries.
                            Some(next) if all.len() < 1_000_000 => page.after = Some(next),
                            _ => return Ok(all),
                        }
                    }
                }
            )*
        }
    };
}

lists! {
    /// Gateways.
    gateways, all_gateways: "/gateways" => Gateway;
    /// Cloud accounts.
    accounts, all_accounts: "/accounts" => Account;
    /// What may have been left behind in a MAAS.
    orphans, all_orphans: "/orphans" => Orphan;
    /// Clusters.
    clusters, all_clusters: "/clusters" => Cluster;
    /// Machines of all clusters.
    machines, all_machines: "/machines" => Machine;
    /// Operations, newest first.
    operations, all_operations: "/operations" => Operation;
    /// Events, newest first.
    events, all_events: "/events" => Event;
    /// Audit entries, newest first.
    audit, all_audit: "/audit" => AuditEntry;
    /// Pairing codes.
    pairing_codes, all_pairing_codes: "/pairing-codes" => PairingCode;
    /// Users.
    users, all_users: "/users" => User;
    /// Tenants; for the plane's administrator.
    tenants, all_tenants: "/tenants" => Tenant;
    /// API tokens.
    tokens, all_tokens: "/tokens" => Token;
    /// Sessions of the one who asks.
    sessions, all_sessions: "/sessions" => Session;
}

/// Calls with one path: documentation, name, arguments, method, path, body.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $answer:ty = $method:ident $path:expr $(, $body:expr)?;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`ApiError`].
                pub async fn $name(&self $(, $arg: $type)*) -> Result<$answer, ApiError> {
                    calls!(@send self $method $path $(, $body)?)
                }
            )*
        }
    };
    (@send $self:ident $method:ident $path:expr, $body:expr) => { $self.send(Method::$method, &$path, $body).await };
    (@send $self:ident $method:ident $path:expr) => { $self.call(Method::$method, &$path, None).await };
}

calls! {
    /// Makes the first tenant and admin of a fresh plane, and signs in.
    setup(request: &SetupRequest) -> SessionCreated = POST "/setup", request;
    /// Signs in.
    create_session(request: &SessionCreate) -> SessionCreated = POST "/sessions", request;
    /// Who is asking.
    me() -> Identity = GET "/me";
    /// Makes an API token.
    create_token(request: &TokenCreate) -> TokenCreated = POST "/tokens", request;
    /// Makes a user.
    create_user(request: &UserCreate) -> User = POST "/users", request;
    /// Changes a user.
    update_user(id: UserId, request: &UserUpdate) -> UserUpdated = PATCH format!("/users/{id}"), request;
    /// Makes a tenant.
    create_tenant(request: &TenantCreate) -> Tenant = POST "/tenants", request;
    /// Makes a pairing code.
    create_pairing_code(request: &PairingCodeCreate) -> PairingCodeCreated = POST "/pairing-codes", request;
    /// Uses a pairing code.
    pair(request: &PairRequest) -> PairResponse = POST "/pair", request;
    /// How a gateway that is being installed stands; with the install token.
    install_status(gateway: GatewayId) -> InstallStatus = GET format!("/install/{gateway}");
    /// A token with which one machine may register its key; with the install token.
    create_enrolment_token(gateway: GatewayId, request: &EnrolmentTokenCreate) -> EnrolmentTokenCreated =
        POST format!("/install/{gateway}/enrolment-tokens"), request;
    /// A gateway, by id or name.
    gateway(gateway: &str) -> Gateway = GET format!("/gateways/{}", segment(gateway));
    /// The nodes of a gateway.
    gateway_nodes(gateway: &str) -> Page<GatewayNode> = GET format!("/gateways/{}/nodes", segment(gateway));
    /// Deletes a gateway; refused while clusters run.
    delete_gateway(gateway: &str) -> Operation = DELETE format!("/gateways/{}", segment(gateway));
    /// Ends a gateway whose deletion is stuck, whatever is left behind.
    force_delete_gateway(gateway: &str, request: &GatewayForceDelete) -> Operation =
        POST format!("/gateways/{}/force-delete", segment(gateway)), request;
    /// Which clusters the plane knows, whosever they are.
    lookup_clusters(request: &ClusterLookup) -> Page<KnownCluster> = POST "/clusters/lookup", request;
    /// A cloud account, by id or name.
    account(account: &str) -> Account = GET format!("/accounts/{}", segment(account));
    /// Registers a cloud account.
    create_account(request: &AccountCreate) -> Account = POST "/accounts", request;
    /// Changes a cloud account.
    update_account(account: &str, request: &AccountUpdate) -> Account = PATCH format!("/accounts/{}", segment(account)), request;
    /// What the account's MAAS offers, read live.
    account_properties(account: &str) -> AccountProperties = GET format!("/accounts/{}/properties", segment(account));
    /// A cluster, by id or name.
    cluster(cluster: &str) -> Cluster = GET format!("/clusters/{}", segment(cluster));
    /// Asks for a cluster.
    create_cluster(request: &ClusterCreate) -> ClusterAccepted = POST "/clusters", request;
    /// What would happen if the cluster were created now.
    plan_cluster(request: &ClusterCreate) -> ClusterPlan = POST "/clusters/plan", request;
    /// Changes what a cluster should be.
    update_cluster(cluster: &str, request: &ClusterUpdate) -> ClusterAccepted = PATCH format!("/clusters/{}", segment(cluster)), request;
    /// Deletes a cluster.
    delete_cluster(cluster: &str, request: &ClusterDelete) -> ClusterAccepted = DELETE format!("/clusters/{}", segment(cluster)), request;
    /// The machines of a cluster.
    cluster_machines(cluster: &str) -> Page<Machine> = GET format!("/clusters/{}/machines", segment(cluster));
    /// A kubeconfig that reaches the cluster through the plane.
    create_kubeconfig(cluster: &str, request: &KubeconfigCreate) -> KubeconfigCreated =
        POST format!("/clusters/{}/kubeconfig", segment(cluster)), request;
    /// An operation with its steps.
    operation(id: OperationId) -> Operation = GET format!("/operations/{id}");
}

impl Client {
    /// Ends the session that asks.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_current_session(&self) -> Result<(), ApiError> {
        self.send_only(Method::DELETE, "/sessions/current", None).await
    }

    /// Revokes an API token.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn revoke_token(&self, id: TokenId) -> Result<(), ApiError> {
        self.send_only(Method::DELETE, &format!("/tokens/{id}"), None).await
    }

    /// Withdraws a pairing code.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn revoke_pairing_code(&self, id: PairingCodeId) -> Result<(), ApiError> {
        self.send_only(Method::DELETE, &format!("/pairing-codes/{id}"), None).await
    }

    /// Deletes a cloud account; refused while clusters use it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_account(&self, account: &str) -> Result<(), ApiError> {
        self.send_only(Method::DELETE, &format!("/accounts/{}", segment(account)), None).await
    }

    /// Forgets the record of something that was left behind, because it is released.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn resolve_orphan(&self, id: OrphanId) -> Result<(), ApiError> {
        self.send_only(Method::DELETE, &format!("/orphans/{id}"), None).await
    }

    /// Revokes the key of a gateway node.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn revoke_gateway_node(&self, gateway: &str, node: &str) -> Result<(), ApiError> {
        self.send_only(Method::POST, &format!("/gateways/{}/nodes/{}/revoke", segment(gateway), segment(node)), None)
            .await
    }

    /// Tells the plane how far the installer is; with the install token.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn report_install(&self, gateway: GatewayId, progress: &InstallProgress) -> Result<(), ApiError> {
        self.send_only(Method::POST, &format!("/install/{gateway}/progress"), Some(to_json(progress))).await
    }

    /// Tells the plane that the installation was given up and everything was given back; with the install token.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn abandon_install(&self, gateway: GatewayId) -> Result<(), ApiError> {
        self.send_only(Method::POST, &format!("/install/{gateway}/abandon"), None).await
    }
}
