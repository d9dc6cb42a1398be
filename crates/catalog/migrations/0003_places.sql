-- A mailbox that moves to another store begins a log there, and that log's numbers begin anew.

CREATE UNIQUE INDEX backups_place ON backups (mailbox, store, snapshot);
CREATE INDEX backups_newest ON backups (mailbox, finished_at);
DROP INDEX backups_snapshot;
