-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

-- Operations that are left alone since they failed several times in a row.
CREATE TABLE enlace.breakers (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    operation   text COLLATE "C" NOT NULL,
    rest        bigint           NOT NULL, -- microseconds
    until_at    bigint           NOT NULL,
    PRIMARY KEY (tenant, integration, operation)
);

-- +goose Down
DROP TABLE enlace.breakers;
