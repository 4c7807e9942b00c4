package memory

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

type openBreaker struct {
	rest  time.Duration
	until time.Time
}

// OpenBreakers implements [enlace.BreakerStore].
func (s *Store) OpenBreakers(ctx context.Context, limit int) ([]enlace.OpenBreaker, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var open []enlace.OpenBreaker
	for name, b := range s.breakers.all() {
		if len(open) < limit {
			open = append(open, enlace.OpenBreaker{BreakerName: name, Rest: b.rest, Left: b.until.Sub(now())})
		}
	}
	return open, nil
}

// SaveBreaker implements [enlace.BreakerStore].
func (s *Store) SaveBreaker(ctx context.Context, b enlace.OpenBreaker) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	s.breakers.set(s.undo, b.BreakerName, openBreaker{b.Rest, now().Add(b.Left)})
	return nil
}

// ClaimProbe implements [enlace.BreakerStore].
func (s *Store) ClaimProbe(ctx context.Context, name enlace.BreakerName, rest time.Duration) (bool, error) {
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	defer s.end(ctx)
	b, open := s.breakers.get(name)
	if !open || b.until.After(now()) {
		return false, nil
	}
	s.breakers.set(s.undo, name, openBreaker{b.rest, now().Add(rest)})
	return true, nil
}

// CloseBreaker implements [enlace.BreakerStore].
func (s *Store) CloseBreaker(ctx context.Context, name enlace.BreakerName) error {
	return s.removeBreakers(ctx, func(other enlace.BreakerName) bool { return other == name })
}

// DeleteBreakers implements [enlace.BreakerStore].
func (s *Store) DeleteBreakers(ctx context.Context, ref enlace.Ref) error {
	return s.removeBreakers(ctx, func(name enlace.BreakerName) bool { return name.Ref == ref })
}

func (s *Store) removeBreakers(ctx context.Context, which func(enlace.BreakerName) bool) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for name := range s.breakers.all() {
		if which(name) {
			s.breakers.delete(s.undo, name)
		}
	}
	return nil
}
