-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

CREATE TABLE enlace.records (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    entity      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL, -- the provider's
    local_id    text COLLATE "C" NOT NULL, -- empty if it is not linked
    accepted    bytea,                     -- digest; NULL for none
    pushed      bytea,                     -- digest; NULL for none
    base        bytea,                     -- sealed; NULL if it is not kept
    base_key_id bigint           NOT NULL, -- unsigned 64 bits in a signed column
    modified    bigint           NOT NULL,
    seen        bigint           NOT NULL,
    presence    text             NOT NULL,
    version     bigint           NOT NULL,
    updated_at  bigint           NOT NULL,
    PRIMARY KEY (tenant, integration, entity, id)
);

CREATE UNIQUE INDEX records_by_local_id ON enlace.records (tenant, integration, entity, local_id) WHERE local_id <> '';
CREATE INDEX records_to_decide ON enlace.records (tenant, integration, entity, presence, id) WHERE presence NOT IN ('present', 'gone');

ALTER TABLE enlace.checkpoints ADD COLUMN began bigint NOT NULL DEFAULT -62135596800000000; -- the zero time

ALTER TABLE enlace.runs ADD COLUMN options json NOT NULL DEFAULT '{}';
ALTER TABLE enlace.runs ADD COLUMN queued boolean NOT NULL DEFAULT false;
ALTER TABLE enlace.runs ADD COLUMN request text NOT NULL DEFAULT ''; -- what somebody wants of it
CREATE INDEX runs_queued ON enlace.runs (id) WHERE queued AND state IN ('waiting', 'running');

CREATE TABLE enlace.schedules (
    tenant      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    enabled     boolean          NOT NULL,
    next_at     bigint           NOT NULL,
    body        text             NOT NULL, -- JSON object
    version     bigint           NOT NULL,
    updated_at  bigint           NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX schedules_due ON enlace.schedules (enabled, next_at);

-- +goose Down
DROP TABLE enlace.schedules;
DROP INDEX enlace.runs_queued;
ALTER TABLE enlace.runs DROP COLUMN request;
ALTER TABLE enlace.runs DROP COLUMN queued;
ALTER TABLE enlace.runs DROP COLUMN options;
ALTER TABLE enlace.checkpoints DROP COLUMN began;
DROP TABLE enlace.records;
