-- How many lists of each kind a draft in shadow changes, over all servers.
CREATE TABLE policy_set_list_turns (
    scope TEXT NOT NULL,
    becomes TEXT NOT NULL,
    rule TEXT NOT NULL,
    action TEXT NOT NULL,
    caller TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (scope, becomes, rule, action, caller)
);
