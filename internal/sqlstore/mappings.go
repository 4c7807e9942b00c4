package sqlstore

import (
	"context"
	"encoding/json"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	mappingList = "mappings"

	mappingColumns = `tenant, integration, entity, number, state, document, version, created_at, updated_at`

	// That an entity has one active version at most is a unique index too.
	insertMapping = `INSERT INTO enlace.mappings (` + mappingColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, 1, {now}, {now})
		ON CONFLICT DO NOTHING`

	selectMapping = `SELECT ` + mappingColumns + ` FROM enlace.mappings
		WHERE tenant = ? AND integration = ? AND entity = ? AND number = ?`

	selectActiveMapping = `SELECT ` + mappingColumns + ` FROM enlace.mappings
		WHERE tenant = ? AND integration = ? AND entity = ? AND state = 'active'`

	listMappings = `SELECT ` + mappingColumns + ` FROM enlace.mappings
		WHERE tenant = ? AND integration = ? AND (entity > ? OR entity = ? AND number < ?)
		ORDER BY entity, number DESC LIMIT ?`

	listMappingsOfEntity = `SELECT ` + mappingColumns + ` FROM enlace.mappings
		WHERE tenant = ? AND integration = ? AND entity = ? AND number < ?
		ORDER BY number DESC LIMIT ?`

	updateMapping = `UPDATE enlace.mappings AS m
		SET state = ?, document = ?, version = version + 1, updated_at = {now}
		WHERE tenant = ? AND integration = ? AND entity = ? AND number = ? AND version = ?
		AND NOT EXISTS (SELECT 1 FROM enlace.mappings AS other
			WHERE other.tenant = m.tenant AND other.integration = m.integration AND other.entity = m.entity
			AND other.state = 'active' AND other.number <> m.number AND ? = 'active')`

	deleteMappings = `DELETE FROM enlace.mappings WHERE tenant = ? AND integration = ?`
)

// CreateMapping implements [enlace.MappingStore].
func (s *Store) CreateMapping(ctx context.Context, v enlace.MappingVersion) error {
	created, err := s.exec(ctx, "create mapping", insertMapping, v.Tenant, v.ID, v.Entity, v.Number, string(v.State), string(v.Document))
	if err == nil && created == 0 {
		return enlace.ErrConflict
	}
	return err
}

// Mapping implements [enlace.MappingStore].
func (s *Store) Mapping(ctx context.Context, key enlace.MappingKey) (enlace.MappingVersion, error) {
	return s.mapping(ctx, "mapping", selectMapping, key.Tenant, key.ID, key.Entity, key.Number)
}

// ActiveMapping implements [enlace.MappingStore].
func (s *Store) ActiveMapping(ctx context.Context, ref enlace.Ref, entity string) (enlace.MappingVersion, error) {
	return s.mapping(ctx, "active mapping", selectActiveMapping, ref.Tenant, ref.ID, entity)
}

func (s *Store) mapping(ctx context.Context, op, query string, args ...any) (enlace.MappingVersion, error) {
	v, found, err := selectOne(ctx, s, op, scanMapping, query, args...)
	if err == nil && !found {
		err = enlace.ErrNotFound
	}
	return v, err
}

// Mappings implements [enlace.MappingStore].
func (s *Store) Mappings(ctx context.Context, q enlace.MappingQuery) ([]enlace.MappingVersion, string, error) {
	after, err := page.MappingAfter(mappingList, q)
	if err != nil {
		return nil, "", err
	}
	size := page.Size(q.Limit)
	query, args := listMappings, []any{q.Tenant, q.ID, after.Entity, after.Entity, after.Number, size + 1}
	if q.Entity != "" {
		query, args = listMappingsOfEntity, []any{q.Tenant, q.ID, q.Entity, after.Number, size + 1}
	}
	rows, err := selectAll(ctx, s, "mappings", scanMapping, query, args...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, mappingList, page.MappingPosition)
	return rows, next, nil
}

// UpdateMapping implements [enlace.MappingStore].
func (s *Store) UpdateMapping(ctx context.Context, v enlace.MappingVersion) error {
	changed, err := s.exec(ctx, "update mapping", updateMapping, string(v.State), string(v.Document),
		v.Tenant, v.ID, v.Entity, v.Number, v.Version, string(v.State))
	if err != nil || changed > 0 {
		return err
	}
	if _, err := s.Mapping(ctx, v.Key()); err != nil {
		return err
	}
	return enlace.ErrConflict
}

// DeleteMappings implements [enlace.MappingStore].
func (s *Store) DeleteMappings(ctx context.Context, ref enlace.Ref) error {
	_, err := s.exec(ctx, "delete mappings", deleteMappings, ref.Tenant, ref.ID)
	return err
}

func scanMapping(row Row) (v enlace.MappingVersion, err error) {
	var state, document string
	err = row.Scan(&v.Tenant, &v.ID, &v.Entity, &v.Number, &state, &document, &v.Version, instant{&v.CreatedAt}, instant{&v.UpdatedAt})
	v.State, v.Document = enlace.MappingState(state), json.RawMessage(document)
	return v, err
}
