-- Records of decisions, sign-ins and changes: one chain of hashes for each scope. Rows are added, never changed.

CREATE TABLE policy_audit (
    scope TEXT NOT NULL,
    number BIGINT NOT NULL,
    time BIGINT NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    resource TEXT,
    outcome TEXT NOT NULL,
    decision TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (scope, number)
);
CREATE INDEX policy_audit_by_time ON policy_audit (scope, time);
CREATE INDEX policy_audit_by_actor ON policy_audit (scope, actor, number);
CREATE INDEX policy_audit_by_action ON policy_audit (scope, action, number);
CREATE INDEX policy_audit_by_decision ON policy_audit (decision);

-- Details about persons, apart from the chain, which has a hash of each: they can be erased.
CREATE TABLE policy_audit_personal (
    scope TEXT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    salt TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (scope, number, name)
);

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
