-- Writes down every change of a mailbox's epoch, of a job's claim, and every backup, in the order in which they were made: whoever
-- changes a row holds it until his transaction ends, so the rows of one mailbox or job are numbered in their true order.
-- The writer is who the connection says it is: `options=-c chaos.writer=work-3.1`.
CREATE SCHEMA chaos;

CREATE TABLE chaos.history (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    writer        text NOT NULL DEFAULT coalesce(current_setting('chaos.writer', true), ''),
    what          text NOT NULL,
    mailbox       bigint NOT NULL,
    job           bigint,
    was           text,
    state         text,
    epoch         bigint,
    mailbox_epoch bigint,
    attempt       integer,
    number        bigint,
    silent        float8,      -- seconds since the heartbeat of the claim that ended
    at            float8 NOT NULL DEFAULT extract(epoch FROM clock_timestamp())
);

CREATE FUNCTION chaos.mailbox() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos.history (what, mailbox, epoch) VALUES ('mailbox', NEW.id, NEW.epoch);
    RETURN NULL;
END $$;

CREATE FUNCTION chaos.job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos.history (what, mailbox, job, was, state, epoch, mailbox_epoch, attempt, number, silent)
        SELECT 'job', NEW.mailbox, NEW.id, OLD.state, NEW.state, NEW.epoch, m.epoch, NEW.attempt, NEW.number,
            extract(epoch FROM clock_timestamp() - OLD.heartbeat_at)
        FROM malle.mailboxes m WHERE m.id = NEW.mailbox;
    RETURN NULL;
END $$;

CREATE FUNCTION chaos.backup() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos.history (what, mailbox, job, state, epoch, mailbox_epoch, number)
        SELECT 'backup', NEW.mailbox, NEW.job, j.state, j.epoch, m.epoch, NEW.number
        FROM malle.jobs j JOIN malle.mailboxes m ON m.id = j.mailbox WHERE j.id = NEW.job;
    RETURN NULL;
END $$;

CREATE TRIGGER chaos AFTER UPDATE ON malle.mailboxes FOR EACH ROW
    WHEN (OLD.epoch IS DISTINCT FROM NEW.epoch) EXECUTE FUNCTION chaos.mailbox();
CREATE TRIGGER chaos AFTER UPDATE ON malle.jobs FOR EACH ROW
    WHEN ((OLD.state, OLD.epoch, OLD.attempt, OLD.number) IS DISTINCT FROM (NEW.state, NEW.epoch, NEW.attempt, NEW.number))
    EXECUTE FUNCTION chaos.job();
CREATE TRIGGER chaos AFTER INSERT OR UPDATE ON malle.backups FOR EACH ROW EXECUTE FUNCTION chaos.backup();
