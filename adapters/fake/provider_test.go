package fake_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/memory"
)

// overNetwork makes a service that reaches the provider over a real connection.
func overNetwork(t *testing.T, p *fake.Provider, credential enlace.Credential) (*enlace.Service, enlace.Integration) {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	app := p.OAuthApp()
	app.AuthURL, app.TokenURL = server.URL+"/oauth/authorize", server.URL+"/oauth/token"
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(p.Adapter()), Store: memory.New(), Keys: keys,
		OAuth:  map[string]enlace.OAuthApp{fake.Name: app},
		Egress: enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	if err != nil {
		t.Fatal(err)
	}
	in, err := service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name, Credential: &credential,
		Settings: map[string]string{"apiUrl": server.URL + "/v1/", "retryAttempts": "0"}})
	if err != nil {
		t.Fatal(err)
	}
	return service, in
}

func TestOverARealConnection(t *testing.T) {
	p := fake.New(fake.Options{PageSize: 10})
	p.Seed("contacts", 25)
	service, in := overNetwork(t, p, p.ClientCredentials())
	read := 0
	for _, err := range service.Records(t.Context(), in.Ref, enlace.PullRequest{Entity: "contacts"}) {
		if err != nil {
			t.Fatal(err)
		}
		read++
	}
	if read != 25 {
		t.Errorf("%d read, want 25", read)
	}
	c, err := service.Conn(t.Context(), in.Ref)
	if err != nil {
		t.Fatal(err)
	}
	if ack, err := (fake.Adapter{}).Push(t.Context(), c, enlace.Mutation{Entity: "contacts", Op: enlace.OpUpsert, ID: "a/b", Data: contact{}}); err != nil || ack.ID != "a/b" {
		t.Error(ack, err)
	}
	for _, failure := range []fake.FailureKind{fake.Reset, fake.Unreachable} {
		p.Fail(fake.Failure{Kind: failure, Times: -1}) // net/http asks again on a fresh connection
		kind(t, fake.Adapter{}.CheckHealth(t.Context(), c), "unavailable")
		p.Heal()
	}
}

func TestAuthorizationOverARealConnection(t *testing.T) {
	p := fake.New(fake.Options{})
	service, in := overNetwork(t, p, p.OAuth2())
	address, err := service.BeginAuth(t.Context(), in.Ref, "https://host.example/back")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	if in, err = service.CompleteAuth(t.Context(), back.Query()); err != nil || in.Status != enlace.StatusConnected {
		t.Error(in.Status, err)
	}
}

func TestNothingElseIsReachable(t *testing.T) {
	p := fake.New(fake.Options{})
	for _, address := range []string{"https://example.com/v1/me", "http://" + fake.Host + "/v1/me"} {
		if resp, err := (&http.Client{Transport: p}).Get(address); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s is served", address)
		}
	}
	if p.Requests("") != 0 {
		t.Error("a request to another host was counted")
	}
}

func TestLatencyAndHangHonourTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fake.New(fake.Options{Latency: time.Hour})
		c := newHost(t, p, p.APIKey()).conn()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := fake.Adapter{}.CheckHealth(ctx, c)
		kind(t, err, "canceled")
		if took := time.Since(began); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("took %v: %v", took, err)
		}
	})
}

func TestClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fake.New(fake.Options{ClockSkew: 3 * time.Hour})
		time.Sleep(1001 * time.Microsecond)
		p.Seed("contacts", 1)
		if ahead := time.Until(p.Records("contacts")[0].Modified); ahead != 3*time.Hour {
			t.Errorf("the record is %v ahead", ahead)
		}
		resp, err := (&http.Client{Transport: p}).Get("https://" + fake.Host + "/v1/me")
		if err != nil {
			t.Fatal(err)
		}
		if date, err := http.ParseTime(resp.Header.Get("Date")); err != nil || time.Until(date) < 2*time.Hour {
			t.Errorf("the date is %v, %v", date, err)
		}
	})
}

func TestFailuresMeetTheRequestsTheyAreFor(t *testing.T) {
	p := fake.New(fake.Options{})
	h := newHost(t, p, p.APIKey())
	p.Fail(fake.Failure{Op: fake.OpCreate, Times: -1, Status: 403})
	p.Fail(fake.Failure{Entity: "contacts", Times: -1, Status: 404})
	p.Fail(fake.Failure{Kind: fake.Denied, Times: -1}) // a list is not a consent
	h.mustSync("companies")
	for range 2 {
		_, err := h.sync("contacts")
		kind(t, err, "not_found")
	}
	_, err := fake.Adapter{}.Push(t.Context(), h.conn(), enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: contact{}})
	kind(t, err, "forbidden") // planned first
	p.Heal()
	h.mustSync("contacts")
}

func TestConcurrentUse(t *testing.T) {
	p := fake.New(fake.Options{PageSize: 5})
	p.Seed("contacts", 20)
	c := newHost(t, p, p.OAuth2()).conn()
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			for n := range 20 {
				p.Fail(fake.Failure{Op: fake.OpFetch, Status: 409})
				p.Put("companies", strconv.Itoa(i*n), contact{})
				p.Delete("contacts", strconv.Itoa(i*n))
				m := enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: contact{}, Key: strconv.Itoa(n)}
				if _, err := (fake.Adapter{}).Push(t.Context(), c, m); err != nil {
					t.Error(err)
				}
				if _, err := (fake.Adapter{}).Pull(t.Context(), c, enlace.PullRequest{Entity: "contacts"}); err != nil {
					t.Error(err)
				}
				p.Delivery(target, changed)
				p.Records("companies")
			}
		})
	}
	workers.Wait()
	if n := p.Requests(fake.OpCreate); n != 160 {
		t.Errorf("%d creates arrived, want 160", n)
	}
}

func TestLimitCutsPages(t *testing.T) {
	p := fake.New(fake.Options{PageSize: 10})
	p.Seed("contacts", 25)
	h := newHost(t, p, p.APIKey())
	for _, want := range []int{15, 10} {
		result, err := h.service.Sync(t.Context(), h.ref, enlace.SyncOptions{Entities: []string{"contacts"}, Limit: 15})
		if got := result.Entities["contacts"].Read; err != nil || got != want {
			t.Errorf("%d read, want %d, %v", got, want, err)
		}
	}
	if len(h.data["contacts"]) != 25 {
		t.Errorf("%d held, want 25", len(h.data["contacts"]))
	}
}

// FuzzParseWebhook: any body gives events that are whole, or an error.
func FuzzParseWebhook(f *testing.F) {
	p := fake.New(fake.Options{})
	f.Add(received(p.Delivery(target, changed)).Body)
	f.Add([]byte(`{"events":[{"type":"a","entity":"b","record_id":"c","at":"2026-01-01T00:00:00Z","record":null}]}`))
	f.Add([]byte(`{"challenge":"abc"}`))
	f.Add([]byte(`{"events":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := fake.Adapter{}.ParseWebhook(t.Context(), enlace.Delivery{Body: body})
		if (err == nil) != (len(events) > 0) || err != nil && !errors.Is(err, enlace.ErrProtocol) {
			t.Errorf("%d events, %v", len(events), err)
		}
		for _, e := range events {
			if e.Type == "" || e.Record.Entity == "" || e.Record.ID == "" || e.Record.Deleted && e.Record.Data != nil || len(e.Payload) == 0 {
				t.Errorf("%+v", e)
			}
		}
		if (fake.Adapter{}).AnswerChallenge(httptest.NewRecorder(), nil, body) && err == nil {
			t.Error("both a challenge and a delivery")
		}
	})
}

// FuzzClassify: any answer is a success or an error of some kind.
func FuzzClassify(f *testing.F) {
	for _, body := range []string{"", "{", "<html>", `{"error":{"code":"unauthorized","message":"x"}}`, `{"error":{"code":"rate_limited"}}`, `{"error":{"code":7}}`,
		`{"error":"x"}`, `{"items":[]}`} {
		for _, status := range []int{0, 200, 204, 302, 400, 401, 409, 429, 503} {
			f.Add(status, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		err := fake.Adapter{}.Classify(status, http.Header{}, body)
		if err == nil {
			if status < 200 || status >= 300 {
				t.Fatalf("status %d passes for a success", status)
			}
			return
		}
		if e, ok := errors.AsType[*enlace.Error](err); !errors.Is(err, enlace.ErrDefault) && (!ok || e.Kind == nil) {
			t.Fatalf("%.500v", err)
		}
	})
}

// FuzzServeHTTP: any request gets an answer, a success is whole JSON, and what
// was written can be listed.
func FuzzServeHTTP(f *testing.F) {
	f.Add("POST", "contacts", "", `{"name":"Ann"}`)
	f.Add("PUT", "contacts/%Ee%2e", "", `{"id":1}`)
	f.Add("PUT", "contacts/%2e%2e", "", `{"id":1,"deleted":true,"updated_at":null}`)
	f.Add("PATCH", "deals/1", "", `{"contact_id":"1"}`)
	f.Add("DELETE", "contacts/1", "", ``)
	f.Add("GET", "contacts", "cursor=e30&limit=5", ``)
	f.Add("GET", "contacts", "since=9999-12-31T23:59:59-23:59", ``)
	f.Add("GET", "contacts", "id=1&id=2", ``)
	f.Add("POST", "batch", "", `{"operations":[{"op":"create","entity":"contacts","data":{}},{"op":"read","entity":"notes","id":"1","data":{}},null]}`)
	f.Add("PUT", "webhooks", "", `{"url":"https://a.example","secret":"s"}`)
	f.Add("POST", "../oauth/token", "", `grant_type=refresh_token&client_id=id&client_secret=c&refresh_token=x`)
	f.Add("GET", "../oauth/authorize", "response_type=code&client_id=id&redirect_uri=https://a.example&code_challenge=x&code_challenge_method=S256", ``)
	f.Add("POST", "../session", "", `{"user":"user","password":"p"}`)
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		p := fake.New(fake.Options{APIKey: enlace.NewSecret("k"), ClientID: "id", ClientSecret: enlace.NewSecret("c"), Password: enlace.NewSecret("p")})
		p.Seed("contacts", 3)
		r, err := http.NewRequest(method, "https://"+fake.Host+"/v1/", strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		if r.URL, err = r.URL.Parse(path); err != nil || r.URL.Host != fake.Host || r.URL.Scheme != "https" {
			t.Skip()
		}
		r.URL.RawQuery = query
		r.Header.Set("X-Api-Key", "k")
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if err := (fake.Adapter{}).Classify(w.Code, w.Header(), w.Body.Bytes()); err == nil && w.Code >= 300 || w.Code >= 500 {
			t.Errorf("status %d, %s", w.Code, w.Body)
		}
		if n := len(p.Records("notes")); n != 0 {
			t.Errorf("%d notes were written", n)
		}
		if w.Code < 300 && !strings.HasPrefix(w.Body.String(), "{") && w.Code != http.StatusNoContent {
			t.Errorf("status %d, %s", w.Code, w.Body)
		}
		for _, entity := range []string{"companies", "contacts", "deals"} {
			for _, record := range p.Records(entity) {
				if v, err := enlace.DecodeRecord[struct {
					ID      string
					Updated time.Time `json:"updated_at"`
					Deleted bool
				}](record); err != nil || v.ID != record.ID || v.Deleted || !v.Updated.Equal(record.Modified) {
					t.Errorf("%s %s: %v", entity, record.Data, err)
				}
			}
		}
	})
}
