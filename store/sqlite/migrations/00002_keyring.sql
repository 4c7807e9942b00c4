-- +goose Up
-- One row: which root keys there are, each wrapped.
CREATE TABLE enlace_keyring (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    data    BLOB    NOT NULL,
    version INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE enlace_keyring;
