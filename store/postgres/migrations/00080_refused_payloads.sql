-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

ALTER TABLE enlace.refused_records ADD COLUMN state text NOT NULL DEFAULT 'dead';
ALTER TABLE enlace.refused_records ADD COLUMN kind text NOT NULL DEFAULT '';
ALTER TABLE enlace.refused_records ADD COLUMN edited boolean NOT NULL DEFAULT false; -- the payload is a person's
ALTER TABLE enlace.refused_records ADD COLUMN modified bigint NOT NULL DEFAULT -62135596800000000; -- at the provider; the zero time if unknown
ALTER TABLE enlace.refused_records ADD COLUMN digest bytea; -- of the data as the provider sent it
ALTER TABLE enlace.refused_records ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE enlace.refused_records ADD COLUMN payload bytea; -- the data, sealed; NULL if it was put aside before it was kept
ALTER TABLE enlace.refused_records ADD COLUMN payload_key bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE enlace.refused_records DROP COLUMN payload_key;
ALTER TABLE enlace.refused_records DROP COLUMN payload;
ALTER TABLE enlace.refused_records DROP COLUMN version;
ALTER TABLE enlace.refused_records DROP COLUMN digest;
ALTER TABLE enlace.refused_records DROP COLUMN modified;
ALTER TABLE enlace.refused_records DROP COLUMN edited;
ALTER TABLE enlace.refused_records DROP COLUMN kind;
ALTER TABLE enlace.refused_records DROP COLUMN state;
