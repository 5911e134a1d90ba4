-- Links in letters, by hashes: each for one purpose, good once. Who registers is nobody until the address is proved.
CREATE TABLE policy_links (
    hash TEXT PRIMARY KEY,
    purpose TEXT NOT NULL,
    scope TEXT NOT NULL,
    email_key TEXT NOT NULL,
    user_id TEXT REFERENCES policy_users (id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    display_name TEXT,
    back TEXT,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    UNIQUE (purpose, scope, email_key)
);
CREATE INDEX policy_links_until ON policy_links (until);

-- Changes that end what the participant has open, wherever that is: as a new password does.
ALTER TABLE policy_changes ADD COLUMN ends BIGINT NOT NULL DEFAULT 0;
