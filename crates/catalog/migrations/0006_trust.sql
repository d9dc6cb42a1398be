-- What tells a backup from any other that may come to have its snapshot's number, and since when something of it is known to
-- be missing or damaged: it was called good once, and does not count as good.

ALTER TABLE backups ADD COLUMN digest bytea CHECK (length(digest) = 32);  -- null: from before this migration
ALTER TABLE backups ADD COLUMN damaged_at timestamptz;                    -- null: nothing is known to be damaged

-- A log that was rolled back, or begun again, gives its numbers to other snapshots.
CREATE UNIQUE INDEX backups_identity ON backups (mailbox, store, snapshot, digest) NULLS NOT DISTINCT;
DROP INDEX backups_place;
