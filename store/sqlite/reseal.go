package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/enlace-go/enlace"
)

const (
	// The order is that of the primary key, so a sweep is one walk through it.
	selectNotSealedBy = `SELECT tenant, integration, name, data, key_id, version, updated_at FROM enlace_credentials
		WHERE (tenant, integration, name) > (?, ?, ?) AND key_id <> ? AND data IS NOT NULL
		ORDER BY tenant, integration, name LIMIT ?`

	resealCredential = `UPDATE enlace_credentials
		SET data = ?, key_id = ?, version = version + 1, updated_at = ` + now + `
		WHERE tenant = ? AND integration = ? AND name = ? AND version = ? AND data IS NOT NULL AND lease_until <= ` + now

	// A first save finds no row and inserts it; both are one statement, so that of
	// two first saves one comes to nothing.
	saveKeyring = `INSERT INTO enlace_keyring (id, data, version) SELECT 1, ?1, 1 WHERE ?2 = 0
		ON CONFLICT (id) DO NOTHING`
	updateKeyring = `UPDATE enlace_keyring SET data = ?1, version = version + 1 WHERE id = 1 AND version = ?2`
)

// CredentialsNotSealedBy implements [enlace.CredentialResealer].
func (s *Store) CredentialsNotSealedBy(ctx context.Context, keyID uint64, after enlace.CredentialKey, limit int) ([]enlace.StoredCredential, error) {
	scan := func(row scanner) (enlace.StoredCredential, error) {
		var v enlace.StoredCredential
		var columns sealedColumns
		if err := row.Scan(append([]any{&v.Tenant, &v.ID, &v.Name}, columns.columns()...)...); err != nil {
			return v, err
		}
		v.Sealed = *columns.sealed()
		return v, nil
	}
	return selectAll(ctx, s.reader(ctx), "list sealed credentials", scan, selectNotSealedBy,
		after.Tenant, after.ID, after.Name, int64(keyID), max(limit, 0))
}

// ResealCredentials implements [enlace.CredentialResealer], in one transaction.
func (s *Store) ResealCredentials(ctx context.Context, values []enlace.StoredCredential) (replaced int, err error) {
	const op = "reseal credentials"
	err = s.Transact(ctx, func(ctx context.Context) error {
		tx, _ := s.Tx(ctx)
		update, err := tx.PrepareContext(ctx, resealCredential)
		if err != nil {
			return failed(op, err)
		}
		defer update.Close()
		for _, v := range values {
			result, err := update.ExecContext(ctx, v.Data, int64(v.KeyID), v.Tenant, v.ID, v.Name, v.Version)
			if err != nil {
				return failed(op, err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return failed(op, err)
			}
			replaced += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return replaced, nil
}

// LoadKeyring implements [enlace.KeyringStore].
func (s *Store) LoadKeyring(ctx context.Context) (enlace.KeyringRecord, error) {
	var r enlace.KeyringRecord
	err := s.reader(ctx).QueryRowContext(ctx, `SELECT data, version FROM enlace_keyring WHERE id = 1`).Scan(&r.Data, &r.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return enlace.KeyringRecord{}, nil
	}
	return r, failed("load keyring", err)
}

// SaveKeyring implements [enlace.KeyringStore].
func (s *Store) SaveKeyring(ctx context.Context, r enlace.KeyringRecord) error {
	statement := updateKeyring
	if r.Version == 0 {
		statement = saveKeyring
	}
	changed, err := s.exec(ctx, "save keyring", statement, r.Data, r.Version)
	if err == nil && changed == 0 {
		return enlace.ErrConflict
	}
	return err
}
