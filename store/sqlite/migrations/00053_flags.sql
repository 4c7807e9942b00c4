-- +goose Up
-- An empty column of a rule stands for everything.
CREATE TABLE enlace_flags (
    flag        TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    entity      TEXT    NOT NULL,
    enabled     INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    set_by      TEXT    NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (flag, tenant, provider, integration, entity)
) STRICT;

-- +goose Down
DROP TABLE enlace_flags;
