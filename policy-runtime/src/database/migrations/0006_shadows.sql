-- Drafts in shadow: asked about each decision beside the active set, and only counted.

CREATE TABLE policy_set_shadows (
    scope TEXT PRIMARY KEY,
    number BIGINT NOT NULL,
    actor TEXT NOT NULL,
    time BIGINT NOT NULL,
    decisions BIGINT NOT NULL
);

-- How many decisions of each kind a draft in shadow turns, over all servers.
CREATE TABLE policy_set_turns (
    scope TEXT NOT NULL,
    opens BIGINT NOT NULL,
    rule TEXT NOT NULL,
    action TEXT NOT NULL,
    caller TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (scope, opens, rule, action, caller)
);
