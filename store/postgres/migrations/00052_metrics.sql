-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

CREATE TABLE enlace.metrics (
    resolution bigint           NOT NULL, -- seconds of a point
    tenant     text COLLATE "C" NOT NULL, -- empty for what concerns all tenants
    scope      text COLLATE "C" NOT NULL, -- what name is
    name       text COLLATE "C" NOT NULL,
    start      bigint           NOT NULL, -- of the chunk
    node       text COLLATE "C" NOT NULL, -- the process that measured; empty once rolled up
    points     bytea            NOT NULL,
    PRIMARY KEY (resolution, tenant, scope, name, start, node)
);

CREATE INDEX metrics_by_start ON enlace.metrics (resolution, start, tenant, scope, name, node);

-- +goose Down
DROP TABLE enlace.metrics;
