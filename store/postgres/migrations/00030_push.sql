-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

-- What was about to be written at a provider, and what was there before.
CREATE TABLE enlace.push_journal (
    tenant          text COLLATE "C" NOT NULL,
    integration     text COLLATE "C" NOT NULL,
    run_id          text COLLATE "C" NOT NULL,
    number          bigint NOT NULL, -- of the write within the run
    entity          text COLLATE "C" NOT NULL,
    op              text COLLATE "C" NOT NULL,
    local_id        text COLLATE "C" NOT NULL,
    remote_id       text COLLATE "C" NOT NULL, -- empty until a create is acknowledged
    idempotency_key text COLLATE "C" NOT NULL,
    state           text COLLATE "C" NOT NULL,
    image           bytea NOT NULL, -- sealed
    image_key       bigint NOT NULL,
    written_at      bigint NOT NULL,
    PRIMARY KEY (tenant, integration, run_id, number)
);

CREATE INDEX push_journal_open ON enlace.push_journal (tenant, integration, entity, written_at) WHERE state = 'open';
CREATE INDEX push_journal_by_time ON enlace.push_journal (written_at) WHERE state <> 'open';

-- The outbox and the dead letters: one change for each record of the host.
CREATE TABLE enlace.outgoing_changes (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    entity      text COLLATE "C" NOT NULL,
    local_id    text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL,
    position    bigint NOT NULL, -- changes are sent in this order
    tries       bigint NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    error       text COLLATE "C" NOT NULL,
    payload     bytea NOT NULL, -- sealed
    payload_key bigint NOT NULL,
    digest      bytea NOT NULL,
    run_id      text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL,
    PRIMARY KEY (tenant, integration, entity, local_id)
);

CREATE INDEX outgoing_changes_in_order ON enlace.outgoing_changes (tenant, position, integration, entity, local_id);
CREATE INDEX outgoing_changes_queued ON enlace.outgoing_changes (tenant, integration, entity, position) WHERE state = 'queued';

CREATE TABLE enlace.sync_conflicts (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    entity      text COLLATE "C" NOT NULL,
    local_id    text COLLATE "C" NOT NULL,
    remote_id   text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL,
    policy      text COLLATE "C" NOT NULL,
    run_id      text COLLATE "C" NOT NULL,
    found_at    bigint NOT NULL,
    payload     bytea NOT NULL, -- the fields, sealed
    payload_key bigint NOT NULL,
    version     bigint NOT NULL,
    PRIMARY KEY (tenant, integration, id)
);

CREATE INDEX sync_conflicts_newest ON enlace.sync_conflicts (tenant, found_at, integration, id);
CREATE INDEX sync_conflicts_resolved ON enlace.sync_conflicts (found_at) WHERE state = 'resolved';

-- +goose Down
DROP TABLE enlace.sync_conflicts;
DROP TABLE enlace.outgoing_changes;
DROP TABLE enlace.push_journal;
