-- +goose Up
ALTER TABLE enlace_refused_records ADD COLUMN state TEXT NOT NULL DEFAULT 'dead';
ALTER TABLE enlace_refused_records ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE enlace_refused_records ADD COLUMN edited INTEGER NOT NULL DEFAULT 0; -- the payload is a person's
ALTER TABLE enlace_refused_records ADD COLUMN modified INTEGER NOT NULL DEFAULT -62135596800000000; -- at the provider; the zero time if unknown
ALTER TABLE enlace_refused_records ADD COLUMN digest BLOB; -- of the data as the provider sent it
ALTER TABLE enlace_refused_records ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE enlace_refused_records ADD COLUMN payload BLOB; -- the data, sealed; NULL if it was put aside before it was kept
ALTER TABLE enlace_refused_records ADD COLUMN payload_key INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE enlace_refused_records DROP COLUMN payload_key;
ALTER TABLE enlace_refused_records DROP COLUMN payload;
ALTER TABLE enlace_refused_records DROP COLUMN version;
ALTER TABLE enlace_refused_records DROP COLUMN digest;
ALTER TABLE enlace_refused_records DROP COLUMN modified;
ALTER TABLE enlace_refused_records DROP COLUMN edited;
ALTER TABLE enlace_refused_records DROP COLUMN kind;
ALTER TABLE enlace_refused_records DROP COLUMN state;
