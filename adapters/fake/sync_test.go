package fake_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

func TestSyncAll(t *testing.T) {
	p := fake.New(fake.Options{PageSize: 7})
	counts := map[string]int{"companies": 15, "contacts": 33, "deals": 7, "notes": 8}
	for _, entity := range []string{"companies", "contacts", "deals", "notes"} {
		p.Seed(entity, counts[entity])
	}
	h := newHost(t, p, p.APIKey())
	var order []string
	h.accept = func(b enlace.Batch) error {
		if len(order) == 0 || order[len(order)-1] != b.Entity {
			order = append(order, b.Entity)
		}
		return nil
	}
	result, err := h.sync("all")
	if err != nil || !result.Complete {
		t.Fatalf("%+v, %v", result, err)
	}
	for entity, n := range counts {
		if len(h.data[entity]) != n || result.Entities[entity].Read != n {
			t.Errorf("%s: %d held, %d read, want %d", entity, len(h.data[entity]), result.Entities[entity].Read, n)
		}
		for _, want := range p.Records(entity) {
			got := h.data[entity][want.ID]
			if string(got.Data) != string(want.Data) || !got.Modified.Equal(want.Modified) {
				t.Errorf("%s/%s: got %s of %v, want %s of %v", entity, want.ID, got.Data, got.Modified, want.Data, want.Modified)
			}
		}
	}
	if got := fmt.Sprint(order); got != "[companies contacts deals notes]" {
		t.Errorf("order %s", got)
	}
}

func TestIncrementalRuns(t *testing.T) {
	// In a bubble the clock stands still: a test's edits and the walk before them
	// have the same instant.
	synctest.Test(t, func(t *testing.T) {
		p := fake.New(fake.Options{PageSize: 3, ClockSkew: -time.Hour})
		for _, entity := range []string{"companies", "contacts", "notes"} {
			p.Seed(entity, 8)
		}
		h := newHost(t, p, p.APIKey())
		for _, entity := range []string{"companies", "contacts", "notes"} {
			if read := h.mustSync(entity); read != 8 {
				t.Errorf("%s: %d read at first, want 8", entity, read)
			}
		}
		for _, entity := range []string{"companies", "contacts"} {
			p.Put(entity, "3", map[string]string{"name": "Changed"})
			p.Put(entity, "new", map[string]string{"name": "New"})
			p.Delete(entity, "5")
		}
		if read := h.mustSync("companies"); read != 2 || len(h.data["companies"]) != 9 {
			t.Errorf("companies: %d read, %d held; want 2 changes and the deletion unseen", read, len(h.data["companies"]))
		}
		if read := h.mustSync("contacts"); read != 3 || len(h.data["contacts"]) != 8 {
			t.Errorf("contacts: %d read, %d held; want 2 changes and a tombstone", read, len(h.data["contacts"]))
		}
		if _, held := h.data["contacts"]["5"]; held {
			t.Error("the tombstone of contact 5 did not come")
		}
		if read := h.mustSync("notes"); read != 8 {
			t.Errorf("notes: %d read, want all 8 again", read)
		}
		if read := h.mustSync("contacts"); read != 0 {
			t.Errorf("contacts: %d read although nothing changed", read)
		}
	})
}

func TestSinceIsInclusive(t *testing.T) {
	p := fake.New(fake.Options{})
	p.Seed("contacts", 30)
	since := p.Records("contacts")[15].Modified // which it shares with those from 10 on
	read := 0
	h := newHost(t, p, p.APIKey())
	for _, err := range h.service.Records(t.Context(), h.ref, enlace.PullRequest{Entity: "contacts", Since: since}) {
		if err != nil {
			t.Fatal(err)
		}
		read++
	}
	if read != 20 {
		t.Errorf("%d read, want the 20 that changed at %v or later", read, since)
	}
}

func TestEditsDuringAWalkAreSeen(t *testing.T) {
	p := fake.New(fake.Options{PageSize: 4})
	p.Seed("contacts", 20)
	h := newHost(t, p, p.APIKey())
	pages := 0
	h.accept = func(enlace.Batch) error {
		if pages++; pages == 2 {
			p.Put("contacts", "1", map[string]string{"name": "Again"})
			p.Delete("contacts", "2")
			p.Delete("contacts", "20")
		}
		return nil
	}
	h.mustSync("contacts")
	if len(h.data["contacts"]) != 18 {
		t.Errorf("%d held, want 18", len(h.data["contacts"]))
	}
	if c, err := enlace.DecodeRecord[struct{ Name string }](h.data["contacts"]["1"]); err != nil || c.Name != "Again" {
		t.Errorf("contact 1: %+v, %v", c, err)
	}
}

func TestTotalIsThatOfTheWalk(t *testing.T) {
	p := fake.New(fake.Options{PageSize: 4})
	p.Seed("contacts", 10)
	h := newHost(t, p, p.APIKey())
	var mark enlace.Cursor
	for _, want := range []int{10, 6} {
		for page, err := range h.service.Pages(t.Context(), h.ref, enlace.PullRequest{Entity: "contacts", Cursor: mark}) {
			if err != nil || page.Total != want {
				t.Errorf("total %d, want %d, %v", page.Total, want, err)
			}
			mark = page.Next
		}
		p.Seed("contacts", 6)
	}
}

func TestResumeAfterFailure(t *testing.T) {
	p := fake.New(fake.Options{PageSize: 10})
	p.Seed("contacts", 50)
	h := newHost(t, p, p.APIKey())
	broken := errors.New("disk full")
	pages := 0
	h.accept = func(enlace.Batch) error {
		if pages++; pages == 3 {
			return broken
		}
		return nil
	}
	result, err := h.sync("contacts")
	if !errors.Is(err, enlace.ErrSink) || !errors.Is(err, broken) || result.Entities["contacts"].Read != 20 {
		t.Fatalf("%+v, %v", result, err)
	}
	result, err = h.sync("contacts")
	if got := result.Entities["contacts"]; err != nil || !got.Resumed || got.Read != 30 {
		t.Errorf("%+v, %v", got, err)
	}
	if p.Requests(fake.OpList) != 6 || len(h.data["contacts"]) != 50 {
		t.Errorf("%d requests, %d held; want one page read twice", p.Requests(fake.OpList), len(h.data["contacts"]))
	}
}

// What passes by itself does not reach the host.
func TestSyncOutlastsPassingFailures(t *testing.T) {
	for name, test := range map[string]struct {
		failure fake.Failure
		atLeast time.Duration
	}{
		"rate limit":       {fake.Failure{Status: 429, RetryAfter: 20 * time.Second}, 20 * time.Second},
		"bare rate limit":  {fake.Failure{Status: 429}, 1},
		"unavailable":      {fake.Failure{Times: 2}, 1},
		"with retry-after": {fake.Failure{Status: 503, RetryAfter: 5 * time.Second}, 5 * time.Second},
		"server error":     {fake.Failure{Status: 500, Times: 3}, 1},
		"truncated":        {fake.Failure{Kind: fake.Truncated}, 1},
		"html":             {fake.Failure{Kind: fake.HTML}, 1},
		"reset":            {fake.Failure{Kind: fake.Reset}, 1},
		"unreachable":      {fake.Failure{Kind: fake.Unreachable}, 1},
		"hang":             {fake.Failure{Kind: fake.Hang}, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := fake.New(fake.Options{PageSize: 10, Latency: 50 * time.Millisecond})
				p.Seed("contacts", 30)
				h := newHost(t, p, p.APIKey())
				test.failure.Op, test.failure.Entity, test.failure.After = fake.OpList, "contacts", 1
				p.Fail(test.failure)
				began := time.Now()
				if read := h.mustSync("contacts"); read != 30 {
					t.Errorf("%d read, want 30", read)
				}
				if took := time.Since(began); took < test.atLeast+150*time.Millisecond || took > 2*time.Minute {
					t.Errorf("took %v, want %v and 50 ms for each answer at least", took, test.atLeast)
				}
			})
		})
	}
}

func TestLongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fake.New(fake.Options{PageSize: 10})
		p.Seed("contacts", 30)
		h := newHost(t, p, p.APIKey())
		p.Fail(fake.Failure{After: 1, Times: -1})
		_, err := h.sync("contacts")
		kind(t, err, "unavailable")
		if len(h.data["contacts"]) != 10 {
			t.Errorf("%d held, want the first page", len(h.data["contacts"]))
		}
		time.Sleep(time.Hour)
		_, err = h.sync("contacts")
		kind(t, err, "unavailable")
		p.Heal()
		if read := h.mustSync("contacts"); read != 20 {
			t.Errorf("%d read after the outage, want the other 20", read)
		}
	})
}

func TestFailuresThatStay(t *testing.T) {
	for want, failure := range map[string]fake.Failure{
		"forbidden":      {Status: 403},
		"cursor_stalled": {Kind: fake.RepeatedCursor},
		"auth":           {Status: 401},
		"not_found":      {Status: 404},
		"conflict":       {Status: 409},
	} {
		p := fake.New(fake.Options{PageSize: 10})
		p.Seed("contacts", 30)
		h := newHost(t, p, p.APIKey())
		failure.After = 1
		p.Fail(failure)
		_, err := h.sync("contacts")
		kind(t, err, want)
		if n := p.Requests(""); n != 2 {
			t.Errorf("%s: %d requests, want 2", want, n)
		}
	}
}

func TestForgottenCursorStartsAgain(t *testing.T) {
	p := fake.New(fake.Options{PageSize: 10})
	p.Seed("contacts", 30)
	h := newHost(t, p, p.APIKey())
	p.Fail(fake.Failure{Op: fake.OpList, After: 2, Status: 403})
	if _, err := h.sync("contacts"); !errors.Is(err, enlace.ErrForbidden) {
		t.Fatal(err)
	}
	p.Fail(fake.Failure{Op: fake.OpList, Status: 410})
	if read := h.mustSync("contacts"); read != 30 {
		t.Errorf("%d read, want all 30 again", read)
	}
	_, err := fake.Adapter{}.Pull(t.Context(), h.conn(), enlace.PullRequest{Entity: "contacts", Cursor: "from another version"})
	kind(t, err, "cursor_expired")
}

func TestPullRefusesWhatIsNoEntity(t *testing.T) {
	p := fake.New(fake.Options{})
	c := newHost(t, p, p.APIKey()).conn()
	for _, entity := range []string{"", "leads", "me", "../oauth/authorize", "contacts/1"} {
		_, err := fake.Adapter{}.Pull(t.Context(), c, enlace.PullRequest{Entity: entity})
		kind(t, err, "unsupported")
		_, err = fake.Adapter{}.Fetch(t.Context(), c, entity, []string{"1"})
		kind(t, err, "unsupported")
	}
	if n := p.Requests(""); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

func TestFetch(t *testing.T) {
	p := fake.New(fake.Options{})
	p.Seed("contacts", 5)
	p.Put("contacts", "a/b, c&d", map[string]string{"name": "Odd"})
	p.Delete("contacts", "2")
	c := newHost(t, p, p.APIKey()).conn()
	records, err := fake.Adapter{}.Fetch(t.Context(), c, "contacts", []string{"1", "2", "a/b, c&d", "404", "404"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, r := range records {
		if r.Deleted != (r.Data == nil) {
			t.Errorf("record %s: deleted %v, data %s", r.ID, r.Deleted, r.Data)
		}
		got[r.ID] = r.Deleted
	}
	if len(records) != 4 || fmt.Sprint(got) != "map[1:false 2:true 404:true a/b, c&d:false]" {
		t.Errorf("got %v", got)
	}
}
