package enlace_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

// unreliable is a provider that is down at times, and counts who tries.
type unreliable struct {
	*fake.Provider
	down  bool
	tries int
}

func (u *unreliable) RoundTrip(r *http.Request) (*http.Response, error) {
	u.tries++
	if u.down {
		return nil, &net.OpError{Op: "dial", Err: errors.New("unreachable")}
	}
	return u.Provider.RoundTrip(r)
}

// breakerChanges is an observer that keeps whether breakers opened.
func breakerChanges(all *[]bool) enlace.Observer {
	return func(_ context.Context, o enlace.Observation) {
		if o, ok := o.(enlace.BreakerChanged); ok && o.Provider == fake.Name && o.Operation == "push" {
			*all = append(*all, o.Open)
		}
	}
}

func TestBreakersHoldInEveryProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &unreliable{Provider: fake.New(fake.Options{}), down: true}
		var cfg enlace.Config
		var told [2][]bool
		d := newDesk(t, p.Provider, func(c *enlace.Config) {
			c.Transport, c.Observer = p, breakerChanges(&told[0])
			cfg = *c
		})
		cfg.Observer = breakerChanges(&told[1])
		other, err := enlace.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		one := d.service
		push := func(s *enlace.Service, id string) enlace.PushResults {
			t.Helper()
			d.service = s
			d.set(id, map[string]any{"name": id})
			return d.mustPush(t)
		}
		for i := range 5 {
			push(one, string(rune('a'+i)))
		}
		if !slices.Equal(told[0], []bool{true}) {
			t.Fatalf("told %v after five failures", told[0])
		}
		time.Sleep(2 * time.Second)
		p.tries = 0
		if push(other, "f"); p.tries != 0 {
			t.Errorf("the other process tried %d times", p.tries)
		}
		// After the rest, one of them tries again, and what it finds holds for both.
		time.Sleep(10 * time.Second)
		if push(other, "g"); p.tries == 0 {
			t.Error("nobody tries again")
		}
		time.Sleep(2 * time.Second)
		p.tries = 0
		if push(one, "h"); p.tries != 0 {
			t.Errorf("the first process tried %d times during the longer rest", p.tries)
		}
		p.down = false
		time.Sleep(20 * time.Second)
		if got := push(other, "i"); got.Created == 0 {
			t.Errorf("after the end of the outage: %+v", got)
		}
		time.Sleep(2 * time.Second)
		if got := push(one, "j"); got.Created == 0 {
			t.Errorf("in the first process: %+v", got)
		}
		if !slices.Equal(told[0], []bool{true}) || !slices.Equal(told[1], []bool{false}) {
			t.Errorf("told %v and %v", told[0], told[1])
		}
		text := httptest.NewRecorder()
		one.MetricsHandler().ServeHTTP(text, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if !strings.Contains(text.Body.String(), `enlace_breaker_opened_total{provider="fake"} 1`) {
			t.Errorf("not counted:\n%s", text.Body.String())
		}
	})
}

// A tenant is told of its own open breakers, whatever process has opened them.
func TestOpenBreakersOfATenant(t *testing.T) {
	d := newDesk(t, fake.New(fake.Options{}))
	for _, tenant := range []string{"acme", "other"} {
		name := enlace.BreakerName{Ref: enlace.Ref{Tenant: tenant, ID: "i1"}, Operation: "push"}
		if err := d.store.SaveBreaker(t.Context(), enlace.OpenBreaker{BreakerName: name, Rest: time.Minute, Left: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	open, err := d.service.OpenBreakers(t.Context(), "acme")
	if err != nil || len(open) != 1 || open[0].Ref.Tenant != "acme" || open[0].Operation != "push" {
		t.Errorf("%+v, %v", open, err)
	}
}
