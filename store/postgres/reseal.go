package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
)

const (
	// The order is that of the primary key, so a sweep is one walk through it.
	selectNotSealedBy = `SELECT tenant, integration, name, data, key_id, version, updated_at FROM enlace.credentials
		WHERE (tenant, integration, name) > ($1, $2, $3) AND key_id <> $4 AND data IS NOT NULL
		ORDER BY tenant, integration, name LIMIT $5`

	resealCredentials = `UPDATE enlace.credentials AS c
		SET data = v.data, key_id = v.key_id, version = c.version + 1, updated_at = clock_timestamp()
		FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::bigint[])
			AS v (tenant, integration, name, version, data, key_id)
		WHERE c.tenant = v.tenant COLLATE "C" AND c.integration = v.integration COLLATE "C" AND c.name = v.name COLLATE "C"
			AND c.version = v.version AND c.data IS NOT NULL AND c.lease_until <= clock_timestamp()`

	insertKeyring = `INSERT INTO enlace.keyring (id, data, version) VALUES (1, $1, 1) ON CONFLICT (id) DO NOTHING`
	updateKeyring = `UPDATE enlace.keyring SET data = $1, version = version + 1 WHERE id = 1 AND version = $2`
)

// CredentialsNotSealedBy implements [enlace.CredentialResealer].
func (s *Store) CredentialsNotSealedBy(ctx context.Context, keyID uint64, after enlace.CredentialKey, limit int) ([]enlace.StoredCredential, error) {
	scan := func(row scanner) (enlace.StoredCredential, error) {
		var v enlace.StoredCredential
		var columns sealedColumns
		if err := row.Scan(append([]any{&v.Tenant, &v.ID, &v.Name}, columns.dest()...)...); err != nil {
			return v, err
		}
		v.Sealed = *columns.sealed()
		return v, nil
	}
	return selectAll(ctx, s, "list sealed credentials", scan, selectNotSealedBy,
		after.Tenant, after.ID, after.Name, int64(keyID), max(limit, 0))
}

// ResealCredentials implements [enlace.CredentialResealer], in one statement.
func (s *Store) ResealCredentials(ctx context.Context, values []enlace.StoredCredential) (int, error) {
	if len(values) == 0 {
		return 0, ctx.Err()
	}
	var tenants, integrations, names []string
	var versions, keyIDs []int64
	var data [][]byte
	for _, v := range values {
		tenants, integrations, names = append(tenants, v.Tenant), append(integrations, v.ID), append(names, v.Name)
		versions, keyIDs, data = append(versions, v.Version), append(keyIDs, int64(v.KeyID)), append(data, v.Data)
	}
	replaced, err := s.exec(ctx, "reseal credentials", resealCredentials, tenants, integrations, names, versions, data, keyIDs)
	return int(replaced), err
}

// LoadKeyring implements [enlace.KeyringStore].
func (s *Store) LoadKeyring(ctx context.Context) (enlace.KeyringRecord, error) {
	var r enlace.KeyringRecord
	err := s.row(ctx, "load keyring", []any{&r.Data, &r.Version}, `SELECT data, version FROM enlace.keyring WHERE id = 1`)
	if errors.Is(err, pgx.ErrNoRows) {
		return enlace.KeyringRecord{}, nil
	}
	return r, err
}

// SaveKeyring implements [enlace.KeyringStore].
func (s *Store) SaveKeyring(ctx context.Context, r enlace.KeyringRecord) error {
	query, args := insertKeyring, []any{r.Data}
	if r.Version != 0 {
		query, args = updateKeyring, append(args, r.Version)
	}
	changed, err := s.exec(ctx, "save keyring", query, args...)
	if err == nil && changed == 0 {
		return enlace.ErrConflict
	}
	return err
}
