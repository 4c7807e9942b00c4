package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
)

// scaleTime is how long each thing is done.
const scaleTime = 3 * time.Second

// BenchmarkPostgresRows tells how many of each thing that a cluster does all the time one
// PostgreSQL takes in a second: the figures that docs/scaling.md calculates with. Name a
// durable server by ENLACE_TEST_POSTGRES; the private one is none. Run it once: -benchtime 1x.
func BenchmarkPostgresRows(b *testing.B) {
	store, err := postgres.Open(b.Context(), postgresServer.DSN(b), postgres.Options{Schema: postgresServer.Schema(b), MaxConns: 16})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	service, in := hookService(b, store)
	ref := func(i int) enlace.Ref { return enlace.Ref{Tenant: fmt.Sprint("t", i%100), ID: fmt.Sprint("i", i)} }

	b.Run("health", func(b *testing.B) { // 20,000 integrations, again and again
		perSecond(b, store, 1, func(_, n int) (int, error) {
			const batch = 2000
			states := make([]enlace.Health, batch)
			for i := range states {
				states[i] = enlace.Health{Ref: ref(n%10*batch + i), Provider: "hooked", Status: enlace.HealthHealthy, CheckedAt: time.Now(), Since: time.Now()}
			}
			return batch, store.SaveHealth(b.Context(), states, nil)
		})
	})
	b.Run("metrics", func(b *testing.B) {
		start := time.Now().Truncate(time.Hour)
		perSecond(b, store, 1, func(_, n int) (int, error) {
			const batch = 500
			chunks := make([]enlace.MetricChunk, batch)
			for i := range chunks {
				r := ref(n%10*batch + i)
				chunks[i] = enlace.MetricChunk{Points: bytes.Repeat([]byte{byte(n)}, 600),
					MetricKey: enlace.MetricKey{Resolution: time.Minute, Tenant: r.Tenant, Scope: "integration", Name: r.ID, Start: start, Node: "n"}}
			}
			return batch, store.SaveMetrics(b.Context(), chunks)
		})
	})
	var deliveries atomic.Int64
	b.Run("deliveries", func(b *testing.B) { // of 2 KiB, in groups as they come under load
		perSecond(b, store, 2, func(_, _ int) (int, error) {
			rows := make([]enlace.StoredDelivery, 100)
			for i := range rows {
				id := fmt.Sprintf("d%020d", deliveries.Add(1))
				rows[i] = enlace.StoredDelivery{ID: id, Ref: in.Ref, Provider: "hooked", State: enlace.DeliveryReceived, Signed: true, ReceivedAt: time.Now(),
					DedupeKey: id, Sealed: enlace.Sealed{Data: bytes.Repeat([]byte("x"), 2<<10)}}
			}
			_, err := store.InsertDeliveries(b.Context(), rows)
			return len(rows), err
		})
	})
	b.Run("finished", func(b *testing.B) { // claimed and finished in batches, as the dispatcher does
		perSecond(b, store, 1, func(_, _ int) (int, error) { return finishSome(b.Context(), store, in.Ref) })
	})
	b.Run("audit-one-tenant", func(b *testing.B) { perSecond(b, store, 8, audited(b.Context(), service, 1)) })
	b.Run("audit-eight-tenants", func(b *testing.B) { perSecond(b, store, 8, audited(b.Context(), service, 8)) })
	b.Run("leases", func(b *testing.B) {
		perSecond(b, store, 8, func(worker, n int) (int, error) {
			lease, err := store.AcquireLease(b.Context(), enlace.LeaseName{Tenant: "acme", Name: fmt.Sprint(worker, "/", n%1000)}, "me", time.Minute)
			if err != nil {
				return 0, err
			}
			return 1, store.ReleaseLease(b.Context(), lease)
		})
	})
	b.Run("runs", func(b *testing.B) { // saved at their beginning, on their way and at their end
		perSecond(b, store, 8, func(worker, n int) (int, error) {
			return 1, store.SaveRun(b.Context(), enlace.Run{ID: fmt.Sprintf("%d-%09d", worker, n/3), Ref: in.Ref, StartedAt: time.Now(), State: enlace.RunComplete})
		})
	})
	b.Run("idle-looks", func(b *testing.B) { // of a process with nothing to do
		perSecond(b, store, 8, func(_, _ int) (int, error) {
			_, err := store.QueuedRuns(b.Context(), 1000)
			_, err2 := store.DueSchedules(b.Context(), time.Now(), 100)
			return 2, errors.Join(err, err2)
		})
	})
	b.Run("pending-looks", func(b *testing.B) { // among integrations with deliveries: each is one of them
		rows := make([]enlace.StoredDelivery, 100)
		for i := range rows {
			id := fmt.Sprint("p", i)
			rows[i] = enlace.StoredDelivery{ID: id, Ref: ref(i), Provider: "hooked", State: enlace.DeliveryReceived, DedupeKey: id, ReceivedAt: time.Now(), Sealed: enlace.Sealed{Data: []byte("x")}}
		}
		if _, err := store.InsertDeliveries(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
		perSecond(b, store, 8, func(_, _ int) (int, error) {
			refs, err := store.DueIntegrations(b.Context(), enlace.Ref{}, 100)
			return len(refs), err
		})
	})
	for name, statement := range map[string]string{"commits": `SELECT 1`, "commits-with-notify": `SELECT pg_notify('bench', '')`} {
		b.Run(name, func(b *testing.B) {
			perSecond(b, store, 16, func(worker, n int) (int, error) {
				return 1, store.Transact(b.Context(), func(ctx context.Context) error {
					tx, _ := store.Tx(ctx)
					if _, err := tx.Exec(ctx, statement); err != nil {
						return err
					}
					return store.SaveRun(ctx, enlace.Run{ID: fmt.Sprintf("c%d-%09d", worker, n%100), Ref: in.Ref, StartedAt: time.Now()})
				})
			})
		})
	}
}

// finishSome takes deliveries as the dispatcher does and marks them done.
func finishSome(ctx context.Context, store *postgres.Store, ref enlace.Ref) (n int, err error) {
	var due []enlace.StoredDelivery
	err = store.Transact(ctx, func(ctx context.Context) error {
		if due, _, err = store.DueDeliveries(ctx, ref, 50); err != nil || len(due) == 0 {
			return err
		}
		ids := make([]string, len(due))
		for i := range due {
			ids[i] = due[i].ID
		}
		return store.ClaimDeliveries(ctx, ref.Tenant, ids)
	})
	if err != nil || len(due) == 0 {
		return 0, errors.Join(err, ctx.Err())
	}
	return len(due), store.Transact(ctx, func(ctx context.Context) error { return store.FinishDeliveries(ctx, ref.Tenant, due) })
}

func audited(ctx context.Context, service *enlace.Service, tenants int) func(worker, n int) (int, error) {
	return func(worker, _ int) (int, error) {
		return 1, service.RecordAudit(ctx, enlace.AuditEntry{Tenant: fmt.Sprint("tenant", worker%tenants), Action: "bench.done", Result: enlace.AuditDone})
	}
}

// perSecond has workers do something for a while, and reports how many rows that were
// each second.
func perSecond(b *testing.B, store *postgres.Store, workers int, do func(worker, n int) (rows int, err error)) {
	var rows atomic.Int64
	before := serverTime(b, store)
	began := time.Now()
	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			for n := 0; time.Since(began) < scaleTime; n++ {
				done, err := do(worker, n)
				if err != nil {
					b.Error(err)
					return
				}
				rows.Add(int64(done))
			}
		})
	}
	working.Wait()
	b.ReportMetric(float64(rows.Load())/time.Since(began).Seconds(), "rows/s")
	if used := serverTime(b, store) - before; used > 0 && rows.Load() > 0 {
		b.ReportMetric(float64(used.Microseconds())/float64(rows.Load()), "server-µs/row")
	}
	b.ReportMetric(0, "ns/op")
}

// serverTime is what the server's processes for connections have used of the processors;
// 0 if it is not on this machine, or that machine has no /proc.
func serverTime(b *testing.B, store *postgres.Store) (used time.Duration) {
	b.Helper()
	rows, err := store.Pool().Query(b.Context(), `SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'`)
	if err != nil {
		b.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		b.Fatal(err)
	}
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// Behind the name, which may hold anything: fields 14 and 15 of proc(5), in hundredths
		// of a second.
		_, rest, _ := bytes.Cut(stat, []byte(") "))
		fields := strings.Fields(string(rest))
		if len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			used += time.Duration(user+system) * 10 * time.Millisecond
		}
	}
	return used
}
