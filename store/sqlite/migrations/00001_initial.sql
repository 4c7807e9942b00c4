-- Times are microseconds since 1970, UTC. Ids are compared byte by byte (BINARY).

-- +goose Up
CREATE TABLE enlace_integrations (
    tenant        TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    provider      TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    settings      TEXT    NOT NULL, -- JSON object or null
    features      TEXT    NOT NULL, -- JSON array or null
    base_url      TEXT    NOT NULL,
    enabled       INTEGER NOT NULL,
    status        TEXT    NOT NULL,
    status_reason TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE INDEX enlace_integrations_by_provider ON enlace_integrations (tenant, provider, id);

-- A row without data is no credential: it holds the lease of one that is about
-- to be stored, or the version of one that was deleted.
CREATE TABLE enlace_credentials (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    data        BLOB,                        -- sealed; NULL if there is no value
    key_id      INTEGER NOT NULL DEFAULT 0,  -- unsigned 64 bits in a signed column
    version     INTEGER NOT NULL DEFAULT 0,
    updated_at  INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT    NOT NULL,            -- empty if nobody holds it
    lease_until INTEGER NOT NULL,
    fence       INTEGER NOT NULL,            -- grows with each lease and each deletion
    interrupted INTEGER NOT NULL DEFAULT 0,  -- a holder never came back, and no value was stored since
    PRIMARY KEY (tenant, integration, name)
) STRICT;

CREATE TABLE enlace_checkpoints (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    entity      TEXT    NOT NULL,
    resume      TEXT    NOT NULL,
    mark        TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration, entity)
) STRICT;

CREATE TABLE enlace_runs (
    tenant      TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    direction   TEXT    NOT NULL,
    entities    TEXT    NOT NULL, -- JSON array or null
    dry_run     INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    results     TEXT    NOT NULL, -- JSON object or null
    started_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL, -- the zero time while it runs
    kind        TEXT    NOT NULL,
    error       TEXT    NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE INDEX enlace_runs_by_start ON enlace_runs (tenant, started_at, id);
CREATE INDEX enlace_runs_by_integration ON enlace_runs (tenant, integration, started_at, id);

-- +goose Down
DROP TABLE enlace_runs;
DROP TABLE enlace_checkpoints;
DROP TABLE enlace_credentials;
DROP TABLE enlace_integrations;
