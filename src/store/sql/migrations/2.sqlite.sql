-- Tickets and revocations, and what processes tell each other.

-- Times of tickets are milliseconds since 1970. `client` and `taken_at` are those of the first use.
CREATE TABLE warden_tickets (
    hash BLOB PRIMARY KEY,
    record TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    uses INTEGER NOT NULL DEFAULT 0,
    client BLOB,
    taken_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX warden_tickets_over ON warden_tickets (expires_at);

-- `id` only rises: whoever listens reads on from the last one it has seen.
CREATE TABLE warden_revocations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    revocation TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX warden_revocations_over ON warden_revocations (expires_at);

-- The latest changes of ownership, for whoever listens.
CREATE TABLE warden_ownership_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    change TEXT NOT NULL
) STRICT;

INSERT INTO warden_schema (version) VALUES (2);
