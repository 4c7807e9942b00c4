-- +goose Up
-- Operations that are left alone since they failed several times in a row.
CREATE TABLE enlace_breakers (
    tenant      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    operation   TEXT    NOT NULL,
    rest        INTEGER NOT NULL, -- microseconds
    until_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration, operation)
) STRICT;

-- +goose Down
DROP TABLE enlace_breakers;
