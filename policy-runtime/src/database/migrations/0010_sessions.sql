-- Sessions of browsers, by the hash of the cookie's value. Whose it is, is looked up; what a provider added is kept as it was.
CREATE TABLE policy_sessions (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES policy_users (id) ON DELETE CASCADE,
    method TEXT NOT NULL,
    amr TEXT NOT NULL,
    added TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    since BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    idle_ends BIGINT NOT NULL
);
CREATE INDEX policy_sessions_of ON policy_sessions (user_id);
CREATE INDEX policy_sessions_idle ON policy_sessions (idle_ends);
CREATE INDEX policy_sessions_ends ON policy_sessions (ends);

-- Applications of an organization in which a session of another one of these counts, too.
CREATE TABLE policy_shared_sessions (
    application TEXT PRIMARY KEY REFERENCES policy_applications (id) ON DELETE CASCADE,
    organization TEXT NOT NULL REFERENCES policy_organizations (id) ON DELETE CASCADE
);
CREATE INDEX policy_shared_sessions_of ON policy_shared_sessions (organization);
