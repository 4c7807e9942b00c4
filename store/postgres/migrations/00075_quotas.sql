-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

-- The account of a rate limit that several processes spend from: which tokens were
-- taken last, and what the provider has told anybody.
CREATE TABLE enlace.quotas (
    name         text COLLATE "C" PRIMARY KEY, -- a digest
    asked_at     bigint NOT NULL,
    horizon      bigint NOT NULL, -- up to which tokens were asked for
    step         bigint NOT NULL, -- from one token to the next
    first_at     bigint NOT NULL, -- time of the first of the tokens taken last
    tokens       bigint NOT NULL,
    paused_until bigint NOT NULL,
    slowdowns    bigint NOT NULL, -- how often somebody told of one
    slow_step    bigint NOT NULL,
    slow_before  bigint NOT NULL,
    slowed_at    bigint NOT NULL
) WITH (fillfactor = 50); -- room for the next version of a row in its own page

-- +goose Down
DROP TABLE enlace.quotas;
