package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// limited is the adapter of a provider that publishes its limit.
type limited struct{}

const limitedRate, limitedBurst = 50, 10

func (limited) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "limited", Title: "Limited", Version: "1.0.0", BaseURL: "https://limited.example.com/",
		Auth:     []enlace.AuthScheme{enlace.APIKey{Place: enlace.Placement{Header: "X-Key"}}},
		Entities: []enlace.Entity{{Name: "things", Operations: []enlace.Operation{enlace.OpRead}}},
		Limits:   enlace.Limits{PerSecond: limitedRate, Burst: limitedBurst}}
}

func (limited) Pull(ctx context.Context, c *enlace.Conn, _ enlace.PullRequest) (enlace.Page, error) {
	return enlace.Page{Done: true}, c.Do(ctx, enlace.Call{Path: "things"}, nil)
}

// spender calls the provider from e.Number goroutines for e.Lasting.
func spender(ctx context.Context, e environment) error {
	c, err := e.service.Conn(ctx, e.Ref)
	if err != nil {
		return err
	}
	if err := report("ready"); err != nil {
		return err
	}
	var failed atomic.Int64
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer time.AfterFunc(e.Lasting, cancel).Stop()
	for range e.Number {
		all.Go(func() {
			for ctx.Err() == nil {
				if c.Do(ctx, enlace.Call{Path: "things"}, nil) != nil && ctx.Err() == nil {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if err := report(failed.Load()); err != nil {
		return err
	}
	return e.store.Close()
}

// Four processes of 64 goroutines each spend one limit and never more than it. With
// ENLACE_E2E_QUOTA, such as 60s, they do so for that long, on a machine that has
// nothing else to do, and then they must have used 95% of it.
func TestOneLimitForAllProcesses(t *testing.T) {
	lasting, long := 2*time.Second, os.Getenv("ENLACE_E2E_QUOTA")
	if long != "" {
		var err error
		if lasting, err = time.ParseDuration(long); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var arrivals []time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		arrivals = append(arrivals, time.Now())
		mu.Unlock()
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	e := environment{Store: "postgres", Address: stores["postgres"].prepare(t), Lease: 15 * time.Second, Key: enlace.GenerateKey().Reveal(),
		Number: 64, Lasting: lasting}
	if err := e.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.store.Close() })
	in, err := e.service.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "limited", Settings: map[string]string{"apiUrl": server.URL + "/"},
		Credential: &enlace.Credential{Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("k")}}})
	if err != nil {
		t.Fatal(err)
	}
	e.Ref = in.Ref
	began := time.Now()
	var children []*child
	for range 4 {
		children = append(children, e.start(t, "spender"))
	}
	ready := began
	for _, c := range children {
		var text string
		c.line(&text)
		ready = time.Now()
	}
	for _, c := range children {
		var failed int
		if c.line(&failed); failed > 0 {
			t.Errorf("%d calls failed", failed)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	last, end, used := arrivals[len(arrivals)-1], ready.Add(lasting-100*time.Millisecond), 0
	for _, at := range arrivals {
		if at.After(ready) && at.Before(end) {
			used++
		}
	}
	most, all := last.Sub(began).Seconds()*limitedRate+limitedBurst, end.Sub(ready).Seconds()*limitedRate
	t.Logf("%d requests in %v, %.0f at most; %d while all processes were there, %.1f%% of the limit", len(arrivals), last.Sub(began), most, used, 100*float64(used)/all)
	if float64(len(arrivals)) > most {
		t.Errorf("%d requests, want %.0f at most", len(arrivals), most)
	}
	if used == 0 || (long != "" && float64(used) < 0.95*all) {
		t.Errorf("%d requests while all processes were there, want 95%% of %.0f", used, all)
	}
}
