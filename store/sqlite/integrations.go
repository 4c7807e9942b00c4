package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	integrationList = "integrations"

	integrationColumns = `tenant, id, provider, name, settings, features, base_url, enabled,
		status, status_reason, version, created_at, updated_at`

	insertIntegration = `INSERT INTO enlace_integrations (` + integrationColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)
		ON CONFLICT (tenant, id) DO NOTHING`

	selectIntegration = `SELECT ` + integrationColumns + ` FROM enlace_integrations
		WHERE tenant = ? AND id = ?`

	listIntegrations = `SELECT ` + integrationColumns + ` FROM enlace_integrations
		WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?`

	listIntegrationsOfProvider = `SELECT ` + integrationColumns + ` FROM enlace_integrations
		WHERE tenant = ? AND provider = ? AND id > ? ORDER BY id LIMIT ?`

	everyIntegration = `SELECT ` + integrationColumns + ` FROM enlace_integrations
		WHERE (tenant, id) > (?, ?) ORDER BY tenant, id LIMIT ?`

	updateIntegration = `UPDATE enlace_integrations
		SET provider = ?, name = ?, settings = ?, features = ?, base_url = ?, enabled = ?,
		status = ?, status_reason = ?, version = version + 1, created_at = ?, updated_at = ?
		WHERE tenant = ? AND id = ? AND version = ?`

	deleteIntegration = `DELETE FROM enlace_integrations WHERE tenant = ? AND id = ? AND version = ?`
)

// CreateIntegration implements [enlace.IntegrationStore].
func (s *Store) CreateIntegration(ctx context.Context, in enlace.Integration) error {
	created, err := s.exec(ctx, "create integration", insertIntegration, in.Tenant, in.ID, in.Provider, in.Name,
		toJSON(in.Settings), toJSON(in.Features), in.BaseURL, in.Enabled, string(in.Status), in.StatusReason,
		in.CreatedAt.UnixMicro(), in.UpdatedAt.UnixMicro())
	if err == nil && created == 0 {
		return enlace.ErrConflict
	}
	return err
}

// Integration implements [enlace.IntegrationStore].
func (s *Store) Integration(ctx context.Context, ref enlace.Ref) (enlace.Integration, error) {
	in, err := scanIntegration(s.reader(ctx).QueryRowContext(ctx, selectIntegration, ref.Tenant, ref.ID))
	if errors.Is(err, sql.ErrNoRows) {
		return enlace.Integration{}, enlace.ErrNotFound
	}
	return in, failed("integration", err)
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
	rows, err := selectAll(ctx, s.reader(ctx), "integrations", scanIntegration, query, args...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, integrationList, func(in enlace.Integration) string { return in.ID })
	return rows, next, nil
}

// EveryIntegration implements [enlace.HealthStore].
func (s *Store) EveryIntegration(ctx context.Context, after enlace.Ref, limit int) ([]enlace.Integration, error) {
	return selectAll(ctx, s.reader(ctx), "every integration", scanIntegration, everyIntegration, after.Tenant, after.ID, limit)
}

// UpdateIntegration implements [enlace.IntegrationStore].
func (s *Store) UpdateIntegration(ctx context.Context, in enlace.Integration) error {
	updated, err := s.exec(ctx, "update integration", updateIntegration, in.Provider, in.Name,
		toJSON(in.Settings), toJSON(in.Features), in.BaseURL, in.Enabled, string(in.Status), in.StatusReason,
		in.CreatedAt.UnixMicro(), in.UpdatedAt.UnixMicro(), in.Tenant, in.ID, in.Version)
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

func scanIntegration(row scanner) (enlace.Integration, error) {
	var in enlace.Integration
	err := row.Scan(&in.Tenant, &in.ID, &in.Provider, &in.Name, asJSON{&in.Settings}, asJSON{&in.Features},
		&in.BaseURL, &in.Enabled, &in.Status, &in.StatusReason, &in.Version, asTime{&in.CreatedAt}, asTime{&in.UpdatedAt})
	return in, err
}
