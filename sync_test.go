package enlace_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/enlace-go/enlace"
)

// companies are the options of a run that reads one entity into the sink.
func companies(sink enlace.Sink) enlace.SyncOptions {
	return enlace.SyncOptions{Entities: []string{"companies"}, Sink: sink}
}

// syncHost is a host with n companies and an integration.
func syncHost(t testing.TB, n int, adapter enlace.IntegrationAdapter, edit ...func(*enlace.Config)) (*host, enlace.Integration) {
	t.Helper()
	h := newHost(t, adapter, edit...)
	h.provider.add("companies", n)
	return h, h.create(apiKey("k"), with("retryAttempts", "0"))
}

// checkExact asserts that the sink has each of the n companies, and at most
// extra of them more than once.
func (n *notebook) checkExact(t *testing.T, all, extra int) {
	t.Helper()
	counts, twice := n.counts(), 0
	for id := 1; id <= all; id++ {
		switch times := counts[fmt.Sprint("companies/", id)]; {
		case times == 0:
			t.Errorf("company %d was lost", id)
		default:
			twice += times - 1
		}
	}
	if len(counts) > all {
		t.Errorf("%d records out of %d", len(counts), all)
	}
	if twice > extra {
		t.Errorf("%d records were given again, at most %d may be", twice, extra)
	}
}

func TestSyncReadsEverythingParentsFirst(t *testing.T) {
	for name, test := range map[string]struct{ entities, want []string }{
		"nothing named": {nil, []string{"companies", "contacts", "deals"}},
		"all":           {[]string{"all"}, []string{"companies", "contacts", "deals"}},
		"one":           {[]string{"contacts"}, []string{"contacts"}},
		"wrong order":   {[]string{"deals", "companies"}, []string{"companies", "deals"}},
		"twice":         {[]string{"companies", "companies"}, []string{"companies"}},
		"all and more":  {[]string{"custom_7", "all"}, []string{"custom_7", "companies", "contacts", "deals"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, crm{})
			for i, entity := range []string{"deals", "companies", "contacts", "custom_7"} {
				h.provider.add(entity, 11+i)
			}
			book := &notebook{}
			in := h.create(apiKey("k"))
			var order []string
			result, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: test.entities, Sink: book, Progress: func(p enlace.Progress) {
				if p.Done {
					order = append(order, p.Entity)
				}
			}})
			if err != nil || !result.Complete || result.RunID == "" {
				t.Fatalf("%+v, %v", result, err)
			}
			if diff := cmp.Diff(test.want, order); diff != "" {
				t.Error("entities (-want +got):\n" + diff)
			}
			want := 0
			for _, entity := range test.want {
				n := len(h.provider.records[entity])
				want += n
				if r := result.Entities[entity]; r.Read != n || r.Created != n || r.Pages != 2 || r.Requests != 2 || !r.Complete || r.Resumed || r.Kind != "" || r.Checkpoint.Mark == "" {
					t.Errorf("%s: %+v", entity, r)
				}
			}
			if len(book.records) != want || len(result.Entities) != len(test.want) {
				t.Errorf("%d records, want %d", len(book.records), want)
			}
		})
	}
}

func TestSyncOptionsAreChecked(t *testing.T) {
	h, in := syncHost(t, 1, crm{})
	book := &notebook{}
	for name, test := range map[string]struct {
		options enlace.SyncOptions
		kind    error
		says    string
	}{
		"unknown entity":      {enlace.SyncOptions{Entities: []string{"companies", "orders"}, Sink: book}, enlace.ErrUnsupported, "[deals contacts companies]"},
		"cannot be read":      {enlace.SyncOptions{Entities: []string{"notes"}, Sink: book}, enlace.ErrUnsupported, "cannot be read"},
		"the family itself":   {enlace.SyncOptions{Entities: []string{"custom_*"}, Sink: book}, enlace.ErrUnsupported, "unknown entity"},
		"push":                {enlace.SyncOptions{Direction: enlace.Push, Sink: book}, enlace.ErrUnsupported, ""},
		"bidirectional":       {enlace.SyncOptions{Direction: enlace.Bidirectional, Sink: book}, enlace.ErrUnsupported, ""},
		"no sink":             {enlace.SyncOptions{}, enlace.ErrInvalid, "Sink"},
		"negative limit":      {enlace.SyncOptions{Limit: -1, Sink: book}, enlace.ErrInvalid, "Limit"},
		"no such integration": {enlace.SyncOptions{Sink: book}, enlace.ErrNotFound, ""},
	} {
		ref := in.Ref
		if name == "no such integration" {
			ref.ID = "x"
		}
		result, err := h.Sync(t.Context(), ref, test.options)
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) || result.RunID != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if runs, _, _ := h.Runs(t.Context(), enlace.RunQuery{Tenant: "acme"}); len(runs) != 0 || len(book.records) != 0 || len(h.provider.seen("")) != 0 {
		t.Error("something happened all the same")
	}
	if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Direction: enlace.Pull, DryRun: true, Entities: []string{"companies"}}); err != nil {
		t.Errorf("a dry run needs no sink: %v", err)
	}
	h.config.Sink = book
	if _, err := h.restart().Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}}); err != nil || len(book.records) != 1 {
		t.Errorf("Config.Sink: %v", err)
	}
}

// Repeated limited runs read everything exactly once.
func TestLimitIsExactAndResumable(t *testing.T) {
	for _, limit := range []int{1, 3, 10, 13, 20, 44, 45, 46, 1000} {
		h, in := syncHost(t, 45, crm{})
		book := &notebook{}
		o := companies(book)
		o.Limit = limit
		for run := 1; ; run++ {
			result, err := h.Sync(t.Context(), in.Ref, o)
			if err != nil {
				t.Fatal(err)
			}
			want := min(limit, 45-(run-1)*limit)
			r := result.Entities["companies"]
			if r.Read != want || r.Resumed != (run > 1) || r.Complete != result.Complete {
				t.Fatalf("limit %d, run %d: %+v", limit, run, r)
			}
			if state := must(h.SyncRun(t.Context(), "acme", result.RunID))(t).State; (state == enlace.RunComplete) != result.Complete || (state == enlace.RunPartial) == result.Complete {
				t.Errorf("limit %d, run %d: state %s", limit, run, state)
			}
			if result.Complete {
				if run != (45+limit-1)/limit {
					t.Errorf("limit %d took %d runs", limit, run)
				}
				break
			}
		}
		book.checkExact(t, 45, 0)
	}
}

// An adapter that ignores the limit gives whole pages: what is cut off comes
// again, and nothing is skipped.
func TestLimitWithAnAdapterThatIgnoresIt(t *testing.T) {
	for _, limit := range []int{3, 10, 13, 20, 25} {
		h, in := syncHost(t, 45, crm{greedy: true})
		book := &notebook{}
		o := companies(book)
		o.Limit = limit
		for range 4 {
			result, err := h.Sync(t.Context(), in.Ref, o)
			if err != nil || result.Entities["companies"].Read > limit {
				t.Fatalf("limit %d: %+v, %v", limit, result, err)
			}
		}
		o.Limit = 0
		if result, err := h.Sync(t.Context(), in.Ref, o); err != nil || !result.Complete {
			t.Fatalf("%+v, %v", result, err)
		}
		book.checkExact(t, 45, 4*9) // less than one page for each cut
	}
}

func TestIncrementalRuns(t *testing.T) {
	h, in := syncHost(t, 25, crm{})
	sync := func(edit ...func(*enlace.SyncOptions)) (int, enlace.EntityResult) {
		t.Helper()
		book := &notebook{}
		o := companies(book)
		for _, e := range edit {
			e(&o)
		}
		result, err := h.Sync(t.Context(), in.Ref, o)
		if err != nil {
			t.Fatal(err)
		}
		return len(book.records), result.Entities["companies"]
	}
	if n, _ := sync(); n != 25 {
		t.Errorf("first run: %d records", n)
	}
	if n, r := sync(); n != 0 || !r.Complete || r.Resumed || r.Pages != 1 {
		t.Errorf("nothing has changed: %d records, %+v", n, r)
	}
	h.provider.add("companies", 3)
	if n, _ := sync(); n != 3 {
		t.Errorf("after 3 changes: %d records", n)
	}
	if n, _ := sync(func(o *enlace.SyncOptions) { o.Full = true }); n != 28 {
		t.Errorf("full: %d records", n)
	}
	if n, _ := sync(); n != 0 {
		t.Errorf("after a full run: %d records", n)
	}
	// Since reads again without moving the mark.
	before := must(h.store.LoadCheckpoint(t.Context(), in.Ref, "companies"))(t)
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if n, _ := sync(func(o *enlace.SyncOptions) { o.Since = since }); n != 28 {
		t.Errorf("since: %d records", n)
	}
	var asked []string
	for _, r := range h.provider.seen("/list/companies") {
		asked = append(asked, r.URL.Query().Get("since"))
	}
	if last := asked[len(asked)-3:]; last[0] != "2026-01-02T03:04:05Z" || last[1] != "" {
		t.Errorf("since was asked for in the pages %q, want only in the first", last)
	}
	if after := must(h.store.LoadCheckpoint(t.Context(), in.Ref, "companies"))(t); after.Mark != before.Mark || after.Resume != "" {
		t.Errorf("checkpoint %+v after Since, %+v before", after, before)
	}
}

// A run is resumed by one of the same scope only.
func TestUnfinishedRunsOfAnotherScope(t *testing.T) {
	since := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	scopes := map[string]func(*enlace.SyncOptions){
		"": func(*enlace.SyncOptions) {}, "full": func(o *enlace.SyncOptions) { o.Full = true },
		"since": func(o *enlace.SyncOptions) { o.Since = since }, "other since": func(o *enlace.SyncOptions) { o.Since = since.Add(time.Nanosecond) },
	}
	for first, firstScope := range scopes {
		for second, secondScope := range scopes {
			h, in := syncHost(t, 45, crm{})
			book := &notebook{}
			o := companies(book)
			firstScope(&o)
			o.Limit = 20
			if _, err := h.Sync(t.Context(), in.Ref, o); err != nil {
				t.Fatal(err)
			}
			o = companies(book)
			secondScope(&o)
			result, err := h.Sync(t.Context(), in.Ref, o)
			if err != nil || !result.Complete {
				t.Fatal(err)
			}
			if resumed := result.Entities["companies"].Resumed; resumed != (first == second) {
				t.Errorf("%q after an unfinished %q: resumed %t", second, first, resumed)
			}
			book.checkExact(t, 45, 20)
		}
	}
}

// What an unfinished first run has not read yet is still read, although a run
// with Since came between.
func TestSinceDoesNotHideWhatAnUnfinishedRunLeft(t *testing.T) {
	h, in := syncHost(t, 45, crm{pull: sinceAdapter})
	book := &notebook{}
	o := companies(book)
	o.Limit = 20
	if _, err := h.Sync(t.Context(), in.Ref, o); err != nil {
		t.Fatal(err)
	}
	recent := companies(book)
	recent.Since = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // gives the companies 41 to 45 only
	for range 2 {
		if _, err := h.Sync(t.Context(), in.Ref, recent); err != nil {
			t.Fatal(err)
		}
	}
	if result, err := h.Sync(t.Context(), in.Ref, companies(book)); err != nil || !result.Complete {
		t.Fatal(err)
	}
	book.checkExact(t, 45, 60)
}

// sinceAdapter reads numbered companies; with Since only those from 41 on.
func sinceAdapter(_ context.Context, _ *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	from, _ := strconv.Atoi(string(req.Cursor))
	if !req.Since.IsZero() {
		from = 40
	}
	size := 3
	if req.Limit > 0 {
		size = min(size, req.Limit)
	}
	var page enlace.Page
	for id := from + 1; id <= min(from+size, 45); id++ {
		page.Records = append(page.Records, enlace.Record{Entity: req.Entity, ID: strconv.Itoa(id), Data: []byte(`{}`)})
	}
	next := from + len(page.Records)
	page.Next, page.Done = enlace.Cursor(strconv.Itoa(next)), next == 45
	return page, nil
}

func TestDryRunWritesNothing(t *testing.T) {
	h, in := syncHost(t, 25, crm{})
	o := companies(enlace.SinkFunc(func(context.Context, enlace.Batch) (enlace.Changes, error) {
		t.Error("the sink was called")
		return enlace.Changes{}, nil
	}))
	o.DryRun = true
	for range 2 {
		result, err := h.Sync(t.Context(), in.Ref, o)
		if r := result.Entities["companies"]; err != nil || !result.Complete || r.Read != 25 || r.Created != 25 || r.Pages != 3 {
			t.Errorf("%+v, %v", result, err)
		}
	}
	if cp, _ := h.store.LoadCheckpoint(t.Context(), in.Ref, "companies"); cp != (enlace.Checkpoint{}) {
		t.Errorf("checkpoint %+v", cp)
	}
	if runs, _, _ := h.Runs(t.Context(), enlace.RunQuery{Tenant: "acme"}); len(runs) != 0 {
		t.Errorf("runs %+v", runs)
	}
	if len(observedAs[enlace.PageSynced](h)) != 0 {
		t.Error("a page was reported as synchronised")
	}
	// It begins where a real run would.
	book := &notebook{}
	real := companies(book)
	real.Limit = 20
	if _, err := h.Sync(t.Context(), in.Ref, real); err != nil {
		t.Fatal(err)
	}
	if result, err := h.Sync(t.Context(), in.Ref, o); err != nil || result.Entities["companies"].Read != 5 {
		t.Errorf("%+v, %v", result, err)
	}
	real.Limit = 0
	if _, err := h.Sync(t.Context(), in.Ref, real); err != nil {
		t.Fatal(err)
	}
	book.checkExact(t, 25, 0)
}

func TestProgressAndObservations(t *testing.T) {
	h, in := syncHost(t, 25, crm{})
	var got []enlace.Progress
	o := companies(&notebook{})
	o.Progress = func(p enlace.Progress) {
		got = append(got, p)
		if cp, _ := h.store.LoadCheckpoint(t.Context(), in.Ref, "companies"); string(cp.Resume+cp.Mark) != strconv.Itoa(p.Read) {
			t.Errorf("progress says %d while the checkpoint is %+v", p.Read, cp)
		}
	}
	result, err := h.Sync(t.Context(), in.Ref, o)
	if err != nil {
		t.Fatal(err)
	}
	want := []enlace.Progress{{Entity: "companies", Read: 10, Total: 25, Pages: 1}, {Entity: "companies", Read: 20, Total: 25, Pages: 2},
		{Entity: "companies", Read: 25, Total: 25, Pages: 3, Done: true}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(enlace.Progress{}, "Rate", "Left")); diff != "" {
		t.Error("progress (-want +got):\n" + diff)
	}
	if got[0].Rate <= 0 || got[0].Left <= 0 || got[2].Left != 0 {
		t.Errorf("rate and time left: %+v", got)
	}
	var records []int
	for _, p := range observedAs[enlace.PageSynced](h) {
		if p.Ref != in.Ref || p.RunID != result.RunID || p.Entity != "companies" || p.Provider != "crm" {
			t.Errorf("%+v", p)
		}
		records = append(records, p.Records)
	}
	finished := observedAs[enlace.SyncFinished](h)
	if !slices.Equal(records, []int{10, 10, 5}) || len(finished) != 1 || finished[0].Kind != "" || finished[0].RunID != result.RunID || !finished[0].Result.Complete {
		t.Errorf("pages %v, finished %+v", records, finished)
	}
}

func TestSinkGetsTheWholeBatch(t *testing.T) {
	h, in := syncHost(t, 3, crm{})
	var got enlace.Batch
	result, err := h.Sync(t.Context(), in.Ref, companies(enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
		got = b
		return enlace.Changes{Created: 1, Updated: 2, Deleted: 3, Unchanged: 4}, nil
	})))
	if err != nil || got.Integration.Ref != in.Ref || got.Integration.Provider != "crm" || got.RunID != result.RunID || got.Entity != "companies" || len(got.Records) != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if r := result.Entities["companies"]; r.Created != 1 || r.Updated != 2 || r.Deleted != 3 || r.Unchanged != 4 {
		t.Errorf("%+v", r)
	}
}

// Identifiers and numbers are the provider's bytes, not floats.
func TestBytesPassThroughUnchanged(t *testing.T) {
	h, in := syncHost(t, 0, crm{})
	const odd = `{ "id" : 9007199254740993, "big":123456789012345678901234567890.10, "s":"\u003c<é\/", "n":1E400 }`
	h.provider.records["companies"] = append(h.provider.records["companies"], jsonRaw(odd), jsonRaw(`{"id":9007199254740992}`))
	h.provider.setFault(times(9, "/list/companies", func(w http.ResponseWriter, _ *http.Request) { // json.Marshal would tidy the bytes up
		answerJSON(w, 200, `{"items":[`+odd+`,{"id":9007199254740992}],"next":"2","done":true}`)
	}))
	book := &notebook{}
	if _, err := h.Sync(t.Context(), in.Ref, companies(book)); err != nil {
		t.Fatal(err)
	}
	if len(book.records) != 2 || book.records[0].ID != "9007199254740993" || book.records[1].ID != "9007199254740992" || string(book.records[0].Data) != odd {
		t.Errorf("%+v", book.records)
	}
}

// interruptions stop a run at the n-th chance; each returns what the run's error
// must match.
var interruptions = map[string]func(h *host, book *notebook, n int, cancel context.CancelFunc) error{
	"the provider fails": func(h *host, _ *notebook, n int, _ context.CancelFunc) error {
		var pages atomic.Int32
		h.provider.setFault(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			if int(pages.Add(1)) != n {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		})
		return enlace.ErrUnavailable
	},
	"the sink refuses": func(_ *host, book *notebook, n int, _ context.CancelFunc) error {
		pages := 0
		book.before = func(enlace.Batch) error {
			if pages++; pages == n {
				return io.ErrShortWrite
			}
			return nil
		}
		return enlace.ErrSink
	},
	"the caller leaves before a page": func(h *host, _ *notebook, n int, cancel context.CancelFunc) error {
		var pages atomic.Int32
		h.provider.setFault(func(http.ResponseWriter, *http.Request, string) bool {
			if int(pages.Add(1)) == n {
				cancel()
			}
			return false
		})
		return enlace.ErrCanceled
	},
	"the caller leaves in the sink": func(_ *host, book *notebook, n int, cancel context.CancelFunc) error {
		pages := 0
		book.before = func(enlace.Batch) error {
			if pages++; pages == n {
				cancel()
			}
			return nil
		}
		return enlace.ErrCanceled
	},
}

func TestResumeAtEveryPageBoundary(t *testing.T) {
	const all, pages = 45, 5
	for name, interrupt := range interruptions {
		for n := 1; n <= pages; n++ {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				h, in := syncHost(t, all, crm{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				book := &notebook{}
				kind := interrupt(h, book, n, cancel)
				result, err := h.Sync(ctx, in.Ref, companies(book))
				if !errors.Is(err, kind) || (kind != nil && enlace.KindLabel(err) != enlace.KindLabel(kind)) || result.RunID == "" || result.Entities["companies"].Kind != enlace.KindLabel(kind) {
					t.Errorf("%+v, %v, want %v", result, err, kind)
				}
				checkRun(t, h, result, err)
				accepted := len(book.records)
				cp := must(h.store.LoadCheckpoint(t.Context(), in.Ref, "companies"))(t)
				if at, _ := strconv.Atoi(string(cp.Resume + cp.Mark)); at > accepted {
					t.Errorf("the checkpoint is at %d, ahead of the sink at %d", at, accepted)
				}
				h.provider.setFault(nil)
				book.before = nil
				again, err := h.restart().Sync(t.Context(), in.Ref, companies(book))
				if err != nil || !again.Complete || again.Entities["companies"].Resumed != (cp.Resume != "") {
					t.Errorf("the next run: %+v, %v", again, err)
				}
				book.checkExact(t, all, 0)
			})
		}
	}
}

// checkRun asserts that the run's record says what the call said.
func checkRun(t *testing.T, h *host, result enlace.SyncResult, err error) {
	t.Helper()
	run := must(h.SyncRun(t.Context(), "acme", result.RunID))(t)
	want := enlace.RunFailed
	switch {
	case err == nil && result.Complete:
		want = enlace.RunComplete
	case err == nil:
		want = enlace.RunPartial
	case errors.Is(err, enlace.ErrCanceled):
		want = enlace.RunCanceled
	}
	if run.State != want || run.Kind != enlace.KindLabel(err) || (run.Error == "") != (err == nil) || run.FinishedAt.IsZero() || run.Provider != "crm" || run.Direction != enlace.Pull {
		t.Errorf("run %+v of %v, want state %s", run, err, want)
	}
	for entity, r := range result.Entities {
		if stored := run.Results[entity]; stored.Read != r.Read || stored.Complete != r.Complete || stored.Kind != r.Kind {
			t.Errorf("%s is recorded as %+v, the result is %+v", entity, stored, r)
		}
	}
}

// The crash between sink and checkpoint: at most one page comes again.
func TestCheckpointThatCannotBeSaved(t *testing.T) {
	const all, pages = 45, 5
	for n := 1; n <= pages; n++ {
		for name, after := range map[string]bool{"not saved": false, "saved, but the answer was lost": true} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				saves := 0
				var h *host
				h, in := syncHost(t, all, crm{}, func(c *enlace.Config) {
					c.Store = lossyStore{c.Store, func() bool { saves++; return saves == n }, after, new(bool)}
				})
				book := &notebook{}
				result, err := h.Sync(t.Context(), in.Ref, companies(book))
				if !errors.Is(err, enlace.ErrStore) || !errors.Is(err, io.ErrClosedPipe) || result.Entities["companies"].Kind != "store" {
					t.Errorf("%+v, %v, want ErrStore", result, err)
				}
				checkRun(t, h, result, err)
				again, err := h.restart().Sync(t.Context(), in.Ref, companies(book))
				if err != nil || !again.Complete {
					t.Errorf("the next run: %+v, %v", again, err)
				}
				extra := 10
				if after {
					extra = 0
				}
				book.checkExact(t, all, extra)
			})
		}
	}
}

// lossyStore fails a SaveCheckpoint, or the commit that it is part of after that
// has happened.
type lossyStore struct {
	enlace.Store
	fail   func() bool
	after  bool
	failed *bool
}

func (s lossyStore) SaveCheckpoint(ctx context.Context, ref enlace.Ref, entity string, cp enlace.Checkpoint) error {
	if *s.failed = s.fail(); *s.failed && !s.after {
		return io.ErrClosedPipe
	}
	return s.Store.SaveCheckpoint(ctx, ref, entity, cp)
}

func (s lossyStore) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	*s.failed = false
	if err := s.Store.Transact(ctx, fn); err != nil || !*s.failed {
		return err
	}
	return io.ErrClosedPipe
}

// The checkpoint moves only behind what the sink has accepted.
func TestCheckpointIsNeverAheadOfTheSink(t *testing.T) {
	accepted := 0
	var h *host
	h, in := syncHost(t, 45, crm{}, func(c *enlace.Config) {
		c.Store = watchedStore{c.Store, func(cp enlace.Checkpoint) {
			if at, _ := strconv.Atoi(string(cp.Resume + cp.Mark)); at > accepted {
				t.Errorf("the checkpoint goes to %d, the sink has %d", at, accepted)
			}
		}}
	})
	_, err := h.Sync(t.Context(), in.Ref, companies(enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
		cp, _ := h.store.LoadCheckpoint(t.Context(), in.Ref, "companies")
		if at, _ := strconv.Atoi(string(cp.Resume)); at != accepted {
			t.Errorf("the checkpoint is at %d while the sink gets what follows %d", at, accepted)
		}
		accepted += len(b.Records)
		return enlace.Changes{}, nil
	})))
	if err != nil || accepted != 45 {
		t.Errorf("%d records, %v", accepted, err)
	}
}

type watchedStore struct {
	enlace.Store
	watch func(enlace.Checkpoint)
}

func (s watchedStore) SaveCheckpoint(ctx context.Context, ref enlace.Ref, entity string, cp enlace.Checkpoint) error {
	s.watch(cp)
	return s.Store.SaveCheckpoint(ctx, ref, entity, cp)
}

func TestStoreFailuresOfARun(t *testing.T) {
	for _, test := range []struct {
		op    string
		nth   int  // which call fails
		early bool // before anything was read
	}{{"Integration", 1, true}, {"LoadCredential", 1, true}, {"SaveRun", 1, true}, {"LoadCheckpoint", 1, false}, {"SaveRun", 2, false}, {"SaveRun", 3, false}} {
		t.Run(fmt.Sprint(test.op, test.nth), func(t *testing.T) {
			on, calls := false, 0
			h, in := syncHost(t, 25, crm{}, failing(func(_ context.Context, op string) error {
				if on && op == test.op {
					if calls++; calls == test.nth {
						return io.ErrClosedPipe
					}
				}
				return nil
			}))
			on = true
			book := &notebook{}
			_, err := h.restart().Sync(t.Context(), in.Ref, companies(book))
			if !errors.Is(err, enlace.ErrStore) || enlace.KindLabel(err) != "store" {
				t.Errorf("%v, want ErrStore", err)
			}
			if test.early && (len(book.records) != 0 || len(h.provider.seen("")) != 0) {
				t.Error("something was read before the run was recorded")
			}
			on = false
			if _, err := h.Sync(t.Context(), in.Ref, companies(book)); err != nil {
				t.Fatal(err)
			}
			book.checkExact(t, 25, 0)
		})
	}
}

// A deadline of the sink or the store is theirs, not the caller's.
func TestKindsOfForeignDeadlines(t *testing.T) {
	foreign := map[string]error{"deadline": context.DeadlineExceeded, "canceled": context.Canceled, "wrapped": fmt.Errorf("db: %w", context.DeadlineExceeded),
		"not found": enlace.ErrNotFound, "forbidden": &enlace.Error{Kind: enlace.ErrForbidden}, "cursor": enlace.ErrCursorExpired}
	for name, cause := range foreign {
		h, in := syncHost(t, 25, crm{})
		h.provider.add("contacts", 5)
		calls := 0
		book := &notebook{before: func(enlace.Batch) error { calls++; return cause }}
		result, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Sink: book})
		if !errors.Is(err, enlace.ErrSink) || !errors.Is(err, cause) || enlace.KindLabel(err) != "sink" || calls != 1 {
			t.Errorf("sink, %s: %v (%s) after %d calls, want ErrSink", name, err, enlace.KindLabel(err), calls)
		}
		checkRun(t, h, enlace.SyncResult{RunID: result.RunID}, &enlace.Error{Kind: enlace.ErrSink})
		h, in = syncHost(t, 25, crm{}, failing(func(ctx context.Context, op string) error {
			if op == "SaveCheckpoint" && name != "not found" && name != "forbidden" && name != "cursor" {
				return cause
			}
			return nil
		}))
		_, err = h.Sync(t.Context(), in.Ref, companies(&notebook{}))
		if want := map[bool]string{true: "", false: "store"}[name == "not found" || name == "forbidden" || name == "cursor"]; enlace.KindLabel(err) != want {
			t.Errorf("store, %s: %v (%s)", name, err, enlace.KindLabel(err))
		}
	}
}

// A store that hangs does not hold the run for ever, even if the caller would.
func TestStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, in := syncHost(t, 25, crm{}, failing(func(ctx context.Context, op string) error {
			if op == "SaveCheckpoint" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}))
		started := time.Now()
		_, err := h.Sync(t.Context(), in.Ref, companies(&notebook{}))
		if took := time.Since(started); enlace.KindLabel(err) != "store" || took > time.Minute {
			t.Errorf("%v (%s) after %v, want ErrStore", err, enlace.KindLabel(err), took)
		}
	})
}

// Two runs of one entity: the second gives way, and nothing is lost.
func TestConcurrentRuns(t *testing.T) {
	h, in := syncHost(t, 45, crm{})
	book := &notebook{}
	first := true
	var inner error
	_, outer := h.Sync(t.Context(), in.Ref, companies(enlace.SinkFunc(func(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
		if first { // a whole run while this one holds its first page
			first = false
			_, inner = h.Sync(ctx, in.Ref, companies(book))
		}
		return book.Accept(ctx, b)
	})))
	if outer != nil || !errors.Is(inner, enlace.ErrConflict) || enlace.KindLabel(inner) != "conflict" {
		t.Errorf("%v and %v, want ErrConflict for the second", outer, inner)
	}
	book.checkExact(t, 45, 0)

	for range 5 { // truly at the same time
		h, in := syncHost(t, 45, crm{})
		book := &notebook{}
		var wg sync.WaitGroup
		var conflicts atomic.Int32
		for range 4 {
			wg.Go(func() {
				_, err := h.Sync(t.Context(), in.Ref, companies(book))
				switch {
				case errors.Is(err, enlace.ErrConflict):
					conflicts.Add(1)
				case err != nil:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if conflicts.Load() == 4 {
			if _, err := h.Sync(t.Context(), in.Ref, companies(book)); err != nil {
				t.Fatal(err)
			}
		}
		book.checkExact(t, 45, 0)
	}
}

// forgetful makes the provider refuse the cursors.
func forgetful(h *host, cursors ...string) {
	h.provider.setFault(func(w http.ResponseWriter, r *http.Request, _ string) bool {
		cursor := r.URL.Query().Get("cursor")
		if cursor == "" || !slices.Contains(cursors, cursor) {
			return false
		}
		answerJSON(w, 400, `{"code":"CURSOR_EXPIRED"}`)
		return true
	})
}

func TestExpiredCursorFallsBack(t *testing.T) {
	for name, test := range map[string]struct {
		forgotten []string
		read      int // by the last run
		resumed   bool
	}{
		"nothing forgotten":   {nil, 5, true},
		"the place in a run":  {[]string{"40"}, 20, false}, // from the mark, 25
		"the place and mark":  {[]string{"40", "25"}, 45, false},
		"the mark only":       {[]string{"25"}, 5, true},
		"later pages as well": {[]string{"40", "25"}, 45, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, in := syncHost(t, 25, crm{})
			book := &notebook{}
			if _, err := h.Sync(t.Context(), in.Ref, companies(book)); err != nil {
				t.Fatal(err)
			}
			h.provider.add("companies", 20)
			o := companies(book)
			o.Limit = 15
			if _, err := h.Sync(t.Context(), in.Ref, o); err != nil {
				t.Fatal(err)
			}
			// In a run from the beginning no page asks with these cursors: pages are of 10.
			h.provider.pageSize = 9
			forgetful(h, test.forgotten...)
			result, err := h.Sync(t.Context(), in.Ref, companies(book))
			if r := result.Entities["companies"]; err != nil || !result.Complete || r.Read != test.read || r.Resumed != test.resumed {
				t.Errorf("%+v, %v", r, err)
			}
			book.checkExact(t, 45, 45)
			if result, err = h.Sync(t.Context(), in.Ref, companies(book)); err != nil || result.Entities["companies"].Read != 0 {
				t.Errorf("afterwards: %+v, %v", result, err)
			}
		})
	}
	// With nothing earlier to fall back to, the error is the answer.
	h, in := syncHost(t, 25, crm{})
	forgetful(h, "10")
	result, err := h.Sync(t.Context(), in.Ref, companies(&notebook{}))
	if !errors.Is(err, enlace.ErrCursorExpired) || len(h.provider.seen("/list/companies")) != 2 {
		t.Errorf("%+v, %v", result, err)
	}
}

// pageOf is one answer of a scripted adapter.
func pageOf(next string, done bool, ids ...string) enlace.Page {
	p := enlace.Page{Next: enlace.Cursor(next), Done: done}
	for _, id := range ids {
		p.Records = append(p.Records, enlace.Record{Entity: "companies", ID: id, Data: []byte(`{}`)})
	}
	return p
}

// scripted is an adapter that answers by the cursor.
func scripted(pages map[enlace.Cursor]enlace.Page) crm {
	var calls atomic.Int32
	return crm{pull: func(_ context.Context, _ *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
		p, ok := pages[req.Cursor]
		if !ok || calls.Add(1) > 100 {
			return p, fmt.Errorf("asked for the cursor %q", req.Cursor)
		}
		return p, nil
	}}
}

func TestPagesAreChecked(t *testing.T) {
	bare := func(r enlace.Record) enlace.Page {
		return enlace.Page{Records: []enlace.Record{{ID: "1", Data: []byte("{}")}, r}, Done: true}
	}
	for name, test := range map[string]struct {
		pages    map[enlace.Cursor]enlace.Page
		kind     error
		accepted int
	}{
		"good":                 {map[enlace.Cursor]enlace.Page{"": pageOf("a", false, "1"), "a": pageOf("", true, "2")}, nil, 2},
		"empty pages are fine": {map[enlace.Cursor]enlace.Page{"": pageOf("a", false), "a": pageOf("b", false, "1"), "b": pageOf("c", true)}, nil, 1},
		"no next cursor":       {map[enlace.Cursor]enlace.Page{"": pageOf("", false, "1")}, enlace.ErrCursorStalled, 0},
		"the same cursor":      {map[enlace.Cursor]enlace.Page{"": pageOf("a", false, "1"), "a": pageOf("a", false, "2")}, enlace.ErrCursorStalled, 1},
		"a record without id":  {map[enlace.Cursor]enlace.Page{"": bare(enlace.Record{Data: []byte("{}")})}, enlace.ErrProtocol, 0},
		"one without data":     {map[enlace.Cursor]enlace.Page{"": bare(enlace.Record{ID: "2"})}, enlace.ErrProtocol, 0},
		"a tombstone":          {map[enlace.Cursor]enlace.Page{"": bare(enlace.Record{ID: "2", Deleted: true})}, nil, 2},
		"a nameless error":     {map[enlace.Cursor]enlace.Page{}, enlace.ErrUnavailable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, scripted(test.pages))
			in := h.create(apiKey("k"))
			book := &notebook{}
			result, err := h.Sync(t.Context(), in.Ref, companies(book))
			if enlace.KindLabel(err) != enlace.KindLabel(test.kind) || len(book.records) != test.accepted || result.Complete != (err == nil) {
				t.Errorf("%d records, %+v, %v; want %d and %v", len(book.records), result, err, test.accepted, test.kind)
			}
			if e, ok := errors.AsType[*enlace.Error](err); err != nil && (!ok || e.Provider != "crm" || e.Op == "") {
				t.Errorf("%#v does not name the provider and the operation", err)
			}
			read := 0
			for _, err = range h.Records(t.Context(), in.Ref, enlace.PullRequest{Entity: "companies"}) {
				if err == nil {
					read++
				}
			}
			if enlace.KindLabel(err) != enlace.KindLabel(test.kind) || read != test.accepted {
				t.Errorf("Records: %d, %v", read, err)
			}
		})
	}
}

// An entity that the account may not read does not keep the others from it.
func TestForbiddenEntity(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		others bool
	}{
		"forbidden":        {status(403, `{}`), enlace.ErrForbidden, true},
		"by the adapter":   {status(200, `{"code":"NOT_YOURS"}`), enlace.ErrForbidden, true},
		"not found":        {status(404, `{}`), enlace.ErrNotFound, true},
		"server in flames": {status(500, `{}`), enlace.ErrUnavailable, false},
		"bad request":      {status(400, `{}`), enlace.ErrInvalid, false},
		"refused":          {status(401, `{}`), enlace.ErrAuth, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, in := syncHost(t, 5, crm{})
			h.provider.add("contacts", 5)
			h.provider.add("deals", 5)
			h.provider.setFault(times(9, "/list/contacts", test.answer))
			book := &notebook{}
			result, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Sink: book})
			if !errors.Is(err, test.kind) || result.Complete || result.Entities["contacts"].Kind != enlace.KindLabel(test.kind) || !result.Entities["companies"].Complete {
				t.Errorf("%+v, %v", result, err)
			}
			if got := result.Entities["deals"].Complete; got != test.others {
				t.Errorf("the entity behind it: %t, want %t", got, test.others)
			}
			checkRun(t, h, result, err)
		})
	}
	h, in := syncHost(t, 5, crm{})
	h.provider.setFault(func(w http.ResponseWriter, r *http.Request, _ string) bool {
		answerJSON(w, map[bool]int{true: 403, false: 404}[strings.HasSuffix(r.URL.Path, "deals")], `{}`)
		return true
	})
	_, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Sink: &notebook{}})
	for _, want := range []string{"sync companies", "sync contacts", "sync deals"} {
		if !errors.Is(err, enlace.ErrForbidden) || !errors.Is(err, enlace.ErrNotFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestRunsAreListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, in := syncHost(t, 5, crm{})
		other := h.create(apiKey("k"))
		var want []string
		for i := range 5 {
			ref := in.Ref
			if i == 3 {
				ref = other.Ref
			}
			result, err := h.Sync(t.Context(), ref, companies(&notebook{}))
			if err != nil {
				t.Fatal(err)
			}
			if i != 3 {
				want = append(want, result.RunID)
			}
			time.Sleep(time.Second)
		}
		slices.Reverse(want)
		var got []string
		q := enlace.RunQuery{Tenant: "acme", Integration: in.ID, Limit: 3}
		for {
			runs, next, err := h.Runs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, run := range runs {
				got = append(got, run.ID)
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("newest first (-want +got):\n" + diff)
		}
		if _, err := h.SyncRun(t.Context(), "acme", "nothing"); !errors.Is(err, enlace.ErrNotFound) {
			t.Error(err)
		}
	})
}

// A run that is under way is recorded as running.
func TestRunningRunIsVisible(t *testing.T) {
	h, in := syncHost(t, 5, crm{})
	book := &notebook{before: func(b enlace.Batch) error {
		if run := must(h.SyncRun(t.Context(), "acme", b.RunID))(t); run.State != enlace.RunRunning || !run.FinishedAt.IsZero() || !slices.Equal(run.Entities, []string{"companies"}) {
			t.Errorf("%+v", run)
		}
		return nil
	}}
	if _, err := h.Sync(t.Context(), in.Ref, companies(book)); err != nil {
		t.Fatal(err)
	}
}

// streamer reads its pages ahead, in a goroutine.
type streamer struct {
	crm
	running *atomic.Int32
	stopAt  int // ends before this page without being done; 0 never
	failAt  int
}

func (s streamer) Pages(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) iter.Seq2[enlace.Page, error] {
	return func(yield func(enlace.Page, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		type result struct {
			page enlace.Page
			err  error
		}
		results := make(chan result, 2)
		var wg sync.WaitGroup
		wg.Go(func() {
			s.running.Add(1)
			defer s.running.Add(-1)
			defer close(results)
			for n := 1; n != s.stopAt; n++ {
				p, err := s.Pull(ctx, c, req)
				if n == s.failAt {
					err = &enlace.Error{Kind: enlace.ErrUnavailable}
				}
				select {
				case results <- result{p, err}:
				case <-ctx.Done():
					return
				}
				if err != nil || p.Done {
					return
				}
				req.Cursor, req.Since = p.Next, time.Time{}
			}
		})
		defer wg.Wait()
		defer cancel()
		for r := range results {
			if !yield(r.page, r.err) {
				return
			}
		}
	}
}

func TestPageStreamer(t *testing.T) {
	for name, test := range map[string]struct {
		streamer streamer
		limit    int
		kind     error
		read     int
	}{
		"whole":           {streamer{}, 0, nil, 45},
		"limit":           {streamer{}, 20, nil, 20},
		"limit in a page": {streamer{crm: crm{greedy: true}}, 15, nil, 15},
		"ends early":      {streamer{stopAt: 3}, 0, enlace.ErrProtocol, 20},
		"ends at once":    {streamer{stopAt: 1}, 0, enlace.ErrProtocol, 0},
		"fails":           {streamer{failAt: 4}, 0, enlace.ErrUnavailable, 30},
	} {
		t.Run(name, func(t *testing.T) {
			test.streamer.running = new(atomic.Int32)
			h, in := syncHost(t, 45, test.streamer)
			book := &notebook{}
			o := companies(book)
			o.Limit = test.limit
			result, err := h.Sync(t.Context(), in.Ref, o)
			if enlace.KindLabel(err) != enlace.KindLabel(test.kind) || result.Entities["companies"].Read != test.read || len(book.records) != test.read {
				t.Errorf("%+v, %v", result, err)
			}
			if n := test.streamer.running.Load(); n != 0 {
				t.Errorf("%d goroutines are left", n)
			}
			h.Registry().Replace(streamer{crm: test.streamer.crm, running: new(atomic.Int32)})
			if result, err := h.Sync(t.Context(), in.Ref, companies(book)); err != nil || !result.Complete {
				t.Fatalf("%+v, %v", result, err)
			}
			book.checkExact(t, 45, test.limit%10)
		})
	}
	t.Run("early break", func(t *testing.T) {
		running := new(atomic.Int32)
		h, in := syncHost(t, 45, streamer{running: running})
		for _, err := range h.Pages(t.Context(), in.Ref, enlace.PullRequest{Entity: "companies"}) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if n := running.Load(); n != 0 {
			t.Errorf("%d goroutines are left after a break", n)
		}
		book := &notebook{before: func(enlace.Batch) error { return io.ErrShortWrite }}
		if _, err := h.Sync(t.Context(), in.Ref, companies(book)); !errors.Is(err, enlace.ErrSink) || running.Load() != 0 {
			t.Errorf("%v, %d goroutines are left", err, running.Load())
		}
	})
}

func TestIterators(t *testing.T) {
	h, in := syncHost(t, 45, crm{})
	var ids []string
	for r, err := range h.Records(t.Context(), in.Ref, enlace.PullRequest{Entity: "companies", Cursor: "40"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]string{"41", "42", "43", "44", "45"}, ids); diff != "" {
		t.Error("(-want +got):\n" + diff)
	}
	before := len(h.provider.seen("/list/companies"))
	n := 0
	for range h.Records(t.Context(), in.Ref, enlace.PullRequest{Entity: "companies"}) {
		if n++; n == 15 {
			break
		}
	}
	if asked := len(h.provider.seen("/list/companies")) - before; asked != 2 {
		t.Errorf("a break in the second page asked for %d pages", asked)
	}
	for entity, kind := range map[string]error{"orders": enlace.ErrUnsupported, "notes": enlace.ErrUnsupported} {
		errs := 0
		for _, err := range h.Pages(t.Context(), in.Ref, enlace.PullRequest{Entity: entity}) {
			if errs++; !errors.Is(err, kind) {
				t.Errorf("%s: %v", entity, err)
			}
		}
		if errs != 1 {
			t.Errorf("%s: %d steps, want one with the error", entity, errs)
		}
	}
	if cp, _ := h.store.LoadCheckpoint(t.Context(), in.Ref, "companies"); cp != (enlace.Checkpoint{}) {
		t.Errorf("reading without a sink moved the checkpoint: %+v", cp)
	}
	if _, err := h.Disable(t.Context(), in.Ref); err != nil {
		t.Fatal(err)
	}
	for _, err := range h.Records(t.Context(), in.Ref, enlace.PullRequest{Entity: "companies"}) {
		if !errors.Is(err, enlace.ErrDisabled) {
			t.Errorf("%v, want ErrDisabled", err)
		}
	}
}

// The limit of a PullRequest is that of each page.
func TestLimitOfPages(t *testing.T) {
	h, in := syncHost(t, 45, crm{})
	var sizes []int
	for p, err := range h.Pages(t.Context(), in.Ref, enlace.PullRequest{Entity: "companies", Limit: 8}) {
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(p.Records))
	}
	if diff := cmp.Diff([]int{8, 8, 8, 8, 8, 5}, sizes); diff != "" {
		t.Error("page sizes (-want +got):\n" + diff)
	}
}

// Whatever happens in whatever order: in the end the host has every record, and
// an interruption costs at most one page read again. The long run is
//
//	ENLACE_SCRIPTS=10000 go test -run TestNothingIsLost .
func TestNothingIsLostWhateverHappens(t *testing.T) {
	scripts := uint64(500)
	if n, err := strconv.ParseUint(os.Getenv("ENLACE_SCRIPTS"), 10, 32); err == nil {
		scripts = n
	}
	for seed := range scripts {
		survived := false
		synctest.Test(t, func(t *testing.T) { survived = survives(t, seed) })
		if !survived {
			t.Fatalf("seed %d", seed)
		}
	}
}

// survives plays one random script: runs with faults, limits and cancellations
// while the provider's records grow, and then one run in peace.
func survives(t *testing.T, seed uint64) bool {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	var failSave atomic.Bool
	h := newHost(t, crm{greedy: random.IntN(4) == 0}, func(c *enlace.Config) {
		c.Store = lossyStore{c.Store, func() bool { return failSave.Load() && random.IntN(3) == 0 }, seed%2 == 0, new(bool)}
	})
	h.provider.add("companies", random.IntN(60))
	in := h.create(apiKey("k"), with("retryAttempts", strconv.Itoa(random.IntN(3))))
	h.provider.pageSize = 1 + random.IntN(12)
	book := &notebook{}
	interrupted, cuts := 0, 0
	for range 1 + random.IntN(6) {
		ctx, cancel := context.WithCancel(t.Context())
		o := companies(book)
		if random.IntN(3) == 0 {
			o.Limit = 1 + random.IntN(30)
			cuts++
		}
		failSave.Store(random.IntN(4) == 0)
		h.provider.setFault(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			switch random.IntN(12) {
			case 0:
				w.WriteHeader(http.StatusBadGateway)
				return true
			case 1:
				_, _ = io.WriteString(w, `{"items":[{"id":`)
				return true
			case 2:
				cancel()
			case 3:
				w.Header().Set("Retry-After", strconv.Itoa(1+random.IntN(90)))
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			case 4:
				time.Sleep(time.Duration(random.IntN(60)) * time.Second) // the time of a request is shorter
			}
			return false
		})
		book.before = func(enlace.Batch) error {
			switch random.IntN(8) {
			case 0:
				return io.ErrShortWrite
			case 1:
				cancel()
			}
			return nil
		}
		service := h.Service
		if random.IntN(2) == 0 {
			service = h.restart()
		}
		if _, err := service.Sync(ctx, in.Ref, o); err != nil {
			interrupted++
		}
		cancel()
		if random.IntN(3) == 0 {
			h.provider.add("companies", random.IntN(20))
		}
		time.Sleep(time.Duration(random.IntN(120)) * time.Second) // a killed run's lease is over, or not
	}
	h.provider.setFault(nil)
	book.before = nil
	time.Sleep(5 * time.Minute)
	failSave.Store(false)
	result, err := h.Sync(t.Context(), in.Ref, companies(book))
	if err != nil || !result.Complete {
		t.Errorf("in peace: %+v, %v", result, err)
		return false
	}
	all := len(h.provider.records["companies"])
	counts, twice := book.counts(), 0
	for id := 1; id <= all; id++ {
		n := counts[fmt.Sprint("companies/", id)]
		if n == 0 {
			t.Errorf("company %d of %d was lost", id, all)
			return false
		}
		twice += n - 1
	}
	if most := (interrupted + cuts) * h.provider.pageSize; twice > most || len(counts) != all {
		t.Errorf("%d records were given again after %d interruptions and %d cuts with pages of %d; %d ids", twice, interrupted, cuts, h.provider.pageSize, len(counts))
		return false
	}
	return true
}

// Cursors that go round in a circle end the run, however long the circle is.
func TestCursorCycle(t *testing.T) {
	for _, length := range []int{2, 3, 7, 50} {
		pulls := 0
		h, in := syncHost(t, 1, crm{pull: func(_ context.Context, _ *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
			pulls++
			at, _ := strconv.Atoi(string(req.Cursor))
			next := at + 1
			if next > length+5 {
				next = 6 // back to the first one of the circle
			}
			return enlace.Page{Next: enlace.Cursor(strconv.Itoa(next))}, nil
		}})
		_, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}, Sink: &notebook{}})
		if !errors.Is(err, enlace.ErrCursorStalled) || pulls > 5*length+20 {
			t.Errorf("a circle of %d: %v after %d pulls", length, err, pulls)
		}
	}
}
