package memory

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

// quotaAccount is what is kept of a quota.
type quotaAccount struct {
	askedAt, next, pausedUntil, slowedAt time.Time // next: time of the first token that nobody has
	slowdown                             enlace.QuotaSlowdown
}

// SharesQuotas implements [enlace.QuotaStore]: there is one process only.
func (s *Store) SharesQuotas() bool { return false }

// TakeQuota implements [enlace.QuotaStore].
func (s *Store) TakeQuota(ctx context.Context, r enlace.QuotaRequest) (enlace.QuotaGrant, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.QuotaGrant{}, err
	}
	defer s.end(ctx)
	at, a := now(), s.quotas.value(r.Key)
	a.askedAt = at
	if r.Pause > 0 {
		a.pausedUntil, r.Tokens = later(a.pausedUntil, at.Add(r.Pause)), 0
	}
	if r.Slowdown.Step > 0 {
		a.slowdown = enlace.QuotaSlowdown{Number: a.slowdown.Number + 1, Step: r.Slowdown.Step, Before: r.Slowdown.Before}
		a.slowedAt = at
	}
	first := later(later(a.next, at.Add(-time.Duration(r.Burst-1)*r.Step)), a.pausedUntil)
	grant := enlace.QuotaGrant{First: first.Sub(at), Pause: max(a.pausedUntil.Sub(at), 0), Slowdown: a.slowdown}
	if within := r.Ahead - grant.First; within >= 0 {
		grant.Tokens = min(r.Tokens, int(within/r.Step)+1)
	}
	if a.slowdown.Number > 0 {
		grant.Slowdown.Age = at.Sub(a.slowedAt)
	}
	a.next = first.Add(time.Duration(grant.Tokens) * r.Step)
	s.quotas.set(s.undo, r.Key, a)
	return grant, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// PruneQuotas implements [enlace.QuotaStore].
func (s *Store) PruneQuotas(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end(ctx)
	removed := 0
	for name, a := range s.quotas.all() {
		if removed < limit && a.askedAt.Before(before) {
			s.quotas.delete(s.undo, name)
			removed++
		}
	}
	return removed, nil
}
