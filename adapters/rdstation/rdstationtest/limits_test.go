package rdstationtest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

const gatewayLimit = `{"message":"API rate limit exceeded"}`

func counters(period int, key string, limit, left int) string {
	return fmt.Sprintf(`{"error":"'lead_limiter' rate limit exceeded for %d second(s) period for key '%s'","max":%d,"usage":%d,"remaining_time":%d}`, period, key, limit, limit+1, left)
}

func limited(plan rdstationtest.Plan, quirks rdstationtest.Quirks) rdstationtest.Options {
	return rdstationtest.Options{Plan: plan, Limits: rdstationtest.PlanLimits(plan), Quirks: quirks}
}

// use makes requests until one is refused and returns how many went well before, and the refusal.
func use(most int, request func() reply) (n int, refused reply) {
	for n = range most + 1 {
		if r := request(); r.status == 429 {
			return n, r
		}
	}
	return n, reply{}
}

func TestF39LimitsPerAccount(t *testing.T) {
	for path, want := range map[string][3]int{ // Light, Pro, Advanced
		"/platform/contacts/" + biaUUID:      {120, 120, 500},
		"/platform/segmentations":            {120, 120, 240},
		"/platform/segmentations/1/contacts": {120, 120, 240},
		"/platform/workflows":                {40, 40, 40},
		"/platform/workflows/x":              {1, 5, 15},
		"/platform/emails":                   {60, 60, 60},
		"/platform/landing_pages":            {60, 60, 60},
		"/platform/popups":                   {60, 60, 60},
		"/platform/embeddables":              {60, 60, 60},
		"/crm/v2/users":                      {120, 120, 120},
	} {
		for i, plan := range []rdstationtest.Plan{rdstationtest.Light, rdstationtest.Pro, rdstationtest.Advanced} {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, limited(plan, rdstationtest.Quirks{}))
				n, refused := use(600, func() reply { return c.call("GET", path, "") })
				if n != want[i] {
					t.Errorf("%s on %s: %d requests, want %d", path, plan, n, want[i])
				}
				refused.want(t, 429, gatewayLimit)
				time.Sleep(time.Hour)
				if r := c.call("GET", path, ""); r.status == 429 {
					t.Errorf("%s: still refused after its window", path)
				}
			})
		}
	}
}

func TestF39LimitsPerLead(t *testing.T) {
	const day = 86400
	for name, want := range map[string]struct {
		most    int
		request func(c *client, n int) reply
	}{
		"patch":  {24, func(c *client, _ int) reply { return c.call("PATCH", byEmail, `{"city":"Olinda"}`) }},
		"tag":    {24, func(c *client, n int) reply { return c.call("POST", byUUID+"/tag", fmt.Sprintf(`{"tags":["t%d"]}`, n)) }},
		"funnel": {24, func(c *client, _ int) reply { return c.call("GET", byEmail+"/funnels/default", "") }},
		"events": {120, func(c *client, n int) reply {
			return c.call("POST", "/platform/events", event("CONVERSION", `{"conversion_identifier":"x","email":"BIA@exemplo.com.br"}`))
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := sheet(t, limited(rdstationtest.Advanced, rdstationtest.Quirks{}))
			i := 0
			n, refused := use(200, func() reply {
				i++
				time.Sleep(time.Second)
				return want.request(c, i)
			})
			if n != want.most {
				t.Errorf("%s: %d requests, want %d", name, n, want.most)
			}
			refused.want(t, 429, counters(day, bia, want.most, day-want.most))
			for _, header := range []string{"Retry-After", "retry-after-quotas"} {
				if refused.header.Get(header) != "" {
					t.Errorf("%s: header %s", name, header)
				}
			}
			c.account.PutContact(map[string]any{"email": "other@exemplo.com.br"})
			c.call("PATCH", "/platform/contacts/email:other@exemplo.com.br", `{}`).wantStatus(t, 200)
			c.account.Advance(day * time.Second)
			c.bearer = c.account.Authorize("cid").AccessToken
			want.request(c, 999).wantStatus(t, 200)
		})
	}
}

func TestF40Styles(t *testing.T) {
	for style, want := range map[rdstationtest.LimitStyle][2]string{
		rdstationtest.LimitByScope: {"lead_limiter", gatewayLimit}, rdstationtest.LimitGateway: {gatewayLimit, gatewayLimit},
		rdstationtest.LimitCounter: {"lead_limiter", "account_limiter"}, rdstationtest.LimitGeneric: {"RATE_LIMIT_EXCEDDED", "RATE_LIMIT_EXCEDDED"},
	} {
		options := limited(rdstationtest.Light, rdstationtest.Quirks{LimitStyle: style, MillisecondsLeft: true})
		c := sheet(t, options)
		_, lead := use(30, func() reply { return c.call("PATCH", byEmail, `{}`) })
		_, account := use(200, func() reply { return c.call("GET", "/platform/segmentations", "") })
		if !strings.Contains(lead.text, want[0]) || !strings.Contains(account.text, want[1]) {
			t.Errorf("style %d: %s and %s", style, lead.text, account.text)
		}
		if account.header.Get("Retry-After") != "" {
			t.Errorf("style %d: Retry-After outside of the CRM", style)
		}
	}
	c := newClient(t, limited(rdstationtest.Light, rdstationtest.Quirks{CRMLimitErrors: true}))
	_, refused := use(200, func() reply { return c.call("GET", "/crm/v2/users", "") })
	refused.contains(t, 429, "errors.0", `{"error_type":"RATE_LIMIT_EXCEDDED"}`)
	if refused.header.Get("Retry-After") != "60" {
		t.Error(refused.header)
	}
	_, refused = use(200, func() reply { return c.callV1("GET", "/users", "") })
	refused.want(t, 429, flatError("RATE_LIMIT_EXCEDDED", "API usage limit exceeded"))
}

func TestF41SharedByAllApps(t *testing.T) {
	options := limited(rdstationtest.Light, rdstationtest.Quirks{})
	options.Apps = []rdstationtest.App{{ClientID: "cid"}, {ClientID: "second"}, {ClientID: "crm-cid", Product: rdstationtest.CRM}}
	c := newClient(t, options)
	use(119, func() reply { return c.call("GET", "/platform/segmentations", "") })
	c.bearer = c.account.Authorize("second").AccessToken
	c.call("GET", "/platform/segmentations", "").wantStatus(t, 429)
	c.account.Advance(time.Minute)
	c.call("GET", "/platform/segmentations", "").wantStatus(t, 200)
}

func TestWindowsStartWithTheFirstCall(t *testing.T) {
	for _, sliding := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, limited(rdstationtest.Light, rdstationtest.Quirks{SlidingWindows: sliding}))
			call := func() int { return c.call("GET", "/platform/segmentations", "").status }
			time.Sleep(59 * time.Second)
			for range 60 {
				call()
			}
			time.Sleep(30 * time.Second)
			for range 60 {
				call()
			}
			if call() != 429 {
				t.Error("the 121st request passed")
			}
			time.Sleep(30 * time.Second)
			n, _ := use(200, func() reply { return reply{status: call()} })
			if want := map[bool]int{false: 120, true: 60}[sliding]; n != want {
				t.Errorf("sliding %v: %d more, want %d", sliding, n, want)
			}
		})
	}
}

func TestContactsIncludeLeadsQuirk(t *testing.T) {
	c := sheet(t, limited(rdstationtest.Light, rdstationtest.Quirks{ContactsIncludeLeads: true}))
	c.call("POST", byEmail+"/tag", `{"tags":["x"]}`).wantStatus(t, 200)
	if n, _ := use(200, func() reply { return c.call("GET", byEmail, "") }); n != 119 {
		t.Errorf("%d", n)
	}
}

// Eight clients that together make exactly as many requests as allowed are never refused.
func TestStatsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := limited(rdstationtest.Pro, rdstationtest.Quirks{})
		options.RoundTrip = 20 * time.Millisecond
		c := sheet(t, options)
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				time.Sleep(time.Duration(worker) * 500 * time.Millisecond)
				for begin := time.Now(); time.Since(begin) < 10*time.Minute; time.Sleep(4*time.Second - 20*time.Millisecond) {
					c.call("GET", byEmail, "")
				}
			})
		}
		group.Wait()
		stats := c.account.Stats()
		if l := stats.Limits[rdstationtest.LimitContacts]; l.Refused != 0 || l.Allowed != 1200 || stats.Requests != 1200 || stats.Routes["GET /platform/contacts/{lead}"].Requests != 1200 {
			t.Errorf("%+v", stats)
		}
		c.account.ResetStats()
		if c.account.Stats().Requests != 0 {
			t.Error("statistics are left")
		}
	})
}

func TestT22PatchLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sheet(t, limited(rdstationtest.Pro, rdstationtest.Quirks{}))
		c.call("PATCH", byEmail, `{"city":"Olinda"}`)
		time.Sleep((86400 - 43067) * time.Second)
		for range 23 {
			c.call("PATCH", byEmail, `{"city":"Olinda"}`).wantStatus(t, 200)
		}
		c.call("PATCH", byEmail, `{"city":"Olinda"}`).want(t, 429, counters(86400, bia, 24, 43067))
	})
}

func TestT23GatewayQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sheet(t, limited(rdstationtest.Pro, rdstationtest.Quirks{}))
		list := func() reply { return c.call("GET", "/platform/segmentations?page=1&page_size=125", "") }
		list()
		time.Sleep(43 * time.Second)
		use(118, list)
		r := list()
		r.want(t, 429, gatewayLimit)
		if r.header.Get("ratelimit-limit-quotas") != "120" || r.header.Get("retry-after-quotas") != "17" {
			t.Error(r.header)
		}
	})
}
