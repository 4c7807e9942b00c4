-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

-- One chain of entries for each tenant; nothing changes or removes an entry.
CREATE TABLE enlace.audit (
    tenant      text COLLATE "C" NOT NULL,
    seq         bigint           NOT NULL, -- from 1 without gaps
    at          bigint           NOT NULL,
    actor       text             NOT NULL,
    address     text             NOT NULL,
    request     text             NOT NULL,
    action      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    target      text             NOT NULL,
    fields      text             NOT NULL, -- JSON array or null
    result      text             NOT NULL,
    kind        text             NOT NULL,
    previous    bytea            NOT NULL,
    hash        bytea            NOT NULL,
    PRIMARY KEY (tenant, seq)
);

CREATE INDEX audit_by_integration ON enlace.audit (tenant, integration, seq);

CREATE TABLE enlace.audit_heads (
    tenant text COLLATE "C" PRIMARY KEY,
    seq    bigint NOT NULL,
    hash   bytea  NOT NULL
);

-- +goose Down
DROP TABLE enlace.audit_heads;
DROP TABLE enlace.audit;
