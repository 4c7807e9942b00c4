package fake_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

const target = "https://host.example/hooks/fake"

var changed = enlace.Event{Type: "contact.updated", Record: enlace.Record{Entity: "contacts", ID: "7"}}

func TestDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fake.New(fake.Options{})
		p.Seed("contacts", 7)
		full := enlace.Event{ID: "e9", Type: "contact.created", Record: p.Records("contacts")[0], At: time.Now().Add(-time.Minute).UTC()}
		gone := enlace.Event{Type: "contact.deleted", Record: enlace.Record{Entity: "contacts", ID: "2", Deleted: true}}
		d := received(p.Delivery(target, changed, full, gone))
		if err := (fake.Adapter{}).Verifier().Verify(d, []enlace.Secret{enlace.NewSecret("newer"), p.WebhookSecret()}); err != nil {
			t.Error(err)
		}
		events, err := fake.Adapter{}.ParseWebhook(t.Context(), d)
		if err != nil || len(events) != 3 {
			t.Fatal(events, err)
		}
		if e := events[0]; e.ID != "event-1" || e.Type != "contact.updated" || e.Record.ID != "7" || e.Record.Data != nil || e.At.IsZero() {
			t.Errorf("%+v", e)
		}
		if e := events[1]; e.ID != "e9" || string(e.Record.Data) != string(full.Record.Data) || !e.At.Equal(full.At) {
			t.Errorf("%+v", e)
		}
		if e := events[2]; !e.Record.Deleted || e.Record.Data != nil {
			t.Errorf("%+v", e)
		}
	})
}

func TestForgeriesAreRefused(t *testing.T) {
	p := fake.New(fake.Options{})
	fixed := changed
	fixed.ID, fixed.At = "e1", time.Unix(1, 0)
	for _, e := range []enlace.Event{changed, fixed} {
		for name, r := range p.Forgeries(target, e) {
			d := received(r)
			if err := (fake.Adapter{}).Verifier().Verify(d, []enlace.Secret{p.WebhookSecret(), {}}); !errors.Is(err, enlace.ErrSignature) {
				t.Errorf("%s: %v", name, err)
			}
			// Only the proof tells them from genuine ones.
			if _, err := (fake.Adapter{}).ParseWebhook(t.Context(), d); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestParseWebhookRefusesJunk(t *testing.T) {
	const whole = `{"type":"a","entity":"b","record_id":"c","at":"2026-01-01T00:00:00Z"}`
	for _, body := range []string{"", "null", "[]", "{}", `{"events":[]}`, `{"events":[null]}`, `{"events":[{"type":"x"}]}`, `{"events":[{"type":1}]}`,
		`{"events":[` + strings.Repeat(whole+",", 100) + whole + `]}`} {
		_, err := fake.Adapter{}.ParseWebhook(t.Context(), enlace.Delivery{Body: []byte(body)})
		kind(t, err, "protocol")
	}
}

func TestRegistrar(t *testing.T) {
	p := fake.New(fake.Options{})
	c := newHost(t, p, p.APIKey()).conn()
	secret := enlace.NewSecret("the secret of the target")
	for range 2 {
		if err := (fake.Adapter{}).EnsureWebhook(t.Context(), c, target, secret); err != nil {
			t.Fatal(err)
		}
	}
	if there, err := (fake.Adapter{}).WebhookRegistered(t.Context(), c, target); !there || err != nil {
		t.Errorf("registered: %v, %v", there, err)
	}
	if got := strings.Join(p.Webhooks(), " "); got != target || p.Effects(fake.OpWebhooks) != 1 {
		t.Errorf("targets %s, changed %d times", got, p.Effects(fake.OpWebhooks))
	}
	verify := func(target string, secret enlace.Secret) error {
		return fake.Adapter{}.Verifier().Verify(received(p.Delivery(target, changed)), []enlace.Secret{secret})
	}
	if err := verify(target, secret); err != nil {
		t.Error(err)
	}
	if verify(target, p.WebhookSecret()) == nil || verify(target+"/2", secret) == nil {
		t.Error("a delivery is signed with another secret than the target's")
	}
	for range 2 {
		if err := (fake.Adapter{}).RemoveWebhook(t.Context(), c, target); err != nil {
			t.Fatal(err)
		}
	}
	if there, err := (fake.Adapter{}).WebhookRegistered(t.Context(), c, target); there || err != nil {
		t.Errorf("still registered: %v, %v", there, err)
	}
	if len(p.Webhooks()) != 0 || verify(target, secret) == nil {
		t.Error("the target is still registered")
	}
	kind(t, fake.Adapter{}.EnsureWebhook(t.Context(), c, "not a url", secret), "invalid")
}

func TestChallenge(t *testing.T) {
	p := fake.New(fake.Options{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !(fake.Adapter{}).AnswerChallenge(w, r, received(r).Body) {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	answer := func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	r, want := p.Challenge(target)
	if w := answer(r); w.Code != http.StatusOK || w.Body.String() != want || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := answer(p.Delivery(target, changed)); w.Code != http.StatusTeapot {
		t.Errorf("a delivery is taken for a challenge: %s", w.Body)
	}
	for _, body := range []string{"", `{"challenge":""}`, `{"challenge":"<script>"}`, `{"challenge":"` + strings.Repeat("a", 65) + `"}`} {
		if w := answer(httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))); w.Code != http.StatusTeapot {
			t.Errorf("%s is answered: %s", body, w.Body)
		}
	}
}
