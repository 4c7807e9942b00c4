package enlace

import (
	"context"
	"sync"
	"time"
)

const (
	// revealInterval is how long one audit entry stands for all reveals of a
	// credential to the same actor: a host may ask before each of its requests.
	revealInterval = time.Minute
	maxReveals     = 10_000 // that a process remembers
)

// reveals are the audit entries of credentials that were handed out lately.
type reveals struct {
	mu     sync.Mutex
	recent map[revealKey]*reveal
}

type revealKey struct {
	ref         Ref
	id, address string // of the actor
}

// reveal is an entry on its way, or written.
type reveal struct {
	written chan struct{} // closed when the entry is durable, or failed
	err     error
	until   time.Time // it stands for what is revealed before
}

// auditReveal returns when an entry says that the actor of ctx got the credential.
// Whoever comes while one is written waits for it.
func (s *Service) auditReveal(ctx context.Context, ref Ref) error {
	actor := ActorOf(ctx)
	key := revealKey{ref, actor.ID, actor.Address}
	r, mine := s.reveals.join(key)
	if mine {
		entry := audit("credential.reveal", ref)
		entry.Result = AuditDone
		writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		if r.err = s.RecordAudit(writing, entry); r.err != nil {
			s.reveals.forget(key, r)
		}
		close(r.written)
		return r.err
	}
	select {
	case <-r.written:
		return r.err
	case <-ctx.Done():
		return &Error{Op: "audit", Kind: ErrCanceled, Err: ctx.Err()}
	}
}

// join returns the entry that stands for a reveal now; mine says that the caller
// has to write it.
func (v *reveals) join(key revealKey) (r *reveal, mine bool) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.recent[key]; r != nil && now.Before(r.until) {
		return r, false
	}
	if v.recent == nil || len(v.recent) >= maxReveals {
		v.recent = map[revealKey]*reveal{} // those that are lost cost an entry more
	}
	r = &reveal{written: make(chan struct{}), until: now.Add(revealInterval)}
	v.recent[key] = r
	return r, true
}

func (v *reveals) forget(key revealKey, r *reveal) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.recent[key] == r {
		delete(v.recent, key)
	}
}
