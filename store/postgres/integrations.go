package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	integrationList = "integrations"

	integrationColumns = `tenant, id, provider, name, settings, features, base_url, enabled,
		status, status_reason, version, created_at, updated_at`

	insertIntegration = `INSERT INTO enlace.integrations (` + integrationColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12)
		ON CONFLICT (tenant, id) DO NOTHING`

	selectIntegration = `SELECT ` + integrationColumns + ` FROM enlace.integrations
		WHERE tenant = $1 AND id = $2`

	listIntegrations = `SELECT ` + integrationColumns + ` FROM enlace.integrations
		WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3`

	listIntegrationsOfProvider = `SELECT ` + integrationColumns + ` FROM enlace.integrations
		WHERE tenant = $1 AND provider = $2 AND id > $3 ORDER BY id LIMIT $4`

	everyIntegration = `SELECT ` + integrationColumns + ` FROM enlace.integrations
		WHERE (tenant, id) > ($1, $2) ORDER BY tenant, id LIMIT $3`

	updateIntegration = `UPDATE enlace.integrations
		SET provider = $3, name = $4, settings = $5, features = $6, base_url = $7, enabled = $8,
		status = $9, status_reason = $10, version = version + 1, created_at = $11, updated_at = $12
		WHERE tenant = $1 AND id = $2 AND version = $13`

	deleteIntegration = `DELETE FROM enlace.integrations WHERE tenant = $1 AND id = $2 AND version = $3`
)

// integrationValues are the first twelve parameters of an insertion or an update.
func integrationValues(in enlace.Integration) []any {
	return []any{in.Tenant, in.ID, in.Provider, in.Name, toJSON(in.Settings), toJSON(in.Features), in.BaseURL, in.Enabled,
		string(in.Status), clean(in.StatusReason), instant(in.CreatedAt), instant(in.UpdatedAt)}
}

// CreateIntegration implements [enlace.IntegrationStore].
func (s *Store) CreateIntegration(ctx context.Context, in enlace.Integration) error {
	created, err := s.exec(ctx, "create integration", insertIntegration, integrationValues(in)...)
	if err == nil && created == 0 {
		return enlace.ErrConflict
	}
	return err
}

// Integration implements [enlace.IntegrationStore].
func (s *Store) Integration(ctx context.Context, ref enlace.Ref) (enlace.Integration, error) {
	var in enlace.Integration
	err := s.row(ctx, "integration", integrationDest(&in), selectIntegration, ref.Tenant, ref.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return enlace.Integration{}, enlace.ErrNotFound
	}
	return in, err
}

// Integrations implements [enlace.IntegrationStore].
func (s *Store) Integrations(ctx context.Context, q enlace.IntegrationQuery) ([]enlace.Integration, string, error) {
	after := ""
	if q.Cursor != "" {
		var err error
		if after, err = page.Decode(integrationList, q.Cursor); err != nil {
			return nil, "", err
		}
	}
	size := page.Size(q.Limit)
	query, args := listIntegrations, []any{q.Tenant, after, size + 1}
	if q.Provider != "" {
		query, args = listIntegrationsOfProvider, []any{q.Tenant, q.Provider, after, size + 1}
	}
	rows, err := selectAll(ctx, s, "integrations", scanIntegration, query, args...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, integrationList, func(in enlace.Integration) string { return in.ID })
	return rows, next, nil
}

// EveryIntegration implements [enlace.HealthStore].
func (s *Store) EveryIntegration(ctx context.Context, after enlace.Ref, limit int) ([]enlace.Integration, error) {
	return selectAll(ctx, s, "every integration", scanIntegration, everyIntegration, after.Tenant, after.ID, limit)
}

// UpdateIntegration implements [enlace.IntegrationStore].
func (s *Store) UpdateIntegration(ctx context.Context, in enlace.Integration) error {
	updated, err := s.exec(ctx, "update integration", updateIntegration, append(integrationValues(in), in.Version)...)
	if err == nil && updated == 0 {
		return s.missingOrChanged(ctx, in.Ref)
	}
	return err
}

// DeleteIntegration implements [enlace.IntegrationStore].
func (s *Store) DeleteIntegration(ctx context.Context, ref enlace.Ref, version int64) error {
	deleted, err := s.exec(ctx, "delete integration", deleteIntegration, ref.Tenant, ref.ID, version)
	if err == nil && deleted == 0 {
		return s.missingOrChanged(ctx, ref)
	}
	return err
}

// missingOrChanged says why no row had the expected version.
func (s *Store) missingOrChanged(ctx context.Context, ref enlace.Ref) error {
	if _, err := s.Integration(ctx, ref); err != nil {
		return err
	}
	return enlace.ErrConflict
}

func integrationDest(in *enlace.Integration) []any {
	return []any{&in.Tenant, &in.ID, &in.Provider, &in.Name, &in.Settings, &in.Features, &in.BaseURL, &in.Enabled,
		&in.Status, &in.StatusReason, &in.Version, asTime{&in.CreatedAt}, asTime{&in.UpdatedAt}}
}

func scanIntegration(row scanner) (enlace.Integration, error) {
	var in enlace.Integration
	err := row.Scan(integrationDest(&in)...)
	return in, err
}
