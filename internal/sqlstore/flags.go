package sqlstore

import (
	"context"

	"github.com/enlace-go/enlace"
)

const (
	selectFlags = `SELECT flag, tenant, provider, integration, entity, enabled, reason, set_by, updated_at FROM enlace.flags
		ORDER BY flag, tenant, provider, integration, entity`

	setFlag = `INSERT INTO enlace.flags (flag, tenant, provider, integration, entity, enabled, reason, set_by, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (flag, tenant, provider, integration, entity) DO UPDATE
		SET enabled = excluded.enabled, reason = excluded.reason, set_by = excluded.set_by, updated_at = excluded.updated_at`

	deleteFlag = `DELETE FROM enlace.flags WHERE flag = ? AND tenant = ? AND provider = ? AND integration = ? AND entity = ?`
)

// FlagRules implements [enlace.FlagStore].
func (s *Store) FlagRules(ctx context.Context) ([]enlace.FlagRule, error) {
	scan := func(row Row) (enlace.FlagRule, error) {
		var r enlace.FlagRule
		err := row.Scan(&r.Flag, &r.Target.Tenant, &r.Target.Provider, &r.Target.Integration, &r.Target.Entity, &r.Enabled,
			&r.Reason, &r.SetBy, instant{&r.UpdatedAt})
		return r, err
	}
	return selectAll(ctx, s, "flag rules", scan, selectFlags)
}

// SetFlagRule implements [enlace.FlagStore].
func (s *Store) SetFlagRule(ctx context.Context, r enlace.FlagRule) error {
	_, err := s.exec(ctx, "set flag", setFlag, string(r.Flag), r.Target.Tenant, r.Target.Provider, r.Target.Integration, r.Target.Entity,
		r.Enabled, r.Reason, r.SetBy, r.UpdatedAt.UnixMicro())
	return err
}

// DeleteFlagRule implements [enlace.FlagStore].
func (s *Store) DeleteFlagRule(ctx context.Context, flag enlace.Flag, target enlace.FlagTarget) error {
	deleted, err := s.exec(ctx, "delete flag", deleteFlag, string(flag), target.Tenant, target.Provider, target.Integration, target.Entity)
	if err == nil && deleted == 0 {
		return enlace.ErrNotFound
	}
	return err
}
