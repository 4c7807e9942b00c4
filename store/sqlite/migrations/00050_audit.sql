-- +goose Up
-- One chain of entries for each tenant; nothing changes or removes an entry.
CREATE TABLE enlace_audit (
    tenant      TEXT    NOT NULL,
    seq         INTEGER NOT NULL, -- from 1 without gaps
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    address     TEXT    NOT NULL,
    request     TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    integration TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    fields      TEXT    NOT NULL, -- JSON array or null
    result      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    previous    BLOB    NOT NULL,
    hash        BLOB    NOT NULL,
    PRIMARY KEY (tenant, seq)
) STRICT;

CREATE INDEX enlace_audit_by_integration ON enlace_audit (tenant, integration, seq);

CREATE TABLE enlace_audit_heads (
    tenant TEXT    NOT NULL PRIMARY KEY,
    seq    INTEGER NOT NULL,
    hash   BLOB    NOT NULL
) STRICT;

-- +goose Down
DROP TABLE enlace_audit_heads;
DROP TABLE enlace_audit;
