-- +goose Up
CREATE TABLE enlace_refused_records (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    entity      TEXT    NOT NULL,
    id          TEXT    NOT NULL, -- the provider's
    mapping     INTEGER NOT NULL, -- number of the version
    error       TEXT    NOT NULL,
    tries       INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration, entity, id)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE enlace_refused_records;
