-- +goose Up
-- The account of a rate limit that several processes spend from: which tokens were
-- taken last, and what the provider has told anybody.
CREATE TABLE enlace_quotas (
    name         TEXT    NOT NULL PRIMARY KEY, -- a digest
    asked_at     INTEGER NOT NULL,
    horizon      INTEGER NOT NULL, -- up to which tokens were asked for
    step         INTEGER NOT NULL, -- from one token to the next
    first_at     INTEGER NOT NULL, -- time of the first of the tokens taken last
    tokens       INTEGER NOT NULL,
    paused_until INTEGER NOT NULL,
    slowdowns    INTEGER NOT NULL, -- how often somebody told of one
    slow_step    INTEGER NOT NULL,
    slow_before  INTEGER NOT NULL,
    slowed_at    INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE enlace_quotas;
