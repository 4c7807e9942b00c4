package enlace

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// account is what opening a connection needs of an integration, as it is stored.
type account struct {
	integration Integration
	adapter     IntegrationAdapter
	credential  Credential
}

// accountReads has callers who want the same account at the same time share one look into
// the store: ten thousand of them would stand before the one that is to refresh its token.
type accountReads struct {
	mu    sync.Mutex
	going map[Ref]*accountRead // the look that is on its way
}

// accountRead is one look.
type accountRead struct {
	done    chan struct{} // closed when the rest is set
	account account
	err     error
	next    *accountRead // for those who came after it began, and must see what was changed since; nil for nobody
}

func newAccountRead() *accountRead { return &accountRead{done: make(chan struct{})} }

// account reads what is stored at a moment between the call and its return.
func (s *Service) account(ctx context.Context, ref Ref) (account, error) {
	if s.inTransaction(ctx) { // which sees what nobody else does
		return s.readAccount(ctx, ref)
	}
	if err := ctx.Err(); err != nil { // nothing is begun for a caller who has gone
		return account{}, wrap("open", ErrStore, err)
	}
	read := s.joinAccountRead(ctx, ref)
	select {
	case <-read.done:
	case <-ctx.Done():
		return account{}, wrap("open", ErrStore, ctx.Err())
	}
	shared := read.account
	shared.integration.Settings = maps.Clone(shared.integration.Settings)
	shared.integration.Features = slices.Clone(shared.integration.Features)
	return shared, read.err
}

// joinAccountRead returns the next look that begins, and begins it if none is on its way.
func (s *Service) joinAccountRead(ctx context.Context, ref Ref) *accountRead {
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	if going := s.accounts.going[ref]; going != nil {
		if going.next == nil {
			going.next = newAccountRead()
		}
		return going.next
	}
	first := newAccountRead()
	s.accounts.going[ref] = first
	s.background.Go(func() { s.readAccounts(context.WithoutCancel(ctx), ref, first) })
	return first
}

// readAccounts looks until nobody waits for another look.
func (s *Service) readAccounts(ctx context.Context, ref Ref, read *accountRead) {
	for read != nil {
		bounded, cancel := context.WithTimeout(ctx, storeTimeout)
		read.account, read.err = s.readAccount(bounded, ref)
		if bounded.Err() != nil && read.err != nil {
			read.err = &Error{Op: "open", Kind: ErrStore, Outcome: OutcomeNotRun, Message: "the store does not answer"}
		}
		cancel()
		next := s.nextAccountRead(ref, read)
		close(read.done)
		read = next
	}
}

func (s *Service) nextAccountRead(ref Ref, done *accountRead) *accountRead {
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	if done.next == nil {
		delete(s.accounts.going, ref)
	} else {
		s.accounts.going[ref] = done.next
	}
	return done.next
}

func (s *Service) readAccount(ctx context.Context, ref Ref) (account, error) {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return account{}, err
	}
	return s.accountOf(ctx, in)
}

// accountOf reads the rest for an integration that may be used.
func (s *Service) accountOf(ctx context.Context, in Integration) (a account, err error) {
	if !in.Enabled {
		return a, &Error{Provider: in.Provider, Op: "open", Kind: ErrDisabled, Outcome: OutcomeNotRun}
	}
	if err := s.checkFlag(ctx, FlagIntegrations, FlagTarget{Tenant: in.Tenant, Provider: in.Provider, Integration: in.ID}); err != nil {
		return a, err
	}
	a.integration = in
	if a.adapter, err = s.config.Registry.Lookup(in.Provider); err != nil {
		return account{}, err
	}
	a.credential, err = s.safe.Get(ctx, place(in))
	return a, err
}

// inTransaction says whether ctx carries a transaction of the store: without one AfterCommit
// calls at once.
func (s *Service) inTransaction(ctx context.Context) bool {
	inside := true
	s.store.AfterCommit(ctx, func() { inside = false })
	return inside
}
