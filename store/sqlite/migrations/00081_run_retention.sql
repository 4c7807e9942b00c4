-- +goose Up
CREATE INDEX enlace_runs_by_end ON enlace_runs (finished_at) WHERE state NOT IN ('waiting', 'running', 'paused');

-- +goose Down
DROP INDEX enlace_runs_by_end;
