package adaptertest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/adaptertest"
)

// harness is the suite's for the adapter with that fault.
func harness(sabotage string, wrap func(adapter) enlace.IntegrationAdapter) adaptertest.Harness {
	return adaptertest.Harness{
		Adapter: func() enlace.IntegrationAdapter {
			return wrap(adapter{sabotage: sabotage, memory: &memory{release: make(chan struct{})}})
		},
		Provider: func() adaptertest.Provider { return deskProvider(0) },
		Skewed:   deskProvider,
		Count:    map[string]int{"tickets": deskTickets},
	}
}

func plain(a adapter) enlace.IntegrationAdapter     { return a }
func batching(a adapter) enlace.IntegrationAdapter  { return batcher{a} }
func streaming(a adapter) enlace.IntegrationAdapter { return streamer{a} }

func TestSoundAdaptersPass(t *testing.T) {
	for name, wrap := range map[string]func(adapter) enlace.IntegrationAdapter{"plain": plain, "batching": batching, "streaming": streaming} {
		t.Run(name, func(t *testing.T) { adaptertest.Run(t, harness("", wrap)) })
	}
}

// Each adapter has one fault, and the suite must name the rule that it breaks.
func TestSabotage(t *testing.T) {
	tables := []struct {
		only  string // the checks that are made: those of one part are enough
		wrap  func(adapter) enlace.IntegrationAdapter
		rules [][2]string // of each sabotage
	}{
		{"", plain, [][2]string{
			{"random description", "Describe is deterministic"},
			{"no features", "Descriptor: what it says must be complete"},
			{"invalid default", "Descriptor: what it says must be complete"},
			{"hides webhooks", "exist as a capability, and the reverse"},
			{"claims an entity it cannot read", "Count lacks"},
			{"claims deletions it cannot do", "what it claims must exist"},
			{"wrong header", "every request carries the account's credential"},
			{"any entity", "refused without a request"},
		}},
		{"pull", plain, [][2]string{
			{"swallowed error", "a failure is returned, not turned into an empty or last page"},
			{"no list is an empty one", "a failure is returned, not turned into an empty or last page"},
			{"ignored cursor", "Page.Next: set and different"},
			{"skipped page", "has read every record"},
			{"time only", "has read every record"},
			{"state in a variable", "Pull keeps no state between calls"},
			{"missing id", "Record: it has an id"},
			{"wrong entity", "Record: it has an id, its entity"},
			{"modified data", "Record.Data: the provider's own JSON"},
			{"never done", "a pull comes to its end"},
			{"cursor stalls", "Page.Next: set and different"},
			{"no next", "Page.Next: set and different"},
			{"binary cursor", "valid UTF-8 without NUL"},
			{"cursor error lost", "ErrCursorExpired"},
			{"ignored limit", "a page holds at most this many"},
			{"ignored since", "only records changed at or after"},
			{"wrong mark", "without losing what changed meanwhile"},
			{"mark without overlap", "without losing what changed meanwhile"},
			{"reads everything", "reads no more than it must"},
			{"drops tombstones", "a deletion is found by the next run"},
			{"lost error kind", "the kind says what went wrong"},
			{"429 is invalid", "the kind says what went wrong"},
			{"401 is an outage", "the kind says what went wrong"},
			{"lost Retry-After", "RetryAfter is 0s"},
			{"500 is final", "what was refused is sent again"},
			{"retries", "an adapter does not repeat requests"},
			{"one at a time", "safe for concurrent use"},
			{"sleeps", "an adapter does not sleep"},
			{"ignored context", "a call ends with its context"},
			{"leaks a goroutine", "whatever a call started has stopped"},
			{"blocks for ever", "whatever a call started has stopped"},
			{"panics on an error", "an adapter never panics"},
			{"logs the answer", "no credential in an error, log line"},
			{"cursor with a secret", "no credential in an error, log line"},
		}},
		{"fetch", plain, [][2]string{
			{"no tombstones", "the others as tombstones"},
			{"swallowed fetch", "a failure is returned"},
		}},
		{"fields", plain, [][2]string{
			{"swallowed fields", "a failure is returned"},
			{"field without a path", "every field has a path of its own"},
			{"fields of anything", "refused without a request"},
		}},
		{"health", plain, [][2]string{
			{"health swallows", "HealthChecker"},
			{"health without a request", "it took 0 requests"},
		}},
		{"push", plain, [][2]string{
			{"create marked idempotent", "never sent again unless"},
			{"500 did not run", "never sent again unless"},
			{"key not sent", "never sent again unless"},
			{"another key each time", "a create with a key is carried out once"},
			{"lost is refused", "may have taken effect, and the error does not deny"},
			{"repeats writes", "never sent again unless"},
			{"nothing is sent", "a mutation that succeeds took effect"},
			{"ack without an answer", "no Ack without the provider's own answer"},
			{"ack without id", "its Ack names the record"},
			{"secret in an error", "no credential in an error, log line"},
		}},
		{"webhook", plain, [][2]string{
			{"accepts all", "nothing proves it"},
			{"accepts two signatures", "accepted: header X-Signature: "},
			{"explains refusals", "always the same and without a computed value"},
			{"wrong proof", "a genuine delivery is proved by its secret"},
			{"no verifier", "Verifier returns nil"},
			{"panics on junk", "ParseWebhook bears any body"},
			{"events about nothing", "ParseWebhook bears any body"},
			{"no events", "turns a genuine delivery into its events"},
			{"changes the body", "it changes the body"},
			{"everything is a challenge", "an ordinary delivery is no challenge"},
			{"registration swallows", "registering during an outage"},
			{"removal asks before it refuses", "refused without a request"},
		}},
		{"push", batching, [][2]string{
			{"batch out of order", "the results are in the order of the mutations"},
			{"batch cut short", "the results are in the order of the mutations"},
			{"batch marked idempotent", "never sent again unless"},
		}},
		{"pull", streaming, [][2]string{
			{"stream left behind", "whatever a call started has stopped"},
			{"stream cursor runs ahead", "Pull keeps no state between calls"},
		}},
	}
	for _, table := range tables {
		for _, rule := range table.rules {
			t.Run(rule[0], func(t *testing.T) { caught(t, harness(rule[0], table.wrap), table.only, rule[1]) })
		}
	}
}

// caught fails unless the suite reports a broken rule with those words.
func caught(t *testing.T, h adaptertest.Harness, only, rule string) {
	if failures, found := adaptertest.Failures(t, h, only, rule); !found {
		t.Errorf("not caught by %q; %d failures:\n%s", rule, len(failures), strings.Join(failures[:min(3, len(failures))], "\n"))
	}
}

// A harness that leaves out what the suite needs is a failure, not a pass.
func TestIncompleteHarness(t *testing.T) {
	for name, test := range map[string]struct {
		change func(h *adaptertest.Harness)
		words  string
	}{
		"nothing":        {func(h *adaptertest.Harness) { *h = adaptertest.Harness{} }, "are required"},
		"no count":       {func(h *adaptertest.Harness) { h.Count = nil }, "are required"},
		"a count less":   {func(h *adaptertest.Harness) { h.Count = map[string]int{} }, `Count lacks "tickets"`},
		"a wrong count":  {func(h *adaptertest.Harness) { h.Count = map[string]int{"tickets": 12} }, "want 12 (Harness.Count)"},
		"too few":        {func(h *adaptertest.Harness) { h.Count = map[string]int{"tickets": 2} }, "three records or more"},
		"unknown entity": {func(h *adaptertest.Harness) { h.Count["notes"] = 1 }, `Count has "notes"`},
		"no handler":     {provide(func(p *adaptertest.Provider) { p.Handler = nil }), "needs a Handler or a Transport"},
		"no credential":  {provide(func(p *adaptertest.Provider) { p.Credential = enlace.Credential{} }), "cannot be created"},
		"no touch":       {provide(func(p *adaptertest.Provider) { p.Touch = nil }), "Provider.Touch is needed"},
		"idle touch":     {provide(func(p *adaptertest.Provider) { p.Touch = func(string) string { return "107" } }), "the same as before"},
		"no remove":      {provide(func(p *adaptertest.Provider) { p.Remove = nil }), "Provider.Remove is needed"},
		"no webhook":     {provide(func(p *adaptertest.Provider) { p.Webhooks = nil }), "needs a genuine delivery"},
		"open door":      {provide(openDoor), "lets a wrong credential in"},
	} {
		t.Run(name, func(t *testing.T) {
			h := harness("", plain)
			test.change(&h)
			caught(t, h, "", test.words)
		})
	}
}

func provide(change func(p *adaptertest.Provider)) func(h *adaptertest.Harness) {
	return func(h *adaptertest.Harness) {
		h.Provider = func() adaptertest.Provider {
			p := deskProvider(0)
			change(&p)
			return p
		}
		h.Skewed = func(time.Duration) adaptertest.Provider { return h.Provider() }
	}
}
