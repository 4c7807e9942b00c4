-- +goose Up
CREATE INDEX enlace_integrations_by_id ON enlace_integrations (id);

CREATE TABLE enlace_webhook_endpoints (
    hash        TEXT    NOT NULL PRIMARY KEY, -- of the token in the address
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL
) STRICT;

CREATE TABLE enlace_deliveries (
    tenant      TEXT    NOT NULL,
    id          TEXT    NOT NULL, -- sorts by time
    integration TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    dedupe_key  TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    replays     INTEGER NOT NULL,
    signed      INTEGER NOT NULL,
    edited      INTEGER NOT NULL,
    signed_at   INTEGER NOT NULL, -- 0 if no time is signed
    received_at INTEGER NOT NULL,
    next_at     INTEGER NOT NULL,
    finished_at INTEGER NOT NULL, -- 0 while there is something to do
    types       TEXT    NOT NULL, -- JSON array or null
    lanes       TEXT    NOT NULL, -- JSON array or null
    kind        TEXT    NOT NULL,
    error       TEXT    NOT NULL,
    key_id      INTEGER NOT NULL, -- unsigned 64 bits in a signed column
    data        BLOB    NOT NULL, -- sealed
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE UNIQUE INDEX enlace_deliveries_once ON enlace_deliveries (tenant, integration, dedupe_key);
CREATE INDEX enlace_deliveries_by_integration ON enlace_deliveries (tenant, integration, id);
CREATE INDEX enlace_deliveries_pending ON enlace_deliveries (tenant, integration, id, next_at) WHERE finished_at = 0;
CREATE INDEX enlace_deliveries_failed ON enlace_deliveries (tenant, integration, id) WHERE state = 'failed';
CREATE INDEX enlace_deliveries_dead ON enlace_deliveries (tenant, id) WHERE state = 'dead';
CREATE INDEX enlace_deliveries_finished ON enlace_deliveries (finished_at) WHERE finished_at > 0;

-- Keys of events whose effects are there.
CREATE TABLE enlace_webhook_events (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    event_key   TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration, event_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX enlace_webhook_events_by_age ON enlace_webhook_events (at);

-- What deliveries have told of, and what polling has found without them.
CREATE TABLE enlace_webhook_records (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    entity      TEXT    NOT NULL,
    record      TEXT    NOT NULL,
    heard_at    INTEGER NOT NULL, -- 0 if never
    missed_at   INTEGER NOT NULL, -- 0 unless polling found it last
    at          INTEGER NOT NULL, -- of the last change of this row
    PRIMARY KEY (tenant, integration, entity, record)
) STRICT, WITHOUT ROWID;

CREATE INDEX enlace_webhook_records_missed ON enlace_webhook_records (tenant, integration, entity, record) WHERE missed_at > 0;
CREATE INDEX enlace_webhook_records_by_age ON enlace_webhook_records (at);

-- +goose Down
DROP TABLE enlace_webhook_records;
DROP TABLE enlace_webhook_events;
DROP TABLE enlace_deliveries;
DROP TABLE enlace_webhook_endpoints;
DROP INDEX enlace_integrations_by_id;
