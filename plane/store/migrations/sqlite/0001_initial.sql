-- Times are milliseconds since 1970 UTC; ids and JSON are TEXT; columns of type BLOB are sealed.

CREATE TABLE tenants (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT PRIMARY KEY NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT,
    role TEXT NOT NULL,
    platform_admin BOOLEAN NOT NULL,
    disabled BOOLEAN NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX users_tenant ON users (tenant, id);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    last_used BIGINT NOT NULL,
    from_ip TEXT
);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    scope_cluster TEXT,
    made_by TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    last_used BIGINT,
    revoked BIGINT
);
CREATE INDEX tokens_tenant ON tokens (tenant, id);
CREATE INDEX tokens_made_by ON tokens (made_by);
CREATE UNIQUE INDEX tokens_name ON tokens (user_id, name) WHERE revoked IS NULL;

CREATE TABLE pairing_codes (
    id TEXT PRIMARY KEY NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    created_by TEXT NOT NULL,
    made_by TEXT NOT NULL,
    name_hint TEXT,
    code_hash TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT,
    used_by_gateway TEXT,
    revoked BIGINT
);
CREATE INDEX pairing_codes_tenant ON pairing_codes (tenant, id);

CREATE TABLE gateways (
    id TEXT PRIMARY KEY NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    health TEXT NOT NULL,
    desired_nodes BIGINT NOT NULL,
    version TEXT,
    cluster TEXT NOT NULL,
    account TEXT NOT NULL,
    install_token_hash TEXT,
    settings TEXT NOT NULL,
    proxy BLOB,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    last_seen BIGINT,
    deleted BIGINT
);
CREATE INDEX gateways_tenant ON gateways (tenant, id);
CREATE UNIQUE INDEX gateways_name ON gateways (tenant, name) WHERE deleted IS NULL;

CREATE TABLE gateway_nodes (
    id TEXT PRIMARY KEY NOT NULL,
    gateway TEXT NOT NULL REFERENCES gateways (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    public_key TEXT NOT NULL,
    version TEXT NOT NULL,
    registered BIGINT NOT NULL,
    last_seen BIGINT,
    revoked BIGINT,
    replica TEXT
);
CREATE UNIQUE INDEX gateway_nodes_name ON gateway_nodes (gateway, name) WHERE revoked IS NULL;
CREATE UNIQUE INDEX gateway_nodes_key ON gateway_nodes (public_key);

CREATE TABLE enrolment_tokens (
    id TEXT PRIMARY KEY NOT NULL,
    gateway TEXT NOT NULL REFERENCES gateways (id) ON DELETE CASCADE,
    node_name TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT
);
CREATE INDEX enrolment_tokens_gateway ON enrolment_tokens (gateway, id);

CREATE TABLE accounts (
    id TEXT PRIMARY KEY NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    gateway TEXT NOT NULL REFERENCES gateways (id),
    endpoint TEXT NOT NULL,
    api_key BLOB NOT NULL,
    ca_pem TEXT,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    auto_created BOOLEAN NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    deleted BIGINT
);
CREATE INDEX accounts_tenant ON accounts (tenant, id);
CREATE INDEX accounts_gateway ON accounts (gateway, id);
CREATE UNIQUE INDEX accounts_name ON accounts (tenant, name) WHERE deleted IS NULL;

CREATE TABLE clusters (
    id TEXT PRIMARY KEY NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    gateway TEXT NOT NULL REFERENCES gateways (id),
    account TEXT,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    release TEXT NOT NULL,
    materials BLOB,
    settings BLOB,
    memory TEXT NOT NULL,
    absent BOOLEAN NOT NULL,
    api_endpoint TEXT,
    generation BIGINT NOT NULL,
    observed_generation BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    deleted BIGINT
);
CREATE INDEX clusters_tenant ON clusters (tenant, id);
CREATE INDEX clusters_gateway ON clusters (gateway, id);
CREATE INDEX clusters_account ON clusters (account, id);
CREATE UNIQUE INDEX clusters_name ON clusters (tenant, kind, name) WHERE deleted IS NULL;

CREATE TABLE machines (
    cluster TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    system_id TEXT NOT NULL,
    hostname TEXT NOT NULL,
    fqdn TEXT NOT NULL,
    addresses TEXT NOT NULL,
    zone TEXT NOT NULL,
    pool TEXT NOT NULL,
    node TEXT,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    since BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    PRIMARY KEY (cluster, system_id)
);

CREATE TABLE orphans (
    id TEXT PRIMARY KEY NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    gateway TEXT NOT NULL,
    gateway_name TEXT NOT NULL,
    cluster TEXT NOT NULL,
    maas_endpoint TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    hostname TEXT NOT NULL,
    reason TEXT NOT NULL,
    recorded_by TEXT NOT NULL,
    recorded BIGINT NOT NULL
);
CREATE INDEX orphans_tenant ON orphans (tenant, id);

CREATE TABLE operations (
    id TEXT PRIMARY KEY NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    kind TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created BIGINT NOT NULL,
    started BIGINT,
    finished BIGINT
);
CREATE INDEX operations_tenant ON operations (tenant, id);
CREATE INDEX operations_subject ON operations (subject, id);

CREATE TABLE steps (
    operation TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    started BIGINT,
    finished BIGINT,
    PRIMARY KEY (operation, seq)
);

-- A row lock on the counter makes sequence numbers follow the order of commits, so that a reader never misses one.
CREATE TABLE counters (
    name TEXT PRIMARY KEY NOT NULL,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('events', 0), ('audit', 0);

CREATE TABLE events (
    seq BIGINT PRIMARY KEY NOT NULL,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX events_tenant ON events (tenant, seq);
CREATE INDEX events_subject ON events (subject, seq);
CREATE INDEX events_at ON events (at);

CREATE TABLE audit (
    seq BIGINT PRIMARY KEY NOT NULL,
    tenant TEXT,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    from_ip TEXT,
    action TEXT NOT NULL,
    subject TEXT,
    result TEXT NOT NULL,
    detail TEXT NOT NULL,
    request_id TEXT NOT NULL
);
CREATE INDEX audit_tenant ON audit (tenant, seq);
CREATE INDEX audit_at ON audit (at);

CREATE TABLE leases (
    name TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL,
    expires BIGINT NOT NULL
);

CREATE TABLE settings (
    key TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
);
