package postgres

import (
	"context"
	"io/fs"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgxpool"
)

// NewNext is New in a later release, which has further migrations.
func NewNext(ctx context.Context, pool *pgxpool.Pool, o Options, further map[string]string) (*Store, error) {
	files := fstest.MapFS{}
	for name, text := range further {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	own, err := fs.Glob(ownMigrations(), "*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range own {
		data, err := fs.ReadFile(ownMigrations(), name)
		if err != nil {
			return nil, err
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	return newStore(ctx, pool, o, files)
}

// Schema is where the store's tables are.
func (s *Store) Schema() string { return s.schema }

// WithSchema is withSchema, for the tests.
var WithSchema = withSchema

// Lists are the statements that read pages, with parameters for each.
var Lists = map[string][]any{
	listIntegrations:           {"t", "i", 10},
	listIntegrationsOfProvider: {"t", "p", "i", 10},
	listCredentials:            {"t", "i", "n", 10},
	selectNotSealedBy:          {"t", "i", "n", int64(1), 10},
	listRuns:                   {"t", "2026-01-01T00:00:00Z", "i", 10},
	listRunsOfIntegration:      {"t", "g", "2026-01-01T00:00:00Z", "i", 10},
}
