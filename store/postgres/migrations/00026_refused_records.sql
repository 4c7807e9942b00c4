-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

CREATE TABLE enlace.refused_records (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    entity      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL, -- the provider's
    mapping     bigint           NOT NULL, -- number of the version
    error       text             NOT NULL,
    tries       bigint           NOT NULL,
    created_at  bigint           NOT NULL,
    updated_at  bigint           NOT NULL,
    PRIMARY KEY (tenant, integration, entity, id)
);

-- +goose Down
DROP TABLE enlace.refused_records;
