-- +goose Up
CREATE TABLE enlace_health (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    checked_at  INTEGER NOT NULL,
    details     TEXT    NOT NULL, -- JSON object
    PRIMARY KEY (tenant, integration)
) STRICT;

CREATE TABLE enlace_health_changes (
    tenant      TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    integration TEXT    NOT NULL,
    details     TEXT    NOT NULL, -- JSON object
    PRIMARY KEY (tenant, at, integration)
) STRICT, WITHOUT ROWID;

CREATE INDEX enlace_health_changes_by_time ON enlace_health_changes (at);

CREATE TABLE enlace_maintenance (
    tenant   TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    until_at INTEGER NOT NULL,
    details  TEXT    NOT NULL, -- JSON object
    PRIMARY KEY (tenant, id)
) STRICT;

-- +goose Down
DROP TABLE enlace_maintenance;
DROP TABLE enlace_health_changes;
DROP TABLE enlace_health;
