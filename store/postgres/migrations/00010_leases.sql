-- From here on, times are microseconds since 1970 in a bigint.

-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

CREATE TABLE enlace.leases (
    tenant   text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    owner    text             NOT NULL, -- empty if nobody holds it
    fence    bigint           NOT NULL, -- grows with each acquisition
    until_at bigint           NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- +goose Down
DROP TABLE enlace.leases;
