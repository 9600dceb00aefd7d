-- Owners, grants and API keys. Names are compared and sorted by their bytes, whatever the locale of the database.

CREATE TABLE warden_schema (
    version bigint PRIMARY KEY
);

-- `tenure` is the number of one ownership: a transfer draws a new one, so that the grants of the old owner end with it.
CREATE TABLE warden_owners (
    tenure bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    resource text COLLATE "C" PRIMARY KEY,
    issuer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL CHECK (subject <> '')
);

-- Without the issuer, as an index entry holds 2.7 kB and each name may have 1 kB.
CREATE INDEX warden_owners_of ON warden_owners (subject, resource);

CREATE TABLE warden_grants (
    tenure bigint NOT NULL,
    issuer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL CHECK (subject <> ''),
    role text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenure, issuer, subject)
);

-- The hash is keyed by a secret that is not in here; times are seconds since 1970; scopes are a JSON array.
CREATE TABLE warden_api_keys (
    id text COLLATE "C" PRIMARY KEY,
    hash bytea NOT NULL,
    issuer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL CHECK (subject <> ''),
    label text NOT NULL,
    scopes text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    last_used_at bigint
);

CREATE INDEX warden_api_keys_of ON warden_api_keys (issuer, subject, id);

INSERT INTO warden_schema (version) VALUES (1);
