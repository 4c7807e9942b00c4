package fake

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"

	"github.com/enlace-go/enlace"
)

// Webhooks returns the targets that are registered, in order.
func (p *Provider) Webhooks() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.webhooks))
}

// WebhookSecret is what signs deliveries to targets that nobody registered. The
// provider's credentials hold it already.
func (p *Provider) WebhookSecret() enlace.Secret { return p.options.WebhookSecret }

// Delivery returns a genuine webhook request to the target, signed with the
// secret that the target was registered with. It can be given to an http.Handler
// or sent by an http.Client.
//
// An event without an ID or a time gets them. Its Record names whom it concerns;
// without Data the delivery is only a hint. Payload is not used. It panics if the
// target is no URL, if there are no events, or if an event lacks its Type or its
// Record's Entity or ID.
func (p *Provider) Delivery(target string, events ...enlace.Event) *http.Request {
	body := p.deliveryBody(events)
	return deliver(target, body, sign(p.secretFor(target), body))
}

// Challenge returns the request with which the provider asks whether the target
// wants its deliveries, and the text that the answer must have as its body.
func (p *Provider) Challenge(target string) (r *http.Request, want string) {
	want = rand.Text()
	body := mustMarshal(delivery{Challenge: want})
	return deliver(target, body, sign(p.secretFor(target), body)), want
}

// Forgeries yields requests that look like [Provider.Delivery] and must be
// refused, each with the name of what is wrong with it.
func (p *Provider) Forgeries(target string, events ...enlace.Event) iter.Seq2[string, *http.Request] {
	body := p.deliveryBody(events)
	genuine := sign(p.secretFor(target), body)
	altered := bytes.Replace(body, []byte(`"events"`), []byte(`"Events"`), 1)
	forgeries := []struct {
		name       string
		body       []byte
		signatures []string
	}{
		{"no signature", body, nil},
		{"empty signature", body, []string{""}},
		{"another secret", body, []string{sign(enlace.NewSecret(rand.Text()), body)}},
		{"an empty secret", body, []string{sign(enlace.Secret{}, body)}},
		{"an altered body", altered, []string{genuine}},
		{"two signatures", body, []string{genuine, genuine}},
		{"a shortened signature", body, []string{genuine[:len(genuine)-2]}},
		{"no prefix", body, []string{genuine[len(signaturePrefix):]}},
	}
	return func(yield func(string, *http.Request) bool) {
		for _, f := range forgeries {
			if !yield(f.name, deliver(target, f.body, f.signatures...)) {
				return
			}
		}
	}
}

func (p *Provider) secretFor(target string) enlace.Secret {
	p.mu.Lock()
	defer p.mu.Unlock()
	if secret, ok := p.webhooks[target]; ok {
		return secret
	}
	return p.options.WebhookSecret
}

// deliveryBody numbers the events and writes them down.
func (p *Provider) deliveryBody(events []enlace.Event) []byte {
	if len(events) == 0 {
		panic("fake: a delivery needs an event")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var d delivery
	for _, e := range events {
		if e.Type == "" || e.Record.Entity == "" || e.Record.ID == "" {
			panic("fake: an event needs a Type and its Record an Entity and an ID")
		}
		p.events++
		if e.ID == "" {
			e.ID = fmt.Sprintf("event-%d", p.events)
		}
		if e.At.IsZero() {
			e.At = p.now()
		}
		d.Events = append(d.Events, mustMarshal(event{ID: e.ID, Type: e.Type, Entity: e.Record.Entity, RecordID: e.Record.ID,
			Deleted: e.Record.Deleted, At: e.At, Record: e.Record.Data}))
	}
	return mustMarshal(d)
}

func sign(secret enlace.Secret, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write(body)
	return signaturePrefix + hex.EncodeToString(mac.Sum(nil))
}

func deliver(target string, body []byte, signatures ...string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		panic("fake: the target of a delivery is no URL")
	}
	r.RemoteAddr = "192.0.2.1:443" // handlers look at it; clients do not
	r.Header.Set("Content-Type", "application/json")
	if signatures != nil {
		r.Header[signatureHeader] = signatures
	}
	return r
}

func mustMarshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("fake: an event does not marshal: " + err.Error())
	}
	return text
}
