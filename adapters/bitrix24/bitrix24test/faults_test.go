package bitrix24test_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// both runs a test against a portal in memory and one on loopback.
func both(t *testing.T, options bitrix24test.Options, test func(t *testing.T, p *bitrix24test.Portal, client *http.Client)) {
	t.Run("memory", func(t *testing.T) {
		p := portal(options)
		test(t, p, &http.Client{Transport: p.Transport()})
	})
	t.Run("loopback", func(t *testing.T) {
		s := bitrix24test.NewServer(options)
		defer s.Close()
		transport := &http.Transport{DisableKeepAlives: true} // so that no request is repeated on another connection
		test(t, s.Portal, &http.Client{Transport: transport})
	})
}

func TestF11Faults(t *testing.T) {
	both(t, bitrix24test.Options{}, func(t *testing.T, p *bitrix24test.Portal, client *http.Client) {
		p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 60})
		list := func() (*http.Response, []byte, error) {
			response, err := client.Get(p.WebhookURL() + "crm.contact.list")
			if err != nil {
				return nil, nil, err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			return response, body, err
		}
		for kind, status := range map[bitrix24test.FaultKind]int{bitrix24test.HTML500: 500, bitrix24test.HTML502: 502, bitrix24test.HTML200: 200} {
			p.Fault(bitrix24test.Fault{Method: "crm.contact.list", Kind: kind})
			response, body, err := list()
			if err != nil || response.StatusCode != status || !strings.HasPrefix(string(body), "<html>") || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
				t.Errorf("kind %d: %v %v %.60s", kind, response, err, body)
			}
		}
		p.Fault(bitrix24test.Fault{Kind: bitrix24test.Reset})
		if _, _, err := list(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Reset: %v", err)
		}
		p.Fault(bitrix24test.Fault{Kind: bitrix24test.TruncatedJSON})
		if _, body, err := list(); err != nil || !strings.HasPrefix(string(body), `{"result":[`) || strings.HasSuffix(string(body), "}") && len(body) > 40_000 {
			t.Errorf("TruncatedJSON: %v, %d bytes", err, len(body))
		} else if _, err := decode(string(body)); err == nil {
			t.Error("TruncatedJSON: still JSON")
		}
		p.Fault(bitrix24test.Fault{Kind: bitrix24test.BrokenBody})
		if _, body, err := list(); err == nil || len(body) == 0 {
			t.Errorf("BrokenBody: %v, %d bytes", err, len(body))
		}
		p.Fault(bitrix24test.Fault{Kind: bitrix24test.SlowDrip, Delay: time.Microsecond, Pieces: 3})
		if _, body, err := list(); err != nil || len(body) == 0 || body[len(body)-1] != '}' {
			t.Errorf("SlowDrip: %v, %d bytes", err, len(body))
		}
		if response, _, err := list(); err != nil || response.StatusCode != 200 {
			t.Errorf("when all faults are over: %v %v", response, err)
		}
	})
}

func TestF11HangEndsWithTheClient(t *testing.T) {
	arrived := make(chan bool, 1)
	options := bitrix24test.Options{OnRequest: func(bitrix24test.Request) { arrived <- true }}
	both(t, options, func(t *testing.T, p *bitrix24test.Portal, client *http.Client) {
		p.Fault(bitrix24test.Fault{Kind: bitrix24test.Hang})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		request := newRequest(t, "GET", p.WebhookURL()+"server.time", "", "").WithContext(ctx)
		failed := make(chan error)
		go func() {
			_, err := client.Do(request)
			failed <- err
		}()
		<-arrived
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestF11FaultsCountRequests(t *testing.T) {
	p := seeded(60)
	statuses := func(method string, n int) (all []int) {
		for range n {
			all = append(all, call(t, p, method, `{"entityTypeId":3}`).status)
		}
		return all
	}
	p.Fault(bitrix24test.Fault{Method: "CRM.item.list", Kind: bitrix24test.HTML500, After: 2, Times: 2})
	if got := statuses("server.time", 4); encode(got) != "[200,200,200,200]" {
		t.Errorf("another method: %v", got)
	}
	if got := statuses("crm.item.list", 6); encode(got) != "[200,200,500,500,200,200]" {
		t.Errorf("after 2, 2 times: %v", got)
	}
	p.Fault(bitrix24test.Fault{Kind: bitrix24test.HTML502, Times: -1})
	if got := statuses("server.time", 3); encode(got) != "[502,502,502]" {
		t.Errorf("for ever: %v", got)
	}
	p.ClearFaults()
	if got := statuses("server.time", 1); encode(got) != "[200]" {
		t.Errorf("after ClearFaults: %v", got)
	}
}

func TestF11Refusals(t *testing.T) {
	p := seeded(60)
	for kind, want := range map[bitrix24test.FaultKind]struct {
		status int
		code   string
	}{
		bitrix24test.RateLimited: {503, "QUERY_LIMIT_EXCEEDED"}, bitrix24test.Overloaded: {503, "OVERLOAD_LIMIT"},
		bitrix24test.OperatingLimit: {429, "OPERATION_TIME_LIMIT"}, bitrix24test.ExpiredToken: {401, "expired_token"}, bitrix24test.Refuse: {403, "user_access_error"},
	} {
		fault := bitrix24test.Fault{Method: "scope", Kind: kind, Times: 2, Status: 403, Code: "user_access_error", Description: "no"}
		p.Fault(fault)
		if r := call(t, p, "scope", `{}`); r.status != want.status || r.at("error") != want.code {
			t.Errorf("%+v: %d %s", fault, r.status, r.text)
		}
		r := call(t, p, "batch", `{"cmd":{"a":"scope","b":"server.time"}}`)
		if r.at("result.result_error.a.error") != want.code || !keys(r.at("result.result"))["b"] {
			t.Errorf("%+v in a batch: %s", fault, r.text)
		}
	}
	p.Fault(bitrix24test.Fault{Method: "oauth/token", Kind: bitrix24test.HTML502})
	if r := form(t, p, p.TokenURL(), url.Values{}); r.status != 502 {
		t.Errorf("token endpoint: %d", r.status)
	}
}

func TestF11FaultsOfWholeRequestsLeaveCommandsAlone(t *testing.T) {
	p := seeded(1)
	p.Fault(bitrix24test.Fault{Method: "scope", Kind: bitrix24test.HTML500})
	call(t, p, "batch", `{"cmd":{"a":"scope"}}`).want(t, "result.result.a", `["crm","user"]`)
	if r := call(t, p, "scope", `{}`); r.status != 500 {
		t.Errorf("the request itself: %d", r.status)
	}
	p.Fault(bitrix24test.Fault{Kind: bitrix24test.RateLimited, After: 1})
	call(t, p, "batch", `{"cmd":{"a":"scope","b":"scope"}}`).want(t, "result.result_error", `[]`)
	call(t, p, "scope", `{}`).wantError(t, 503, "QUERY_LIMIT_EXCEEDED", "Too many requests")
}

func TestRepeatedPages(t *testing.T) {
	p := seeded(120)
	p.Fault(bitrix24test.Fault{Method: "crm.item.list", Kind: bitrix24test.RepeatPage, Times: 2})
	call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":{">id":50},"start":-1}`).want(t, "result.items.0.id", "1")
	call(t, p, "batch", `{"cmd":{"a":"crm.item.list?entityTypeId=3&start=100"}}`).want(t, "result.result.a.items.0.id", "1")
	call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":{">id":50},"start":-1}`).want(t, "result.items.0.id", "51")
}

func TestSlowDripTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := seeded(60)
		p.Fault(bitrix24test.Fault{Kind: bitrix24test.SlowDrip, Delay: time.Second, Pieces: 5, Times: 2})
		start := time.Now()
		if r := call(t, p, "crm.contact.list", `{}`); r.body == nil || time.Since(start) != 4*time.Second {
			t.Errorf("five pieces took %v", time.Since(start))
		}
		client := &http.Client{Transport: p.Transport(), Timeout: 2 * time.Second}
		response, err := client.Get(p.WebhookURL() + "crm.contact.list")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if _, err = io.ReadAll(response.Body); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a client with a timeout reads %v", err)
		}
	})
}

func TestOnRequest(t *testing.T) {
	seen := []bitrix24test.Request{}
	p := portal(bitrix24test.Options{OnRequest: func(r bitrix24test.Request) { seen = append(seen, r) }})
	call(t, p, "Server.Time?a=1", `{"x":1}`)
	if len(seen) != 1 || seen[0].Method != "server.time" || string(seen[0].Body) != `{"x":1}` || seen[0].URL != "/rest/1/SECRET/Server.Time?a=1" {
		t.Errorf("seen: %+v", seen)
	}
	call(t, p, "batch", `{"cmd":{"a":"scope","b":"nope"}}`)
	stats := p.Stats()
	if stats.Requests != 2 || stats.Commands != 2 || stats.Refused != 1 || stats.Methods["scope"].Commands != 1 || stats.Methods[""].Refused != 1 {
		t.Errorf("stats: %+v", stats)
	}
	p.ResetStats()
	if stats := p.Stats(); stats.Requests != 0 || len(stats.Methods) != 0 {
		t.Errorf("after a reset: %+v", stats)
	}
}
