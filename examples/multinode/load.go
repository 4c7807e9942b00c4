package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
)

const (
	webhookAccounts = 6
	scheduled       = 6  // accounts with a schedule
	pulls           = 6  // at the same time
	pullPages       = 40 // of each
	senders         = 16
)

// load is what the host has to do, and what became of it.
type load struct {
	nodes    *nodes
	accounts *accounts
	store    *postgres.Store // of this process, which only looks and asks
	service  *enlace.Service

	hooked, ticking []*account
	armed           map[string]time.Time // when the first run of a schedule is due, by integration

	sent, acknowledged, twice, again atomic.Int64 // deliveries
	started, pulled, restarted       atomic.Int64 // pulls
	mu                               sync.Mutex
	pullers                          []*account
}

// prepare makes the host's table, the accounts that receive webhooks, and those with a
// schedule. The schedules' first runs fall into the given time.
func (l *load) prepare(ctx context.Context, within time.Duration) error {
	if _, err := l.store.Pool().Exec(ctx, `CREATE TABLE effects (event text NOT NULL); CREATE INDEX effects_by_event ON effects (event)`); err != nil {
		return err
	}
	for range webhookAccounts {
		a, err := l.accounts.open(ctx, l.service, 0)
		if err != nil {
			return err
		}
		l.hooked = append(l.hooked, a)
	}
	l.armed = map[string]time.Time{}
	for i := range scheduled {
		a, err := l.accounts.open(ctx, l.service, 1)
		if err != nil {
			return err
		}
		l.ticking = append(l.ticking, a)
		schedule, err := l.service.SaveSchedule(ctx, enlace.Schedule{Ref: a.ref, Spec: "every 1m", Options: enlace.SyncOptions{Entities: []string{"contacts"}}})
		if err != nil {
			return err
		}
		schedule.NextAt = time.Now().Add(within * time.Duration(i+1) / (scheduled + 1))
		if err := l.store.SaveSchedule(ctx, schedule); err != nil { // sooner than its next minute
			return err
		}
		l.armed[a.ref.ID] = schedule.NextAt
	}
	return nil
}

// send delivers events until sending ends, each until some node acknowledges it.
func (l *load) send(ctx, sending context.Context, perSecond float64) {
	interval := time.Duration(float64(senders) / perSecond * float64(time.Second))
	_ = pause(sending, rand.N(interval)) // the loop sees its end
	for sending.Err() == nil {
		began := time.Now()
		number := l.sent.Add(1)
		account := l.hooked[rand.IntN(len(l.hooked))]
		event := enlace.Event{ID: fmt.Sprint(number), Type: "contact.updated",
			Record: enlace.Record{Entity: "contacts", ID: fmt.Sprint(rand.IntN(1000)), Data: []byte(`{"name":"Ana"}`)}}
		if !l.deliver(ctx, account, event) {
			return
		}
		l.acknowledged.Add(1)
		if rand.IntN(10) == 0 { // providers do that
			l.twice.Add(1)
			l.deliver(ctx, account, event)
		}
		if pause(sending, interval-time.Since(began)) != nil {
			return
		}
	}
}

// deliver sends an event until it is acknowledged, each time to any node; false if ctx
// ends before.
func (l *load) deliver(ctx context.Context, a *account, e enlace.Event) bool {
	for ctx.Err() == nil {
		if address := l.nodes.pick(); address != "" {
			r := a.provider.Delivery("http://"+address+"/"+a.ref.ID+"/webhook", e)
			answer, err := http.DefaultClient.Do(r.WithContext(ctx))
			if err == nil {
				_ = answer.Body.Close()
				if answer.StatusCode == http.StatusOK {
					return true
				}
			}
		}
		l.again.Add(1)
		if pause(ctx, 50*time.Millisecond) != nil {
			break
		}
	}
	return false
}

// pull opens one account after the other and has the nodes read it, until starting ends.
func (l *load) pull(ctx, starting context.Context) {
	for starting.Err() == nil {
		a, err := l.accounts.open(ctx, l.service, pullPages)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.pullers = append(l.pullers, a)
		l.mu.Unlock()
		l.started.Add(1)
		if l.pullOne(ctx, a) != nil {
			return
		}
		l.pulled.Add(1)
	}
}

// pullOne has some node read an account, and waits until it is read to its end. A run
// that failed, because the database was away, is followed by another one.
func (l *load) pullOne(ctx context.Context, a *account) error {
	for {
		var run enlace.Run
		err := persist(ctx, func() (err error) {
			run, err = l.service.StartSync(ctx, a.ref, enlace.SyncOptions{Entities: []string{"contacts"}})
			return err
		})
		id := run.ID
		for err == nil && (run.State == enlace.RunWaiting || run.State == enlace.RunRunning) {
			if err = pause(ctx, 250*time.Millisecond); err == nil {
				err = persist(ctx, func() (err error) {
					run, err = l.service.SyncRun(ctx, a.ref.Tenant, id)
					return err
				})
			}
		}
		if err != nil || run.State == enlace.RunComplete {
			return err
		}
		l.restarted.Add(1)
	}
}

// left is how much there is still to do.
func (l *load) left(ctx context.Context) (deliveries, runs int64, err error) {
	err = l.store.Pool().QueryRow(ctx, `SELECT (SELECT count(*) FROM enlace.deliveries WHERE finished_at = 0),
		(SELECT count(*) FROM enlace.runs WHERE queued AND state IN ('waiting', 'running'))`).Scan(&deliveries, &runs)
	return deliveries, runs, err
}

// effects are the rows of the handler: how many, and of how many events.
func (l *load) effects(ctx context.Context) (rows, events int64, err error) {
	err = l.store.Pool().QueryRow(ctx, `SELECT count(*), count(DISTINCT event) FROM effects`).Scan(&rows, &events)
	return rows, events, err
}

// records are how many contacts of an account the host has.
func (l *load) records(ctx context.Context, a *account) (n int, err error) {
	err = l.store.Pool().QueryRow(ctx, `SELECT count(*) FROM contacts WHERE tenant = $1 AND integration = $2`, a.ref.Tenant, a.ref.ID).Scan(&n)
	return n, err
}

// ticks are when the runs of a schedule were started.
func (l *load) ticks(ctx context.Context, a *account) (started []time.Time, err error) {
	q := enlace.RunQuery{Tenant: a.ref.Tenant, Integration: a.ref.ID}
	for {
		runs, next, err := l.service.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, run := range runs {
			started = append(started, run.StartedAt)
		}
		if q.Cursor = next; next == "" {
			return started, nil
		}
	}
}
