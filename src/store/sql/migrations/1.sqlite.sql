-- Owners, grants and API keys.

CREATE TABLE warden_schema (
    version INTEGER PRIMARY KEY
) STRICT;

-- `tenure` is the number of one ownership: it is never given twice.
CREATE TABLE warden_owners (
    tenure INTEGER PRIMARY KEY AUTOINCREMENT,
    resource TEXT NOT NULL UNIQUE,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL CHECK (subject <> '')
) STRICT;

CREATE INDEX warden_owners_of ON warden_owners (subject, resource);

CREATE TABLE warden_grants (
    tenure INTEGER NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL CHECK (subject <> ''),
    role TEXT NOT NULL,
    PRIMARY KEY (tenure, issuer, subject)
) STRICT, WITHOUT ROWID;

-- The hash is keyed by a secret that is not in here; times are seconds since 1970; scopes are a JSON array.
CREATE TABLE warden_api_keys (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL CHECK (subject <> ''),
    label TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX warden_api_keys_of ON warden_api_keys (issuer, subject, id);

INSERT INTO warden_schema (version) VALUES (1);
