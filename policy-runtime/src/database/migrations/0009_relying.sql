-- Browsers that were sent to a provider, by the hash of what they bring back; each answer is good once, in the same browser.
CREATE TABLE policy_logins (
    hash TEXT PRIMARY KEY,
    browser TEXT NOT NULL,
    configuration TEXT NOT NULL REFERENCES policy_configurations (name) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    -- Of whoever links the provider's identity, instead of signing in with it.
    user_id TEXT REFERENCES policy_users (id) ON DELETE CASCADE,
    -- What a client asked for; nothing where somebody only signs in.
    question TEXT NOT NULL,
    until BIGINT NOT NULL
);
CREATE INDEX policy_logins_until ON policy_logins (until);
