-- Tickets and revocations.

-- Times of tickets are milliseconds since 1970. `client` and `taken_at` are those of the first use.
CREATE TABLE warden_tickets (
    hash bytea PRIMARY KEY,
    record text NOT NULL,
    expires_at bigint NOT NULL,
    uses bigint NOT NULL DEFAULT 0,
    client bytea,
    taken_at bigint
);

CREATE INDEX warden_tickets_over ON warden_tickets (expires_at);

CREATE TABLE warden_revocations (
    digest bytea PRIMARY KEY,
    revocation text NOT NULL,
    expires_at bigint NOT NULL
);

CREATE INDEX warden_revocations_over ON warden_revocations (expires_at);

INSERT INTO warden_schema (version) VALUES (2);
