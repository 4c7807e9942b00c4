package zapsign_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/zapsign"
	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

const (
	target  = "https://hub.example.com/in/zapsign/9f2c"
	webhook = "s3cr3t-c4n4ry-32-bytes-or-more-0123456789"
)

// receiver is the host's end of webhooks, as enlace will have it: it verifies,
// parses, and answers 200.
type receiver struct {
	t        *testing.T
	mu       sync.Mutex
	events   []enlace.Event
	parsed   []zapsign.Event
	refused  int
	statuses []int // answers to give instead of 200, in order
}

func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	status := r.take(request, body)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: request}, nil
}

func (r *receiver) take(request *http.Request, body []byte) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := enlace.Delivery{Method: request.Method, URL: request.URL, Header: request.Header, Body: body, ReceivedAt: time.Now()}
	adapter := zapsign.Adapter{}
	if err := adapter.Verifier().Verify(d, []enlace.Secret{enlace.NewSecret(webhook)}); err != nil {
		r.refused++
		return http.StatusUnauthorized
	}
	events, err := adapter.ParseWebhook(context.Background(), d)
	if err != nil {
		r.t.Errorf("%v: %s", err, body)
		return http.StatusInternalServerError
	}
	r.events = append(r.events, events...)
	r.parsed = append(r.parsed, must(zapsign.ParseEvent(body)))
	if len(r.statuses) > 0 {
		status := r.statuses[0]
		r.statuses = r.statuses[1:]
		return status
	}
	return http.StatusOK
}

// take returns what came since the last call.
func (r *receiver) got() (types []string, parsed []zapsign.Event, events []enlace.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	parsed, events, r.parsed, r.events = r.parsed, r.events, nil, nil
	for _, e := range parsed {
		types = append(types, e.Type)
	}
	return types, parsed, events
}

func withWebhooks(t *testing.T, options zapsigntest.Options) (*zapsigntest.API, *host, *receiver) {
	t.Helper()
	r := &receiver{t: t}
	options.Transport = r
	api := newAPI(options)
	t.Cleanup(api.Close)
	h := newHost(t, api, nil)
	must(0, zapsign.Adapter{}.EnsureWebhook(t.Context(), h.conn(), target, enlace.NewSecret(webhook)))
	return api, h, r
}

func TestT20Registration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		h := newHost(t, api, nil)
		c := h.conn()
		made := must(zapsign.RegisterWebhooks(t.Context(), c, target, enlace.NewSecret(webhook)))
		types := zapsign.EventTypes()
		registered := api.Webhooks()
		if len(made) != len(types) || len(registered) != len(types) {
			t.Fatalf("%d of %d", len(registered), len(types))
		}
		for i, w := range registered {
			if w.URL != target || w.Type != types[i] || w.Headers[zapsign.WebhookHeader] != webhook {
				t.Errorf("%+v", w)
			}
		}
		must(0, zapsign.AddWebhookHeaders(t.Context(), c, made[0].ID, zapsign.Header{Name: "X-More", Value: "1"}))
		if api.Webhooks()[0].Headers["X-More"] != "1" {
			t.Errorf("%+v", api.Webhooks()[0])
		}
		for _, w := range made {
			for range 2 { // the second as a repetition
				must(0, zapsign.DeleteWebhook(t.Context(), c, w.ID))
			}
		}
		if n := len(api.Webhooks()); n != 0 {
			t.Errorf("%d left", n)
		}
		api.Fault(zapsigntest.Fault{Route: "POST /user/company/webhook/", Kind: zapsigntest.Refuse, Status: 400, After: 3, Body: `{"message":"no"}`})
		_, err := zapsign.RegisterWebhooks(t.Context(), c, target, enlace.NewSecret(webhook))
		wantKind(t, h.note(err), enlace.ErrInvalid, enlace.OutcomeRan)
		if n := len(api.Webhooks()); n != 0 {
			t.Errorf("%d left of a registration that failed", n)
		}
		wantKind(t, zapsign.Adapter{}.RemoveWebhook(t.Context(), c, target), enlace.ErrUnsupported, enlace.OutcomeNotRun)
		api.Fault(zapsigntest.Fault{Route: "POST /user/company/webhook/", Kind: zapsigntest.Refuse, Status: 200, Body: `{}`})
		_, err = zapsign.RegisterWebhook(t.Context(), c, zapsign.WebhookInput{URL: target})
		wantKind(t, err, enlace.ErrProtocol, enlace.OutcomeRan)
		h.showsNoSecret(webhook)
	})
}

func TestEventsOfADocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, r := withWebhooks(t, zapsigntest.Options{})
		c := h.conn()
		wantTypes := func(want ...string) ([]zapsign.Event, []enlace.Event) {
			t.Helper()
			time.Sleep(time.Second)
			types, parsed, events := r.got()
			if !slices.Equal(types, want) {
				t.Fatalf("got %q, want %q", types, want)
			}
			for _, e := range events {
				if e.Record.Entity != zapsign.Documents || e.Record.ID == "" || e.Record.Data != nil || e.At.IsZero() || !json.Valid(e.Payload) {
					t.Errorf("%+v", e)
				}
			}
			return parsed, events
		}
		in := contract("Contrato 42", "Ana Prado", "Beto Lima")
		in.ExternalID, in.Metadata, in.AllowRefuse = "ord-42", []zapsign.Metadata{{Key: "deal", Value: "42"}}, true
		in.Signers[0].SendEmail = new(true)
		in.DateLimitToSign = time.Now().AddDate(0, 0, 30).Format(time.DateOnly)
		d := must(zapsign.CreateDocument(t.Context(), c, in))
		parsed, events := wantTypes("doc_created", "signature_notification_sent")
		if e := parsed[1]; e.Signer == nil || e.Signer.Token != d.Signers[0].Token || e.Signer.DocumentToken != d.Token || e.NotificationChannel != "email" ||
			e.NotificationType != "request" || e.SentAt.IsZero() || !e.At().Equal(e.SentAt) {
			t.Errorf("%+v", e)
		}
		if e := parsed[0]; e.Document.ExternalID != "ord-42" || len(e.Document.Metadata) != 1 || !e.At().Equal(e.Document.CreatedAt.Time) || events[0].ID == "" || events[0].ID == events[1].ID {
			t.Errorf("%+v", e)
		}
		must(0, api.Open(d.Signers[0].Token))
		must(0, api.ConfirmReading(d.Signers[0].Token))
		parsed, _ = wantTypes("doc_viewed", "doc_read_confirmation")
		if parsed[0].Signer.TimesViewed != 1 || parsed[0].Signer.State() != zapsign.StateOpened || parsed[1].Signer == nil {
			t.Errorf("%+v", parsed[0].Signer)
		}
		must(0, api.Sign(d.Signers[0].Token)) // T21
		parsed, first := wantTypes("doc_signed")
		if e := parsed[0]; e.Document.State() != zapsign.StatePending || e.Document.SignedFile == "" || e.Signer.State() != zapsign.StateCompleted || !e.At().Equal(e.Signer.SignedAt.Time) {
			t.Errorf("%+v", e)
		}
		must(zapsign.AddSigner(t.Context(), c, d.Token, zapsign.SignerInput{Name: "Caio Reis"}))
		parsed, _ = wantTypes("created_signer")
		caio := parsed[0].Signer.Token
		must(0, zapsign.RemoveSigner(t.Context(), c, caio))
		time.Sleep(time.Minute)
		r.got()
		must(0, api.Open(d.Signers[1].Token))
		must(0, api.Sign(d.Signers[1].Token)) // T22
		time.Sleep(time.Second)
		_, parsed, events = r.got()
		last := parsed[len(parsed)-1]
		if last.Type != "doc_signed" || last.Document.State() != zapsign.StateCompleted || events[len(events)-1].ID == first[0].ID {
			t.Errorf("%+v", last)
		}
		signed := must(zapsign.DownloadSigned(t.Context(), c, last.Document.Token, 0)) // re-read, without trusting the event
		if !bytes.HasPrefix(signed, []byte("%PDF")) {
			t.Error("no file")
		}
		must(zapsign.DeleteDocument(t.Context(), c, d.Token))
		parsed, _ = wantTypes("doc_deleted")
		if parsed[0].Document.State() != zapsign.StateDeleted || !parsed[0].At().Equal(parsed[0].Document.DeletedAt.Time) {
			t.Errorf("%+v", parsed[0])
		}
	})
}

func TestEventsOfRefusalCancelAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, r := withWebhooks(t, zapsigntest.Options{})
		c := h.conn()
		create := func() zapsign.Document {
			in := contract("Contrato", "Ana Prado")
			in.AllowRefuse = true
			in.DateLimitToSign = time.Now().AddDate(0, 0, 10).Format(time.DateOnly)
			d := must(zapsign.CreateDocument(t.Context(), c, in))
			time.Sleep(time.Second)
			r.got()
			return d
		}
		d := create() // T23
		must(0, api.Refuse(d.Signers[0].Token, "Valor divergente do combinado"))
		time.Sleep(time.Minute)
		types, parsed, _ := r.got()
		types = slices.DeleteFunc(types, func(s string) bool { return s == "doc_viewed" })
		if !slices.Equal(types, []string{"doc_refused", "doc_signed"}) {
			t.Fatalf("%q", types)
		}
		for _, e := range parsed[len(parsed)-2:] {
			if e.Document.State() != zapsign.StateRefused || e.Document.RejectReason != "Valor divergente do combinado" || e.Document.Signers[0].State() != zapsign.StateRefused {
				t.Errorf("%+v", e.Document)
			}
		}
		d = create() // T24
		must(0, zapsign.CancelDocument(t.Context(), c, d.Token, "Pedido cancelado", false))
		time.Sleep(time.Minute)
		types, parsed, _ = r.got()
		if !slices.Equal(types, []string{"doc_signed"}) || parsed[0].Document.State() != zapsign.StateRefused || parsed[0].Signer != nil {
			t.Errorf("%q %+v", types, parsed)
		}
		create() // T26
		time.Sleep(12 * 24 * time.Hour)
		types, parsed, events := r.got()
		if !slices.Equal(types, []string{"doc_expiration_alert", "doc_expiration_alert", "doc_expiration_alert", "doc_expired"}) {
			t.Fatalf("%q", types)
		}
		for i, e := range parsed {
			if e.Expiration.IsZero() || e.Document.State() != zapsign.StatePending || (events[i].ID == "") != (i < 3) {
				t.Errorf("%q %+v", events[i].ID, e)
			}
		}
	})
}

func TestT25BounceAndOtherEventsWithoutDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, r := withWebhooks(t, zapsigntest.Options{})
		c := h.conn()
		in := contract("Contrato", "Ana Prado")
		in.Signers[0].SendEmail, in.Signers[0].SelfieValidation = new(true), "liveness-NXCD"
		d := must(zapsign.CreateDocument(t.Context(), c, in))
		time.Sleep(time.Second)
		r.got()
		must(0, api.Bounce(d.Signers[0].Token))
		time.Sleep(time.Second)
		_, parsed, events := r.got()
		if len(events) != 1 || parsed[0].Bounce == nil || parsed[0].Bounce.SignerToken != d.Signers[0].Token || parsed[0].Document != nil || parsed[0].Bounce.Delivered {
			t.Fatalf("%+v", parsed)
		}
		if e := events[0]; e.Record.Entity != zapsign.Signers || e.Record.ID != d.Signers[0].Token || e.ID != "" || e.At.IsZero() {
			t.Errorf("%+v", e)
		}
		for range 3 {
			must(0, api.FailAuthentication(d.Signers[0].Token, "face does not match"))
		}
		check := must(zapsign.CreateCheck(t.Context(), c, zapsign.CheckInput{Country: "CO", Type: "person", NationalID: "1", UserAuthorized: true}))
		must(0, api.CompleteCheck(check.ID, 0.75))
		time.Sleep(time.Second)
		types, parsed, events := r.got()
		for i, e := range parsed {
			switch e.Type {
			case zapsign.EventSignerAuthFailed:
				if e.MaxAttempts != 3 || e.AttemptsUsed != 3 || e.FailureReason == "" || e.Signer == nil {
					t.Errorf("%+v", e)
				}
			case zapsign.EventBackgroundCheckDone:
				if e.Check == nil || e.Check.ID != check.ID || e.Check.Score == nil || *e.Check.Score != 0.75 || events[i].Record.Entity != "" || events[i].ID == "" {
					t.Errorf("%+v", e)
				}
			}
		}
		if !slices.Contains(types, zapsign.EventSignerAuthFailed) || !slices.Contains(types, zapsign.EventBackgroundCheckDone) {
			t.Errorf("%q", types)
		}
		api.EmitUnknown(d.Token, "doc_teleported") // T30
		time.Sleep(time.Second)
		types, _, events = r.got()
		if len(types) == 0 || types[0] != "doc_teleported" || events[0].Record.ID != d.Token || events[0].ID != "" {
			t.Errorf("%q %+v", types, events)
		}
		for _, attempt := range api.Deliveries() {
			if attempt.Status != http.StatusOK {
				t.Errorf("%s was answered by %d", attempt.Event, attempt.Status)
			}
		}
	})
}

// T28: a repetition has other links in it, and the same id. So has a second
// registration.
func TestRepeatedDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, r := withWebhooks(t, zapsigntest.Options{})
		d := must(zapsign.CreateDocument(t.Context(), h.conn(), contract("Contrato", "Ana Prado")))
		time.Sleep(time.Second)
		r.got()
		r.mu.Lock()
		r.statuses = []int{http.StatusInternalServerError}
		r.mu.Unlock()
		must(zapsign.DeleteDocument(t.Context(), h.conn(), d.Token))
		time.Sleep(time.Minute)
		_, _, events := r.got()
		if len(events) != 2 || events[0].ID == "" || events[0].ID != events[1].ID {
			t.Fatalf("%+v", events)
		}
		must(0, zapsign.Adapter{}.EnsureWebhook(t.Context(), h.conn(), target, enlace.NewSecret(webhook)))
		d = must(zapsign.CreateDocument(t.Context(), h.conn(), contract("Contrato", "Ana Prado")))
		must(0, api.Open(d.Signers[0].Token))
		time.Sleep(time.Minute)
		_, _, events = r.got()
		ids := map[string]int{}
		for _, e := range events {
			ids[e.ID]++
		}
		if len(events) != 4 || len(ids) != 2 {
			t.Errorf("%d events with %d ids", len(events), len(ids))
		}
	})
}

func TestT29ForgedWebhooks(t *testing.T) {
	body := []byte(`{"event_type":"doc_signed","status":"signed","token":"11111111-0000-4000-8000-000000000101"}`)
	verifier := zapsign.Adapter{}.Verifier()
	secret := enlace.NewSecret(webhook)
	good := enlace.Delivery{Method: "POST", URL: must(url.Parse(target)), Header: http.Header{zapsign.WebhookHeader: {webhook}}, Body: body}
	if err := verifier.Verify(good, []enlace.Secret{enlace.NewSecret("another"), secret}); err != nil {
		t.Fatal(err)
	}
	for name, header := range map[string]http.Header{
		"none": {}, "empty": {zapsign.WebhookHeader: {""}}, "wrong": {zapsign.WebhookHeader: {webhook + "x"}}, "prefix": {zapsign.WebhookHeader: {webhook[:20]}},
		"twice": {zapsign.WebhookHeader: {webhook, webhook}}, "elsewhere": {"Authorization": {webhook}},
	} {
		forged := good
		forged.Header = header
		if err := verifier.Verify(forged, []enlace.Secret{secret}); !errors.Is(err, enlace.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, secrets := range [][]enlace.Secret{nil, {{}}} {
		if err := verifier.Verify(good, secrets); !errors.Is(err, enlace.ErrSignature) {
			t.Error("no secret proves something")
		}
	}
}

func TestBodiesThatAreNoEvents(t *testing.T) {
	for _, body := range []string{"", "x", "[]", "{}", `{"event_type":""}`, `{"event_type":7}`, `{"event_type":"doc_signed"}`, `{"event_type":"doc_signed","token":{}}`,
		`{"event_type":"doc_signed","token":"x","signers":7}`, `{"event_type":"email_bounce","delivered":"x"}`, `{"event_type":"doc_x","pad":"` + strings.Repeat("x", 9<<20) + `"}`} {
		_, err := zapsign.Adapter{}.ParseWebhook(t.Context(), enlace.Delivery{Body: []byte(body)})
		if !errors.Is(err, enlace.ErrProtocol) {
			t.Errorf("%.40s: %v", body, err)
		}
	}
	events, err := zapsign.Adapter{}.ParseWebhook(t.Context(), enlace.Delivery{Body: []byte(`{"event_type":"account_moved"}`)})
	if err != nil || len(events) != 1 || events[0].Type != "account_moved" || events[0].Record.ID != "" || events[0].ID != "" {
		t.Errorf("%v %+v", err, events)
	}
	// Where a message's kind stands within its signer.
	e, err := zapsign.ParseEvent([]byte(`{"event_type":"doc_viewed","token":"t","signer_who_viewed":{"token":"s","notification_type":"request","notification_channel":"whatsapp","sent_at":"2026-02-03T10:20:31.000001Z"}}`))
	if err != nil || e.NotificationChannel != "whatsapp" || e.SentAt.IsZero() {
		t.Errorf("%v %+v", err, e)
	}
}
