-- What the sign-in server gives out: the keys that sign it, clients, codes, grants and their refresh tokens. Of secrets only
-- hashes, but for keys, which are sealed under a key that is not in the database.

-- A key signs from `active_from` until a later one does, and verifies until `retired_from`.
CREATE TABLE policy_signing_keys (
    kid TEXT PRIMARY KEY,
    algorithm TEXT NOT NULL,
    public TEXT NOT NULL,
    secret TEXT NOT NULL,
    active_from BIGINT NOT NULL,
    retired_from BIGINT
);

CREATE TABLE policy_clients (
    id TEXT PRIMARY KEY,
    participant TEXT NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    organization TEXT REFERENCES policy_organizations (id),
    settings TEXT NOT NULL,
    secret_hash TEXT,
    enabled BIGINT NOT NULL
);

-- What a user gave a client; ends with everything that came of it.
CREATE TABLE policy_grants (
    id TEXT PRIMARY KEY,
    client TEXT NOT NULL REFERENCES policy_clients (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES policy_users (id) ON DELETE CASCADE,
    words TEXT NOT NULL,
    amr TEXT NOT NULL,
    auth_time BIGINT,
    -- In which it was given; it ends when that is ended by somebody, not when it is over.
    session TEXT,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL
);
CREATE INDEX policy_grants_of ON policy_grants (user_id);
CREATE INDEX policy_grants_in ON policy_grants (session);
CREATE INDEX policy_grants_until ON policy_grants (until);

CREATE TABLE policy_codes (
    hash TEXT PRIMARY KEY,
    client TEXT NOT NULL REFERENCES policy_clients (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES policy_users (id) ON DELETE CASCADE,
    grant_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    challenge TEXT NOT NULL,
    nonce TEXT,
    words TEXT NOT NULL,
    amr TEXT NOT NULL,
    auth_time BIGINT,
    session TEXT,
    used BIGINT NOT NULL,
    until BIGINT NOT NULL
);
CREATE INDEX policy_codes_until ON policy_codes (until);

-- Used ones stay as long as their grant, so that a replay is known.
CREATE TABLE policy_refresh_tokens (
    hash TEXT PRIMARY KEY,
    grant_id TEXT NOT NULL REFERENCES policy_grants (id) ON DELETE CASCADE,
    used BIGINT NOT NULL,
    until BIGINT NOT NULL
);
CREATE INDEX policy_refresh_tokens_of ON policy_refresh_tokens (grant_id);
