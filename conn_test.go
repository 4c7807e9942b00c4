package enlace_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
)

func TestDoAndSend(t *testing.T) {
	h := newHost(t, crm{base: "https://crm.example.com/api/v1"}) // without a slash at the end
	h.provider.setFault(func(w http.ResponseWriter, r *http.Request, body string) bool {
		w.Header().Set("X-Total", "7")
		answerJSON(w, 201, fmt.Sprintf(`{"method":%q,"path":%q,"body":%q}`, r.Method, r.URL.EscapedPath()+"?"+r.URL.RawQuery, body))
		return true
	})
	c := h.open(h.create(apiKey("k")))
	type echo struct{ Method, Path, Body string }
	for name, test := range map[string]struct {
		call        enlace.Call
		want        echo
		contentType string
	}{
		"least":   {enlace.Call{Path: "deals"}, echo{"GET", "/api/v1/deals?", ""}, ""},
		"slash":   {enlace.Call{Path: "/deals/"}, echo{"GET", "/api/v1/deals/?", ""}, ""},
		"query":   {enlace.Call{Path: "deals", Query: url.Values{"a": {"1&2"}, "b[]": {"x", "y"}}}, echo{"GET", "/api/v1/deals?a=1%262&b%5B%5D=x&b%5B%5D=y", ""}, ""},
		"escaped": {enlace.Call{Path: "deals/" + url.PathEscape("a/b?c")}, echo{"GET", "/api/v1/deals/a%2Fb%3Fc?", ""}, ""},
		"JSON":    {enlace.Call{Method: "POST", Path: "deals", Body: map[string]int{"n": 1}}, echo{"POST", "/api/v1/deals?", `{"n":1}`}, "application/json"},
		"form":    {enlace.Call{Method: "PUT", Path: "deals", Body: url.Values{"a": {"ä"}}}, echo{"PUT", "/api/v1/deals?", `a=%C3%A4`}, "application/x-www-form-urlencoded"},
		"raw":     {enlace.Call{Method: "PATCH", Path: "deals", Body: []byte("<x/>"), Header: http.Header{"content-type": {"text/xml"}}}, echo{"PATCH", "/api/v1/deals?", "<x/>"}, "text/xml"},
		"as given": {enlace.Call{Method: "POST", Path: "deals", Body: json.RawMessage(`{"id":9007199254740993}`), Header: http.Header{"Content-Type": {"application/vnd.api+json"}}},
			echo{"POST", "/api/v1/deals?", `{"id":9007199254740993}`}, "application/vnd.api+json"},
	} {
		var got echo
		if err := c.Do(t.Context(), test.call, &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		all := h.provider.seen("")
		if header := all[len(all)-1].Header; header.Get("Content-Type") != test.contentType || header.Get("Accept") != "application/json" || header.Get("User-Agent") == "" {
			t.Errorf("%s: header %v", name, header)
		}
	}
	resp, err := c.Send(t.Context(), enlace.Call{Path: "deals"})
	if err != nil || resp.Status != 201 || resp.Header.Get("X-Total") != "7" || !strings.HasPrefix(string(resp.Body), `{"method":"GET"`) {
		t.Errorf("%+v, %v", resp, err)
	}
	var raw []byte
	var message json.RawMessage
	if err := errors.Join(c.Do(t.Context(), enlace.Call{}, &raw), c.Do(t.Context(), enlace.Call{}, &message), c.Do(t.Context(), enlace.Call{}, nil)); err != nil ||
		!bytes.Equal(raw, message) || len(raw) == 0 {
		t.Errorf("%s, %s, %v", raw, message, err)
	}
	err = c.Do(t.Context(), enlace.Call{Method: "POST", Body: make(chan int)}, nil)
	if !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a body that is no JSON: %v", err)
	}
	if c.Ref().Tenant != "acme" || c.Provider() != "crm" {
		t.Errorf("%v %s", c.Ref(), c.Provider())
	}
}

// The adapter's judgment decides about repetition: this provider says everything
// with status 200.
func TestClassificationInsideTheLoop(t *testing.T) {
	for name, test := range map[string]struct {
		body     string
		post     bool
		kind     error
		requests int // after one such answer; then all is well
	}{
		"rate limit":             {`{"code":"SLOW_DOWN"}`, false, nil, 2},
		"rate limit of a write":  {`{"code":"SLOW_DOWN"}`, true, nil, 2}, // certainly did not run
		"busy":                   {`{"code":"BUSY"}`, false, nil, 2},
		"busy with a write":      {`{"code":"BUSY"}`, true, enlace.ErrUnavailable, 1}, // may have run
		"forbidden":              {`{"code":"NOT_YOURS"}`, false, enlace.ErrForbidden, 1},
		"something else":         {`{"code":"OOPS","message":"no"}`, false, enlace.ErrInvalid, 1},
		"none of the adapter's":  {`{}`, false, nil, 1},
		"success of a write too": {`{}`, true, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, crm{})
				h.provider.setFault(times(1, "/deals", status(200, test.body)))
				call := enlace.Call{Path: "deals"}
				if test.post {
					call = enlace.Call{Method: "POST", Path: "deals", Body: struct{}{}}
				}
				err := h.open(h.create(apiKey("k"))).Do(t.Context(), call, nil)
				if enlace.KindLabel(err) != enlace.KindLabel(test.kind) {
					t.Errorf("%v, want %s", err, enlace.KindLabel(test.kind))
				}
				if n := len(h.provider.seen("/deals")); n != test.requests {
					t.Errorf("%d requests, want %d", n, test.requests)
				}
				if e, ok := errors.AsType[*enlace.Error](err); err != nil && (!ok || e.Provider != "crm" || e.Op != "deals" || e.Status != 200 || e.Code == "") {
					t.Errorf("%+v", e)
				}
			})
		})
	}
}

func TestAnswersThatAreNoJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{})
		c := h.open(h.create(apiKey("k")))
		for name, body := range map[string]string{"HTML": "<html><body>login " + canary, "cut": `{"items":[{"id":1},{"i`, "empty": "", "wrong shape": `{"items":"none"}`, "two values": `{} {}`} {
			h.provider.setFault(times(9, "/deals", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, body)
			}))
			var out struct{ Items []int }
			err := c.Do(t.Context(), enlace.Call{Path: "deals"}, &out)
			if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, enlace.ErrProtocol) || e.Status != 200 || e.Op != "deals" {
				t.Errorf("%s: %v, want ErrProtocol", name, err)
			}
			checkNoLeak(t, name, dump(err), canary)
			for _, err := range h.Records(t.Context(), c.Ref(), enlace.PullRequest{Entity: "deals"}) {
				if !errors.Is(err, enlace.ErrProtocol) {
					t.Errorf("%s in a pull: %v, want ErrProtocol", name, err)
				}
			}
		}
	})
}

// A connection that breaks inside the body is repeated for a read and not for a write.
func TestBrokenAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{})
		c := h.open(h.create(apiKey("k")))
		cut := func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Cut", "1")
			_, _ = io.WriteString(w, `{"a":`)
		}
		h.provider.setFault(times(2, "/deals", cut))
		if err := c.Do(t.Context(), enlace.Call{Path: "deals"}, nil); err != nil || len(h.provider.seen("/deals")) != 3 {
			t.Errorf("%v after %d requests", err, len(h.provider.seen("/deals")))
		}
		h.provider.setFault(times(1, "/notes", cut))
		err := c.Do(t.Context(), enlace.Call{Method: "POST", Path: "notes", Body: struct{}{}}, nil)
		if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, enlace.ErrUnavailable) || e.Outcome != enlace.OutcomeUnknown || len(h.provider.seen("/notes")) != 1 {
			t.Errorf("%v after %d requests", err, len(h.provider.seen("/notes")))
		}
	})
}

func TestRateLimit(t *testing.T) {
	for name, test := range map[string]struct {
		header string
		least  time.Duration
	}{"without Retry-After": {"", 0}, "with Retry-After": {"7", 7 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, crm{})
				h.provider.setFault(times(1, "/notes", func(w http.ResponseWriter, _ *http.Request) {
					if test.header != "" {
						w.Header().Set("Retry-After", test.header)
					}
					w.WriteHeader(http.StatusTooManyRequests)
				}))
				started := time.Now()
				// Also a write: it certainly did not run.
				err := h.open(h.create(apiKey("k"))).Do(t.Context(), enlace.Call{Method: "POST", Path: "notes", Body: struct{}{}}, nil)
				if err != nil || len(h.provider.seen("/notes")) != 2 {
					t.Errorf("%v after %d requests", err, len(h.provider.seen("/notes")))
				}
				if took := time.Since(started); took < test.least || took > test.least+3*time.Second {
					t.Errorf("it took %v, the provider asked for %v", took, test.least)
				}
			})
		})
	}
	t.Run("longer than we wait ourselves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, crm{})
			h.provider.setFault(times(99, "", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusTooManyRequests)
			}))
			err := h.open(h.create(apiKey("k"))).Do(t.Context(), enlace.Call{Path: "deals"}, nil)
			if !errors.Is(err, enlace.ErrRateLimited) || enlace.RetryAfter(err) != time.Hour || len(h.provider.seen("/deals")) != 1 {
				t.Errorf("%v after %d requests, wait %v", err, len(h.provider.seen("/deals")), enlace.RetryAfter(err))
			}
		})
	})
}

func TestStormOf503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{})
		h.provider.add("companies", 35)
		var n atomic.Int32
		h.provider.setFault(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			if n.Add(1)%3 == 0 {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		book := &notebook{}
		result, err := h.Sync(t.Context(), h.create(apiKey("k")).Ref, enlace.SyncOptions{Entities: []string{"companies"}, Sink: book})
		if err != nil || len(book.records) != 35 || !result.Complete {
			t.Fatalf("%d records, %v", len(book.records), err)
		}
		if r := result.Entities["companies"]; r.Requests != 12 || r.Retries != 8 || r.Pages != 4 {
			t.Errorf("%+v", r)
		}
	})
}

// A plain POST whose outcome is unclear is sent once.
func TestAmbiguousWriteIsSentOnce(t *testing.T) {
	faults := map[string]http.HandlerFunc{
		"500": status(500, ""), "502": status(502, ""), "503": status(503, ""), "504": status(504, ""), "408": status(408, ""),
		"cut":      func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Cut", "1") },
		"time-out": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, crm{})
				c := h.open(h.create(apiKey("k"), with("timeout", "1000")))
				send := func(call enlace.Call) int {
					before := len(h.provider.seen("/notes"))
					h.provider.setFault(times(1, "/notes", fault))
					err := c.Do(t.Context(), call, nil)
					sent := len(h.provider.seen("/notes")) - before
					if e, ok := errors.AsType[*enlace.Error](err); sent == 1 && (!ok || !errors.Is(err, enlace.ErrUnavailable) || e.Outcome != enlace.OutcomeUnknown) {
						t.Errorf("%+v: %v", call, err)
					}
					if sent > 1 && err != nil {
						t.Errorf("%+v: %v", call, err)
					}
					return sent
				}
				for _, test := range []struct {
					call enlace.Call
					want int
				}{
					{enlace.Call{Method: "POST", Path: "notes", Body: struct{}{}}, 1}, {enlace.Call{Method: "PUT", Path: "notes"}, 1},
					{enlace.Call{Method: "DELETE", Path: "notes"}, 1}, {enlace.Call{Method: "PATCH", Path: "notes"}, 1},
					{enlace.Call{Method: "POST", Path: "notes", Body: struct{}{}, Idempotent: true}, 2},
					{enlace.Call{Path: "notes"}, 2}, {enlace.Call{Method: "OPTIONS", Path: "notes"}, 2},
				} {
					if got := send(test.call); got != test.want {
						t.Errorf("%s (idempotent %t) was sent %d times, want %d", test.call.Method, test.call.Idempotent, got, test.want)
					}
				}
				req := must(http.NewRequestWithContext(t.Context(), "POST", providerURL+"notes", strings.NewReader("{}")))(t)
				before := len(h.provider.seen("/notes"))
				h.provider.setFault(times(1, "/notes", fault))
				if _, err := c.Client().Do(req); err == nil || len(h.provider.seen("/notes"))-before != 1 {
					t.Errorf("by Client: %v", err)
				}
			})
		})
	}
}

func TestSettingsOfTheTransport(t *testing.T) {
	for _, retries := range []int{0, 1, 3, 10} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, crm{})
			h.provider.setFault(times(99, "", status(503, "")))
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			err := h.open(h.create(apiKey("k"), with("retryAttempts", fmt.Sprint(retries)))).Do(ctx, enlace.Call{Path: "deals"}, nil)
			if n := len(h.provider.seen("/deals")); n != retries+1 || !errors.Is(err, enlace.ErrUnavailable) {
				t.Errorf("%d requests with retryAttempts %d, %v", n, retries, err)
			}
		})
	}
	for _, timeout := range []time.Duration{100 * time.Millisecond, 30 * time.Second, 2 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, crm{})
			h.provider.setFault(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
				select {
				case <-r.Context().Done():
				case <-time.After(timeout - time.Millisecond):
				}
				return false
			})
			in := h.create(apiKey("k"), with("retryAttempts", "0"), with("timeout", fmt.Sprint(timeout.Milliseconds())))
			if err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
				t.Errorf("an answer just within %v: %v", timeout, err)
			}
			h.provider.setFault(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
				<-r.Context().Done()
				return false
			})
			started := time.Now()
			err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil)
			if took := time.Since(started); took != timeout || !errors.Is(err, enlace.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("no answer: %v after %v, want ErrUnavailable after %v", err, took, timeout)
			}
		})
	}
}

func TestCanceledContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{limits: enlace.Limits{PerSecond: 0.1, Burst: 1}})
		h.provider.setFault(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
			if strings.HasSuffix(r.URL.Path, "/slow") {
				<-r.Context().Done()
			}
			return false
		})
		check := func(name string, err, cause error) {
			t.Helper()
			if !errors.Is(err, enlace.ErrCanceled) || !errors.Is(err, cause) || enlace.KindLabel(err) != "canceled" {
				t.Errorf("%s: %v, want ErrCanceled and %v", name, err, cause)
			}
		}
		c := h.open(h.create(apiKey("k")))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		check("before", c.Do(ended, enlace.Call{Path: "ping"}, nil), context.Canceled)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		check("during", c.Do(ctx, enlace.Call{Path: "slow"}, nil), context.Canceled)
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		check("by deadline", c.Do(ctx, enlace.Call{Path: "slow"}, nil), context.DeadlineExceeded)
		if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
			t.Error(err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		check("in the queue", c.Do(ctx, enlace.Call{Path: "ping"}, nil), context.Canceled)
		_, err := c.Client().Do(must(http.NewRequestWithContext(ended, "GET", providerURL, nil))(t))
		check("by Client", err, context.Canceled)
		_, err = h.Conn(ended, c.Ref())
		check("opening", err, context.Canceled)
		// The quota is used up for longer than the deadline: nothing is sent.
		before := len(h.provider.seen(""))
		_ = c.Do(t.Context(), enlace.Call{Path: "ping"}, nil)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = c.Do(ctx, enlace.Call{Path: "ping"}, nil)
		if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, enlace.ErrRateLimited) || e.Outcome != enlace.OutcomeNotRun || e.Retry <= time.Second || len(h.provider.seen("")) != before+1 {
			t.Errorf("no time for the queue: %v, %d requests", err, len(h.provider.seen(""))-before)
		}
	})
}

func TestMaxBody(t *testing.T) {
	for _, inMemory := range []bool{true, false} {
		h := newHost(t, crm{}, func(c *enlace.Config) { c.MaxBody = 1000 }, func(c *enlace.Config) {
			if !inMemory {
				allowLoopback(c)
			}
		})
		edit := func(*enlace.NewIntegration) {}
		if !inMemory {
			edit = with("apiUrl", localServer(t, h.provider).URL)
		}
		c := h.open(h.create(apiKey("k"), edit))
		for size, good := range map[int]bool{999: true, 1000: true, 1001: false, 100_000: false} {
			h.provider.setFault(times(9, "/big", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(bytes.Repeat([]byte("a"), size))
			}))
			before := len(h.provider.seen("/big"))
			var out []byte
			err := c.Do(t.Context(), enlace.Call{Path: "big"}, &out)
			if good != (err == nil) || (good && len(out) != size) || (!good && !errors.Is(err, enlace.ErrTooLarge)) {
				t.Errorf("%d bytes: %d, %v", size, len(out), err)
			}
			if n := len(h.provider.seen("/big")) - before; n != 1 {
				t.Errorf("%d bytes were asked for %d times", size, n)
			}
		}
		done := observedAs[enlace.RequestDone](h)
		kinds := map[string]int{}
		for _, o := range done {
			kinds[o.Kind]++
		}
		if kinds["too_large"] != 2 || kinds[""] != 2 {
			t.Errorf("observed kinds %v", kinds)
		}
	}
}

func TestClient(t *testing.T) {
	h := newHost(t, crm{})
	c := h.open(h.create(apiKey(canary)))
	client := c.Client()
	get := func(address string) (*http.Response, error) {
		return client.Do(must(http.NewRequestWithContext(t.Context(), "GET", address, nil))(t))
	}
	resp, err := get(providerURL + "ping")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || string(body) != `{"ok":true}` || h.provider.seen("ping")[0].Header.Get("X-Api-Key") != canary {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	checkNoLeak(t, "the response", fmt.Sprintf("%+v %+v", resp, resp.Request), canary)
	req := must(http.NewRequestWithContext(t.Context(), "POST", providerURL+"notes", strings.NewReader(`{"a":1}`)))(t)
	if _, err := client.Do(req); err != nil || h.provider.seen("/notes")[0].Body != `{"a":1}` {
		t.Errorf("a POST: %v", err)
	}
	before := len(h.provider.seen(""))
	for _, address := range []string{"https://evil.example.com/api/", "http://crm.example.com/api/", "https://crm.example.com:8443/api/", "https://crm.example.com.evil.example.com/", "https://CRM.example.com@evil.example.com/"} {
		if _, err := get(address); !errors.Is(err, enlace.ErrBlocked) {
			t.Errorf("%s: %v, want ErrBlocked", address, err)
		}
	}
	if len(h.provider.seen("")) != before {
		t.Error("something was sent to another host")
	}
	// A redirect is not followed to another host, whatever the SDK does.
	h.provider.setFault(times(1, "/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://evil.example.com/"+canary, http.StatusFound)
	}))
	if _, err := get(providerURL + "moved"); !errors.Is(err, enlace.ErrMoved) {
		t.Errorf("a redirect: %v, want ErrMoved", err)
	}
	h.provider.setFault(times(9, "/gone", status(404, `{}`)))
	if _, err := get(providerURL + "gone"); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("a refused answer: %v, want ErrNotFound", err)
	}
}

func TestBudget(t *testing.T) {
	h := newHost(t, crm{})
	c := h.open(h.create(apiKey("k")))
	b := c.Budget("list")
	if b != nil {
		t.Error("a budget without a limit")
	}
	release, err := b.Acquire(t.Context(), time.Hour) // nil limits nothing
	if err != nil {
		t.Fatal(err)
	}
	release(time.Hour)
	b.Report(time.Hour, time.Now())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Acquire(ended, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{limits: enlace.Limits{RunTime: 10 * time.Second, RunTimeWindow: time.Minute}})
		in := h.create(apiKey("k"))
		one, two := h.open(in), h.open(in)
		release, err := one.Budget("list").Acquire(t.Context(), 8*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		release(8 * time.Second)
		if _, err := two.Budget("other").Acquire(t.Context(), 8*time.Second); err != nil { // methods are apart
			t.Fatal(err)
		}
		started := time.Now()
		if _, err := two.Budget("list").Acquire(t.Context(), 8*time.Second); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(started); waited < 50*time.Second {
			t.Errorf("waited %v: connections to one account must share its allowance", waited)
		}
	})
}

// Connections to one account share its rate; with PerHost so do all accounts there.
func TestRateIsShared(t *testing.T) {
	for _, perHost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, crm{limits: enlace.Limits{PerSecond: 1, Burst: 1, PerHost: perHost}})
			a, b := h.create(apiKey("a")), h.create(apiKey("b"))
			started := time.Now()
			var wg sync.WaitGroup
			for _, in := range []enlace.Integration{a, a, b, b} {
				c := h.open(in)
				wg.Go(func() {
					for range 5 {
						if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			want := 9 * time.Second
			if perHost {
				want = 19 * time.Second
			}
			if took := time.Since(started).Round(time.Second); took != want {
				t.Errorf("per host %t: 20 requests took %v, want %v", perHost, took, want)
			}
		})
	}
}

func TestRequestObservations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{})
		in := h.create(apiKey("k"))
		h.provider.setFault(times(1, "/deals", status(503, "")))
		if err := h.open(in).Do(t.Context(), enlace.Call{Path: "deals", Op: "list deals"}, nil); err != nil {
			t.Fatal(err)
		}
		done := observedAs[enlace.RequestDone](h)
		if len(done) != 2 || done[0].Kind != "unavailable" || done[0].Status != 503 || done[0].Attempt != 1 || done[1].Kind != "" || done[1].Status != 200 ||
			done[1].Attempt != 2 || done[1].Waited <= 0 || done[1].Op != "list deals" || done[1].Method != "GET" || done[1].Ref != in.Ref || done[1].Provider != "crm" {
			t.Errorf("%+v", done)
		}
	})
}

// loose is an adapter that puts what the provider says into its errors.
type loose struct{ crm }

func (loose) Classify(code int, _ http.Header, body []byte) error {
	switch {
	case code == 200:
		return nil
	case code == 499:
		return fmt.Errorf("provider: %s", body)
	case code == 498:
		return &enlace.Error{Message: string(body), Code: string(body)} // without a kind
	case code == 497:
		return &enlace.Error{Kind: enlace.ErrForbidden, Err: fmt.Errorf("provider: %s", body)}
	default:
		return &enlace.Error{Kind: enlace.ErrInvalid, Message: string(body), Code: string(body)}
	}
}

func (l loose) Pull(ctx context.Context, c *enlace.Conn, _ enlace.PullRequest) (enlace.Page, error) {
	var body []byte
	if err := c.Do(ctx, enlace.Call{Path: "echo"}, &body); err != nil {
		return enlace.Page{}, fmt.Errorf("pull: %w", err)
	}
	return enlace.Page{}, fmt.Errorf("the provider said %s", body)
}

// A provider that repeats the secret, in whatever encoding, does not get it into
// errors, observations, log lines or stored rows.
func TestSecretsStayOutOfEverythingShown(t *testing.T) {
	secretPath := "https://crm.example.com/rest/1/" + url.PathEscape(canary) + "/"
	for name, test := range map[string]struct {
		scheme enlace.AuthScheme
		cred   enlace.Credential
	}{
		"header": {headerKey, apiKey(canary)},
		"query":  {enlace.APIKey{Place: enlace.Placement{Query: "token"}}, apiKey(canary)},
		"body":   {enlace.APIKey{Place: enlace.Placement{Body: "token"}}, apiKey(canary)},
		"basic": {enlace.Basic{}, enlace.Credential{Secrets: map[string]enlace.Secret{
			"username": enlace.NewSecret("user"), "password": enlace.NewSecret(canary)}}},
		"path": {enlace.SecretURL{}, enlace.Credential{Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(secretPath)}}},
		"bearer": {codeScheme, enlace.Credential{Token: &enlace.Token{Access: enlace.NewSecret(canary)},
			WebhookSecrets: secrets("hook" + canary)}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logs bytes.Buffer
				h := newHost(t, loose{crm{auth: []enlace.AuthScheme{test.scheme}}}, withApp, func(c *enlace.Config) {
					c.Logger = slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
				})
				in := h.create(test.cred)
				c := h.open(in)
				call := enlace.Call{Method: "POST", Path: "echo", Body: struct{}{}}
				shown := map[string]error{}
				for _, code := range []int{200, 301, 400, 403, 497, 498, 499, 500} {
					h.provider.setFault(func(w http.ResponseWriter, r *http.Request, body string) bool {
						everything := fmt.Sprintf("%s %s %v %s | %x %q", r.URL, r.URL.Path, r.Header, body, canary, url.QueryEscape(canary))
						w.Header().Set("Location", "https://other.example.com"+r.URL.RequestURI())
						answerJSON(w, code, everything)
						return true
					})
					var out struct{ A int }
					shown[fmt.Sprint("Do ", code)] = c.Do(t.Context(), call, &out)
					if e, ok := errors.AsType[*enlace.Error](shown[fmt.Sprint("Do ", code)]); !ok || e.Kind == nil {
						t.Errorf("%d: %v has no kind", code, e)
					}
					_, shown[fmt.Sprint("Sync ", code)] = h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"deals"}, Sink: &notebook{}})
					report, _ := h.TestConnection(t.Context(), enlace.ConnectionTest{Ref: in.Ref})
					for _, step := range report.Steps {
						shown[fmt.Sprint(step.Name, " ", code)] = step.Err
					}
					if name != "path" { // there the caller would have to know the secret
						_, shown[fmt.Sprint("Client ", code)] = c.Client().Do(must(http.NewRequestWithContext(t.Context(), "GET", providerURL+"echo", nil))(t))
					}
				}
				for what, err := range shown {
					if err != nil {
						checkNoLeak(t, what, err.Error()+dump(err), canary)
						for e := err; e != nil; e = errors.Unwrap(e) {
							checkNoLeak(t, what+" inside", e.Error(), canary)
						}
						if e, ok := errors.AsType[*enlace.Error](err); ok {
							checkNoLeak(t, what+" fields", fmt.Sprintf("%s|%s|%v", e.Message, e.Code, e.Err), canary)
						}
					}
				}
				for _, o := range h.observed() {
					checkNoLeak(t, "an observation", dump(o), canary)
				}
				c.Logger().Info("mine")
				checkNoLeak(t, "the log", logs.String(), canary)
				runs, _, err := h.Runs(t.Context(), enlace.RunQuery{Tenant: "acme"})
				if err != nil || len(runs) == 0 {
					t.Errorf("%d runs, %v", len(runs), err)
				}
				for _, run := range runs {
					checkNoLeak(t, "a run", dump(run), canary)
				}
				checkNoLeak(t, "the connection", fmt.Sprintf("%v %+v", c.Ref(), must(h.Get(t.Context(), in.Ref))(t)), canary)
				if !strings.Contains(logs.String(), in.ID) || !strings.Contains(logs.String(), "acme") {
					t.Errorf("a log line without the integration: %s", logs.String())
				}
			})
		})
	}
}

// No way leads from a connection to its secret.
func TestConnectionIsNotPrintable(t *testing.T) {
	h := newHost(t, crm{})
	c := h.open(h.create(apiKey(canary)))
	if err := h.Close(t.Context()); err != nil { // nothing moves in the service while all of it is printed
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		checkNoLeak(t, verb, fmt.Sprintf(verb, c), canary)
	}
}
