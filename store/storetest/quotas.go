package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var quotaChecks = []check{
	{"Burst", quotaBurst},
	{"Ahead", quotaAhead},
	{"Pause", quotaPause},
	{"Slowdown", quotaSlowdown},
	{"Race", quotaRace},
	{"Rollback", quotaRollback},
	{"Prune", quotaPrune},
}

// takeQuota asks a store that is known to have quotas.
func takeQuota(t *testing.T, s enlace.Store, r enlace.QuotaRequest) enlace.QuotaGrant {
	t.Helper()
	g, err := s.(enlace.QuotaStore).TakeQuota(t.Context(), r)
	noError(t, "TakeQuota answers", err)
	return g
}

var errRolledBack = errors.New("rolled back")

// A step is so long that no test outlasts one.
const quotaStep = time.Hour

func hours(r enlace.QuotaRequest) enlace.QuotaRequest {
	r.Key, r.Step = "limit", quotaStep
	return r
}

// near notes a failure unless got is at want, or less by what the test has taken since.
func near(t *testing.T, rule string, got, want time.Duration) {
	t.Helper()
	if got > want || got < want-quotaStep/2 {
		t.Errorf("%s: %v, want %v or a little less", rule, got, want)
	}
}

func quotaBurst(t *testing.T, s enlace.Store) {
	const rule = "after a quiet time there is the burst, and not more"
	g := takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 3, Burst: 5}))
	equal(t, rule, g, enlace.QuotaGrant{Tokens: 3, First: -4 * quotaStep})
	g = takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 9, Burst: 5}))
	equal(t, rule, g.Tokens, 2)
	near(t, "the tokens follow one another", g.First, -quotaStep)
	g = takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 1, Burst: 5}))
	equal(t, rule, g.Tokens, 0)
	near(t, "who gets none is told when there is one", g.First, quotaStep)
	equal(t, "who asks for none gets none", takeQuota(t, s, enlace.QuotaRequest{Key: "other", Burst: 9, Step: quotaStep}).Tokens, 0)
	equal(t, "quotas are apart, and their names case-sensitive", takeQuota(t, s, enlace.QuotaRequest{Key: "Limit", Tokens: 9, Burst: 5, Step: quotaStep}).Tokens, 5)
}

func quotaAhead(t *testing.T, s enlace.Store) {
	const rule = "tokens lie up to Ahead from now"
	g := takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 9, Burst: 1, Ahead: 5 * quotaStep / 2}))
	equal(t, rule, g, enlace.QuotaGrant{Tokens: 3})
	g = takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 9, Burst: 1, Ahead: 9 * quotaStep / 2}))
	equal(t, rule, g.Tokens, 2)
	near(t, rule, g.First, 3*quotaStep)
	// Another rate goes on behind the last token.
	g = takeQuota(t, s, enlace.QuotaRequest{Key: "limit", Tokens: 2, Step: quotaStep / 1000, Burst: 1, Ahead: 6 * quotaStep})
	equal(t, "a changed rate goes on behind the last token", g.Tokens, 2)
	near(t, "a changed rate goes on behind the last token", g.First, 5*quotaStep)
	g = takeQuota(t, s, enlace.QuotaRequest{Key: "limit", Tokens: 1, Step: quotaStep, Burst: 1, Ahead: 6 * quotaStep})
	near(t, "a changed rate counts", g.First, 5*quotaStep+quotaStep/500)
}

func quotaPause(t *testing.T, s enlace.Store) {
	const rule = "no token lies in a pause"
	g := takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 1, Burst: 5, Pause: 3 * quotaStep}))
	equal(t, "with a pause no token is given", g.Tokens, 0)
	near(t, "a pause is told", g.Pause, 3*quotaStep)
	g = takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 9, Burst: 5, Ahead: quotaStep, Pause: quotaStep}))
	near(t, "a pause is not shortened", g.Pause, 3*quotaStep)
	g = takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 1, Burst: 5, Ahead: quotaStep}))
	equal(t, rule, g.Tokens, 0)
	g = takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 1, Burst: 5, Ahead: 10 * quotaStep}))
	equal(t, rule, g.Tokens, 1)
	near(t, rule, g.First, 3*quotaStep)
}

func quotaSlowdown(t *testing.T, s enlace.Store) {
	const rule = "everybody is told of the last slowdown"
	told := enlace.QuotaSlowdown{Step: 7 * time.Second, Before: 5 * time.Second}
	equal(t, "there is none at first", takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 1, Burst: 9})).Slowdown, enlace.QuotaSlowdown{})
	for number := range int64(2) {
		told.Number, told.Age, told.Step = 0, 0, told.Step+time.Second
		g := takeQuota(t, s, hours(enlace.QuotaRequest{Burst: 9, Slowdown: told}))
		told.Number = number + 1
		equal(t, rule, g.Slowdown, told)
		g = takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 1, Burst: 9}))
		near(t, "a slowdown has an age", -g.Slowdown.Age, 0)
		told.Age = g.Slowdown.Age
		equal(t, rule, g.Slowdown, told)
	}
}

// quotaRace has many take small steps at once: whatever the order in which they come,
// the tokens' times are a step apart.
func quotaRace(t *testing.T, s enlace.Store) {
	const rule, step, burst, ahead = "no token is given twice", 10 * time.Millisecond, 5, 20 * time.Millisecond
	var mu sync.Mutex
	total, start := 0, time.Now()
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range 5 {
				g, err := s.(enlace.QuotaStore).TakeQuota(t.Context(), enlace.QuotaRequest{Key: "limit", Tokens: 1 + rand.IntN(3), Step: step, Burst: burst, Ahead: ahead})
				if err != nil {
					t.Errorf("%s: %v", rule, err)
					return
				}
				if last := g.First + time.Duration(g.Tokens-1)*step; g.Tokens > 0 && (g.First < -(burst-1)*step || last > ahead) {
					t.Errorf("a token's time is %v or %v from now", g.First, last)
				}
				mu.Lock()
				total += g.Tokens
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if most := int((time.Since(start)+ahead)/step) + burst + 1; total < burst || total > most {
		t.Errorf("%s: %d, want %d to %d", rule, total, burst, most)
	}
}

func quotaRollback(t *testing.T, s enlace.Store) {
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		_, err := s.(enlace.QuotaStore).TakeQuota(ctx, hours(enlace.QuotaRequest{Tokens: 5, Burst: 5}))
		noError(t, "TakeQuota joins a transaction", err)
		return errRolledBack
	})
	wantError(t, "Transact returns fn's error", err, errRolledBack)
	equal(t, "what is rolled back is not taken", takeQuota(t, s, hours(enlace.QuotaRequest{Tokens: 9, Burst: 5})).Tokens, 5)
}

func quotaPrune(t *testing.T, s enlace.Store) {
	const rule = "PruneQuotas removes quotas that nobody has asked for"
	for _, name := range []string{"a", "b", "c"} {
		takeQuota(t, s, enlace.QuotaRequest{Key: name, Tokens: 1, Step: quotaStep, Burst: 1})
	}
	var removed []int
	for _, before := range []time.Time{time.Now().Add(-time.Hour), time.Now().Add(time.Hour), time.Now().Add(time.Hour)} {
		n, err := s.(enlace.QuotaStore).PruneQuotas(t.Context(), before, 2)
		noError(t, rule, err)
		removed = append(removed, n)
	}
	if !slices.Equal(removed, []int{0, 2, 1}) {
		t.Errorf("%s, up to a limit: %v", rule, removed)
	}
}
