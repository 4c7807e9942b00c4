package enlace

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultHealthInterval = 30 * time.Second
	monitorTick           = 100 * time.Millisecond
	monitorSlots          = 1024             // of the wheel: about 100 seconds a round
	monitorReload         = 30 * time.Second // how often it is looked for integrations that others changed
	monitorSave           = time.Second      // how often results are saved
	monitorChecks         = 128              // at the same time, at most
	monitorPerProvider    = 64               // of which for one provider
	monitorConfirm        = 5 * time.Second  // until a finding that may pass is looked at again
	monitorLongest        = 10 * time.Minute // between two checks of one that stays broken
	goldenRatio           = 0.6180339887498949
)

type probeKey struct{}

// isProbe says whether a request is made for a health check.
func isProbe(ctx context.Context) bool { return ctx.Value(probeKey{}) != nil }

// trafficOf is what the last real requests of this process showed.
func (m *meter) trafficOf(ref Ref) (ok, failed time.Time, kind string, took time.Duration) {
	s := m.lookup(ref)
	if s == nil {
		return time.Time{}, time.Time{}, "", 0
	}
	if at := s.traffic.okAt.Load(); at != 0 {
		ok = time.Unix(0, at)
	}
	if at := s.traffic.failedAt.Load(); at != 0 {
		failed = time.Unix(0, at)
	}
	return ok, failed, kindLabels[s.traffic.failed.Load()], time.Duration(s.traffic.okTook.Load())
}

// monitor checks the health of all integrations, in the one process that leads.
// Everything but note belongs to the goroutine of watch.
type monitor struct {
	service *Service
	running atomic.Bool // so that nobody waits for the lock for nothing
	wokenMu sync.Mutex
	woken   map[Ref]bool  // changed, to be looked at soon
	wake    chan struct{} // of the watch that runs, nil if none does
}

func newMonitor(s *Service) *monitor {
	return &monitor{service: s, woken: map[Ref]bool{}}
}

// note wakes the monitor for an integration that has changed.
func (m *monitor) note(o Observation) {
	if !m.running.Load() {
		return
	}
	var ref Ref
	switch o := o.(type) {
	case IntegrationChanged:
		ref = o.Ref
	case CredentialChanged:
		ref = o.Ref
	default:
		return
	}
	m.wokenMu.Lock()
	defer m.wokenMu.Unlock()
	m.woken[ref] = true
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// watched is one integration that the monitor looks after.
type watched struct {
	in       Integration
	health   Health
	loaded   bool // health is what is stored
	due      time.Time
	failures int  // in a row
	checking bool // in a goroutine, or waiting for one
	gone     bool // deleted
	round    int  // of the reload that saw it last
}

// watch is the monitor at work.
type watch struct {
	*monitor
	lease   Lease
	all     map[Ref]*watched
	added   int // for the spread
	round   int
	wheel   *wheel[*watched]
	ready   map[string][]*watched // by provider, due and waiting for a free place
	busy    map[string]int        // checks under way, by provider
	checks  int
	results chan checked
	windows []Maintenance

	dirty   map[Ref]*watched
	changes []HealthChange
	saving  bool
	saved   chan saveResult
}

type checked struct {
	w       *watched
	health  Health
	verdict diagnosis
}

// monitorHealth keeps watch while this process leads.
func (s *Service) monitorHealth(ctx context.Context) error {
	if s.config.HealthInterval < 0 {
		<-ctx.Done()
		return nil
	}
	return s.lead(ctx, "health", func(ctx context.Context, lease Lease) error {
		w := &watch{monitor: s.monitor, lease: lease, all: map[Ref]*watched{}, wheel: newWheel[*watched](monitorTick, monitorSlots, time.Now()),
			ready: map[string][]*watched{}, busy: map[string]int{}, results: make(chan checked, monitorChecks),
			dirty: map[Ref]*watched{}, saved: make(chan saveResult, 1)}
		return w.run(asSystem(ctx, "health"))
	})
}

func (w *watch) run(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	w.setWake(wake)
	defer w.setWake(nil)
	ctx, cancel := context.WithCancel(ctx)
	defer w.drain()
	defer cancel()
	if err := w.reload(ctx); err != nil {
		return err
	}
	reload := time.NewTicker(monitorReload)
	defer reload.Stop()
	due := time.NewTimer(0) // the next tick with something in it
	defer due.Stop()
	var save <-chan time.Time // only while there is something to save
	for {
		if at, ok := w.wheel.next(); ok {
			due.Reset(time.Until(at))
		}
		if save == nil && len(w.dirty) > 0 {
			save = time.After(monitorSave)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due.C:
			w.wheel.advance(time.Now(), w.enqueue)
		case r := <-w.results:
			w.finish(ctx, r)
		case <-wake:
			w.refresh(ctx)
		case <-reload.C:
			if err := w.reload(ctx); err != nil && ctx.Err() == nil {
				w.service.logger.WarnContext(ctx, "integrations not read again for their health", "error", err)
			}
		case <-save:
			save = nil
			w.save(ctx)
		case r := <-w.saved:
			if err := w.afterSave(ctx, r); err != nil {
				return err
			}
		}
		w.dispatch(ctx)
	}
}

func (m *monitor) setWake(wake chan struct{}) {
	m.wokenMu.Lock()
	defer m.wokenMu.Unlock()
	m.wake = wake
	clear(m.woken)
	m.running.Store(wake != nil)
}

// drain waits for the checks and the save that are under way.
func (w *watch) drain() {
	for ; w.checks > 0; w.checks-- {
		<-w.results
	}
	if w.saving {
		<-w.saved
	}
}

// reload brings the list of integrations up to date.
func (w *watch) reload(ctx context.Context) error {
	w.round++
	var err error
	if w.windows, err = w.service.store.EveryMaintenance(ctx, time.Now()); err != nil {
		return err
	}
	var after Ref
	for {
		list, err := w.service.store.EveryIntegration(ctx, after, 1000)
		if err != nil {
			return err
		}
		for _, in := range list {
			after = in.Ref
			w.meet(in)
		}
		if len(list) < 1000 {
			break
		}
	}
	for ref, one := range w.all {
		if one.round != w.round {
			one.gone = true
			delete(w.all, ref)
			delete(w.dirty, ref)
		}
	}
	return nil
}

// meet takes in an integration as it is stored now. A new one gets a place in the
// round that is as far as can be from the others': multiples of the golden ratio spread evenly
// however many there are.
func (w *watch) meet(in Integration) {
	one := w.all[in.Ref]
	now := time.Now()
	if one == nil {
		one = &watched{in: in}
		w.all[in.Ref] = one
		w.added++
		phase := float64(w.added) * goldenRatio
		one.due = now.Add(time.Duration((phase - float64(int64(phase))) * float64(w.interval(one))))
		w.wheel.add(one, one.due)
	}
	one.round = w.round
	if one.in.Version != in.Version {
		one.in = in
		w.soon(one, now)
	}
}

// soon brings the next check forward.
func (w *watch) soon(one *watched, now time.Time) {
	if !one.checking && one.due.After(now.Add(monitorTick)) {
		one.due = now
		w.wheel.add(one, now)
	}
}

// refresh looks again at what this process has changed.
func (w *watch) refresh(ctx context.Context) {
	w.wokenMu.Lock()
	refs := slices.Collect(maps.Keys(w.woken))
	clear(w.woken)
	w.wokenMu.Unlock()
	for _, ref := range refs {
		in, err := w.service.store.Integration(ctx, ref)
		if errors.Is(err, ErrNotFound) {
			if one := w.all[ref]; one != nil {
				one.gone = true
				delete(w.all, ref)
				delete(w.dirty, ref)
			}
			continue
		}
		if err == nil {
			w.meet(in)
			w.all[ref].failures = 0
			w.soon(w.all[ref], time.Now())
		}
	}
}

// interval is how often an integration is checked.
func (w *watch) interval(one *watched) time.Duration {
	if ms, err := strconv.ParseInt(one.in.Settings["healthInterval"], 10, 64); err == nil && ms >= 1000 {
		return time.Duration(ms) * time.Millisecond
	}
	return cmp.Or(w.service.config.HealthInterval, defaultHealthInterval)
}

// enqueue puts what has come up in the wheel in line for a check. Entries of an
// earlier plan are passed over.
func (w *watch) enqueue(one *watched) {
	if one.gone || one.checking || time.Now().Before(one.due) {
		return
	}
	one.checking = true
	w.ready[one.in.Provider] = append(w.ready[one.in.Provider], one)
}

// dispatch starts as many checks as may run, the providers in turn, so that a slow
// one keeps only its own waiting.
func (w *watch) dispatch(ctx context.Context) {
	for started := true; started && w.checks < monitorChecks; {
		started = false
		for provider, line := range w.ready {
			if w.checks >= monitorChecks || w.busy[provider] >= monitorPerProvider {
				continue
			}
			one := line[0]
			if line = line[1:]; len(line) == 0 {
				delete(w.ready, provider)
			} else {
				w.ready[provider] = line
			}
			w.checks++
			w.busy[provider]++
			started = true
			go w.check(ctx, one, one.in, one.health, one.loaded)
		}
	}
}

// check examines one integration, in a goroutine of its own.
func (w *watch) check(ctx context.Context, one *watched, in Integration, h Health, loaded bool) {
	r := checked{w: one, health: h}
	defer func() { w.results <- r }()
	if !loaded {
		stored, err := w.service.store.Health(ctx, in.Ref)
		switch {
		case err == nil:
			r.health = stored
		case errors.Is(err, ErrNotFound):
			r.health = Health{Ref: in.Ref, Provider: in.Provider, Status: HealthUnknown, Alerted: HealthHealthy}
		default:
			r.verdict.failed = err
			return
		}
	}
	r.verdict = w.service.examine(ctx, in, r.health.CheckedAt, r.health.Checks)
}

// finish takes the result of a check and plans the next one.
func (w *watch) finish(ctx context.Context, r checked) {
	one := r.w
	w.checks--
	if w.busy[one.in.Provider]--; w.busy[one.in.Provider] <= 0 {
		delete(w.busy, one.in.Provider)
	}
	one.checking = false
	if one.gone {
		return
	}
	now := time.Now().UTC()
	if r.verdict.failed != nil { // our own trouble says nothing about the integration
		w.plan(one, now, w.interval(one))
		return
	}
	if one.loaded {
		r.health = one.health // what has been noted in it meanwhile stays
	}
	before := r.health.Status
	one.loaded = true
	one.health = r.health.after(r.verdict, now)
	one.health.Maintenance = slices.ContainsFunc(w.windows, func(m Maintenance) bool { return m.covers(one.in.Ref, one.in.Provider, now) })
	if one.failures++; one.health.Status != HealthError && one.health.Pending != HealthError {
		one.failures = 0
	}
	w.plan(one, now, w.pauseAfter(one, r.verdict, now))
	w.dirty[one.in.Ref] = one
	if one.health.Status != before {
		w.changes = append(w.changes, HealthChange{Ref: one.in.Ref, Provider: one.in.Provider, At: now, From: before, To: one.health.Status,
			Cause: one.health.Cause, Summary: one.health.Summary})
	}
	w.service.observe(ctx, HealthChecked{Ref: one.in.Ref, Provider: one.in.Provider, Status: one.health.Status,
		Cause: one.health.Cause, Evidence: r.verdict.evidence, Duration: r.verdict.took})
}

// pauseAfter is how long to wait until the next check: a moment, if a finding has
// to be confirmed; longer and longer while it stays broken; not before the
// provider wants to be asked again.
func (w *watch) pauseAfter(one *watched, v diagnosis, now time.Time) time.Duration {
	interval := w.interval(one)
	pause := interval
	switch {
	case one.health.Pending != "":
		pause = min(interval, monitorConfirm)
	case one.failures > 1:
		pause = min(interval<<min(one.failures-1, 10), max(interval, monitorLongest))
	}
	return max(pause, v.retryAt.Sub(now))
}

// plan enters the next check, a little earlier or later than asked, so that those
// which fell together do not stay together.
func (w *watch) plan(one *watched, now time.Time, pause time.Duration) {
	from := one.due
	if now.Sub(from) > pause/2 { // so late that the rhythm is lost anyway
		from = now
	}
	jitter := time.Duration((rand.Float64() - 0.5) * 0.05 * float64(pause))
	one.due = from.Add(pause + jitter)
	one.health.NextCheck = one.due.UTC()
	w.wheel.add(one, one.due)
}

// saveResult is what became of a batch.
type saveResult struct {
	states  []Health
	changes []HealthChange
	alerted []Health
	err     error
}

// save writes what has been found since the last time, in a goroutine of its own.
func (w *watch) save(ctx context.Context) {
	if w.saving || len(w.dirty) == 0 {
		return
	}
	const batch = 2000
	r := saveResult{changes: w.changes}
	w.changes = nil
	for ref, one := range w.dirty {
		if len(r.states) == batch {
			break
		}
		r.states = append(r.states, one.health)
		delete(w.dirty, ref)
	}
	w.saving = true
	go func() {
		r.err = w.store(ctx, r.states, r.changes)
		if r.err == nil {
			for _, c := range r.changes {
				w.service.observe(ctx, HealthChanged{Change: c})
			}
			r.alerted = w.alert(ctx, r.states)
		}
		w.saved <- r
	}()
}

// store saves a batch while the lease is held.
func (w *watch) store(ctx context.Context, states []Health, changes []HealthChange) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return w.service.store.Transact(ctx, func(ctx context.Context) error {
		if err := w.service.store.CheckLease(ctx, w.lease); err != nil {
			return err
		}
		return w.service.store.SaveHealth(ctx, states, changes)
	})
}

// alert tells the host of what has changed since it was last told, and returns
// the states that it has taken note of.
func (w *watch) alert(ctx context.Context, states []Health) []Health {
	if w.service.config.OnHealthChange == nil {
		return nil
	}
	var changes []HealthChange
	var told []Health
	for _, h := range states {
		if h.Alerted == h.Status || h.Maintenance || h.Status == HealthUnknown {
			continue
		}
		changes = append(changes, HealthChange{Ref: h.Ref, Provider: h.Provider, At: h.Since, From: h.Alerted, To: h.Status, Cause: h.Cause, Summary: h.Summary})
		told = append(told, h)
	}
	if len(changes) == 0 {
		return nil
	}
	if err := w.service.config.OnHealthChange(ctx, changes); err != nil {
		w.service.logger.ErrorContext(ctx, "change of health not taken by OnHealthChange", "changes", len(changes), "error", err)
		return nil
	}
	return told
}

// afterSave puts back what could not be saved, and notes who was told.
func (w *watch) afterSave(ctx context.Context, r saveResult) error {
	w.saving = false
	if errors.Is(r.err, ErrConflict) {
		return &Error{Op: "monitor health", Kind: ErrConflict, Message: "another process has taken over"}
	}
	if r.err != nil {
		w.service.logger.Warn("health not saved yet", "error", r.err)
		w.changes = append(r.changes, w.changes...)
		for _, h := range r.states {
			if one := w.all[h.Ref]; one != nil {
				w.dirty[h.Ref] = one
			}
		}
	}
	if r.err == nil {
		for _, h := range r.states {
			if w.all[h.Ref] == nil { // deleted while it was saved
				_ = w.service.store.DeleteHealth(ctx, h.Ref)
			}
		}
	}
	for _, h := range r.alerted {
		if one := w.all[h.Ref]; one != nil {
			one.health.Alerted = h.Status
			w.dirty[h.Ref] = one
		}
	}
	return nil
}
