-- Policy sets of scopes: every version that was ever saved, and which of them is active.

CREATE TABLE policy_sets (
    scope TEXT NOT NULL,
    number BIGINT NOT NULL,
    state TEXT NOT NULL,
    content TEXT NOT NULL,
    hash TEXT NOT NULL,
    author TEXT NOT NULL,
    time BIGINT NOT NULL,
    comment TEXT NOT NULL,
    PRIMARY KEY (scope, number)
);

-- One row for each scope: its last version, its active one, and how often one was activated. Its row is the lock of changes.
CREATE TABLE policy_set_heads (
    scope TEXT PRIMARY KEY,
    last BIGINT NOT NULL,
    active BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    activations BIGINT NOT NULL
);

-- Which version was activated when, and by whom. An activation's number is the revision's, and never used again.
CREATE TABLE policy_set_activations (
    scope TEXT NOT NULL,
    activation BIGINT NOT NULL,
    number BIGINT NOT NULL,
    actor TEXT NOT NULL,
    time BIGINT NOT NULL,
    PRIMARY KEY (scope, activation)
);
