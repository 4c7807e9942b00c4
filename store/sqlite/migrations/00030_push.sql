-- +goose Up

-- What was about to be written at a provider, and what was there before.
CREATE TABLE enlace_push_journal (
    tenant          TEXT    NOT NULL,
    integration     TEXT    NOT NULL,
    run_id          TEXT    NOT NULL,
    number          INTEGER NOT NULL, -- of the write within the run
    entity          TEXT    NOT NULL,
    op              TEXT    NOT NULL,
    local_id        TEXT    NOT NULL,
    remote_id       TEXT    NOT NULL, -- empty until a create is acknowledged
    idempotency_key TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    image           BLOB    NOT NULL, -- sealed
    image_key       INTEGER NOT NULL,
    written_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration, run_id, number)
) STRICT;

CREATE INDEX enlace_push_journal_open ON enlace_push_journal (tenant, integration, entity, written_at) WHERE state = 'open';
CREATE INDEX enlace_push_journal_by_time ON enlace_push_journal (written_at) WHERE state <> 'open';

-- The outbox and the dead letters: one change for each record of the host.
CREATE TABLE enlace_outgoing_changes (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    entity      TEXT    NOT NULL,
    local_id    TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    position    INTEGER NOT NULL, -- changes are sent in this order
    tries       INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    error       TEXT    NOT NULL,
    payload     BLOB    NOT NULL, -- sealed
    payload_key INTEGER NOT NULL,
    digest      BLOB    NOT NULL,
    run_id      TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration, entity, local_id)
) STRICT;

CREATE INDEX enlace_outgoing_changes_in_order ON enlace_outgoing_changes (tenant, position, integration, entity, local_id);
CREATE INDEX enlace_outgoing_changes_queued ON enlace_outgoing_changes (tenant, integration, entity, position) WHERE state = 'queued';

CREATE TABLE enlace_sync_conflicts (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    entity      TEXT    NOT NULL,
    local_id    TEXT    NOT NULL,
    remote_id   TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    policy      TEXT    NOT NULL,
    run_id      TEXT    NOT NULL,
    found_at    INTEGER NOT NULL,
    payload     BLOB    NOT NULL, -- the fields, sealed
    payload_key INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration, id)
) STRICT;

CREATE INDEX enlace_sync_conflicts_newest ON enlace_sync_conflicts (tenant, found_at, integration, id);
CREATE INDEX enlace_sync_conflicts_resolved ON enlace_sync_conflicts (found_at) WHERE state = 'resolved';

-- +goose Down
DROP TABLE enlace_sync_conflicts;
DROP TABLE enlace_outgoing_changes;
DROP TABLE enlace_push_journal;
