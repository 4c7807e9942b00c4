-- +goose Up
CREATE TABLE enlace_metrics (
    resolution INTEGER NOT NULL, -- seconds of a point
    tenant     TEXT    NOT NULL, -- empty for what concerns all tenants
    scope      TEXT    NOT NULL, -- what name is
    name       TEXT    NOT NULL,
    start      INTEGER NOT NULL, -- of the chunk
    node       TEXT    NOT NULL, -- the process that measured; empty once rolled up
    points     BLOB    NOT NULL,
    PRIMARY KEY (resolution, tenant, scope, name, start, node)
) STRICT, WITHOUT ROWID;

CREATE INDEX enlace_metrics_by_start ON enlace_metrics (resolution, start, tenant, scope, name, node);

-- +goose Down
DROP TABLE enlace_metrics;
