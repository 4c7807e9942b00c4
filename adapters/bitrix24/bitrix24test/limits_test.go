package bitrix24test_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func constant(d time.Duration) func(string) time.Duration {
	return func(string) time.Duration { return d }
}

func TestF54LeakyBucket(t *testing.T) {
	for _, plan := range []struct {
		limits *bitrix24test.Limits
		burst  int // requests that pass at once
		leak   int // and per second from then on
	}{{bitrix24test.CloudLimits(), 51, 2}, {bitrix24test.EnterpriseLimits(), 251, 5}} {
		synctest.Test(t, func(t *testing.T) {
			p := portal(bitrix24test.Options{Limits: plan.limits})
			token, calls := p.Authorize().AccessToken, 0
			// Webhook and application of one client share the bucket; a batch counts once.
			status := func() int {
				if calls++; calls%2 == 0 {
					return post(t, p, p.RESTURL()+"server.time", `{"auth":"`+token+`"}`).status
				}
				return call(t, p, "batch", `{"cmd":{"a":"server.time","b":"server.time"}}`).status
			}
			count := func() (n int) {
				for status() == 200 {
					n++
				}
				return n
			}
			if got := count(); got != plan.burst {
				t.Errorf("a burst of %d passed, want %d", got, plan.burst)
			}
			for range 3 {
				time.Sleep(time.Second)
				if got := count(); got != plan.leak {
					t.Errorf("a second later %d passed, want %d", got, plan.leak)
				}
			}
			// What fails before the limits does not count.
			time.Sleep(time.Second)
			for range 20 {
				call(t, p, "no.such", `{}`)
				post(t, p, p.RESTURL()+"1/WRONG/server.time", `{}`)
			}
			if got := count(); got != plan.leak {
				t.Errorf("after refusals %d passed, want %d", got, plan.leak)
			}
		})
	}
}

func TestF54RefusedRequestsMayCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{Limits: &bitrix24test.Limits{Threshold: 4, Leak: 1, BillRefused: true}})
		for range 15 {
			call(t, p, "server.time", `{}`)
		}
		time.Sleep(10 * time.Second)
		if r := call(t, p, "server.time", `{}`); r.status != 503 {
			t.Errorf("a counter of 15 after 10 s: %d", r.status)
		}
	})
}

func TestF55OperatingTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{Limits: &bitrix24test.Limits{Operating: 100 * time.Second}, ServerTime: constant(30 * time.Second)})
		p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1})
		start := time.Now()
		for i := range 4 { // the sum is checked before a call, so the fourth brings it above
			r := call(t, p, "crm.item.list", `{"entityTypeId":3,"start":-1}`)
			r.want(t, "time.operating", fmt.Sprint(30*(i+1)))
			r.want(t, "time.duration", "30")
			// The oldest bucket begins with the end of the first call.
			r.want(t, "time.operating_reset_at", fmt.Sprint(start.Add(30*time.Second+10*time.Minute).Unix()))
		}
		blocked := call(t, p, "crm.item.list", `{"entityTypeId":3}`)
		blocked.wantError(t, 429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
		if r := call(t, p, "crm.contact.list", `{}`); r.status != 200 {
			t.Errorf("another method: %d", r.status)
		}
		if r := post(t, p, p.RESTURL()+"crm.item.list", `{"entityTypeId":3,"auth":"`+p.Authorize().AccessToken+`"}`); r.status != 200 {
			t.Errorf("another credential: %d", r.status)
		}
		time.Sleep(time.Until(start.Add(30*time.Second + 10*time.Minute - time.Second)))
		if r := call(t, p, "crm.item.list", `{"entityTypeId":3}`); r.status != 429 {
			t.Errorf("a second too early: %d", r.status)
		}
		time.Sleep(time.Second)
		// The first bucket held the two calls that ended within its minute.
		call(t, p, "crm.item.list", `{"entityTypeId":3}`).want(t, "time.operating", "90")
	})
}

func TestF55WhoPaysForABatch(t *testing.T) {
	body := `{"cmd":{"a":"crm.item.list?entityTypeId=3","b":"crm.item.list?entityTypeId=3","c":"server.time"}}`
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{ServerTime: constant(time.Second)})
		start := time.Now()
		r := call(t, p, "batch", body)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("three commands of a second took %v", took)
		}
		r.want(t, "time.operating", "0")
		r.want(t, "result.result_time.b.operating", "2")
		r.want(t, "result.result_time.c.operating", "1")

		p = portal(bitrix24test.Options{ServerTime: constant(time.Second), Quirks: bitrix24test.Quirks{BillBatch: true}})
		r = call(t, p, "batch", body)
		r.want(t, "time.operating", "3")
		r.want(t, "result.result_time.a.operating", "3")
		call(t, p, "server.time", `{}`).want(t, "time.operating", "1")
	})
}

func TestF55LimitWithinABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{Limits: &bitrix24test.Limits{Operating: time.Second}, ServerTime: constant(time.Second)})
		r := call(t, p, "batch", `{"cmd":{"a":"server.time","b":"server.time","c":"server.time","d":"profile"}}`)
		r.want(t, "result.result_error", `{"c":{"error":"OPERATION_TIME_LIMIT","error_description":"Method is blocked due to operation time limit."}}`)
		if !keys(r.at("result.result"))["d"] {
			t.Errorf("another method in the same batch: %s", r.text)
		}
	})
}

func TestRequestsRunSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{ServerTime: constant(300 * time.Millisecond), RoundTrip: 50 * time.Millisecond})
		p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1000})
		start, group := time.Now(), sync.WaitGroup{}
		for range 20 {
			group.Go(func() { call(t, p, "crm.item.list", `{"entityTypeId":3}`) })
		}
		group.Wait()
		if took := time.Since(start); took != 350*time.Millisecond {
			t.Errorf("20 at once took %v, want one round trip and one run", took)
		}
		if got := p.Stats(); got.MaxInFlight != 20 || got.Requests != 20 || got.Methods["crm.item.list"].Requests != 20 {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestTooMuchConcurrencyIsPunished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{ServerTime: constant(time.Second)})
		p.SetPunishConcurrency(3)
		statuses, group := make(chan int, 10), sync.WaitGroup{}
		for range 10 {
			group.Go(func() { statuses <- call(t, p, "server.time", `{}`).status })
		}
		group.Wait()
		close(statuses)
		counts := map[int]int{}
		for status := range statuses {
			counts[status]++
		}
		if counts[200] != 3 || counts[503] != 7 {
			t.Errorf("10 at once: %v", counts)
		}
		if got := p.Stats(); got.Refused != 7 || got.Methods["server.time"].Refused != 7 {
			t.Errorf("refused: %+v", got)
		}
	})
}

func TestLongRequestsAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{ServerTime: constant(7 * time.Second)})
		start := time.Now()
		r := call(t, p, "batch", `{"cmd":{"x":"server.time","a":"scope","b":"scope","c":"scope","d":"scope","e":"scope","f":"scope","g":"scope","h":"scope","i":"scope"}}`)
		if r.status != 504 || r.body != nil || time.Since(start) != time.Minute {
			t.Errorf("ten commands of 7 s: %d %s after %v", r.status, r.text, time.Since(start))
		}
	})
}

func TestClientsThatGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{ServerTime: constant(20 * time.Second)})
		client := &http.Client{Transport: p.Transport(), Timeout: 5 * time.Second}
		start := time.Now()
		response, err := client.Get(p.WebhookURL() + "server.time")
		if err == nil {
			response.Body.Close()
			t.Fatal("no timeout")
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the client waited %v", took)
		}
	})
}

func TestF54EveryClientHasItsBucket(t *testing.T) {
	p := portal(bitrix24test.Options{Limits: &bitrix24test.Limits{Threshold: 1}})
	status := func(client string) int {
		r := httptest.NewRequest("GET", p.WebhookURL()+"server.time", nil)
		r.RemoteAddr = client
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w.Code
	}
	for i, want := range []int{200, 200, 503} {
		if got := status(fmt.Sprintf("198.51.100.1:%d", 1000+i)); got != want {
			t.Errorf("request %d: %d, want %d", i+1, got, want)
		}
	}
	if got := status("198.51.100.2:1000"); got != 200 {
		t.Errorf("another client: %d", got)
	}
}
