-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

CREATE TABLE enlace.health (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    provider    text COLLATE "C" NOT NULL,
    status      text             NOT NULL,
    checked_at  bigint           NOT NULL,
    details     text             NOT NULL, -- JSON object
    PRIMARY KEY (tenant, integration)
);

CREATE TABLE enlace.health_changes (
    tenant      text COLLATE "C" NOT NULL,
    at          bigint           NOT NULL,
    integration text COLLATE "C" NOT NULL,
    details     text             NOT NULL, -- JSON object
    PRIMARY KEY (tenant, at, integration)
);

CREATE INDEX health_changes_by_time ON enlace.health_changes (at);

CREATE TABLE enlace.maintenance (
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    until_at bigint           NOT NULL,
    details  text             NOT NULL, -- JSON object
    PRIMARY KEY (tenant, id)
);

-- +goose Down
DROP TABLE enlace.maintenance;
DROP TABLE enlace.health_changes;
DROP TABLE enlace.health;
