package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/enlace-go/enlace"
)

// TableRow is a row of a Table sink, as TestTable reads it.
type TableRow struct {
	ID      string
	Data    string // empty if it is NULL
	Deleted bool
}

// TestTable checks a ready Table sink of a store. open returns an empty store, the
// sink, and a function that reads all rows of one entity in order of their ids.
func TestTable(t *testing.T, open func(t *testing.T) (enlace.Store, enlace.TxSink, func(ctx context.Context, entity string) ([]TableRow, error))) {
	store, sink, read := open(t)
	in := integration("acme", "one")
	rec := func(id, data string) enlace.Record {
		return enlace.Record{Entity: "deals", ID: id, Modified: base, Data: json.RawMessage(data), Deleted: data == ""}
	}
	accept := func(ctx context.Context, tracked bool, records ...enlace.Record) enlace.Changes {
		t.Helper()
		changes, err := sink.Accept(ctx, enlace.Batch{Integration: in, RunID: "r1", Entity: "deals", Records: records, Tracked: tracked})
		noError(t, "Accept stores a page", err)
		return changes
	}
	rows := func(rule string, want ...TableRow) {
		t.Helper()
		got, err := read(t.Context(), "deals")
		noError(t, rule, err)
		equal(t, rule, got, want)
	}
	page := []enlace.Record{rec("a", `{"name":"Ação \u0000 'q'"}`), rec("b", `{}`), rec("z", ``)}
	equal(t, "new records are counted as created", accept(t.Context(), false, page...), enlace.Changes{Created: 2, Unchanged: 1})
	equal(t, "the same page again changes nothing", accept(t.Context(), false, page...), enlace.Changes{Unchanged: 3})
	rows("every record has one row", TableRow{"a", `{"name":"Ação \u0000 'q'"}`, false}, TableRow{"b", `{}`, false})
	equal(t, "changes are counted", accept(t.Context(), false, rec("a", `{"name":2}`), rec("b", ``), rec("c", `{}`)),
		enlace.Changes{Created: 1, Updated: 1, Deleted: 1})
	rows("a deleted record keeps its row", TableRow{"a", `{"name":2}`, false}, TableRow{"b", "", true}, TableRow{"c", `{}`, false})
	equal(t, "a deleted record that is back is created", accept(t.Context(), false, rec("b", `{"x":1}`)), enlace.Changes{Created: 1})
	equal(t, "of a record that is there twice the later one counts",
		accept(t.Context(), false, rec("d", `1`), rec("d", `2`)), enlace.Changes{Created: 1, Updated: 1})
	equal(t, "what enlace counts itself is not counted", accept(t.Context(), true, rec("e", `1`), rec("e", `2`), rec("a", ``)), enlace.Changes{})
	rows("tracked records are stored as well", TableRow{"a", "", true}, TableRow{"b", `{"x":1}`, false}, TableRow{"c", `{}`, false},
		TableRow{"d", `2`, false}, TableRow{"e", `2`, false})
	var many []enlace.Record
	for i := range 1100 {
		many = append(many, rec(fmt.Sprintf("m%04d", i), `{}`))
	}
	equal(t, "a page may be long", accept(t.Context(), false, many...), enlace.Changes{Created: 1100})
	equal(t, "a page may be long", accept(t.Context(), false, many...), enlace.Changes{Unchanged: 1100})

	equal(t, "the sink joins its own store only", []bool{sink.Joins(store), sink.Joins(nil)}, []bool{true, false})
	err := store.Transact(t.Context(), func(ctx context.Context) error {
		accept(ctx, false, rec("rolled back", `{}`))
		return errors.Join(errAbandoned, store.SaveCheckpoint(ctx, in.Ref, "deals", enlace.Checkpoint{Mark: "7"}))
	})
	wantError(t, "the error of fn is returned", err, errAbandoned)
	all, err := read(t.Context(), "deals")
	noError(t, "read", err)
	equal(t, "a page is rolled back with its transaction", len(all), 1105)
	none, err := read(t.Context(), "Deals")
	noError(t, "read", err)
	equal(t, "each entity has rows of its own", len(none), 0)
}
