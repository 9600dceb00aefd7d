-- The users of the accounts, as EdgeOne's template has them; `created_at` is in seconds since 1970. Passwords are hashes of
-- bcrypt or Argon2id.

CREATE TABLE users (
    id TEXT PRIMARY KEY NOT NULL,
    username TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (unixepoch())
);

CREATE UNIQUE INDEX users_username_lower_uniq ON users (lower(username));

CREATE INDEX users_created_at_idx ON users (created_at DESC);
