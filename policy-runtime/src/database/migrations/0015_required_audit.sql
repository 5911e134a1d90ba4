-- The actions of which each decision is recorded before anything is done, as administrators say in a scope.
CREATE TABLE policy_required_audit (
    scope TEXT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (scope, action)
);
