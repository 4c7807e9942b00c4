package rdstation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

// TestAnHourOfMixedLoad uses every kind of request from eight goroutines, as hard
// as it can: the fake's limiters refuse nothing, and the rates are used.
func TestAnHourOfMixedLoad(t *testing.T) {
	for name, test := range map[string]struct {
		plan   rdstationtest.Plan
		quirks rdstationtest.Quirks
		length time.Duration
	}{
		"pro":      {rdstationtest.Pro, rdstationtest.Quirks{}, time.Hour},
		"sliding":  {rdstationtest.Light, rdstationtest.Quirks{SlidingWindows: true, ContactsIncludeLeads: true}, 10 * time.Minute},
		"advanced": {rdstationtest.Advanced, rdstationtest.Quirks{}, 5 * time.Minute},
	} {
		bubble(t, name, func(t *testing.T) { mixedLoad(t, test.plan, test.quirks, test.length) })
	}
}

func mixedLoad(t *testing.T, plan rdstationtest.Plan, quirks rdstationtest.Quirks, length time.Duration) {
	limits := rdstationtest.PlanLimits(plan)
	account := rdstationtest.New(rdstationtest.Options{Plan: plan, Limits: limits, Quirks: quirks, RoundTrip: 80 * time.Millisecond})
	flow := account.PutAsset(rdstationtest.Workflows, map[string]any{"status": "active"})
	uuids := make([]string, 200)
	for i := range uuids {
		uuids[i] = account.PutContact(map[string]any{"email": fmt.Sprintf("c%d@example.com", i)})
	}
	h := marketingHost(t, account, map[string]string{"plan": string(plan)})
	h.config.Observer = nil // keeping everything takes longer than the test
	h.restart()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	c, m := h.conn(), h.marketing
	day := rdstation.Period{From: time.Now().AddDate(0, 0, -2), To: time.Now().AddDate(0, 0, -1)}
	calls := map[string]func(n int) error{
		rdstationtest.LimitContacts: func(n int) error { _, err := m.Contact(ctx, c, rdstation.ByUUID(uuids[n%len(uuids)])); return err },
		rdstationtest.LimitEvents: func(n int) error {
			_, err := m.Send(ctx, c, rdstation.Conversion{Identifier: "x", Email: "l" + strconv.Itoa(n/20) + "@example.com"})
			return err
		},
		rdstationtest.LimitSegmentations: func(int) error { _, err := m.Segmentations(ctx, c, rdstation.Options{}); return err },
		rdstationtest.LimitEmails:        func(int) error { _, err := m.Emails(ctx, c, rdstation.Options{}); return err },
		rdstationtest.LimitLandingPages:  func(int) error { _, err := m.LandingPages(ctx, c, rdstation.Options{}); return err },
		rdstationtest.LimitPopups:        func(int) error { _, err := m.Popups(ctx, c, rdstation.Options{}); return err },
		rdstationtest.LimitForms:         func(int) error { _, err := m.Forms(ctx, c, rdstation.Options{}); return err },
		rdstationtest.LimitWorkflows:     func(int) error { _, err := m.Workflows(ctx, c, rdstation.Options{}); return err },
		rdstationtest.LimitWorkflow:      func(int) error { _, err := m.Workflow(ctx, c, flow); return err },
		rdstationtest.LimitWorkflowLeads: func(int) error { _, err := m.AddToWorkflow(ctx, c, flow, "c1@example.com"); return err },
	}
	if plan != rdstationtest.Light {
		calls[rdstationtest.LimitAnalyticsEmails] = func(int) error { _, err := m.EmailStatistics(ctx, c, day); return err }
		calls[rdstationtest.LimitAnalyticsFlows] = func(int) error { _, err := m.WorkflowEmailStatistics(ctx, c, day); return err }
		calls[rdstationtest.LimitAnalyticsAssets] = func(int) error { _, err := m.ConversionStatistics(ctx, c, day); return err }
	}
	if plan == rdstationtest.Advanced {
		calls[rdstationtest.LimitAnalyticsFunnel] = func(int) error { _, err := m.FunnelStatistics(ctx, c, day, ""); return err }
	}
	// Each of the eight takes its turn with every kind; who has to come back later
	// does something else meanwhile.
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() { work(ctx, t, h, calls, worker) })
	}
	group.Wait()
	stats := account.Stats()
	if stats.Limited != 0 {
		t.Errorf("%d requests were refused: %+v", stats.Limited, stats.Limits)
	}
	for name := range calls {
		allowed := float64(limits[name].Max) * max(1, float64(length)/float64(limits[name].Per))
		used := float64(stats.Limits[name].Allowed) / allowed
		t.Logf("%s: %.1f %% of the rate, %d refused", name, 100*used, stats.Limited)
		if used < 0.95 || used > 1.05 {
			t.Errorf("%s: %.1f %% of the rate were used", name, 100*used)
		}
	}
}

// work calls one kind after the other until ctx ends. Kinds that are used up are
// left alone until their time.
func work(ctx context.Context, t *testing.T, h *host, calls map[string]func(n int) error, worker int) {
	fast := []string{rdstationtest.LimitContacts, rdstationtest.LimitEvents, rdstationtest.LimitSegmentations}
	own := []string{fast[worker%3]} // what waits for its turn must not keep the others waiting
	for name := range calls {
		if !slices.Contains(fast, name) {
			own = append(own, name)
		}
	}
	until := map[string]time.Time{}
	for n := worker * 1_000_000; ctx.Err() == nil; n++ {
		time.Sleep(time.Millisecond) // if all of them are used up
		for _, name := range own {
			if time.Now().Before(until[name]) {
				continue
			}
			err := calls[name](n)
			if errors.Is(err, enlace.ErrRateLimited) {
				until[name] = time.Now().Add(enlace.RetryAfter(err))
			} else if err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", name, h.note(err))
				return
			}
		}
	}
}

// TestOneContactsLimit: the 25th change of a day fails without a request, the
// rest of the account goes on, and the next day it works again (T22).
func TestOneContactsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{Limits: rdstationtest.PlanLimits(rdstationtest.Basic)})
		h := marketingHost(t, account, nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		id := rdstation.ByUUID(uuid)
		for name, call := range map[string]func() error{
			"update": func() error { _, err := m.UpdateContact(ctx, c, id, map[string]string{"city": "Olinda"}); return err },
			"tag":    func() error { return m.AddTags(ctx, c, id, "x") },
			"funnel": func() error { _, err := m.Funnel(ctx, c, id); return err },
		} {
			for range 24 {
				if err := call(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			before, began := account.Stats().Requests, time.Now()
			err := call()
			if wait := enlace.RetryAfter(err); !errors.Is(err, enlace.ErrRateLimited) || wait < 23*time.Hour || wait > 25*time.Hour {
				t.Errorf("%s: %v", name, err)
			}
			if account.Stats().Requests != before || time.Since(began) != 0 {
				t.Errorf("%s: a request was sent, or waited for", name)
			}
		}
		if _, err := m.Contact(ctx, c, id); err != nil {
			t.Errorf("reading goes on: %v", err)
		}
		time.Sleep(25 * time.Hour)
		if err := m.AddTags(ctx, c, id, "y"); err != nil {
			t.Errorf("the next day: %v", err)
		}
		if n := account.Stats().Limited; n != 0 {
			t.Errorf("%d were refused by the provider", n)
		}
	})
}

// TestOthersSpendToo: another application of the account has used up a limit. Its
// refusals are waited out if they are short, told if they are long, and not asked
// for again before their time.
func TestOthersSpendToo(t *testing.T) {
	bubble(t, "a minute", func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{})
		account.Fault(rdstationtest.Fault{Kind: rdstationtest.RateLimited, Delay: 40 * time.Second})
		h := marketingHost(t, account, nil)
		began := time.Now()
		if _, err := h.marketing.Contact(t.Context(), h.conn(), rdstation.ByUUID(uuid)); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 40*time.Second || took > time.Minute {
			t.Errorf("waited %v", took)
		}
	})
	bubble(t, "an hour", func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{})
		account.Fault(rdstationtest.Fault{Kind: rdstationtest.RateLimited, Delay: 40 * time.Minute})
		h := marketingHost(t, account, nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		for range 3 {
			_, err := m.Emails(ctx, c, rdstation.Options{})
			if !errors.Is(err, enlace.ErrRateLimited) || enlace.RetryAfter(err) != 40*time.Minute {
				t.Errorf("%v", err)
			}
		}
		if n := account.Stats().Requests; n != 1 {
			t.Errorf("%d requests", n)
		}
		if _, err := m.Contact(ctx, c, rdstation.ByUUID(uuid)); err != nil {
			t.Errorf("another kind: %v", err)
		}
		time.Sleep(40 * time.Minute)
		if _, err := m.Emails(ctx, c, rdstation.Options{}); err != nil {
			t.Error(err)
		}
	})
	bubble(t, "one contact", func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{})
		for _, route := range []string{"PATCH /platform/contacts/{lead}", "POST /platform/events/batch"} {
			account.Fault(rdstationtest.Fault{Route: route, Kind: rdstationtest.Shape, Shape: "G", Status: 429})
		}
		h := marketingHost(t, account, nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		for range 2 {
			if _, err := m.UpdateContact(ctx, c, rdstation.ByUUID(uuid), map[string]string{"city": "x"}); !errors.Is(err, enlace.ErrRateLimited) {
				t.Errorf("%v", err)
			}
		}
		if _, err := m.UpdateContact(ctx, c, rdstation.ByUUID("0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11"), nil); errors.Is(err, enlace.ErrRateLimited) {
			t.Errorf("another contact: %v", err)
		}
		if n := account.Stats().Limited; n != 1 {
			t.Errorf("%d were refused", n)
		}
		if _, err := m.SendBatch(ctx, c, rdstation.Sale{Email: email}, rdstation.Sale{Email: "o@example.com"}); !errors.Is(err, enlace.ErrRateLimited) {
			t.Error(err)
		}
		if _, err := m.SendBatch(ctx, c, rdstation.Sale{Email: email}, rdstation.Sale{Email: "o@example.com"}); err != nil {
			t.Errorf("which of them was it? %v", err)
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{})
		h := marketingHost(t, account, nil)
		c, m := h.conn(), h.marketing
		for range 10 {
			if _, err := m.Contact(t.Context(), c, rdstation.ByUUID(uuid)); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Contact(short, c, rdstation.ByUUID(uuid)); !errors.Is(err, enlace.ErrRateLimited) || time.Since(began) != 0 {
			t.Errorf("a deadline before the turn: %v after %v", err, time.Since(began))
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		if _, err := m.Contact(ctx, c, rdstation.ByUUID(uuid)); !errors.Is(err, enlace.ErrCanceled) || time.Since(began) != time.Second {
			t.Errorf("canceled: %v after %v", err, time.Since(began))
		}
		if _, err := m.Contact(t.Context(), c, rdstation.ByUUID(uuid)); err != nil || time.Since(began) > 6*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestAnHourOfTheCRM uses both versions of the CRM from eight goroutines.
func TestAnHourOfTheCRM(t *testing.T) {
	for name, test := range map[string]struct {
		connect func(*testing.T, *rdstationtest.Account) *host
		limit   string
	}{"v2": {crmHost, rdstationtest.LimitCRMv2}, "v1": {v1Host, rdstationtest.LimitCRMv1}} {
		bubble(t, name, func(t *testing.T) {
			account := rdstationtest.New(rdstationtest.Options{Limits: rdstationtest.PlanLimits(rdstationtest.Pro), RoundTrip: 80 * time.Millisecond})
			h := test.connect(t, account)
			h.config.Observer = nil
			h.restart()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			c := h.conn()
			var group sync.WaitGroup
			for worker := range 8 {
				group.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						var err error
						switch path := []string{"contacts", "deals", "organizations", "tasks"}[(n+worker)%4]; {
						case n%5 == 0 && name == "v2":
							_, err = rdstation.CRM{}.Contacts().Create(ctx, c, rdstation.CRMContact{Name: fmt.Sprint(worker, "-", n)})
						default:
							err = c.Do(ctx, enlace.Call{Path: path}, nil)
						}
						if errors.Is(err, enlace.ErrCanceled) || errors.Is(err, enlace.ErrRateLimited) {
							return // the hour is over before the next turn
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			s := account.Stats().Limits[test.limit]
			used := float64(s.Allowed) / 7200
			t.Logf("%.1f %% of the rate, %d refused", 100*used, s.Refused)
			if s.Refused != 0 || used < 0.95 {
				t.Errorf("%d refused, %.1f %% used", s.Refused, 100*used)
			}
		})
	}
}
