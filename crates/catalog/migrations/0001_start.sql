-- Words (plans, kinds, states) are those of the crate `model`. Numbers of the house are unsigned and stay below 2^63.

CREATE TABLE mailboxes (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server          text NOT NULL,
    account         text,                        -- JMAP account id; null until somebody has asked the server
    incarnation     integer NOT NULL DEFAULT 0,
    address         text NOT NULL,               -- lower case
    plan            text,                        -- null: nobody planned it, which is reported
    zone            text,                        -- where its backups go; null: the service's usual one
    time_zone       text,                        -- likewise
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'gone')),
    first_seen_at   timestamptz NOT NULL,
    listed_at       timestamptz,                 -- null: known from a store only
    gone_at         timestamptz,
    epoch           bigint NOT NULL DEFAULT 0,   -- of its newest claim
    first_backup_at timestamptz,                 -- null: it needs its first backup
    newest_good_at  timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

CREATE UNIQUE INDEX mailboxes_identity ON mailboxes (server, account, incarnation);
CREATE UNIQUE INDEX mailboxes_account ON mailboxes (server, account) WHERE state = 'active';
CREATE UNIQUE INDEX mailboxes_without_account ON mailboxes (server, address) WHERE state = 'active' AND account IS NULL;
CREATE INDEX mailboxes_planned ON mailboxes (id) WHERE state = 'active' AND plan IS NOT NULL;
CREATE INDEX mailboxes_address ON mailboxes (address, server);

CREATE TABLE pauses (
    scope text NOT NULL CHECK (scope IN ('mailbox', 'server', 'plan')),
    name  text NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (scope, name)
);

CREATE TABLE jobs (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind             text NOT NULL,
    mailbox          bigint REFERENCES mailboxes, -- null: global
    slot_date        date,                        -- null: requested, not due by schedule
    state            text NOT NULL DEFAULT 'waiting'
                     CHECK (state IN ('waiting', 'running', 'done', 'dead', 'cancelled')),
    run_at           timestamptz NOT NULL,
    deadline         timestamptz,
    created_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    -- the claim
    attempt          integer NOT NULL DEFAULT 0,
    slices           integer NOT NULL DEFAULT 0,
    epoch            bigint,
    worker           text,
    heartbeat_at     timestamptz,
    first_claimed_at timestamptz,
    cancel_requested boolean NOT NULL DEFAULT false,
    number           bigint,                      -- of the backup it makes, kept over all attempts
    error_class      text,
    error            text,
    -- the request
    request_key      text,
    parameters       jsonb,
    -- the outbox: a waiting job without published_at has no ticket at the broker
    ticket           integer NOT NULL DEFAULT 1,  -- counts tickets; one that was overtaken is not marked
    taken_until      timestamptz,
    published_at     timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- What may be there once only.
CREATE UNIQUE INDEX jobs_slot ON jobs (mailbox, kind, slot_date) NULLS NOT DISTINCT WHERE slot_date IS NOT NULL;
CREATE UNIQUE INDEX jobs_one_unfinished ON jobs (mailbox, kind) NULLS NOT DISTINCT
    WHERE state IN ('waiting', 'running') AND (slot_date IS NOT NULL OR kind = 'manual');
CREATE UNIQUE INDEX jobs_running ON jobs (mailbox) WHERE state = 'running';
CREATE UNIQUE INDEX jobs_request ON jobs (mailbox, kind, request_key) NULLS NOT DISTINCT WHERE request_key IS NOT NULL;

-- What is looked for often, each as small as what it is looked for among.
CREATE INDEX jobs_unpublished ON jobs (kind, run_at) WHERE state = 'waiting' AND published_at IS NULL;
CREATE INDEX jobs_published ON jobs (published_at) WHERE state = 'waiting' AND published_at IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (kind, run_at) WHERE state = 'waiting';
CREATE INDEX jobs_dead ON jobs (kind, id) WHERE state = 'dead';
CREATE INDEX jobs_over ON jobs (finished_at) WHERE state IN ('done', 'cancelled');
CREATE INDEX jobs_requested ON jobs (mailbox, kind, created_at) WHERE slot_date IS NULL;

-- The numbers people give to support.
CREATE SEQUENCE backup_numbers;

CREATE TABLE backups (
    number       bigint PRIMARY KEY,
    mailbox      bigint NOT NULL REFERENCES mailboxes,
    snapshot     bigint NOT NULL,                 -- log entry in the mailbox's repository
    state        text NOT NULL,
    kind         text,                            -- null: nobody but a person at a terminal asked for it
    slot_date    date,
    job          bigint,                          -- jobs are deleted earlier than backups
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz NOT NULL,
    store        text NOT NULL,
    zone         text NOT NULL,
    emails       bigint NOT NULL,
    bytes        bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    contents     jsonb NOT NULL
);
CREATE UNIQUE INDEX backups_snapshot ON backups (mailbox, snapshot);

CREATE TABLE restores (
    job        bigint PRIMARY KEY,
    mailbox    bigint NOT NULL REFERENCES mailboxes,
    number     bigint NOT NULL,
    restore    text NOT NULL,                     -- the engine's id, by which an attempt resumes
    created_at timestamptz NOT NULL,
    report     jsonb
);

CREATE TABLE downloads (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mailbox    bigint NOT NULL REFERENCES mailboxes,
    number     bigint NOT NULL,
    job        bigint NOT NULL,
    format     text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz
);

CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    actor   text NOT NULL,
    action  text NOT NULL,
    mailbox bigint,
    number  bigint,
    details jsonb NOT NULL
);
CREATE INDEX audit_mailbox ON audit (mailbox, id);
