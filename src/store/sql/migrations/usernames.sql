-- Usernames as they are compared: folded by Unicode, where `lower` of a database may know ASCII only. `username` is how it was
-- typed; an entry counts while the row of its user in `users` has that name.

CREATE TABLE warden_usernames (
    folded varchar(64) PRIMARY KEY NOT NULL,
    user_id varchar(255) NOT NULL,
    username varchar(64) NOT NULL
);

CREATE UNIQUE INDEX warden_usernames_user_id_uniq ON warden_usernames (user_id);
