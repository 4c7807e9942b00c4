package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/enlace-go/enlace"
)

type flagKey struct {
	flag   enlace.Flag
	target enlace.FlagTarget
}

// FlagRules implements [enlace.FlagStore].
func (s *Store) FlagRules(ctx context.Context) ([]enlace.FlagRule, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var rules []enlace.FlagRule
	for _, r := range s.flags.all() {
		rules = append(rules, r)
	}
	slices.SortFunc(rules, func(a, b enlace.FlagRule) int {
		return cmp.Or(cmp.Compare(a.Flag, b.Flag), cmp.Compare(a.Target.Tenant, b.Target.Tenant), cmp.Compare(a.Target.Provider, b.Target.Provider),
			cmp.Compare(a.Target.Integration, b.Target.Integration), cmp.Compare(a.Target.Entity, b.Target.Entity))
	})
	return rules, nil
}

// SetFlagRule implements [enlace.FlagStore].
func (s *Store) SetFlagRule(ctx context.Context, r enlace.FlagRule) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	r.UpdatedAt = instant(r.UpdatedAt)
	s.flags.set(s.undo, flagKey{r.Flag, r.Target}, r)
	return nil
}

// DeleteFlagRule implements [enlace.FlagStore].
func (s *Store) DeleteFlagRule(ctx context.Context, flag enlace.Flag, target enlace.FlagTarget) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if _, exists := s.flags.get(flagKey{flag, target}); !exists {
		return enlace.ErrNotFound
	}
	s.flags.delete(s.undo, flagKey{flag, target})
	return nil
}
