-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

-- An empty column of a rule stands for everything.
CREATE TABLE enlace.flags (
    flag        text COLLATE "C" NOT NULL,
    tenant      text COLLATE "C" NOT NULL,
    provider    text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    entity      text COLLATE "C" NOT NULL,
    enabled     boolean          NOT NULL,
    reason      text             NOT NULL,
    set_by      text             NOT NULL,
    updated_at  bigint           NOT NULL,
    PRIMARY KEY (flag, tenant, provider, integration, entity)
);

-- +goose Down
DROP TABLE enlace.flags;
