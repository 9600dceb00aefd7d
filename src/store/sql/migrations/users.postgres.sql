-- The users of the accounts, as EdgeOne's template has them. Passwords are hashes of bcrypt or Argon2id.

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username varchar(64) NOT NULL,
    password_hash varchar(255) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX users_username_lower_uniq ON users (lower(username));

CREATE INDEX users_created_at_idx ON users (created_at DESC);
