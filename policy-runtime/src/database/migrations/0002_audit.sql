-- Records of decisions, sign-ins and changes: one chain of hashes for each scope. What was written together stands together.

CREATE TABLE policy_audit (
    scope TEXT NOT NULL,
    -- Of its last record; those before it stand above it.
    number BIGINT NOT NULL,
    -- The latest time of a record; no two are further apart than the program says.
    latest BIGINT NOT NULL,
    -- A line each: its hash, and what was hashed.
    records TEXT NOT NULL,
    PRIMARY KEY (scope, number)
);
CREATE INDEX policy_audit_by_time ON policy_audit (scope, latest);

-- What records are found by: `actor=...`, `action=...`, and `decision=...` where its id does not tell the time.
CREATE TABLE policy_audit_terms (
    scope TEXT NOT NULL,
    term TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (scope, term, number)
);

-- Details about persons, apart from the chain, which has a hash of each: they can be erased.
CREATE TABLE policy_audit_personal (
    scope TEXT NOT NULL,
    number BIGINT NOT NULL,
    actor TEXT NOT NULL,
    name TEXT NOT NULL,
    salt TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (scope, number, name)
);
CREATE INDEX policy_audit_personal_by_actor ON policy_audit_personal (scope, actor);

-- The end of each chain; its row is the lock of whoever adds to it.
CREATE TABLE policy_audit_ends (
    scope TEXT PRIMARY KEY,
    number BIGINT NOT NULL,
    hash TEXT NOT NULL
);

-- What stands for the records that were removed for their age.
CREATE TABLE policy_audit_checkpoints (
    scope TEXT PRIMARY KEY,
    number BIGINT NOT NULL,
    hash TEXT NOT NULL,
    time BIGINT NOT NULL,
    signature TEXT NOT NULL
);
