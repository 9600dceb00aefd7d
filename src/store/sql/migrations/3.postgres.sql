-- Sessions of accounts. The table `users` is the application's own, and made when it is asked for.

-- Times are seconds since 1970. The hash is that of the refresh token in force; `refreshes` counts those before it.
CREATE TABLE warden_sessions (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    user_agent text NOT NULL,
    refresh_hash bytea NOT NULL,
    refreshed_at bigint,
    refreshes bigint NOT NULL
);

CREATE INDEX warden_sessions_of ON warden_sessions (user_id, expires_at);

CREATE INDEX warden_sessions_over ON warden_sessions (expires_at);

INSERT INTO warden_schema (version) VALUES (3);
