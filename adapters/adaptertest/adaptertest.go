// Package adaptertest is the suite that every adapter passes. The test of an
// adapter is one call:
//
//	func TestAdapter(t *testing.T) {
//		adaptertest.Run(t, adaptertest.Harness{
//			Adapter:  func() enlace.IntegrationAdapter { return acme.Adapter{} },
//			Provider: newProvider, // a well-behaved fake with its credential
//			Count:    map[string]int{"contacts": 250},
//		})
//	}
//
// The author brings a fake of the provider that behaves well. The suite makes it
// misbehave: rate limits with and without Retry-After, outages, resets, refused
// credentials, cut and foreign answers, repeated pages, answers that come in
// drops, each once and for ever, at the start and in the middle. It takes up
// every cursor in a fresh process, changes records during and right after a run,
// cancels, forges and strips the proofs of webhooks, counts what became of a
// write whose answer was lost, and looks for the credential in every error, log
// line, observation and cursor. A failure names the rule of the interface that
// was broken.
//
// Each check runs in a bubble of testing/synctest with a fresh fake, in the year
// 2030, and without a network: waits take no time. The fake must not start
// goroutines that outlive a request.
package adaptertest

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// Harness is what an author brings. Adapter, Provider and Count are required.
type Harness struct {
	// Adapter returns the adapter as a new process would make it.
	Adapter func() enlace.IntegrationAdapter
	// Provider returns a new provider, with its records in it. It is called for
	// every check, within the bubble.
	Provider func() Provider
	// Count is how many records a new provider has, for every entity that can be
	// read. Of a family ("dynamic_*") it names the members that are there. At least
	// one entity needs three records or more, and what only goes wrong behind the
	// first page is found only with more records than one page takes.
	Count map[string]int
	// Same says whether two readings of a record are of the same state. Nil compares
	// their bytes, which is wrong where the provider writes something new into every
	// answer, such as a link that expires.
	Same func(a, b json.RawMessage) bool
	// Refusals are the provider's own ways to say no, beside plain HTTP statuses.
	Refusals []Refusal
	// Skewed is as Provider, with a clock that is that far ahead of ours, or behind
	// if negative. Without it differing clocks are not checked.
	Skewed func(ahead time.Duration) Provider
}

// Provider is one well-behaved fake and what belongs to it. Handler or Transport
// is required, and Credential.
type Provider struct {
	// Handler answers requests to every host, also several at once. It checks the
	// credential, as the provider does: that proves that the adapter sends it.
	Handler http.Handler
	// Transport does the same, for fakes that are reached without net/http.
	Transport http.RoundTripper

	Credential enlace.Credential
	OAuth      enlace.OAuthApp   // the host's registration; zero for none
	Settings   map[string]string // of the integration

	// Touch changes the data of one record and returns its id. It takes a record
	// that a pull reads early, since the suite calls it while a pull is on its way.
	// It is required if an entity can be read by change.
	Touch func(entity string) (id string)
	// Remove deletes one record and returns its id. It is required if an entity
	// claims [enlace.IncrementalFull].
	Remove func(entity string) (id string)

	// Writes are mutations that succeed on a new provider, each for itself and all of
	// them in a batch. Without any the adapter's Push is not checked.
	Writes []Write
	// Webhooks are genuine deliveries. A receiver needs at least one.
	Webhooks []Webhook
}

// Write is a mutation that succeeds.
type Write struct {
	Mutation enlace.Mutation
	// Effects counts how often the mutation has taken effect at the provider so far:
	// what arrived twice and was recognised as the same counts once.
	Effects func() int
	// Additive says that the mutation does more harm the second time although it
	// creates no record. A create always counts as additive.
	Additive bool
}

// Webhook is a delivery as the provider sends it.
type Webhook struct {
	Delivery enlace.Delivery
	Secret   enlace.Secret // proves the delivery; zero if the provider proves nothing
	Events   int           // how many it holds; 0 is one
}

// Refusal is an answer by which the provider says what is wrong.
type Refusal struct {
	Name   string
	Status int
	Header http.Header
	Body   string
	Kind   error // what it stands for, such as enlace.ErrRateLimited
}

// Run checks the adapter. What the harness gives no means for is not checked,
// and named in the test's log.
func Run(t *testing.T, h Harness) {
	t.Helper()
	s := &suite{t: t, harness: h, failed: map[string]bool{}, report: func(t *testing.T, _ string, err error) {
		t.Helper()
		t.Error(err)
	}}
	s.run()
}
