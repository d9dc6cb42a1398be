-- A key that is used again for something else is refused.

ALTER TABLE jobs ADD COLUMN asked jsonb;                             -- the request's own parameters; null: from before this migration
CREATE INDEX jobs_request_key ON jobs (request_key) WHERE request_key IS NOT NULL;
CREATE INDEX audit_at ON audit (at);

-- A job that was put back because another one of its mailbox ran is due when that one has ended, however it did.
ALTER TABLE jobs ADD COLUMN behind boolean NOT NULL DEFAULT false;   -- put back for that reason, and not claimed since
CREATE INDEX jobs_behind ON jobs (mailbox) WHERE behind AND state = 'waiting';

CREATE FUNCTION let_next_begin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One that is being claimed at this moment is left alone: it is locked before its mailbox, as everywhere.
    UPDATE jobs SET run_at = now(), behind = false, ticket = ticket + 1, published_at = NULL, taken_until = NULL
    WHERE id IN (SELECT id FROM jobs WHERE mailbox = NEW.mailbox AND id <> NEW.id AND behind AND state = 'waiting'
                     AND run_at > now()
                 FOR UPDATE SKIP LOCKED);
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_next AFTER UPDATE OF state ON jobs FOR EACH ROW
    WHEN (OLD.state = 'running' AND NEW.state <> 'running') EXECUTE FUNCTION let_next_begin();

ALTER TABLE mailboxes ADD COLUMN tenant text;                        -- whose customer its owner is; null: nobody has said
ALTER TABLE mailboxes ADD COLUMN unknown_at timestamptz;             -- when its server last said that it does not know the account
