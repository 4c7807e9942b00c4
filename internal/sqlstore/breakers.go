package sqlstore

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	openBreakers = `SELECT tenant, integration, operation, rest, until_at - {now} FROM enlace.breakers LIMIT ?`

	saveBreaker = `INSERT INTO enlace.breakers (tenant, integration, operation, rest, until_at) VALUES (?, ?, ?, ?, {now} + ?)
		ON CONFLICT (tenant, integration, operation) DO UPDATE SET rest = excluded.rest, until_at = excluded.until_at`

	claimProbe = `UPDATE enlace.breakers SET until_at = {now} + ? WHERE tenant = ? AND integration = ? AND operation = ? AND until_at <= {now}`

	closeBreaker = `DELETE FROM enlace.breakers WHERE tenant = ? AND integration = ? AND operation = ?`

	deleteBreakers = `DELETE FROM enlace.breakers WHERE tenant = ? AND integration = ?`
)

// OpenBreakers implements [enlace.BreakerStore].
func (s *Store) OpenBreakers(ctx context.Context, limit int) ([]enlace.OpenBreaker, error) {
	return selectAll(ctx, s, "open breakers", func(row Row) (b enlace.OpenBreaker, err error) {
		var rest, left int64
		err = row.Scan(&b.Ref.Tenant, &b.Ref.ID, &b.Operation, &rest, &left)
		b.Rest, b.Left = fromMicros(rest), fromMicros(left)
		return b, err
	}, openBreakers, limit)
}

// SaveBreaker implements [enlace.BreakerStore].
func (s *Store) SaveBreaker(ctx context.Context, b enlace.OpenBreaker) error {
	_, err := s.exec(ctx, "save breaker", saveBreaker, b.Ref.Tenant, b.Ref.ID, b.Operation, b.Rest.Microseconds(), b.Left.Microseconds())
	return err
}

// ClaimProbe implements [enlace.BreakerStore].
func (s *Store) ClaimProbe(ctx context.Context, name enlace.BreakerName, rest time.Duration) (bool, error) {
	n, err := s.exec(ctx, "claim probe", claimProbe, rest.Microseconds(), name.Ref.Tenant, name.Ref.ID, name.Operation)
	return n > 0, err
}

// CloseBreaker implements [enlace.BreakerStore].
func (s *Store) CloseBreaker(ctx context.Context, name enlace.BreakerName) error {
	_, err := s.exec(ctx, "close breaker", closeBreaker, name.Ref.Tenant, name.Ref.ID, name.Operation)
	return err
}

// DeleteBreakers implements [enlace.BreakerStore].
func (s *Store) DeleteBreakers(ctx context.Context, ref enlace.Ref) error {
	_, err := s.exec(ctx, "delete breakers", deleteBreakers, ref.Tenant, ref.ID)
	return err
}
