package enlace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"github.com/enlace-go/enlace/internal/transport"
)

// QuotaStore is implemented by stores in which the processes that share them keep
// one account of each rate limit, so that all of them together stay within
// Limits.PerSecond and Limits.Burst of a [Descriptor]. Optional: without it, or
// where SharesQuotas is false, each process keeps to the whole limit by itself.
// Without Limits.PerSecond nothing is taken, in either case.
//
// A process takes tokens for about 150 ms of its demand, one if there is little,
// and tells of pauses that the provider asks for and of rates that it has refused,
// which then hold for all. A process that cannot reach the store spends what it
// has and waits; after ten seconds its requests end with ErrStore. It does not go
// on with a part of the limit, since those who still reach the store may have the
// whole of it.
type QuotaStore interface {
	// SharesQuotas says whether quotas are to be shared. It always gives the same answer.
	SharesQuotas() bool

	// TakeQuota takes tokens, which have times by the store's clock: the first one's
	// is the latest of one Step after the last token that anybody has taken,
	// (Burst-1) Steps ago, and the end of a pause; each next one's is a Step later. It
	// gives those whose times are at most Ahead from now. It is one change: no token
	// is given twice.
	TakeQuota(ctx context.Context, r QuotaRequest) (QuotaGrant, error)

	// PruneQuotas removes up to limit quotas of which nothing was asked since before,
	// and returns how many.
	PruneQuotas(ctx context.Context, before time.Time, limit int) (int, error)
}

// QuotaRequest is what a process asks for and tells of one quota.
type QuotaRequest struct {
	Key    string        // names the quota; it shows no name of an account
	Tokens int           // at most; 0 asks for none
	Step   time.Duration // of the rate; whole microseconds, 1 at least
	Burst  int           // 1 at least
	Ahead  time.Duration // 0 or more
	// Pause keeps everybody from taking tokens for so long from now; it never
	// shortens one that lasts longer. 0 is none. Nothing is asked for with it.
	Pause time.Duration
	// Slowdown replaces the one that is kept; its Number and Age are ignored. The
	// zero value leaves it.
	Slowdown QuotaSlowdown
}

// QuotaGrant is the answer.
type QuotaGrant struct {
	Tokens   int
	First    time.Duration // from now to the time of the first token, or of the first that can be had if Tokens is 0; it may be past
	Pause    time.Duration // what is left of the pause; 0 if there is none
	Slowdown QuotaSlowdown // the last one that was told; zero if there was none
}

// QuotaSlowdown is what a refusal by the provider has led to.
type QuotaSlowdown struct {
	Number int64         // grows with each one that is told
	Step   time.Duration // of the rate at which it went on
	Before time.Duration // of the rate that was refused
	Age    time.Duration
}

// quota is what all connections to the same account share: its rate limit and
// its budgets of run time.
type quota struct {
	gate    *transport.Gate
	clock   clockWatch
	mu      sync.Mutex
	budgets map[string]*Budget
}

// quotaOf returns the quota that an account's requests count against. There are
// few enough of them to keep each for the life of the service.
func (s *Service) quotaOf(d Descriptor, in Integration, host string) *quota {
	limits := d.Limits
	key := d.Name + " " + host
	if !limits.PerHost {
		key += " " + in.Ref.String()
	}
	s.quotasMu.Lock()
	defer s.quotasMu.Unlock()
	q, ok := s.quotas[key]
	if !ok {
		q = &quota{gate: transport.NewGate(0, 0), budgets: map[string]*Budget{}}
		if limits.PerSecond > 0 {
			q.gate = transport.NewGate(limits.PerSecond, max(1, limits.Burst))
			s.shareGate(q.gate, key)
		}
		s.quotas[key] = q
	}
	return q
}

// shareGate joins a gate with those of other processes, if the store does that.
func (s *Service) shareGate(gate *transport.Gate, key string) {
	store, ok := s.store.(QuotaStore)
	if !ok || !store.SharesQuotas() {
		return
	}
	digest := sha256.Sum256([]byte(key)) // an account's name is nobody's business after its end
	name := hex.EncodeToString(digest[:16])
	gate.Share(func(ctx context.Context, a transport.Ask) (transport.Loan, error) {
		grant, err := store.TakeQuota(ctx, QuotaRequest{Key: name, Tokens: a.Tokens, Step: a.Step, Burst: a.Burst, Ahead: a.Ahead, Pause: a.Pause,
			Slowdown: QuotaSlowdown{Step: a.Slowed.Step, Before: a.Slowed.Before}})
		if err != nil {
			s.logger.WarnContext(ctx, "quota not taken", "error", err)
			return transport.Loan{}, ErrStore // alone: what the request may say of it
		}
		slowed := grant.Slowdown
		return transport.Loan{Tokens: grant.Tokens, First: grant.First, Pause: grant.Pause,
			Slowed: transport.Slowdown{Number: slowed.Number, Step: slowed.Step, Before: slowed.Before, Ago: slowed.Age}}, nil
	}, s.background.Go)
}

// quotaLife is how long a quota is kept that nobody asks for. All that it knows is
// over by then.
const quotaLife = 25 * time.Hour

// pruneQuotas removes quotas that nobody asks for any more.
func (s *Service) pruneQuotas(ctx context.Context) error {
	store, ok := s.store.(QuotaStore)
	if !ok || !store.SharesQuotas() {
		return nil
	}
	for {
		n, err := store.PruneQuotas(ctx, time.Now().Add(-quotaLife), pruneSize)
		if err != nil || n < pruneSize {
			return wrap("prune quotas", ErrStore, err)
		}
	}
}
