-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

CREATE INDEX integrations_by_id ON enlace.integrations (id);

CREATE TABLE enlace.webhook_endpoints (
    hash        text COLLATE "C" NOT NULL PRIMARY KEY, -- of the token in the address
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL
);

CREATE TABLE enlace.deliveries (
    tenant      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL, -- sorts by time
    integration text COLLATE "C" NOT NULL,
    provider    text COLLATE "C" NOT NULL,
    dedupe_key  text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL,
    attempts    integer NOT NULL,
    replays     integer NOT NULL,
    signed      boolean NOT NULL,
    edited      boolean NOT NULL,
    signed_at   bigint NOT NULL, -- 0 if no time is signed
    received_at bigint NOT NULL,
    next_at     bigint NOT NULL,
    finished_at bigint NOT NULL, -- 0 while there is something to do
    types       text COLLATE "C" NOT NULL, -- JSON array or null
    lanes       text COLLATE "C" NOT NULL, -- JSON array or null
    kind        text COLLATE "C" NOT NULL,
    error       text COLLATE "C" NOT NULL,
    key_id      bigint NOT NULL, -- unsigned 64 bits in a signed column
    data        bytea   NOT NULL, -- sealed
    PRIMARY KEY (tenant, id)
);

CREATE UNIQUE INDEX deliveries_once ON enlace.deliveries (tenant, integration, dedupe_key);
CREATE INDEX deliveries_by_integration ON enlace.deliveries (tenant, integration, id);
CREATE INDEX deliveries_pending ON enlace.deliveries (tenant, integration, id, next_at) WHERE finished_at = 0;
CREATE INDEX deliveries_failed ON enlace.deliveries (tenant, integration, id) WHERE state = 'failed';
CREATE INDEX deliveries_dead ON enlace.deliveries (tenant, id) WHERE state = 'dead';
CREATE INDEX deliveries_finished ON enlace.deliveries (finished_at) WHERE finished_at > 0;

-- Keys of events whose effects are there.
CREATE TABLE enlace.webhook_events (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    event_key   text COLLATE "C" NOT NULL,
    at          bigint NOT NULL,
    PRIMARY KEY (tenant, integration, event_key)
);

CREATE INDEX webhook_events_by_age ON enlace.webhook_events (at);

-- What deliveries have told of, and what polling has found without them.
CREATE TABLE enlace.webhook_records (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    entity      text COLLATE "C" NOT NULL,
    record      text COLLATE "C" NOT NULL,
    heard_at    bigint NOT NULL, -- 0 if never
    missed_at   bigint NOT NULL, -- 0 unless polling found it last
    at          bigint NOT NULL, -- of the last change of this row
    PRIMARY KEY (tenant, integration, entity, record)
);

CREATE INDEX webhook_records_missed ON enlace.webhook_records (tenant, integration, entity, record) WHERE missed_at > 0;
CREATE INDEX webhook_records_by_age ON enlace.webhook_records (at);

-- +goose Down
DROP TABLE enlace.webhook_records;
DROP TABLE enlace.webhook_events;
DROP TABLE enlace.deliveries;
DROP TABLE enlace.webhook_endpoints;
DROP INDEX enlace.integrations_by_id;
