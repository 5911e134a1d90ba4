-- Requests that are done once, by hashes of who asks and of the key; the answer sealed under that key, empty where it is not kept.
CREATE TABLE policy_requests (
    id TEXT PRIMARY KEY,
    caller TEXT NOT NULL,
    request TEXT NOT NULL,
    answer TEXT,
    until BIGINT NOT NULL
);
CREATE INDEX policy_requests_caller ON policy_requests (caller, until);
CREATE INDEX policy_requests_until ON policy_requests (until);
