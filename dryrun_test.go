package enlace_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/enlace-go/enlace"
)

// A dry run tells what is new and what is the same, as often as it is made: it leaves
// nothing behind, not even that it has seen something.
func TestDryRunCounts(t *testing.T) {
	h, in := syncHost(t, 10, crm{})
	try := func() enlace.EntityResult {
		t.Helper()
		o := companies(&notebook{})
		o.DryRun, o.Full = true, true
		return must(h.Sync(t.Context(), in.Ref, o))(t).Entities["companies"]
	}
	for range 2 {
		if r := try(); r.Read != 10 || r.Created != 10 || r.Unchanged != 0 {
			t.Errorf("before a run: %+v", r)
		}
	}
	book := &notebook{}
	must(h.Sync(t.Context(), in.Ref, companies(book)))(t)
	h.provider.add("companies", 3)
	for range 2 {
		if r := try(); r.Read != 13 || r.Created != 3 || r.Unchanged != 10 || r.Updated != 0 {
			t.Errorf("after a run: %+v", r)
		}
	}
	must(h.Sync(t.Context(), in.Ref, companies(book)))(t)
	book.checkExact(t, 13, 0)
}

// An adapter that writes while it reads does not get that through in a dry run.
func TestDryRunRefusesWrites(t *testing.T) {
	for _, call := range []enlace.Call{
		{Method: http.MethodPost, Path: "mark", Op: "mark"}, {Method: http.MethodPut, Path: "mark", Op: "mark", Idempotent: true}, {Method: http.MethodDelete, Path: "mark", Op: "mark"},
	} {
		var adapter crm
		adapter.pull = func(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
			if err := c.Do(ctx, call, nil); err != nil {
				return enlace.Page{}, err
			}
			return crm{}.Pull(ctx, c, req)
		}
		h, in := syncHost(t, 1, adapter)
		o := companies(&notebook{})
		o.DryRun = true
		if _, err := h.Sync(t.Context(), in.Ref, o); !errors.Is(err, enlace.ErrUnsupported) || len(h.provider.seen("mark")) > 0 {
			t.Errorf("%s: %v, %d requests", call.Method, err, len(h.provider.seen("mark")))
		}
		o.DryRun = false
		_, _ = h.Sync(t.Context(), in.Ref, o) // this provider does not know the path
		if len(h.provider.seen("mark")) == 0 {
			t.Errorf("%s: a real run is guarded too", call.Method)
		}
	}
}
