-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

CREATE TABLE enlace.mappings (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    entity      text COLLATE "C" NOT NULL,
    number      bigint           NOT NULL,
    state       text             NOT NULL, -- draft, active, retired
    document    text             NOT NULL,
    version     bigint           NOT NULL,
    created_at  bigint           NOT NULL,
    updated_at  bigint           NOT NULL,
    PRIMARY KEY (tenant, integration, entity, number)
);

CREATE UNIQUE INDEX mappings_active ON enlace.mappings (tenant, integration, entity) WHERE state = 'active';

-- +goose Down
DROP TABLE enlace.mappings;
