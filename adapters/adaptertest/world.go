package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

// suite is one run of the checks.
type suite struct {
	t       *testing.T
	harness Harness
	keys    *enlace.Keyring
	report  func(t *testing.T, check string, err error)
	failed  map[string]bool // groups in which something was broken
	missing []string        // what was not checked, and why

	// For the suite's own tests, which are many.
	only   string // beginning of the names of checks to be made
	enough bool   // no more checks
}

// world is what one check happens in: a fresh provider, and a host that remembers.
type world struct {
	*suite
	t        *testing.T
	ctx      context.Context
	provider Provider
	wire     *wire
	store    *memory.Store
	journal  *journal
	ref      enlace.Ref
}

// process is a program of the host: a service with a new adapter over the world's store.
type process struct {
	*world
	adapter enlace.IntegrationAdapter
	service *enlace.Service
}

// options change the world of a check.
type options struct {
	settings map[string]string
	provider func() Provider // instead of the harness's
	// credential changes what the host has been given.
	credential func(enlace.Credential) enlace.Credential
}

// check runs one check in its own bubble and reports what it finds.
func (s *suite) check(name string, o options, fn func(p *process) error) {
	if s.enough || !strings.HasPrefix(name, s.only) {
		return
	}
	s.t.Run(name, func(t *testing.T) {
		err := s.bubble(t, o, fn)
		if err != nil {
			s.failed[group(name)] = true
			s.report(t, name, err)
		}
	})
}

// group is the part of a check's name before the last slash.
func group(name string) string {
	if i := strings.LastIndex(name, "/"); i >= 0 {
		return name[:i]
	}
	return name
}

// bubble runs the check within a bubble. A bubble in which everybody waits for
// ever, or in which a goroutine is left behind, ends with a panic of synctest.
func (s *suite) bubble(t *testing.T, o options, fn func(p *process) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = errors.Join(err, broken(ruleOwner, "%v", cause))
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w, failure := s.newWorld(t, o)
		if failure != nil {
			err = failure
			return
		}
		before := runtime.NumGoroutine()
		err = w.run(fn)
		synctest.Wait()
		if err == nil && runtime.NumGoroutine() > before {
			if stack := leftBehind(); stack != "" {
				err = broken(ruleOwner, "this goroutine is left behind:\n%s", stack)
			}
		}
		if err == nil && w.wire.open != 0 {
			err = broken(ruleBodies, "%d bodies are open", w.wire.open)
		}
		if err == nil {
			err = w.hunt()
		}
	})
	return err
}

// run carries the check out in a first process.
func (w *world) run(fn func(p *process) error) (err error) {
	p, err := w.start()
	if err != nil {
		return err
	}
	defer func() {
		if cause := recover(); cause != nil {
			err = broken(rulePanic, "%v\n%s", cause, ownStack())
		}
	}()
	return fn(p)
}

// newWorld makes a world in the year 2030, whatever year the bubble begins in,
// with an integration that has its credential.
func (s *suite) newWorld(t *testing.T, o options) (*world, error) {
	time.Sleep(time.Until(time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)))
	open := s.harness.Provider
	if o.provider != nil {
		open = o.provider
	}
	w := &world{suite: s, t: t, ctx: t.Context(), provider: open(), store: memory.New(), journal: &journal{}}
	d := s.harness.Adapter().Describe()
	switch p := w.provider; {
	case (p.Handler == nil) == (p.Transport == nil):
		return nil, broken(ruleHarness, "Provider needs a Handler or a Transport, and not both")
	case p.OAuth.ClientID == "" != p.OAuth.ClientSecret.IsZero():
		return nil, broken(ruleHarness, "Provider.OAuth needs both its id and its secret")
	}
	w.wire = newWire(w.provider)
	p, err := w.start()
	if err != nil {
		return nil, err
	}
	settings := maps.Clone(w.provider.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	maps.Copy(settings, o.settings)
	credential := w.provider.Credential
	if o.credential != nil {
		credential = o.credential(credential)
	}
	in, err := p.service.Create(w.ctx, enlace.NewIntegration{Tenant: "tenant", Provider: d.Name, Settings: settings, Credential: &credential})
	if err != nil {
		return nil, broken(ruleHarness, "the integration cannot be created with the provider's settings and credential: %v", err)
	}
	w.ref = in.Ref
	return w, nil
}

// start makes a process, as after a restart: nothing is left but the store.
func (w *world) start() (*process, error) {
	p := &process{world: w, adapter: w.harness.Adapter()}
	registry := enlace.NewRegistry()
	if err := registry.Register(p.adapter); err != nil {
		return nil, broken(ruleDescriptor, "the registry refuses it: %v", err)
	}
	config := enlace.Config{Registry: registry, Store: w.store, Keys: w.keys, Transport: w.wire,
		Logger: slog.New(w.journal.handler()), Observer: w.journal.observe}
	if app := w.provider.OAuth; app.ClientID != "" || app.AuthURL+app.TokenURL != "" {
		config.OAuth = map[string]enlace.OAuthApp{p.adapter.Describe().Name: app}
	}
	var err error
	if p.service, err = enlace.New(config); err != nil {
		return nil, broken(ruleHarness, "%v", err)
	}
	return p, nil
}

// conn opens the account, for calls of the adapter's own methods.
func (p *process) conn() (*enlace.Conn, error) {
	c, err := p.service.Conn(p.ctx, p.ref)
	if err != nil {
		return nil, broken(ruleHarness, "the account cannot be opened: %v", err)
	}
	return c, nil
}

// holdings are the records that the host has, by id.
type holdings map[string]enlace.Record

func (h holdings) take(records []enlace.Record) {
	for _, r := range records {
		if delete(h, r.ID); !r.Deleted {
			h[r.ID] = r
		}
	}
}

// sync runs Service.Sync for one entity into the host's records.
func (p *process) sync(ctx context.Context, entity string, into holdings) (enlace.EntityResult, error) {
	result, err := p.service.Sync(ctx, p.ref, enlace.SyncOptions{Entities: []string{entity}, Untracked: true,
		Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			into.take(b.Records)
			return enlace.Changes{}, nil
		})})
	p.journal.note(err)
	return result.Entities[entity], err
}

// read reads the whole entity without a sink.
func (p *process) read(ctx context.Context, req enlace.PullRequest) (holdings, error) {
	all := holdings{}
	for page, err := range p.service.Pages(ctx, p.ref, req) {
		if err != nil {
			p.journal.note(err)
			return all, err
		}
		p.journal.cursor(page.Next)
		all.take(page.Records)
	}
	return all, nil
}

// whole is read from the beginning, in a new process and without faults.
func (w *world) whole(entity string) (holdings, error) {
	w.wire.plan(nil)
	p, err := w.start()
	if err != nil {
		return nil, err
	}
	all, err := p.read(w.ctx, enlace.PullRequest{Entity: entity})
	if err != nil {
		return nil, broken(ruleComplete, "a whole read of %s fails although nothing is wrong: %v", entity, err)
	}
	return all, nil
}

// expectWhole compares what the host has with what the provider has.
func (w *world) expectWhole(rule, entity string, have holdings) error {
	want, err := w.whole(entity)
	if err != nil {
		return err
	}
	return w.difference(rule, entity, have, want)
}

// same says whether two readings of a record are of the same state.
func (s *suite) same(a, b enlace.Record) bool {
	return bytes.Equal(a.Data, b.Data) || s.harness.Same != nil && a.Data != nil && b.Data != nil && s.harness.Same(a.Data, b.Data)
}

func (w *world) difference(rule, entity string, have, want holdings) error {
	var lost, wrong, extra []string
	for id, r := range want {
		switch held, ok := have[id]; {
		case !ok:
			lost = append(lost, id)
		case !w.same(held, r):
			wrong = append(wrong, id)
		}
	}
	for id := range have {
		if _, ok := want[id]; !ok {
			extra = append(extra, id)
		}
	}
	if len(lost)+len(wrong)+len(extra) == 0 {
		return nil
	}
	return broken(rule, "of %d %s the host lacks %s, has old data of %s, and has %s too much", len(want), entity,
		some(lost), some(wrong), some(extra))
}

// some lists a few ids.
func some(ids []string) string {
	const few = 5
	if len(ids) > few {
		return fmt.Sprintf("%d (%s, …)", len(ids), strings.Join(ids[:few], ", "))
	}
	return fmt.Sprintf("%d (%s)", len(ids), strings.Join(ids, ", "))
}

// matches says whether err is of one of the kinds.
func matches(err error, kinds []error) bool {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// labels are the kinds' names, for failures.
func labels(kinds []error) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = enlace.KindLabel(kind)
	}
	return strings.Join(names, " or ")
}

// wrongKind is the failure that err is not of one of the kinds.
func wrongKind(what string, err error, kinds []error) error {
	return broken(ruleKind, "%s: the error is of the kind %q, want %s: %v", what, enlace.KindLabel(err), labels(kinds), err)
}
