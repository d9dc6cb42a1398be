-- What producers need besides. Only added to: a program of the release before runs on.

ALTER TABLE mailboxes ADD COLUMN plan_since timestamptz;             -- null: since it was first seen
ALTER TABLE jobs ADD COLUMN first boolean NOT NULL DEFAULT false;    -- admitted through the ramp of first backups
ALTER TABLE jobs ADD COLUMN traceparent text;                        -- W3C: the trace that led to it, or its first ticket's

CREATE INDEX jobs_first ON jobs (created_at) WHERE first;
CREATE INDEX mailboxes_unplanned ON mailboxes (id) WHERE state = 'active' AND plan IS NULL;
