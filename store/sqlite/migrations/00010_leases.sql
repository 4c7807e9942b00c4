-- +goose Up
CREATE TABLE enlace_leases (
    tenant   TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    owner    TEXT    NOT NULL, -- empty if nobody holds it
    fence    INTEGER NOT NULL, -- grows with each acquisition
    until_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;

-- +goose Down
DROP TABLE enlace_leases;
