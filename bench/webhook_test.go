package bench

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/postgres/postgrestest"
	"github.com/enlace-go/enlace/store/sqlite"
)

// postgresServer is the PostgreSQL of these benchmarks.
var postgresServer postgrestest.Server

func TestMain(m *testing.M) { os.Exit(postgresServer.Main(m)) }

const (
	hookSecret     = "the secret of these webhooks"
	hookConnection = 64
	hookBody       = 2 << 10
	hookRounds     = 5
	hookRound      = 1500 * time.Millisecond
)

// hookAdapter takes signed deliveries.
type hookAdapter struct{}

func (hookAdapter) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "hooked", Title: "Hooked", Version: "1.0.0", BaseURL: "https://hooked.example.com/", Features: []enlace.Feature{enlace.FeatureWebhooks},
		Auth: []enlace.AuthScheme{enlace.APIKey{Place: enlace.Placement{Header: "X-Key"}}}}
}

func (hookAdapter) Verifier() enlace.Verifier { return enlace.GitHubVerifier() }

func (hookAdapter) ParseWebhook(context.Context, enlace.Delivery) ([]enlace.Event, error) {
	return nil, nil
}

// BenchmarkWebhookIngest compares the webhook handler with bare handlers over the same store,
// in turns within one run: requests of 2 KiB over 64 connections, the client in this
// process too. The bare one reads the body and does the same group-committed insert and
// nothing else: no proof, no seal, no limits. The next one commits each request. The last
// one, for PostgreSQL, is what a host would write with pgx alone: a narrow table, and one
// statement of arrays for each group.
//
// The private PostgreSQL is not durable, so that processor time is compared; for the disk
// name a durable one by ENLACE_TEST_POSTGRES. It takes a minute and wants a quiet machine. Run it once: -benchtime 1x.
func BenchmarkWebhookIngest(b *testing.B) {
	for name, open := range map[string]func(t *testing.B) enlace.Store{
		"sqlite": func(t *testing.B) enlace.Store {
			s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "bench.db"), sqlite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
		"postgres": func(t *testing.B) enlace.Store {
			s, err := postgres.Open(t.Context(), postgresServer.DSN(t), postgres.Options{Schema: postgresServer.Schema(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
	} {
		b.Run(name, func(t *testing.B) {
			store := open(t)
			service, in := hookService(t, store)
			group := &bareGroup{commit: func(rows []enlace.StoredDelivery) error {
				_, err := store.InsertDeliveries(context.Background(), rows)
				return err
			}}
			handlers := []http.Handler{
				service.WebhookHandler(),
				bareHandler(func(row enlace.StoredDelivery) error { return group.insert(row) }, in),
				bareHandler(func(row enlace.StoredDelivery) error {
					_, err := store.InsertDeliveries(context.Background(), []enlace.StoredDelivery{row})
					return err
				}, in),
			}
			if store, ok := store.(*postgres.Store); ok {
				handlers = append(handlers, bareHandler(bareTable(t, store), in))
			}
			rates, costs := make([][]float64, len(handlers)), make([][]float64, len(handlers))
			for range hookRounds {
				for i, h := range handlers {
					before := cpuTime()
					rate := load(t, h, "/"+in.ID+"/webhook", hookRound)
					rates[i] = append(rates[i], rate)
					costs[i] = append(costs[i], float64(cpuTime()-before)/(rate*hookRound.Seconds()))
				}
			}
			enlaced, bare, single := median(rates[0]), median(rates[1]), median(rates[2])
			t.ReportMetric(enlaced, "requests/s")
			t.ReportMetric(bare, "bare/s")
			t.ReportMetric(single, "single/s")
			t.ReportMetric(enlaced/bare, "of-bare")
			t.ReportMetric(enlaced/single, "times-single")
			// Of the processor's time in this process, whatever else the machine does.
			t.ReportMetric(median(costs[1])/median(costs[0]), "cpu-of-bare")
			t.ReportMetric(median(costs[2])/median(costs[0]), "cpu-times-single")
			if len(rates) > 3 {
				t.ReportMetric(median(rates[3]), "pgx/s")
				t.ReportMetric(enlaced/median(rates[3]), "of-pgx")
				t.ReportMetric(median(costs[3])/median(costs[0]), "cpu-of-pgx")
			}
		})
	}
}

func hookService(t testing.TB, store enlace.Store) (*enlace.Service, enlace.Integration) {
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(hookAdapter{}), Store: store, Keys: keys, Webhooks: enlace.WebhookConfig{PerSecond: -1}})
	if err != nil {
		t.Fatal(err)
	}
	in, err := service.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "hooked", Credential: &enlace.Credential{Scheme: "api_key",
		Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("key")}, WebhookSecrets: []enlace.Secret{enlace.NewSecret(hookSecret)}}})
	if err != nil {
		t.Fatal(err)
	}
	return service, in
}

// bareHandler inserts the body as it comes.
func bareHandler(insert func(enlace.StoredDelivery) error, in enlace.Integration) http.Handler {
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		id := fmt.Sprintf("bare-%020d-%d", time.Now().UnixNano(), n.Add(1))
		row := enlace.StoredDelivery{ID: id, Ref: in.Ref, Provider: "hooked", State: enlace.DeliveryReceived, Signed: true, ReceivedAt: time.Now(), DedupeKey: id,
			Sealed: enlace.Sealed{Data: body}}
		if err := insert(row); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}

// bareGroup is a group commit and nothing else: up to 256 rows, two commits at once.
type bareGroup struct {
	commit  func(rows []enlace.StoredDelivery) error
	once    sync.Once
	waiting chan *bareRow
}

type bareRow struct {
	row  enlace.StoredDelivery
	done chan error
}

func (g *bareGroup) insert(row enlace.StoredDelivery) error {
	g.once.Do(func() {
		g.waiting = make(chan *bareRow, 1024)
		for range 2 {
			go g.work()
		}
	})
	b := &bareRow{row: row, done: make(chan error, 1)}
	g.waiting <- b
	return <-b.done
}

func (g *bareGroup) work() {
	for first := range g.waiting {
		batch := []*bareRow{first}
	gather:
		for len(batch) < 256 {
			select {
			case b := <-g.waiting:
				batch = append(batch, b)
			default:
				break gather
			}
		}
		rows := make([]enlace.StoredDelivery, len(batch))
		for i, b := range batch {
			rows[i] = b.row
		}
		err := g.commit(rows)
		for _, b := range batch {
			b.done <- err
		}
	}
}

// bareTable inserts into a table of its own, in groups, by pgx.
func bareTable(t testing.TB, store *postgres.Store) func(enlace.StoredDelivery) error {
	t.Helper()
	table := pgx.Identifier{"bare_" + strings.ToLower(rand.Text())}.Sanitize()
	if _, err := store.Pool().Exec(t.Context(), `CREATE TABLE `+table+` (id text PRIMARY KEY, integration text NOT NULL, dedupe_key text NOT NULL,
		received_at bigint NOT NULL, data bytea NOT NULL, UNIQUE (integration, dedupe_key))`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = store.Pool().Exec(context.Background(), `DROP TABLE `+table) })
	statement := `INSERT INTO ` + table + ` SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[])
		ON CONFLICT (integration, dedupe_key) DO NOTHING`
	group := &bareGroup{commit: func(rows []enlace.StoredDelivery) error {
		n := len(rows)
		ids, integrations, keys, received, data := make([]string, n), make([]string, n), make([]string, n), make([]int64, n), make([][]byte, n)
		for i, row := range rows {
			ids[i], integrations[i], keys[i], received[i], data[i] = row.ID, row.Ref.ID, row.DedupeKey, row.ReceivedAt.UnixMicro(), row.Sealed.Data
		}
		_, err := store.Pool().Exec(context.Background(), statement, ids, integrations, keys, received, data)
		return err
	}}
	return group.insert
}

// load sends requests for a time and returns how many were answered with 200 each second.
func load(t testing.TB, h http.Handler, path string, long time.Duration) float64 {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	return loadServer(t, server.URL+path, long)
}

var hookNumber atomic.Int64

func loadServer(t testing.TB, target string, long time.Duration) float64 {
	t.Helper()
	var answered, failed atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: hookConnection}}
	defer client.CloseIdleConnections()
	until := time.Now().Add(long)
	began := time.Now()
	padding := strings.Repeat("x", hookBody)
	var sending sync.WaitGroup
	for range hookConnection {
		sending.Go(func() {
			mac := hmac.New(sha256.New, []byte(hookSecret))
			for time.Now().Before(until) {
				head := fmt.Sprintf(`{"id":%d,"padding":"`, hookNumber.Add(1))
				body := []byte(head + padding[:hookBody-len(head)-2] + `"}`)
				mac.Reset()
				mac.Write(body)
				r, err := http.NewRequest("POST", target, bytes.NewReader(body))
				if err != nil {
					panic(err)
				}
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
				resp, err := client.Do(r)
				if err != nil {
					failed.Add(1)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					answered.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	sending.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d requests failed", n)
	}
	return float64(answered.Load()) / time.Since(began).Seconds()
}

// cpuTime is what this process has used of the processors.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// BenchmarkWebhookSlowBodies compares the rate of deliveries with and without 1,000 connections
// that promise a body and send one byte each second, in turns within one run.
func BenchmarkWebhookSlowBodies(t *testing.B) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "bench.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	service, in := hookService(t, store)
	server := httptest.NewServer(service.WebhookHandler())
	defer server.Close()
	path := "/" + in.ID + "/webhook"
	var with, without []float64
	for range hookRounds {
		without = append(without, loadServer(t, server.URL+path, hookRound))
		stop := slowBodies(t, server.Listener.Addr().String(), path, 1000)
		with = append(with, loadServer(t, server.URL+path, hookRound))
		stop()
	}
	t.ReportMetric(median(without), "alone/s")
	t.ReportMetric(median(with), "requests/s")
	t.ReportMetric(median(with)/median(without), "of-alone")
}

func slowBodies(t testing.TB, address, path string, n int) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var running sync.WaitGroup
	var connected atomic.Int64
	for range n {
		running.Go(func() {
			for {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n", path)
				connected.Add(1)
				for err == nil {
					select {
					case <-done:
						_ = conn.Close()
						return
					case <-time.After(time.Second):
						_, err = conn.Write([]byte("x"))
					}
				}
				_ = conn.Close()
			}
		})
	}
	for connected.Load() < int64(n) {
		time.Sleep(time.Millisecond)
	}
	return func() {
		close(done)
		running.Wait()
	}
}

// verifyRates verifies a body of 10 KiB, or does its HMAC only.
func verifyRates(b *testing.B, verify bool) {
	body := bytes.Repeat([]byte("x"), 10<<10)
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	sum := mac.Sum(nil)
	d := enlace.Delivery{Header: http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(sum)}}, Body: body}
	secrets := []enlace.Secret{enlace.NewSecret(hookSecret)}
	v := enlace.GitHubVerifier()
	for b.Loop() {
		if verify {
			if v.Verify(d, secrets) != nil {
				b.Fatal("refused")
			}
			continue
		}
		mac := hmac.New(sha256.New, []byte(hookSecret))
		mac.Write(body)
		if !hmac.Equal(mac.Sum(nil), sum) {
			b.Fatal("refused")
		}
	}
}

// BenchmarkVerifyRatio tells how near verification of 10 KiB comes to the bare HMAC, in turns
// within one run.
func BenchmarkVerifyRatio(b *testing.B) {
	var ratios []float64
	for range hookRounds {
		bare := testing.Benchmark(func(b *testing.B) { verifyRates(b, false) })
		verified := testing.Benchmark(func(b *testing.B) { verifyRates(b, true) })
		ratios = append(ratios, float64(bare.NsPerOp())/float64(verified.NsPerOp()))
	}
	b.ReportMetric(median(ratios), "of-bare")
}
