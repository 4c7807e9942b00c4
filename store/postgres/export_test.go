package postgres

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
