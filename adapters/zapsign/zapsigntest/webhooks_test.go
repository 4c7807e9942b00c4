package zapsigntest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// hub is a server that delivers to the receiver, in a bubble.
func hub(t *testing.T, options zapsigntest.Options) (*zapsigntest.API, *receiver) {
	rc := &receiver{}
	options.Transport = rc
	return sandbox(t, options), rc
}

// all registers a webhook for each documented type but "".
func registerAll(t *testing.T, api *zapsigntest.API) {
	for _, kind := range []string{
		"doc_created", "doc_signed", "doc_refused", "doc_deleted", "created_signer", "signature_notification_sent", "doc_viewed",
		"doc_read_confirmation", "signer_authentication_failed", "doc_expired", "doc_expiration_alert", "email_bounce", "background_check_completed",
	} {
		register(t, api, kind)
	}
}

func wantEvents(t *testing.T, rc *receiver, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(append([]string{}, want...), rc.events()); diff != "" {
		t.Error(diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestF39Registration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, _ := hub(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{}, {Token: "other"}}})
		r := post(t, api, "user/company/webhook/", `{"url":"https://hub.example.com/in","type":"no such type"}`)
		r.wantText(t, 200, `{"id":5512}`)
		second := register(t, api, "")
		for _, bad := range []string{`{"type":""}`, `{"url":"/in"}`, `{"url":"ftp://x"}`} {
			post(t, api, "user/company/webhook/", bad).want(t, 400, nil)
		}
		get(t, api, "user/company/webhook/").want(t, 405, nil)
		foreign := newRequest(t, api, "DELETE", "user/company/webhook/delete/", `{"id":5512}`)
		foreign.Header.Set("Authorization", "Bearer other")
		send(t, api, foreign).want(t, 404, nil)
		remove := func(id string) reply { return call(t, api, "DELETE", "user/company/webhook/delete/", `{"id":`+id+`}`) }
		remove("5512").wantText(t, 200, "Webhook deletado com sucesso")
		remove(`"`+second+`"`).wantText(t, 200, "Webhook deletado com sucesso")
		remove("5512").want(t, 404, nil)
		if left := api.Webhooks(); len(left) != 0 {
			t.Errorf("%+v", left)
		}
	})
}

func TestF40Matching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		d, s := tokens(create(t, api, `"allow_refuse_signature":true`, signerInput("Ana", `"email":"ana@example.com"`), signerInput("Beto", "")))
		for _, body := range []string{
			`{"url":"https://hub.example.com/all","type":""}`, `{"url":"https://hub.example.com/viewed","type":"doc_viewed"}`,
			`{"url":"https://hub.example.com/nonsense","type":"document.signed"}`, `{"url":"https://hub.example.com/one","type":"","doc_token":"` + d + `"}`,
		} {
			post(t, api, "user/company/webhook/", body).want(t, 200, nil)
		}
		create(t, api, "")
		post(t, api, "signers/"+s[0]+"/", `{"send_automatic_email":true}`)
		must(t, api.Open(s[0]))
		must(t, api.ConfirmReading(s[0]))
		must(t, api.Bounce(s[0]))
		must(t, api.Sign(s[0]))
		must(t, api.Refuse(s[1], "Valor divergente do combinado"))
		time.Sleep(time.Minute)
		call(t, api, "DELETE", "docs/"+d+"/", "")
		synctest.Wait()
		got := map[string][]string{}
		for _, r := range rc.all() {
			got[r.request.URL.Path] = append(got[r.request.URL.Path], r.str("event_type"))
		}
		want := map[string][]string{
			"/all":    {"doc_created", "doc_signed", "doc_refused", "doc_signed", "doc_deleted"},
			"/viewed": {"doc_viewed", "doc_viewed"}, // the second signer opened the link before refusing
			"/one":    {"doc_signed", "doc_refused", "doc_signed", "doc_deleted"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestF41TwoRegistrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "")
		register(t, api, "doc_created")
		register(t, api, "doc_created")
		create(t, api, "")
		wantEvents(t, rc, "doc_created pending", "doc_created pending", "doc_created pending")
	})
}

func TestF42Headers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		r := post(t, api, "user/company/webhook/", `{"url":"https://hub.example.com/in","type":"doc_created","headers":[{"name":"X-Hub-Secret","value":"s3cr3t"},{"name":"Authorization","value":"Bearer mine"}]}`)
		id := fmt.Sprint(r.at("id"))
		create(t, api, "")
		synctest.Wait()
		first := rc.all()[0].request
		want := http.Header{
			"X-Hub-Secret": {"s3cr3t"}, "Authorization": {"Bearer mine"}, "Accept-Encoding": {"identity"}, "Content-Type": {"application/json"}, "User-Agent": {"zapsigntest"},
		}
		if diff := cmp.Diff(want, first.Header); diff != "" {
			t.Error(diff)
		}
		if first.Method != "POST" || first.Host != "hub.example.com" {
			t.Errorf("%s %s", first.Method, first.Host)
		}
		post(t, api, "user/company/webhook/header/", `{"id":`+id+`,"headers":[{"name":"X-More","value":"1"},{"name":"Host","value":"inner.example.com"}]}`).want(t, 200, nil)
		create(t, api, "")
		synctest.Wait()
		if more := rc.all()[1].request; more.Header.Get("X-More") != "1" || more.Header.Get("X-Hub-Secret") != "s3cr3t" || more.Host != "inner.example.com" {
			t.Errorf("%v at %s", more.Header, more.Host)
		}
		// The ids of headers follow that of their webhook.
		call(t, api, "DELETE", "user/company/webhook/header/delete/", `{"id":5513}`).want(t, 200, nil)
		if left := api.Webhooks()[0].Headers; left["X-Hub-Secret"] != "" || left["X-More"] != "1" {
			t.Errorf("%v", left)
		}
		call(t, api, "DELETE", "user/company/webhook/header/delete/", `{"id":5513}`).want(t, 404, nil)
		post(t, api, "user/company/webhook/header/", `{"id":1}`).want(t, 404, nil)

		bare, rc := hub(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{BareDeliveries: true, ReplaceWebhookHeaders: true}})
		r = post(t, bare, "user/company/webhook/", `{"url":"https://hub.example.com/in","type":"","headers":[{"name":"X-A","value":"1"}]}`)
		post(t, bare, "user/company/webhook/header/", fmt.Sprintf(`{"id":%v,"headers":[{"name":"X-B","value":"2"}]}`, r.at("id"))).want(t, 200, nil)
		create(t, bare, "")
		synctest.Wait()
		if h := rc.all()[0].request.Header; h.Get("Content-Type") != "" || h.Get("User-Agent") != "" || h.Get("X-A") != "" || h.Get("X-B") != "2" {
			t.Errorf("%v", h)
		}
	})
}

func TestF43Payload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "doc_created")
		created := create(t, api, `"metadata":[{"key":"deal","value":"42 é, \"x\": <b>"}]`)
		synctest.Wait()
		detail := get(t, api, "docs/"+created.str("token")+"/").body.(map[string]any)
		got := rc.all()[0].body.(map[string]any)
		if got["event_type"] != "doc_created" || got["original_file"] == detail["original_file"] {
			t.Errorf("%s", rc.all()[0].text)
		}
		for _, changing := range []string{"event_type", "original_file"} {
			delete(got, changing)
			delete(detail, changing)
		}
		if diff := cmp.Diff(detail, got); diff != "" {
			t.Error(diff)
		}
		// Python's spacing, and nothing but ASCII.
		text := rc.all()[0].text
		if !strings.HasPrefix(text, `{"sandbox": false, "external_id": "", `) || strings.ContainsFunc(text, func(c rune) bool { return c > 126 }) || !strings.Contains(text, `42 \u00e9, \"x\": <b>`) {
			t.Error(text)
		}
	})
}

func TestF43TokenOfTheMainDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "")
		d, s := tokens(create(t, api, ""))
		extra := post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"x","base64_pdf":"`+pdf+`"}`).str("token")
		must(t, api.Sign(s[0]))
		synctest.Wait()
		last := rc.all()[1]
		last.want(t, 0, map[string]string{"token": `"` + d + `"`, "extra_docs.0.token": `"` + extra + `"`})
	})
}

func TestF44Retry(t *testing.T) {
	for _, c := range []struct {
		retry    zapsigntest.Retry
		statuses []int
		attempts int
		took     time.Duration
	}{
		{zapsigntest.Retry{}, []int{200}, 1, 0},
		{zapsigntest.Retry{}, []int{500, 200}, 2, 5 * time.Second},
		{zapsigntest.Retry{}, []int{204, 201, 200}, 2, 5 * time.Second},
		{zapsigntest.Retry{}, []int{302, 500, 500}, 2, 5 * time.Second},
		{zapsigntest.Retry{Attempts: 99, Wait: 5 * time.Minute}, []int{500}, 30, 29 * 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			api, rc := hub(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{Retry: c.retry}}})
			rc.answer = func(n int) int { return c.statuses[min(n, len(c.statuses)-1)] }
			register(t, api, "doc_created")
			create(t, api, "")
			time.Sleep(24 * time.Hour)
			got := rc.all()
			if len(got) != c.attempts || got[len(got)-1].when.Sub(got[0].when) != c.took {
				t.Fatalf("%v: %d attempts", c, len(got))
			}
			first, last := got[0], got[len(got)-1]
			if first.str("event_type") != last.str("event_type") || first.str("last_update_at") != last.str("last_update_at") ||
				c.attempts > 1 && first.str("original_file") == last.str("original_file") {
				t.Errorf("%s\n%s", first.text, last.text)
			}
			log := api.Deliveries()
			if end := log[len(log)-1]; len(log) != c.attempts || end.Attempt != c.attempts || end.GivenUp != (c.statuses[min(c.attempts, len(c.statuses))-1] != 200) || !bytes.Equal(end.Body, []byte(last.text)) {
				t.Errorf("%+v", log)
			}
		})
	}
}

func TestF44Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		rc.waiting = time.Minute
		register(t, api, "doc_created")
		create(t, api, "")
		time.Sleep(time.Hour)
		got := rc.all()
		if len(got) != 2 || got[1].when.Sub(got[0].when) != 25*time.Second {
			t.Errorf("%d attempts", len(got))
		}
		if log := api.Deliveries(); log[1].Status != 0 || log[1].Error == "" || !log[1].GivenUp || api.Stats().Failed != 2 || api.Stats().Deliveries != 2 {
			t.Errorf("%+v", log)
		}
	})
}

func TestF45DuplicatesReorderingLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "doc_viewed")
		register(t, api, "doc_created")
		api.FaultDelivery(zapsigntest.DeliveryFault{Event: "doc_viewed", Kind: zapsigntest.RepeatDelivery})
		_, s := tokens(create(t, api, ""))
		must(t, api.Open(s[0]))
		wantEvents(t, rc, "doc_created pending", "doc_viewed pending", "doc_viewed pending", "doc_viewed pending")
		api.FaultDelivery(zapsigntest.DeliveryFault{Event: "doc_created", Kind: zapsigntest.DelayDelivery, Delay: time.Minute})
		api.FaultDelivery(zapsigntest.DeliveryFault{Event: "doc_viewed", Kind: zapsigntest.LoseDelivery, After: 1, Times: -1})
		_, s = tokens(create(t, api, ""))
		for range 5 {
			must(t, api.Open(s[0]))
		}
		time.Sleep(2 * time.Minute)
		wantEvents(t, rc, "doc_created pending", "doc_viewed pending", "doc_viewed pending", "doc_viewed pending", "doc_viewed pending", "doc_created pending")
		api.ClearFaults()
		must(t, api.Open(s[0]))
		synctest.Wait()
		if got := rc.all(); len(got) != 7 {
			t.Errorf("%v", rc.events())
		}
	})
}

func TestF46Sequences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		registerAll(t, api)
		step := func(want ...string) {
			t.Helper()
			time.Sleep(time.Second)
			wantEvents(t, rc, want...)
			rc.mu.Lock()
			rc.got = nil
			rc.mu.Unlock()
		}
		ana := signerInput("Ana", `"email":"ana@example.com","phone_number":"1","send_automatic_email":true,"send_automatic_whatsapp":true`)
		d, s := tokens(create(t, api, `"allow_refuse_signature":true`, ana, signerInput("Beto", "")))
		step("doc_created pending", "signature_notification_sent pending", "signature_notification_sent pending")
		third := post(t, api, "docs/"+d+"/add-signer/", `{"name":"Caio"}`).str("token")
		step("created_signer pending")
		must(t, api.Open(s[0]))
		step("doc_viewed pending")
		must(t, api.ConfirmReading(s[0]))
		step("doc_read_confirmation pending")
		must(t, api.Sign(s[0]))
		step("doc_signed pending")
		must(t, api.Sign(s[1]))
		step("doc_viewed pending", "doc_signed pending")
		must(t, api.Sign(third))
		step("doc_viewed pending", "doc_signed signed")
		post(t, api, "refuse/", `{"doc_token":"`+d+`","rejected_reason":"x"}`).want(t, 403, nil)
		step()
		call(t, api, "DELETE", "docs/"+d+"/", "")
		step("doc_deleted signed")

		d, _ = tokens(create(t, api, ""))
		step("doc_created pending")
		post(t, api, "refuse/", `{"doc_token":"`+d+`","rejected_reason":"x"}`).want(t, 200, nil)
		step("doc_signed recusado")

		_, s = tokens(create(t, api, `"allow_refuse_signature":true`))
		step("doc_created pending")
		must(t, api.Refuse(s[0], "Valor divergente do combinado"))
		step("doc_viewed pending", "doc_refused recusado")
		time.Sleep(37 * time.Second)
		step()
		step("doc_signed recusado")
	})
}

func TestF47Expiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		registerAll(t, api)
		d, s := tokens(create(t, api, `"date_limit_to_sign":"2000-01-06"`))
		done, finished := tokens(create(t, api, `"date_limit_to_sign":"2000-01-06"`))
		gone, _ := tokens(create(t, api, `"date_limit_to_sign":"2000-01-06"`))
		must(t, api.Sign(finished[0]))
		call(t, api, "DELETE", "docs/"+gone+"/", "")
		synctest.Wait()
		before := len(rc.all())
		time.Sleep(10 * 24 * time.Hour)
		synctest.Wait()
		got := []string{}
		for _, r := range rc.all()[before:] {
			got = append(got, r.when.UTC().Format(time.RFC3339Nano)+" "+r.str("event_type")+" "+r.str("token")+" "+r.str("expiration_date")+" "+r.str("status"))
		}
		want := []string{
			"2000-01-03T23:59:59.000999Z doc_expiration_alert " + d + " 2000-01-06T23:59:59.000999+00:00 pending",
			"2000-01-05T23:59:59.000999Z doc_expiration_alert " + d + " 2000-01-06T23:59:59.000999+00:00 pending",
			"2000-01-06T23:59:59.000999Z doc_expired " + d + " 2000-01-06T23:59:59.000999+00:00 pending",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if api.Sign(s[0]) != zapsigntest.ErrClosed {
			t.Error("signed after the deadline")
		}
		// A new deadline opens it again, and the old plan is off.
		call(t, api, "PUT", "docs/"+d+"/", `{"date_limit_to_sign":"2000-01-20T12:00:00.000Z"}`).want(t, 200, nil)
		call(t, api, "PUT", "docs/"+d+"/", `{"date_limit_to_sign":"2000-01-21T12:00:00.000Z"}`).want(t, 200, nil)
		before = len(rc.all()) // before the delivery that Open starts
		must(t, api.Open(s[0]))
		time.Sleep(20 * 24 * time.Hour)
		synctest.Wait()
		if got := rc.events()[before:]; len(got) != 5 {
			t.Errorf("%v", got) // doc_viewed, three alerts, doc_expired
		}
		get(t, api, "docs/"+done+"/").want(t, 200, map[string]string{"status": `"signed"`})
	})
}

func TestF48Bounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "")
		register(t, api, "email_bounce")
		_, s := tokens(create(t, api, "", signerInput("Ana", `"email":"ana@exmaple.com"`)))
		must(t, api.Bounce(s[0]))
		synctest.Wait()
		got := rc.all()
		want := `{"email": "ana@exmaple.com", "token": "` + s[0] + `", "type": "link_email", "status": "dropped", "status_code": null, "error": "mailbox unavailable", "delivered": false, "event_type": "email_bounce"}`
		if len(got) != 2 || got[1].text != want {
			t.Errorf("%v", rc.events())
		}
	})
}

func TestF49UnknownEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "doc_signed")
		register(t, api, "doc_refused")
		d, _ := tokens(create(t, api, ""))
		api.EmitUnknown(d, "doc_teleported")
		wantEvents(t, rc, "doc_teleported pending")
		if rc.all()[0].str("token") != d {
			t.Error(rc.all()[0].text)
		}
	})
}

func TestBackgroundCheckEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "background_check_completed")
		body := `{"country":"BR","type":"company","user_authorized":true,"tax_id":"901189979","company_name":"Acme"}`
		r := post(t, api, "checks/", body).want(t, 200, map[string]string{"status": `"not_started"`, "check_type": `"company"`})
		id := r.str("check_id")
		if again := post(t, api, "checks/", body); again.str("check_id") != id {
			t.Error("another check for the same company")
		}
		if forced := post(t, api, "checks/", strings.Replace(body, "{", `{"force_creation":true,`, 1)); forced.str("check_id") == id {
			t.Error("no new check although it was forced")
		}
		must(t, api.CompleteCheck(id, 0.5))
		synctest.Wait()
		got := rc.all()
		if len(got) != 1 {
			t.Fatalf("%v", rc.events())
		}
		got[0].want(t, 0, map[string]string{"check_id": `"` + id + `"`, "status": `"completed"`, "score": "0.5", "passport": `""`, "event_type": `"background_check_completed"`})
		link := get(t, api, "checks/"+id+"/").want(t, 200, map[string]string{"pdf_report.status": `"completed"`}).str("pdf_report.url")
		if r := plain(t, api, link); r.status != 200 {
			t.Errorf("%d", r.status)
		}
	})
}

func TestADeletedWebhookGetsNoSecondAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		rc.answer = func(int) int { return 500 }
		id := register(t, api, "doc_created")
		create(t, api, "")
		synctest.Wait()
		call(t, api, "DELETE", "user/company/webhook/delete/", `{"id":`+id+`}`)
		time.Sleep(time.Minute)
		if got := len(rc.all()); got != 1 {
			t.Errorf("%d attempts", got)
		}
	})
}

// TestRealDeliveries delivers over loopback in real time, moves the clock for the second attempt,
// and closes while a delivery is under way.
func TestRealDeliveries(t *testing.T) {
	var arrived atomic.Int32
	release := make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch arrived.Add(1) {
		case 1:
			w.WriteHeader(500)
		case 3:
			<-release
		}
	}))
	defer target.Close()
	server := zapsigntest.NewServer(zapsigntest.Options{})
	do := func(path, body string) {
		t.Helper()
		response, err := http.DefaultClient.Do(newRequest(t, server.API, "POST", path, body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	document := `{"name":"x","base64_pdf":"` + pdf + `","signers":[{"name":"Ana"}]}`
	do("user/company/webhook/", `{"url":"`+target.URL+`","type":"doc_created"}`)
	do("docs/", document)
	must(t, server.Settle(t.Context()))
	if got := arrived.Load(); got != 1 {
		t.Fatalf("%d deliveries", got)
	}
	server.Advance(5 * time.Second)
	must(t, server.Settle(t.Context()))
	log := server.Deliveries()
	if len(log) != 2 || log[0].Status != 500 || log[1].Status != 200 || log[1].At.Sub(log[0].At) < 5*time.Second {
		t.Fatalf("%+v", log)
	}
	do("docs/", document)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Settle(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	closed := make(chan struct{})
	go func() { server.Close(); close(closed) }()
	close(release)
	<-closed
	if log := server.Deliveries(); len(log) != 3 || log[2].Status != 200 {
		t.Errorf("Close did not wait: %+v", log)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAdvanceDoesEverythingInItsTime(t *testing.T) {
	rc := &receiver{}
	api := sandbox(t, zapsigntest.Options{Transport: rc})
	registerAll(t, api)
	day := api.Now().AddDate(0, 0, 10).Format(time.DateOnly)
	d, _ := tokens(create(t, api, `"date_limit_to_sign":"`+day+`"`))
	api.Advance(20 * 24 * time.Hour)
	must(t, api.Settle(t.Context()))
	events := rc.events()
	slices.Sort(events) // the addresses are one, so is the order; the point here is their number
	if diff := cmp.Diff([]string{"doc_created pending", "doc_expiration_alert pending", "doc_expiration_alert pending", "doc_expiration_alert pending", "doc_expired pending"}, events); diff != "" {
		t.Error(diff)
	}
	if known, _ := api.Document(d); !known.Expired {
		t.Errorf("%+v", known)
	}
	defer func() {
		if recover() == nil {
			t.Error("time went back")
		}
	}()
	api.Advance(-1)
}

// TestPythonSpacing compares what is delivered with what it was made of.
func TestPythonSpacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "")
		name := "a\\\"b\n, : {\"é\": \"😀\"}\u2028"
		quoted, _ := json.Marshal(name)
		post(t, api, "docs/", `{"name":`+string(quoted)+`,"base64_pdf":"`+pdf+`","signers":[{"name":"Ana"}]}`).want(t, 200, nil)
		synctest.Wait()
		if got := rc.all()[0].str("name"); got != name {
			t.Errorf("%q became %q in %s", name, got, rc.all()[0].text)
		}
	})
}
