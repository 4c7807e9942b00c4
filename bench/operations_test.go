package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
	"github.com/enlace-go/enlace/store/sqlite"
)

// pinged is an adapter whose health check is one request.
type pinged struct{}

func (pinged) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "pinged", Title: "Pinged", Version: "1.0.0", BaseURL: "https://api.example.com/",
		Auth:     []enlace.AuthScheme{enlace.APIKey{Place: enlace.Placement{Header: "X-Key"}}},
		Entities: []enlace.Entity{{Name: "things", Operations: []enlace.Operation{enlace.OpRead}}}}
}

func (pinged) Pull(context.Context, *enlace.Conn, enlace.PullRequest) (enlace.Page, error) {
	return enlace.Page{Done: true}, nil
}

func (pinged) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	return c.Do(ctx, enlace.Call{Path: "ping"}, nil)
}

// clock notes when each account was asked, and answers at once.
type clock struct {
	mu   sync.Mutex
	last map[string]time.Time
	gaps []time.Duration
	at   map[int64]int // requests by second
}

func (c *clock) RoundTrip(r *http.Request) (*http.Response, error) {
	now := time.Now()
	key := r.Header.Get("X-Key")
	c.mu.Lock()
	if c.last != nil {
		if last, ok := c.last[key]; ok {
			c.gaps = append(c.gaps, now.Sub(last))
		}
		c.last[key] = now
		c.at[now.Unix()]++
	}
	c.mu.Unlock()
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte("{}"))), ContentLength: 2, Request: r}, nil
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func newService(t testing.TB, store enlace.Store, transport http.RoundTripper) *enlace.Service {
	t.Helper()
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(pinged{}), Store: store, Keys: keys, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Ten thousand integrations, each checked every 30 seconds, in virtual time: when
// each one is asked is exact, and the processor time is that of the whole process.
func TestMonitorOfTenThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute of processor time")
	}
	const n, minutes = 10_000, 2
	synctest.Test(t, func(t *testing.T) {
		c := &clock{last: map[string]time.Time{}, at: map[int64]int{}}
		store := memory.New()
		service := newService(t, store, c)
		for i := range n {
			_, err := service.Create(t.Context(), enlace.NewIntegration{Tenant: fmt.Sprint("t", i%100), Provider: "pinged",
				Credential: &enlace.Credential{Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret(fmt.Sprint("k", i))}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = service.Run(ctx) })
		time.Sleep(90 * time.Second) // everyone is known and has been asked twice
		c.mu.Lock()
		c.gaps, c.at = nil, map[int64]int{}
		c.mu.Unlock()
		used := cpu()
		time.Sleep(minutes * time.Minute)
		used = cpu() - used
		c.mu.Lock()
		gaps, at := slices.Sorted(slices.Values(c.gaps)), maps.Clone(c.at)
		c.gaps, c.last, c.at = nil, nil, nil
		c.mu.Unlock()
		time.Sleep(7 * time.Second) // not in the middle of a look at the whole list
		all := heap()

		// The same requests without a monitor: what HTTP and opening accounts costs.
		list, _, err := service.List(t.Context(), enlace.IntegrationQuery{Tenant: "t0", Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		direct := cpu()
		asked := 0
		for range 100 {
			for _, in := range list {
				conn, err := service.Conn(t.Context(), in.Ref)
				if err != nil {
					t.Fatal(err)
				}
				if err := conn.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
					t.Fatal(err)
				}
				asked++
			}
		}
		direct = cpu() - direct
		cancel()
		wg.Wait()
		service = nil // what is left then is the store's
		left := heap()
		runtime.KeepAlive(store)

		late := gaps[len(gaps)*99/100] - 30*time.Second
		peak := 0
		for _, k := range at {
			peak = max(peak, k)
		}
		mean := float64(len(gaps)) / (minutes * 60)
		whole := used.Seconds() / (minutes * 60)
		requests := direct.Seconds() / float64(asked) * mean
		t.Logf("%d checks in %d virtual minutes; 99%% come at most %v later than 30 s after the one before (jitter included)", len(gaps), minutes, late)
		t.Logf("peak %d in a second, mean %.0f: %.2f times", peak, mean, float64(peak)/mean)
		t.Logf("%.1f%% of a core for everything in the process, %.1f%% for opening accounts and requests alone: %.1f%% for the monitor", whole*100, requests*100, (whole-requests)*100)
		t.Logf("%.0f bytes for each integration", float64(all-left)/n)
		if len(gaps) < n*minutes*2*9/10 {
			t.Errorf("only %d checks", len(gaps))
		}
		if late > 2*time.Second {
			t.Errorf("late by %v", late)
		}
		if float64(peak) > 2*mean {
			t.Errorf("a peak of %d over a mean of %.0f", peak, mean)
		}
		if perIntegration := (all - left) / n; perIntegration > 4096 {
			t.Errorf("%d bytes for each integration", perIntegration)
		}
	})
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A month of a thousand integrations in SQLite: the table of all integrations by
// requests, and the curve of the whole.
func TestDashboardOfAMonth(t *testing.T) {
	const n = 1000
	var minutes, hours []byte
	synctest.Test(t, func(t *testing.T) { minutes, hours = chunks(t) })
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "metrics.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	now := time.Now()
	var rows []enlace.MetricChunk
	add := func(scope, name string, resolution, span time.Duration, back int, points []byte) {
		for i := range back {
			start := now.Add(-time.Duration(i) * span)
			start = time.UnixMicro(start.UnixMicro() - start.UnixMicro()%span.Microseconds()).UTC()
			rows = append(rows, enlace.MetricChunk{MetricKey: enlace.MetricKey{Resolution: resolution, Tenant: "acme", Scope: scope, Name: name, Start: start}, Points: points})
		}
		if len(rows) > 5000 {
			if err := store.SaveMetrics(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
			rows = nil
		}
	}
	for i := range n + 1 {
		scope, name := "integration", fmt.Sprintf("i%05d", i)
		if i == n {
			scope, name = "tenant", ""
		}
		add(scope, name, time.Minute, time.Hour, 25, minutes)
		add(scope, name, time.Hour, 24*time.Hour, 32, hours)
		add(scope, name, 24*time.Hour, 32*24*time.Hour, 2, hours)
	}
	if err := store.SaveMetrics(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	service := newService(t, store, &clock{})
	for name, q := range map[string]enlace.MetricsQuery{
		"all integrations, a month": {Tenant: "acme", From: now.Add(-30 * 24 * time.Hour), GroupBy: enlace.GroupIntegration, TotalsOnly: true, Step: 24 * time.Hour},
		"the whole, a month":        {Tenant: "acme", From: now.Add(-30 * 24 * time.Hour), Step: time.Hour},
		"one, a day by minutes":     {Tenant: "acme", Integration: "i00007", From: now.Add(-24 * time.Hour), Step: time.Minute},
	} {
		var took []time.Duration
		used := cpu()
		var answer enlace.Metrics
		for range 15 {
			began := time.Now()
			if answer, err = service.Metrics(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		used = (cpu() - used) / time.Duration(len(took))
		slices.Sort(took)
		t.Logf("%s: %v of processor time, %v on the clock (fastest %v of %d), %d series, %d requests", name, used, took[len(took)/2], took[0], len(took), len(answer.Series), answer.Total.Requests)
		if len(answer.Series) == 0 || answer.Total.Requests == 0 {
			t.Errorf("%s: an empty answer", name)
		}
	}
}

// chunks lets a service measure one integration for more than a day, and gives an
// hour of minutes and a day of hours as they are stored.
func chunks(t *testing.T) (minutes, hours []byte) {
	store := memory.New()
	service := newService(t, store, &clock{last: map[string]time.Time{}, at: map[int64]int{}})
	in, err := service.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "pinged",
		Credential: &enlace.Credential{Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("k")}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = service.Run(ctx) })
	conn, err := service.Conn(ctx, in.Ref)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 * 60 {
		for range 1 + i%5 {
			_ = conn.Do(ctx, enlace.Call{Path: "ping"}, nil)
		}
		time.Sleep(time.Minute)
	}
	cancel()
	wg.Wait()
	longest := func(resolution time.Duration) (points []byte) {
		all, err := store.Metrics(t.Context(), enlace.MetricChunkQuery{Resolution: resolution, Tenant: "acme", Scope: "integration", Name: in.ID, To: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if len(c.Points) > len(points) {
				points = c.Points
			}
		}
		return points
	}
	return longest(time.Minute), longest(time.Hour)
}
