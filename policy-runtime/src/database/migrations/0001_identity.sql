-- Who may sign in. All names begin with `policy_`, so that the tables can live beside an application's own.
-- Both databases read this file: TEXT and BIGINT only, truth as 0 and 1, instants in milliseconds since 1970.

-- One row. `changes` grows with every change that a decision may depend on; its row lock puts changes in one order.
CREATE TABLE policy_deployment (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    epoch TEXT NOT NULL,
    changes BIGINT NOT NULL,
    bootstrap_hash TEXT,
    bootstrap_until BIGINT,
    bootstrapped_at BIGINT
);
INSERT INTO policy_deployment (id, epoch, changes) VALUES (1, 'first', 0);

CREATE TABLE policy_changes (
    number BIGINT NOT NULL,
    participant TEXT NOT NULL,
    PRIMARY KEY (number, participant)
);

CREATE TABLE policy_organizations (
    id TEXT PRIMARY KEY,
    suspended BIGINT NOT NULL
);

CREATE TABLE policy_applications (
    id TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES policy_organizations (id)
);
CREATE INDEX policy_applications_of ON policy_applications (organization);

-- Methods that are on in a scope, as JSON; no row means all.
CREATE TABLE policy_scope_methods (
    scope TEXT PRIMARY KEY,
    methods TEXT NOT NULL
);

-- What a scope asks of new passwords, as JSON; no row means what the scope above asks.
CREATE TABLE policy_scope_passwords (
    scope TEXT PRIMARY KEY,
    rules TEXT NOT NULL
);

CREATE TABLE policy_users (
    id TEXT PRIMARY KEY,
    scope TEXT NOT NULL,
    organization TEXT REFERENCES policy_organizations (id),
    email TEXT,
    email_key TEXT,
    display_name TEXT,
    attributes TEXT NOT NULL,
    tenant TEXT,
    enabled BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    UNIQUE (scope, email_key)
);
CREATE INDEX policy_users_of ON policy_users (organization);

CREATE TABLE policy_user_roles (
    user_id TEXT NOT NULL REFERENCES policy_users (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (user_id, role)
);

CREATE TABLE policy_passwords (
    user_id TEXT PRIMARY KEY REFERENCES policy_users (id) ON DELETE CASCADE,
    hash TEXT NOT NULL
);

CREATE TABLE policy_identities (
    scope TEXT NOT NULL,
    configuration TEXT NOT NULL,
    issuer TEXT NOT NULL,
    machine BIGINT NOT NULL,
    number BIGINT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES policy_users (id) ON DELETE CASCADE,
    PRIMARY KEY (scope, configuration, issuer, machine, number, subject)
);
CREATE INDEX policy_identities_by_user ON policy_identities (user_id);
CREATE INDEX policy_identities_of ON policy_identities (configuration);

CREATE TABLE policy_invitations (
    hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES policy_users (id) ON DELETE CASCADE,
    until BIGINT NOT NULL
);

CREATE TABLE policy_api_keys (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL,
    scope TEXT NOT NULL,
    organization TEXT REFERENCES policy_organizations (id),
    participant TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    attributes TEXT NOT NULL,
    tenant TEXT,
    expires_at BIGINT,
    enabled BIGINT NOT NULL,
    last_used BIGINT,
    epoch BIGINT NOT NULL
);
CREATE INDEX policy_api_keys_of ON policy_api_keys (organization);

-- Settings as JSON; the secrets are sealed under a key that is not in the database.
CREATE TABLE policy_configurations (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    settings TEXT NOT NULL,
    secret TEXT,
    client_secret TEXT,
    declared BIGINT NOT NULL
);

CREATE TABLE policy_configuration_shares (
    configuration TEXT NOT NULL REFERENCES policy_configurations (name) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    PRIMARY KEY (configuration, scope)
);

CREATE TABLE policy_configuration_references (
    configuration TEXT NOT NULL REFERENCES policy_configurations (name) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    settings TEXT NOT NULL,
    declared BIGINT NOT NULL,
    PRIMARY KEY (configuration, scope)
);

-- Ids of single-use tokens until they would have ended anyway, so that single use holds across servers.
CREATE TABLE policy_used_tokens (
    id TEXT PRIMARY KEY,
    until BIGINT NOT NULL
);
CREATE INDEX policy_used_tokens_until ON policy_used_tokens (until);
