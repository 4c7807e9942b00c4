-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

CREATE INDEX runs_by_end ON enlace.runs (finished_at) WHERE state NOT IN ('waiting', 'running', 'paused');

-- +goose Down
DROP INDEX enlace.runs_by_end;
