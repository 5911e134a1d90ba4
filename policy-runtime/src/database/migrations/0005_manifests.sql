-- What the programs of applications declare: each manifest that was registered, by its hash.

CREATE TABLE policy_manifests (
    scope TEXT NOT NULL,
    hash TEXT NOT NULL,
    version TEXT NOT NULL,
    content TEXT NOT NULL,
    -- What rules may name of it, for programs that do not have it.
    names TEXT NOT NULL,
    -- The actions that are denied until an administrator accepts the manifest, as a list of names.
    closed TEXT NOT NULL,
    -- The rules that it broke when it was registered, as a list of texts.
    broken TEXT NOT NULL,
    registered BIGINT NOT NULL,
    -- When a program that runs was last heard of.
    seen BIGINT NOT NULL,
    PRIMARY KEY (scope, hash)
);

-- Counts changes of the table above, so that servers look at it only then.
CREATE TABLE policy_manifest_changes (
    id BIGINT PRIMARY KEY,
    changes BIGINT NOT NULL
);

INSERT INTO policy_manifest_changes (id, changes) VALUES (1, 0);
