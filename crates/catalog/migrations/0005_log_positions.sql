-- How far each mailbox's log in a store had come when a worker looked last: what is remembered of it outside the store.

CREATE TABLE log_positions (
    mailbox bigint NOT NULL REFERENCES mailboxes (id),
    store text NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    digest bytea NOT NULL CHECK (length(digest) = 32),
    noted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mailbox, store)
);
