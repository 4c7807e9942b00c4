package bench

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	bare "github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/engine/river"
	"github.com/enlace-go/enlace/store/postgres"
)

const (
	engineJobs    = 8_000 // of all kinds together
	engineKinds   = 4
	engineWorkers = 25 // of each kind
)

// BenchmarkEngine compares how many jobs that do nothing engine/river completes in a second
// with a bare River client of the same kinds, workers and pauses on the same server, in
// turns. Run it once: -benchtime 1x.
func BenchmarkEngine(b *testing.B) {
	for range b.N {
		var own, plain float64 // jobs per second, the best of three
		for range 3 {
			plain = max(plain, bareRate(b))
			own = max(own, engineRate(b))
		}
		b.ReportMetric(plain, "bare/s")
		b.ReportMetric(own, "engine/s")
		b.ReportMetric(own/plain, "ratio")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkIngestWithEngine compares how many deliveries a second are taken with the job of each
// commit in its transaction, and without, with what a host would write with pgx alone (see
// BenchmarkWebhookIngest), in turns on the same server. µs are processor time of all, client and server included. Run it once:
// -benchtime 1x.
func BenchmarkIngestWithEngine(b *testing.B) {
	store := engineStore(b)
	e, err := river.New(b.Context(), store, river.Options{Schema: postgresServer.Schema(b)})
	if err != nil {
		b.Fatal(err)
	}
	alone, in := hookService(b, store)
	spread, other := hookService(b, store, func(c *enlace.Config) { c.Engine = e })
	bare := bareHandlers{ref: in.Ref, more: storedMore(b, alone, store, in)}
	contenders := []*contender{
		contend(b, "pgx", bare.handler(bareTable(b, store)), in.ID),
		contend(b, "alone", alone.WebhookHandler(), in.ID),
		contend(b, "river", spread.WebhookHandler(), other.ID),
	}
	for _, c := range contenders {
		c.cpuTime = processorTime(b, store)
		c.load(b, hookRound) // warm up
	}
	for range hookRounds {
		for _, c := range contenders {
			rate, cost := c.load(b, hookRound)
			c.rates, c.costs = append(c.rates, rate), append(c.costs, cost)
		}
	}
	for _, c := range contenders {
		b.ReportMetric(median(c.rates), c.name+"/s")
		b.ReportMetric(median(c.costs)*1e6, c.name+"-µs")
	}
	pgxAlone, inProcess, withRiver := contenders[0], contenders[1], contenders[2]
	b.ReportMetric(median(inProcess.rates)/median(pgxAlone.rates), "alone-of-pgx")
	b.ReportMetric(median(withRiver.rates)/median(pgxAlone.rates), "river-of-pgx")
	b.ReportMetric(median(withRiver.rates)/median(inProcess.rates), "river-of-alone")
	b.ReportMetric(0, "ns/op")
}

// completions counts jobs and tells when all are done.
type completions struct {
	done atomic.Int64
	all  chan struct{}
}

func newCompletions() *completions { return &completions{all: make(chan struct{})} }

func (c *completions) add() {
	if c.done.Add(1) == engineJobs {
		close(c.all)
	}
}

// rate is how many jobs a second were done, until none is left that is not completed.
func (c *completions) rate(b *testing.B, store *postgres.Store, schema string, start func() error) float64 {
	began := time.Now()
	if err := start(); err != nil {
		b.Fatal(err)
	}
	<-c.all
	for left := 1; left > 0; {
		err := store.Pool().QueryRow(b.Context(), `SELECT count(*) FROM `+pgx.Identifier{schema, "river_job"}.Sanitize()+` WHERE state <> 'completed'`).Scan(&left)
		if err != nil {
			b.Fatal(err)
		}
	}
	return engineJobs / time.Since(began).Seconds()
}

func engineStore(b *testing.B) *postgres.Store {
	store, err := postgres.Open(b.Context(), postgresServer.DSN(b), postgres.Options{Schema: postgresServer.Schema(b), MaxConns: 16})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	return store
}

func engineRate(b *testing.B) float64 {
	store, schema := engineStore(b), postgresServer.Schema(b)
	e, err := river.New(b.Context(), store, river.Options{Schema: schema})
	if err != nil {
		b.Fatal(err)
	}
	c := newCompletions()
	for kind := range engineKinds {
		err := e.Register(enlace.JobKind{Name: kindName(kind), Workers: engineWorkers, Work: func(context.Context, enlace.Job) error {
			c.add()
			return nil
		}})
		if err != nil {
			b.Fatal(err)
		}
	}
	for first := 0; first < engineJobs; first += 1000 {
		jobs := make([]enlace.Job, 1000)
		for i := range jobs {
			jobs[i] = enlace.Job{Kind: kindName(i % engineKinds), Key: strconv.Itoa(first + i)}
		}
		if err := e.Enqueue(b.Context(), jobs...); err != nil {
			b.Fatal(err)
		}
	}
	rate := c.rate(b, store, schema, func() error { return e.Start(b.Context()) })
	if err := e.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
	return rate
}

func kindName(kind int) string { return "kind" + string(rune('a'+kind)) }

type bareArgs struct {
	kind string
	Key  string `json:"key"`
}

func (a bareArgs) Kind() string { return a.kind }

type bareWorker struct {
	bare.WorkerDefaults[bareArgs]
	done *completions
}

func (w *bareWorker) Work(context.Context, *bare.Job[bareArgs]) error {
	w.done.add()
	return nil
}

func bareRate(b *testing.B) float64 {
	store, schema := engineStore(b), postgresServer.Schema(b)
	driver := riverpgxv5.New(store.Pool())
	if _, err := store.Pool().Exec(b.Context(), `CREATE SCHEMA `+schema); err != nil {
		b.Fatal(err)
	}
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := migrator.Migrate(b.Context(), rivermigrate.DirectionUp, nil); err != nil {
		b.Fatal(err)
	}
	c := newCompletions()
	workers, queues := bare.NewWorkers(), map[string]bare.QueueConfig{}
	for kind := range engineKinds {
		bare.AddWorkerArgs(workers, bareArgs{kind: kindName(kind)}, &bareWorker{done: c})
		queues[kindName(kind)] = bare.QueueConfig{MaxWorkers: engineWorkers}
	}
	client, err := bare.NewClient(driver, &bare.Config{Schema: schema, Workers: workers, Queues: queues, FetchCooldown: 20 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	for first := 0; first < engineJobs; first += 1000 {
		rows := make([]bare.InsertManyParams, 1000)
		for i := range rows {
			kind := kindName(i % engineKinds)
			rows[i] = bare.InsertManyParams{Args: bareArgs{kind: kind, Key: fmt.Sprint(first + i)}, InsertOpts: &bare.InsertOpts{Queue: kind}}
		}
		if _, err := client.InsertMany(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	rate := c.rate(b, store, schema, func() error { return client.Start(b.Context()) })
	if err := client.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
	return rate
}
