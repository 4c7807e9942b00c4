package adaptertest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
)

// run carries out every check.
func (s *suite) run() {
	h, t := s.harness, s.t
	if h.Adapter == nil || h.Provider == nil || h.Count == nil {
		s.report(t, "harness", broken(ruleHarness, "Adapter, Provider and Count are required"))
		return
	}
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err == nil {
		s.keys, err = enlace.NewKeyring(key)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.describe(); s.failed["describe"] {
		return
	}
	s.account()
	if s.failed["account"] {
		return
	}
	if enlace.CapabilitiesOf(h.Adapter()).Has(enlace.CanPull) {
		for _, entity := range slices.Sorted(maps.Keys(h.Count)) {
			s.pull(entity)
		}
	}
	s.fetch()
	s.fields()
	s.write()
	s.webhooks()
	for _, what := range s.missing {
		t.Log("not checked: " + what)
	}
}

// skip notes what is not checked.
func (s *suite) skip(format string, args ...any) {
	s.missing = append(s.missing, fmt.Sprintf(format, args...))
}

// descriptor is the adapter's own.
func (s *suite) descriptor() enlace.Descriptor { return s.harness.Adapter().Describe() }

// timed checks that fn took no time but the network's and enlace's own waits.
func (p *process) timed(what string, fn func() error) error {
	allowed := func() time.Duration { return p.wire.spent() + p.journal.pauses() }
	before, began := allowed(), time.Now()
	if err := fn(); err != nil {
		return err
	}
	if took, may := time.Since(began), allowed()-before; took > may {
		return broken(ruleNoSleep, "%s took %v longer than its requests", what, took-may)
	}
	return nil
}
