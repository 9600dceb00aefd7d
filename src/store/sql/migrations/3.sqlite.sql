-- Sessions of accounts. The table `users` is the application's own, and made when it is asked for.

-- Times are seconds since 1970. The hash is that of the refresh token in force; `refreshes` counts those before it.
CREATE TABLE warden_sessions (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    user_agent TEXT NOT NULL,
    refresh_hash BLOB NOT NULL,
    refreshed_at INTEGER,
    refreshes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX warden_sessions_of ON warden_sessions (user_id, expires_at);

CREATE INDEX warden_sessions_over ON warden_sessions (expires_at);

INSERT INTO warden_schema (version) VALUES (3);
