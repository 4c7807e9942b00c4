package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/sqlite"
)

// soaked is the adapter of the soak: things in pages of fifty.
type soaked struct{}

func (soaked) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "soaked", Title: "Soaked", Version: "1.0.0", BaseURL: "https://soaked.example.com/",
		Auth:     []enlace.AuthScheme{enlace.APIKey{Place: enlace.Placement{Header: "X-Key"}}},
		Entities: []enlace.Entity{{Name: "things", Operations: []enlace.Operation{enlace.OpRead}}}}
}

const soakedThings = 500

func (soaked) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	var ids []int
	if err := c.Do(ctx, enlace.Call{Path: "things", Query: url.Values{"after": {string(req.Cursor)}}}, &ids); err != nil {
		return enlace.Page{}, err
	}
	page := enlace.Page{Done: true}
	for _, id := range ids {
		page.Records = append(page.Records, enlace.Record{Entity: "things", ID: strconv.Itoa(id), Data: fmt.Appendf(nil, `{"id":%d}`, id)})
		page.Next, page.Done = enlace.Cursor(strconv.Itoa(id)), id >= soakedThings
	}
	return page, nil
}

func (soaked) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	return c.Do(ctx, enlace.Call{Path: "ping"}, nil)
}

// serveSoaked answers with faults: one request in ten fails, one in fifty is slow.
func serveSoaked(w http.ResponseWriter, r *http.Request) {
	switch n := rand.IntN(100); {
	case n < 6:
		http.Error(w, "{}", http.StatusServiceUnavailable)
		return
	case n < 8:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "{}", http.StatusTooManyRequests)
		return
	case n < 10:
		if hijacker, ok := w.(http.Hijacker); ok { // the connection breaks
			if conn, _, err := hijacker.Hijack(); err == nil {
				_ = conn.Close()
			}
		}
		return
	case n < 12:
		time.Sleep(500 * time.Millisecond)
	}
	w.Header().Set("Content-Type", "application/json")
	after, _ := strconv.Atoi(r.URL.Query().Get("after"))
	ids := []int{}
	for id := after + 1; id <= min(after+50, soakedThings); id++ {
		ids = append(ids, id)
	}
	_ = json.NewEncoder(w).Encode(ids)
}

// measure is what the process uses.
type measure struct {
	at         time.Duration
	heap       uint64
	goroutines int
	files      int
}

func takeMeasure(began time.Time) measure {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd")
	return measure{time.Since(began), m.HeapAlloc, runtime.NumGoroutine(), len(files)}
}

// A soak of mixed load with faults. ENLACE_SOAK is how long, "1h" for the promise;
// without it the same code runs for some seconds.
func TestSoak(t *testing.T) {
	long := 6 * time.Second
	if text := os.Getenv("ENLACE_SOAK"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(serveSoaked))
	defer server.Close()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "soak.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	var given atomic.Int64
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(soaked{}), Store: store, Keys: keys, HealthInterval: 5 * time.Second,
		Egress: enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			given.Add(int64(len(b.Records)))
			if rand.IntN(50) == 0 {
				return enlace.Changes{}, errors.New("the host's database is busy")
			}
			return enlace.Changes{Created: len(b.Records)}, nil
		})})
	if err != nil {
		t.Fatal(err)
	}
	var refs []enlace.Ref
	for i := range 20 {
		in, err := service.Create(t.Context(), enlace.NewIntegration{Tenant: fmt.Sprint("t", i%4), Provider: "soaked", Settings: map[string]string{"apiUrl": server.URL + "/"},
			Credential: &enlace.Credential{Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("k")}}})
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, in.Ref)
	}
	began := time.Now()
	before := takeMeasure(began)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := service.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	var runs, failed, changes atomic.Int64
	expected := func(err error) bool {
		for _, kind := range []error{enlace.ErrUnavailable, enlace.ErrRateLimited, enlace.ErrSink, enlace.ErrConflict, enlace.ErrDisabled, enlace.ErrCanceled, enlace.ErrProtocol} {
			if errors.Is(err, kind) {
				return true
			}
		}
		return err == nil
	}
	for worker := range 6 {
		wg.Go(func() {
			for ctx.Err() == nil {
				ref := refs[rand.IntN(len(refs))]
				var err error
				switch {
				case worker < 3:
					_, err = service.Sync(ctx, ref, enlace.SyncOptions{Full: rand.IntN(3) == 0})
					runs.Add(1)
					if err != nil {
						failed.Add(1)
					}
				case worker == 3:
					if _, err = service.Disable(ctx, ref); err == nil {
						_, err = service.Enable(context.WithoutCancel(ctx), ref)
					}
					changes.Add(2)
					time.Sleep(20 * time.Millisecond)
				case worker == 4:
					_, err = service.Metrics(ctx, enlace.MetricsQuery{Tenant: ref.Tenant, GroupBy: enlace.GroupIntegration})
					if err == nil {
						_, err = service.Health(ctx, ref)
					}
					time.Sleep(20 * time.Millisecond)
				default:
					_, err = service.VerifyAudit(ctx, ref.Tenant)
					time.Sleep(200 * time.Millisecond)
				}
				if !expected(err) {
					t.Errorf("worker %d: %v", worker, err)
					return
				}
			}
		})
	}
	var measures []measure
	every := max(long/60, 500*time.Millisecond)
	for ctx.Err() == nil {
		select {
		case <-time.After(every):
			measures = append(measures, takeMeasure(began))
		case <-ctx.Done():
		}
	}
	wg.Wait()
	server.CloseClientConnections()
	time.Sleep(300 * time.Millisecond)
	after := takeMeasure(began)

	for i := range 4 {
		tenant := fmt.Sprint("t", i)
		if r, err := service.VerifyAudit(t.Context(), tenant); err != nil || !r.OK {
			t.Errorf("%+v, %v", r, err)
		}
	}
	half := measures[len(measures)/2:]
	slope := slopeOf(half)
	t.Logf("%v: %d runs (%d with faults), %d records, %d changes; heap %.1f MiB at first and %.1f MiB at last, slope of the second half %+.2f MiB an hour; goroutines %d and %d, files %d and %d",
		long, runs.Load(), failed.Load(), given.Load(), changes.Load(), mib(before.heap), mib(after.heap), slope, before.goroutines, after.goroutines, before.files, after.files)
	if after.goroutines > before.goroutines+5 {
		t.Errorf("%d goroutines are left over", after.goroutines-before.goroutines)
	}
	if after.files > before.files+10 {
		t.Errorf("%d files are left open", after.files-before.files)
	}
	if long >= 10*time.Minute && slope > 8 {
		t.Errorf("the heap grows by %.2f MiB an hour", slope)
	}
	if runs.Load() == 0 || given.Load() == 0 {
		t.Error("nothing happened")
	}
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }

// slopeOf is the least-squares slope of the heap, in MiB an hour.
func slopeOf(all []measure) float64 {
	var n, x, y, xx, xy float64
	for _, m := range all {
		hours, heap := m.at.Hours(), mib(m.heap)
		n, x, y, xx, xy = n+1, x+hours, y+heap, xx+hours*hours, xy+hours*heap
	}
	if d := n*xx - x*x; d != 0 {
		return (n*xy - x*y) / d
	}
	return 0
}
