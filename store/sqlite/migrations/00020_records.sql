-- +goose Up
CREATE TABLE enlace_records (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    entity      TEXT    NOT NULL,
    id          TEXT    NOT NULL,            -- the provider's
    local_id    TEXT    NOT NULL,            -- empty if it is not linked
    accepted    BLOB,                        -- digest; NULL for none
    pushed      BLOB,                        -- digest; NULL for none
    base        BLOB,                        -- sealed; NULL if it is not kept
    base_key_id INTEGER NOT NULL,            -- unsigned 64 bits in a signed column
    modified    INTEGER NOT NULL,
    seen        INTEGER NOT NULL,
    presence    TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration, entity, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX enlace_records_by_local_id ON enlace_records (tenant, integration, entity, local_id) WHERE local_id <> '';
CREATE INDEX enlace_records_to_decide ON enlace_records (tenant, integration, entity, presence, id) WHERE presence NOT IN ('present', 'gone');

ALTER TABLE enlace_checkpoints ADD COLUMN began INTEGER NOT NULL DEFAULT -62135596800000000; -- the zero time

ALTER TABLE enlace_runs ADD COLUMN options TEXT NOT NULL DEFAULT '{}'; -- JSON object
ALTER TABLE enlace_runs ADD COLUMN queued INTEGER NOT NULL DEFAULT 0;
ALTER TABLE enlace_runs ADD COLUMN request TEXT NOT NULL DEFAULT ''; -- what somebody wants of it
CREATE INDEX enlace_runs_queued ON enlace_runs (id) WHERE queued AND state IN ('waiting', 'running');

CREATE TABLE enlace_schedules (
    tenant      TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    enabled     INTEGER NOT NULL,
    next_at     INTEGER NOT NULL,
    body        TEXT    NOT NULL, -- JSON object
    version     INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE INDEX enlace_schedules_due ON enlace_schedules (enabled, next_at);

-- +goose Down
DROP TABLE enlace_schedules;
DROP INDEX enlace_runs_queued;
ALTER TABLE enlace_runs DROP COLUMN request;
ALTER TABLE enlace_runs DROP COLUMN queued;
ALTER TABLE enlace_runs DROP COLUMN options;
ALTER TABLE enlace_checkpoints DROP COLUMN began;
DROP TABLE enlace_records;
