-- A plan that somebody named is kept apart from one that a rule gave: a rule takes only its own back. Those there already count as named.

ALTER TABLE mailboxes ADD COLUMN plan_by_rule boolean NOT NULL DEFAULT false;
