-- +goose Up
CREATE TABLE enlace_mappings (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    entity      TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    state       TEXT    NOT NULL, -- draft, active, retired
    document    TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration, entity, number)
) STRICT;

CREATE UNIQUE INDEX enlace_mappings_active ON enlace_mappings (tenant, integration, entity) WHERE state = 'active';

-- +goose Down
DROP TABLE enlace_mappings;
