package enlace_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

// faultScripts is how many random scripts are run: ENLACE_FAULT_SCRIPTS, or 150.
// The long run is
//
//	ENLACE_FAULT_SCRIPTS=10000 go test -run TestFaultScripts .
func faultScripts(t *testing.T) int {
	text := os.Getenv("ENLACE_FAULT_SCRIPTS")
	if text == "" {
		return 150
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Each script changes rows at the host and lets the provider fail in random ways,
// with and without idempotency keys, run after run. Nothing is ever created twice,
// and when the faults stop, both sides come to be the same.
func TestFaultScripts(t *testing.T) {
	for seed := range faultScripts(t) {
		for _, keys := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) { faultScript(t, uint64(seed), keys) })
		}
	}
}

func faultScript(t *testing.T, seed uint64, keys bool) {
	defer func() {
		if t.Failed() {
			t.Logf("script %d, keys %v", seed, keys)
		}
	}()
	random := rand.New(rand.NewPCG(seed, 7))
	p := fake.New(fake.Options{IgnoreKeys: !keys, Latency: 20 * time.Millisecond})
	store := &unsteadyStore{random: random}
	d := newDesk(t, p, func(c *enlace.Config) {
		store.Store, c.Store, c.Credentials = c.Store, store, c.Store
	})
	if random.IntN(3) == 0 {
		store.oneIn = 15
	}
	for round := range 6 {
		for range 1 + random.IntN(8) {
			id := fmt.Sprint("c", random.IntN(12))
			switch {
			case random.IntN(6) == 0 && d.rows[id] != nil && !d.rows[id].deleted:
				d.remove(id)
			default:
				d.set(id, map[string]any{"name": id, "email": fmt.Sprint(round, "-", random.IntN(100))})
			}
		}
		for range random.IntN(4) {
			p.Fail(randomFailure(random))
		}
		ctx, cancel := t.Context(), func() {}
		if random.IntN(4) == 0 { // the caller leaves in the middle
			ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(100))*time.Millisecond)
		}
		_, _ = d.service.Sync(ctx, d.ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: d, Tries: 100})
		cancel()
		time.Sleep(time.Duration(random.IntN(60)) * time.Second)
		p.Heal()
		checkUnique(t, p)
	}
	store.oneIn = 0 // the faults have stopped
	for range 3 {
		time.Sleep(10 * time.Minute) // every breaker has had its rest
		if _, err := d.push(t); err != nil {
			t.Fatalf("after the faults: %v", err)
		}
		d.run(t, time.Minute)
	}
	inDoubt := map[string]bool{}
	letters, _, err := d.service.DeadLetters(t.Context(), enlace.OutgoingQuery{Tenant: "acme", States: []enlace.OutgoingState{
		enlace.OutgoingQueued, enlace.OutgoingFailing, enlace.OutgoingDead, enlace.OutgoingInDoubt}})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		// A person's. With keys that is only a create that was refused when it was
		// repeated, although it may have happened at first.
		if l.State != enlace.OutgoingInDoubt || (keys && !strings.Contains(l.Error, "planned failure")) {
			t.Errorf("%s is left as %s: %s", l.LocalID, l.State, l.Error)
		}
		inDoubt[l.LocalID] = true
	}
	now := checkUnique(t, p)
	for id, row := range d.rows {
		remote, exists := now[id]
		switch {
		case inDoubt[id]: // a person's
		case row.deleted && exists:
			t.Errorf("%s is deleted at the host and there at the provider", id)
		case !row.deleted && (!exists || remote["email"] != row.fields["email"]):
			t.Errorf("%s is %v at the host and %v at the provider", id, row.fields, remote)
		case row.dirty:
			t.Errorf("%s was never accepted", id)
		}
	}
}

// unsteadyStore loses one in so many transactions, before or after their commit.
type unsteadyStore struct {
	enlace.Store
	mu     sync.Mutex
	random *rand.Rand
	oneIn  int // 0 loses none
}

var errUnsteady = errors.New("the database is not there")

// Transact implements enlace.Transactor.
func (s *unsteadyStore) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	s.mu.Lock()
	lost, committed := s.oneIn > 0 && s.random.IntN(s.oneIn) == 0, s.random.IntN(2) == 0
	s.mu.Unlock()
	if lost && !committed {
		return errUnsteady
	}
	err := s.Store.Transact(ctx, fn)
	if err == nil && lost {
		err = errUnsteady // it is committed, and nobody knows
	}
	return err
}

// checkUnique demands that no record of the host's is there twice.
func checkUnique(t *testing.T, p *fake.Provider) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, f := range snapshot(t, p) {
		name := fmt.Sprint(f["name"])
		if all[name] != nil {
			t.Errorf("%s was created twice: %v and %v", name, all[name], f)
		}
		all[name] = f
	}
	return all
}

func randomFailure(random *rand.Rand) fake.Failure {
	ops := []fake.Op{"", fake.OpBatch, fake.OpBatch, fake.OpCreate, fake.OpUpdate, fake.OpFetch}
	kinds := []fake.FailureKind{fake.Refusal, fake.Truncated, fake.HTML, fake.Reset, fake.Hang, fake.Unreachable}
	f := fake.Failure{Op: ops[random.IntN(len(ops))], Kind: kinds[random.IntN(len(kinds))], After: random.IntN(3),
		Times: 1 + random.IntN(4), Effect: random.IntN(2) == 0}
	if f.Kind == fake.Refusal {
		f.Status = []int{429, 500, 502, 503, 422, 409, 403}[random.IntN(7)]
		if f.Status < 500 {
			f.Effect = false // a refusal that is one
		}
		if random.IntN(3) == 0 {
			f.Item = 1 + random.IntN(5)
		}
	}
	return f
}
