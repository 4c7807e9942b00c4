package enlace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

// shelf is an adapter over a map, whose every run reads everything: it tells no
// deletions.
type shelf struct {
	items map[string]string // name by id
	page  int               // page size
	mu    sync.Mutex        // several services may read
	pages int               // read in this walk
	// before is called before each page; its error ends the pull.
	before func(page int) error
}

func (s *shelf) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "shelf", Title: "Shelf", BaseURL: "https://shelf.example/",
		Auth:     []enlace.AuthScheme{enlace.APIKey{Place: enlace.BearerHeader()}},
		Entities: []enlace.Entity{{Name: "items", Operations: []enlace.Operation{enlace.OpRead}}}}
}

func (s *shelf) record(id string) enlace.Record {
	return enlace.Record{Entity: "items", ID: id, Data: json.RawMessage(fmt.Sprintf(`{"id":%q,"name":%q}`, id, s.items[id]))}
}

func (s *shelf) Pull(_ context.Context, _ *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	s.mu.Lock()
	if req.Cursor == "" {
		s.pages = 0
	}
	number := s.pages
	s.pages++
	s.mu.Unlock()
	if s.before != nil {
		if err := s.before(number); err != nil {
			return enlace.Page{}, err
		}
	}
	ids := slices.Sorted(maps.Keys(s.items))
	from, found := slices.BinarySearch(ids, string(req.Cursor))
	if found {
		from++
	}
	to := min(from+s.page, len(ids))
	page := enlace.Page{Done: to == len(ids)}
	for _, id := range ids[from:to] {
		page.Records = append(page.Records, s.record(id))
		if !page.Done {
			page.Next = enlace.Cursor(id)
		}
	}
	return page, nil
}

// fetchingShelf can be asked for single items.
type fetchingShelf struct {
	*shelf
	down    bool
	fetched []string
}

func (s *fetchingShelf) Fetch(_ context.Context, _ *enlace.Conn, _ string, ids []string) ([]enlace.Record, error) {
	if s.down {
		return nil, &enlace.Error{Kind: enlace.ErrUnavailable}
	}
	var records []enlace.Record
	for _, id := range ids {
		s.fetched = append(s.fetched, id)
		if _, there := s.items[id]; there {
			records = append(records, s.record(id))
		} else {
			records = append(records, enlace.Record{Entity: "items", ID: id, Deleted: true})
		}
	}
	return records, nil
}

func newShelf(n, page int) *shelf {
	s := &shelf{items: map[string]string{}, page: page}
	for i := range n {
		s.items[fmt.Sprintf("%03d", i)] = "item"
	}
	return s
}

// cupboard is a sink that does what it is told.
type cupboard struct {
	items map[string]string
	given int
}

func (c *cupboard) Accept(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
	if c.items == nil {
		c.items = map[string]string{}
	}
	for _, r := range b.Records {
		c.given++
		if delete(c.items, r.ID); !r.Deleted {
			c.items[r.ID] = string(r.Data)
		}
	}
	return enlace.Changes{}, nil
}

// shelfHost is a host whose integration reads the shelf into a cupboard.
type shelfHost struct {
	*host
	ref  enlace.Ref
	sink *cupboard
}

func newShelfHost(t testing.TB, adapter enlace.IntegrationAdapter, edit ...func(*enlace.Config)) *shelfHost {
	h := newHost(t, adapter, edit...)
	in := h.create(apiKey("k"), func(n *enlace.NewIntegration) { n.Provider = "shelf" })
	return &shelfHost{h, in.Ref, &cupboard{}}
}

func (h *shelfHost) sync(edit ...func(*enlace.SyncOptions)) enlace.EntityResult {
	h.t.Helper()
	r, err := h.try(edit...)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *shelfHost) try(edit ...func(*enlace.SyncOptions)) (enlace.EntityResult, error) {
	o := enlace.SyncOptions{Sink: h.sink}
	for _, e := range edit {
		e(&o)
	}
	result, err := h.Sync(h.t.Context(), h.ref, o)
	return result.Entities["items"], err
}

// missing are the ids that wait for a decision.
func (h *shelfHost) missing() (ids []string) {
	h.t.Helper()
	q := enlace.RecordQuery{Ref: h.ref, Entity: "items", Limit: 7}
	for {
		states, next, err := h.MissingRecords(h.t.Context(), q)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, s := range states {
			ids = append(ids, s.ID)
		}
		if next == "" {
			return ids
		}
		q.Cursor = next
	}
}

// wantCounts compares what a run did with records.
func wantCounts(t *testing.T, what string, got enlace.EntityResult, created, updated, deleted, unchanged int) {
	t.Helper()
	if got.Created != created || got.Updated != updated || got.Deleted != deleted || got.Unchanged != unchanged {
		t.Errorf("%s: created %d, updated %d, deleted %d, unchanged %d; want %d, %d, %d, %d", what,
			got.Created, got.Updated, got.Deleted, got.Unchanged, created, updated, deleted, unchanged)
	}
}

func TestOnlyChangesReachTheSink(t *testing.T) {
	s := newShelf(30, 7)
	h := newShelfHost(t, s)
	wantCounts(t, "first run", h.sync(), 30, 0, 0, 0)
	wantCounts(t, "nothing has changed", h.sync(), 0, 0, 0, 30)
	s.items["004"], s.items["new"] = "changed", "item"
	delete(s.items, "017")
	h.sink.given = 0
	wantCounts(t, "one of each", h.sync(), 1, 1, 1, 29-1)
	if h.sink.given != 3 {
		t.Errorf("the sink got %d records, want the three that have changed", h.sink.given)
	}
	wantCounts(t, "nothing has changed", h.sync(), 0, 0, 0, 30)
	s.items["017"] = "item"
	wantCounts(t, "one is back", h.sync(), 1, 0, 0, 30)

	// Full gives everything, for a host that has lost its data.
	h.sink = &cupboard{}
	wantCounts(t, "full", h.sync(func(o *enlace.SyncOptions) { o.Full = true }), 0, 0, 0, 31)
	if len(h.sink.items) != 31 {
		t.Errorf("the sink got %d records, want all", len(h.sink.items))
	}
	h.sink = &cupboard{}
	wantCounts(t, "untracked", h.sync(func(o *enlace.SyncOptions) { o.Untracked = true }), 0, 0, 0, 0)
	if len(h.sink.items) != 31 {
		t.Errorf("the sink got %d records, want all", len(h.sink.items))
	}
}

// An account that suddenly looks empty deletes nothing, whatever its size.
func TestEmptyListDeletesNothing(t *testing.T) {
	for _, n := range []int{1, 10, 300} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := newShelf(n, 50)
			h := newShelfHost(t, s)
			h.sync()
			items := s.items
			s.items = nil
			if r := h.sync(); r.Deleted != 0 || r.Missing != n {
				t.Errorf("%+v, want %d missing", r, n)
			}
			if len(h.sink.items) != n || len(h.missing()) != n {
				t.Errorf("%d left, %d wait; want %d", len(h.sink.items), len(h.missing()), n)
			}
			quarantined := observedAs[enlace.DeletionsQuarantined](h.host)
			if len(quarantined) == 0 || quarantined[0].Ref != h.ref || quarantined[0].Entity != "items" {
				t.Errorf("observed %+v", quarantined)
			}
			s.items = items
			if r := h.sync(); r.Deleted+r.Updated+r.Missing != 0 || len(h.missing()) != 0 {
				t.Errorf("when they are back nobody is asked any more: %+v, %v", r, h.missing())
			}
		})
	}
}

func TestMassDisappearanceWaitsForADecision(t *testing.T) {
	for _, c := range []struct {
		all, gone int
		limit     enlace.DeletionLimit
		deleted   bool
	}{
		{20, 10, enlace.DeletionLimit{}, true},
		{20, 11, enlace.DeletionLimit{}, false},
		{300, 30, enlace.DeletionLimit{}, true},
		{300, 31, enlace.DeletionLimit{}, false},
		{300, 31, enlace.DeletionLimit{Share: 0.11}, true},
		{300, 31, enlace.DeletionLimit{Count: 31}, true},
		{20, 3, enlace.DeletionLimit{Count: 2, Share: 0.01}, false},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			s := newShelf(c.all, 40)
			h := newShelfHost(t, s)
			h.sync()
			for i := range c.gone {
				delete(s.items, fmt.Sprintf("%03d", i))
			}
			r := h.sync(func(o *enlace.SyncOptions) { o.Deletions = c.limit })
			if (r.Deleted == c.gone) != c.deleted || (r.Missing == c.gone) == c.deleted || len(h.missing()) != r.Missing {
				t.Errorf("deleted %d, missing %d, listed %d; want deleted: %v", r.Deleted, r.Missing, len(h.missing()), c.deleted)
			}
		})
	}
}

func TestDecisionsAboutDeletions(t *testing.T) {
	s := newShelf(40, 40)
	h := newShelfHost(t, s)
	h.sync()
	for i := range 20 {
		delete(s.items, fmt.Sprintf("%03d", i))
	}
	if r := h.sync(); r.Missing != 20 {
		t.Fatalf("%+v, want 20 missing", r)
	}
	if r := h.sync(); r.Missing != 0 || r.Deleted != 0 {
		t.Errorf("%+v: a run after it asks again", r)
	}
	if n, err := h.ApproveDeletions(t.Context(), h.ref, "items", "003", "004", "nonsense"); n != 2 || err != nil {
		t.Errorf("approved %d, %v, want 2", n, err)
	}
	if n, err := h.RejectDeletions(t.Context(), h.ref, "items", "005"); n != 1 || err != nil {
		t.Errorf("rejected %d, %v, want 1", n, err)
	}
	if n, err := h.ApproveDeletions(t.Context(), h.ref, "items"); n != 17 || err != nil {
		t.Errorf("approved %d, %v, want the other 17", n, err)
	}
	if len(h.sink.items) != 40 {
		t.Error("a decision alone changes nothing at the host")
	}
	wantCounts(t, "after the decisions", h.sync(), 0, 0, 19, 20)
	if _, kept := h.sink.items["005"]; !kept || len(h.sink.items) != 21 {
		t.Errorf("%d left, want 21 with the rejected one", len(h.sink.items))
	}
	wantCounts(t, "nobody is asked about it again", h.sync(), 0, 0, 0, 20)
	s.items["005"] = "item"
	wantCounts(t, "it is back", h.sync(), 0, 0, 0, 21)
	delete(s.items, "005")
	wantCounts(t, "and gone once more", h.sync(), 0, 0, 1, 20)
	if decided := observedAs[enlace.DeletionsDecided](h.host); len(decided) != 3 || !decided[0].Approved || decided[1].Approved {
		t.Errorf("observed %+v", decided)
	}
}

// Where the provider can be asked, absence is proved one by one.
func TestAbsenceIsConfirmed(t *testing.T) {
	s := &fetchingShelf{shelf: newShelf(40, 10)}
	h := newShelfHost(t, s)
	h.sync()
	// The list loses two that exist, and one that does not.
	hidden := maps.Clone(s.items)
	s.before = func(page int) error {
		if page == 0 {
			delete(s.items, "001")
			delete(s.items, "002")
			delete(s.items, "003")
		} else if page == 3 {
			s.items["001"], s.items["002"] = hidden["001"], "changed meanwhile"
		}
		return nil
	}
	wantCounts(t, "a list that moves", h.sync(), 0, 1, 1, 37+1)
	if len(h.sink.items) != 39 || len(s.fetched) != 3 {
		t.Errorf("%d left, asked for %v", len(h.sink.items), s.fetched)
	}
	s.before = nil
	delete(s.items, "009")
	s.down = true
	if _, err := h.try(); !errors.Is(err, enlace.ErrUnavailable) || len(h.sink.items) != 39 {
		t.Errorf("%v with %d left: who cannot be asked confirms nothing", err, len(h.sink.items))
	}
	s.down = false
	if r := h.sync(); r.Deleted != 1 || len(h.sink.items) != 38 {
		t.Errorf("%+v, %d left: the sweep is made up for", r, len(h.sink.items))
	}
}

// A walk that was interrupted proves less: what it did not find waits.
func TestInterruptedWalkDeletesNothing(t *testing.T) {
	s := newShelf(40, 10)
	h := newShelfHost(t, s)
	h.sync()
	delete(s.items, "005")
	delete(s.items, "035")
	s.before = func(page int) error {
		if page == 2 {
			return &enlace.Error{Kind: enlace.ErrUnavailable}
		}
		return nil
	}
	if r, err := h.try(); err == nil || r.Deleted+r.Missing != 0 || len(h.missing()) != 0 {
		t.Errorf("%+v, %v: half a walk says nothing about absence", r, err)
	}
	s.before = nil
	if r := h.sync(); !r.Resumed || r.Deleted != 0 || r.Missing != 2 {
		t.Errorf("%+v, want the rest of the walk and two that wait", r)
	}
	if n, err := h.ApproveDeletions(t.Context(), h.ref, "items"); n != 2 || err != nil {
		t.Error(n, err)
	}
	if r := h.sync(); r.Deleted != 2 || r.Resumed {
		t.Errorf("%+v", r)
	}
	// A walk cut by a limit goes on as one.
	delete(s.items, "011")
	h.sync(func(o *enlace.SyncOptions) { o.Limit = 15 })
	if r := h.sync(); r.Deleted+r.Missing != 1 {
		t.Errorf("%+v, want the one that has gone noticed", r)
	}
}

func TestKeptRecordsAreServedWhileTheProviderIsDown(t *testing.T) {
	s := &fetchingShelf{shelf: newShelf(3, 10)}
	h := newShelfHost(t, s)
	read := func(ids ...string) ([]enlace.ReadResult, error) { return h.Read(t.Context(), h.ref, "items", ids...) }
	h.sync()
	s.down = true
	if _, err := read("000"); !errors.Is(err, enlace.ErrUnavailable) {
		t.Errorf("%v: nothing was kept", err)
	}
	s.down = false
	h.sync(func(o *enlace.SyncOptions) { o.Keep = true })
	s.items["001"] = "newer"
	fresh, err := read("001", "gone")
	if err != nil || len(fresh) != 2 || fresh[0].Stale || string(fresh[0].Data) != `{"id":"001","name":"newer"}` || !fresh[1].Deleted {
		t.Errorf("%+v, %v", fresh, err)
	}
	s.down = true
	stale, err := read("001", "gone")
	if err != nil || len(stale) != 1 || !stale[0].Stale || stale[0].At.IsZero() || string(stale[0].Data) != `{"id":"001","name":"item"}` {
		t.Errorf("%+v, %v", stale, err)
	}
	states, err := h.store.LoadRecordStates(t.Context(), h.ref, "items", []string{"001"})
	if err != nil || len(states) != 1 || slices.Contains([]string{"", "item"}, string(states[0].Base)) {
		t.Errorf("%v, %v: kept in the clear", states, err)
	}
	s.down = false
	h.sync() // what is kept is kept up to date
	s.down = true
	if again, err := read("001"); err != nil || string(again[0].Data) != `{"id":"001","name":"newer"}` {
		t.Errorf("%+v, %v", again, err)
	}
}

// stallingStore does not renew leases while it stalls.
type stallingStore struct {
	enlace.Store
	stalled *bool
}

func (s stallingStore) RenewLease(ctx context.Context, l enlace.Lease, ttl time.Duration) (enlace.Lease, error) {
	if *s.stalled {
		return l, errors.New("the database does not answer")
	}
	return s.Store.RenewLease(ctx, l, ttl)
}

// A run that is held up longer than its lease is overtaken, and saves nothing more.
func TestRunIsOvertakenAfterItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalled := true
		s := newShelf(30, 10)
		h := newShelfHost(t, s, func(c *enlace.Config) { c.Store = stallingStore{c.Store, &stalled} })
		var second enlace.EntityResult
		pages := 0
		slow := enlace.SinkFunc(func(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
			if pages++; pages == 2 {
				time.Sleep(20 * time.Second)
				if _, err := h.try(); !errors.Is(err, enlace.ErrConflict) {
					t.Errorf("%v within the lease, want ErrConflict", err)
				}
				time.Sleep(20 * time.Second)
				second = h.sync()
			}
			return enlace.Changes{}, nil
		})
		_, err := h.Sync(t.Context(), h.ref, enlace.SyncOptions{Sink: slow})
		if !errors.Is(err, enlace.ErrConflict) || enlace.KindLabel(err) != "conflict" || pages != 2 {
			t.Errorf("%v after %d pages, want ErrConflict at the second", err, pages)
		}
		if !second.Resumed || second.Created != 20 || !second.Complete {
			t.Errorf("%+v, want the run that took over to read the last two pages", second)
		}
		wantCounts(t, "afterwards", h.sync(), 0, 0, 0, 30)
	})
}

// A renewed lease lasts as long as the run does.
func TestLeaseIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShelfHost(t, newShelf(30, 10))
		slow := enlace.SinkFunc(func(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
			time.Sleep(10 * time.Minute)
			if _, err := h.try(); !errors.Is(err, enlace.ErrConflict) {
				t.Errorf("%v, want ErrConflict", err)
			}
			return enlace.Changes{}, nil
		})
		if _, err := h.Sync(t.Context(), h.ref, enlace.SyncOptions{Sink: slow}); err != nil {
			t.Error(err)
		}
		wantCounts(t, "afterwards it is free", h.sync(), 0, 0, 0, 30)
	})
}

// joinedSink writes by the store's transaction.
type joinedSink struct {
	store *memory.Store
	fail  error
}

func (s *joinedSink) Joins(store enlace.Store) bool { return store == s.store }

func (s *joinedSink) Accept(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
	// Any row of the store stands for the host's own.
	err := s.store.SaveCheckpoint(ctx, enlace.Ref{ID: b.RunID}, b.Records[0].ID, enlace.Checkpoint{Mark: "mine"})
	if err == nil {
		err = s.fail
	}
	return enlace.Changes{}, err
}

func TestPageAndCheckpointAreOneCommit(t *testing.T) {
	h := newShelfHost(t, newShelf(30, 10))
	sink := &joinedSink{store: h.store, fail: errors.New("full")}
	result, err := h.Sync(t.Context(), h.ref, enlace.SyncOptions{Sink: sink})
	if enlace.KindLabel(err) != "sink" {
		t.Errorf("%v, want ErrSink", err)
	}
	mine := func(id string) enlace.Cursor {
		return must(h.store.LoadCheckpoint(t.Context(), enlace.Ref{ID: result.RunID}, id))(t).Mark
	}
	if mine("000") != "" || must(h.store.LoadCheckpoint(t.Context(), h.ref, "items"))(t) != (enlace.Checkpoint{}) {
		t.Error("a page that was refused left something behind")
	}
	sink.fail = nil
	if result, err = h.Sync(t.Context(), h.ref, enlace.SyncOptions{Sink: sink}); err != nil || result.Entities["items"].Created != 30 {
		t.Errorf("%+v, %v", result, err)
	}
	if mine("000") != "mine" || mine("020") != "mine" {
		t.Error("what the sink wrote is not there")
	}
}

func TestRunsArePausedResumedAndCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(50, 10)
		h := newShelfHost(t, s)
		other := h.restart()
		act := func(page int, do func(ctx context.Context, tenant, id string) error) enlace.SyncOptions {
			pages := 0
			return enlace.SyncOptions{Sink: enlace.SinkFunc(func(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
				if pages++; pages == page {
					if err := do(ctx, "acme", b.RunID); err != nil {
						t.Error(err)
					}
				}
				return h.sink.Accept(ctx, b)
			})}
		}
		result, err := h.Sync(t.Context(), h.ref, act(2, other.PauseRun))
		run := must(h.SyncRun(t.Context(), "acme", result.RunID))(t)
		if !errors.Is(err, enlace.ErrPaused) || run.State != enlace.RunPaused || run.Request != enlace.RequestPause || len(h.sink.items) != 20 || result.Complete {
			t.Errorf("%v, %+v with %d records, want a pause behind the second page", err, run, len(h.sink.items))
		}
		if err := other.ResumeRun(t.Context(), "acme", run.ID); err != nil {
			t.Error(err)
		}
		if err := other.ResumeRun(t.Context(), "acme", run.ID); !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("resumed twice: %v", err)
		}
		h.config.Sink = h.sink
		background, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		service := h.restart()
		go func() { ended <- service.Run(background) }()
		time.Sleep(time.Minute)
		run = must(h.SyncRun(t.Context(), "acme", run.ID))(t)
		if run.State != enlace.RunComplete || len(h.sink.items) != 50 || h.sink.given != 50 || run.Results["items"].Read != 30 || !run.Results["items"].Resumed {
			t.Errorf("%+v with %d records", run, len(h.sink.items))
		}

		s.items["999"] = "item"
		started, err := other.StartSync(t.Context(), h.ref, enlace.SyncOptions{})
		if err != nil || started.State != enlace.RunWaiting {
			t.Errorf("%+v, %v", started, err)
		}
		time.Sleep(time.Minute)
		if run = must(h.SyncRun(t.Context(), "acme", started.ID))(t); run.State != enlace.RunComplete || run.Results["items"].Created != 1 {
			t.Errorf("%+v", run)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}

		result, err = h.Sync(t.Context(), h.ref, act(1, func(context.Context, string, string) error { return nil }))
		if err != nil {
			t.Fatal(err)
		}
		if err := other.CancelRun(t.Context(), "acme", result.RunID); !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("a run that has ended: %v", err)
		}
		for id := range s.items {
			s.items[id] = "changed"
		}
		result, err = h.Sync(t.Context(), h.ref, act(1, other.CancelRun))
		run = must(h.SyncRun(t.Context(), "acme", result.RunID))(t)
		if enlace.KindLabel(err) != "canceled" || run.State != enlace.RunCanceled || run.Results["items"].Updated != 10 {
			t.Errorf("%v, %+v, want an end behind the first page", err, run)
		}
		waiting := must(other.StartSync(t.Context(), h.ref, enlace.SyncOptions{}))(t)
		if err := other.CancelRun(t.Context(), "acme", waiting.ID); err != nil {
			t.Error(err)
		}
		if run = must(h.SyncRun(t.Context(), "acme", waiting.ID))(t); run.State != enlace.RunCanceled {
			t.Errorf("%+v", run)
		}
		if err := other.PauseRun(t.Context(), "acme", "none"); !errors.Is(err, enlace.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
	})
}

// A queued run whose process ends is taken up by another one.
func TestQueuedRunSurvivesItsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(50, 10)
		h := newShelfHost(t, s)
		h.config.Sink = h.sink
		first, stop := context.WithCancel(t.Context())
		s.before = func(page int) error {
			if page == 3 && first.Err() == nil {
				stop()
			}
			return nil
		}
		queued := must(h.StartSync(t.Context(), h.ref, enlace.SyncOptions{}))(t)
		if err := h.restart().Run(first); err != nil {
			t.Error(err)
		}
		if run := must(h.SyncRun(t.Context(), "acme", queued.ID))(t); run.State != enlace.RunWaiting || len(h.sink.items) == 0 || len(h.sink.items) == 50 {
			t.Errorf("%+v with %d records, want a run in the middle that waits", run, len(h.sink.items))
		}
		second, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := h.restart().Run(second); err != nil {
			t.Error(err)
		}
		if run := must(h.SyncRun(t.Context(), "acme", queued.ID))(t); run.State != enlace.RunComplete || len(h.sink.items) != 50 || h.sink.given != 50 {
			t.Errorf("%+v with %d records given %d times", run, len(h.sink.items), h.sink.given)
		}
	})
}
