-- Who registers in a scope, and who needs a second factor there, as JSON: what administrators say beside the configuration.
CREATE TABLE policy_scope_people (
    scope TEXT PRIMARY KEY,
    rules TEXT NOT NULL
);
