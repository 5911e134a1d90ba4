-- Second factors: seeds, sealed under a key that is not in the database, and hashes of recovery codes. A step is used once.
CREATE TABLE policy_second_factors (
    user_id TEXT PRIMARY KEY REFERENCES policy_users (id) ON DELETE CASCADE,
    seed TEXT NOT NULL,
    confirmed BIGINT NOT NULL,
    last_step BIGINT NOT NULL
);

CREATE TABLE policy_recovery_codes (
    hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES policy_users (id) ON DELETE CASCADE
);
CREATE INDEX policy_recovery_codes_of ON policy_recovery_codes (user_id);
