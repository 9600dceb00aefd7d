-- Tickets are counted by their subject.

-- The SHA-256 of issuer and subject; nothing in rows of nodes that do not count yet.
ALTER TABLE warden_tickets ADD COLUMN holder bytea;

CREATE INDEX warden_tickets_of ON warden_tickets (holder, expires_at);

INSERT INTO warden_schema (version) VALUES (4);
