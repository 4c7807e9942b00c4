package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var checkpointChecks = []check{
	{"RoundTrip", checkpointRoundTrip},
	{"Versions", checkpointVersions},
	{"Delete", checkpointDelete},
	{"OneWriterPerVersion", func(t *testing.T, s enlace.Store) { checkpointRace(t, s, s, 200) }},
}

// withoutTime is cp without what the store's clock sets.
func withoutTime(cp enlace.Checkpoint) enlace.Checkpoint {
	cp.UpdatedAt = time.Time{}
	return cp
}

func checkpointRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "a checkpoint comes back as it was saved"
	got, err := s.LoadCheckpoint(t.Context(), ref("acme", "one"), "deals")
	noError(t, "LoadCheckpoint without a checkpoint is no error", err)
	equal(t, "LoadCheckpoint without a checkpoint gives the zero value", got, enlace.Checkpoint{})

	cp := enlace.Checkpoint{Resume: "página \"2\"", Mark: "{\"since\":\"2026-01-01\"}", Scope: "since 2026", Began: base, UpdatedAt: base}
	noError(t, rule, s.SaveCheckpoint(t.Context(), ref("acme", "one"), "deals", cp))
	got, err = s.LoadCheckpoint(t.Context(), ref("acme", "one"), "deals")
	noError(t, rule, err)
	setByStore(t, "SaveCheckpoint sets UpdatedAt by the store's clock", got.UpdatedAt)
	isUTC(t, got.UpdatedAt)
	cp.Version = 1
	equal(t, rule, withoutTime(got), withoutTime(cp))

	empty := enlace.Checkpoint{Version: 1}
	noError(t, rule, s.SaveCheckpoint(t.Context(), ref("acme", "one"), "deals", empty))
	got, err = s.LoadCheckpoint(t.Context(), ref("acme", "one"), "deals")
	noError(t, rule, err)
	equal(t, "SaveCheckpoint replaces every field", withoutTime(got), enlace.Checkpoint{Version: 2})
	for _, other := range []struct {
		ref    enlace.Ref
		entity string
	}{{ref("acme", "one"), "Deals"}, {ref("acme", "two"), "deals"}, {ref("Acme", "one"), "deals"}} {
		got, err = s.LoadCheckpoint(t.Context(), other.ref, other.entity)
		noError(t, rule, err)
		equal(t, "each entity of each integration has its own checkpoint", got, enlace.Checkpoint{})
	}
}

func checkpointVersions(t *testing.T, s enlace.Store) {
	one := ref("acme", "one")
	save := func(version int64, mark enlace.Cursor) error {
		return s.SaveCheckpoint(t.Context(), one, "deals", enlace.Checkpoint{Mark: mark, Version: version})
	}
	for _, version := range []int64{1, -1, 7} {
		wantError(t, fmt.Sprintf("SaveCheckpoint with version %d where nothing is stored is ErrConflict", version), save(version, "x"), enlace.ErrConflict)
	}
	for version := range int64(5) {
		noError(t, "SaveCheckpoint with the stored version succeeds", save(version, enlace.Cursor(fmt.Sprint(version))))
	}
	for _, version := range []int64{0, 1, 4, 6, -1} {
		wantError(t, fmt.Sprintf("SaveCheckpoint with version %d over version 5 is ErrConflict", version), save(version, "x"), enlace.ErrConflict)
	}
	got, err := s.LoadCheckpoint(t.Context(), one, "deals")
	noError(t, "a refused SaveCheckpoint changes nothing", err)
	equal(t, "a refused SaveCheckpoint changes nothing", withoutTime(got), enlace.Checkpoint{Mark: "4", Version: 5})
}

func checkpointDelete(t *testing.T, s enlace.Store) {
	const rule = "DeleteCheckpoints removes all checkpoints of the integration, and no other"
	for _, r := range []enlace.Ref{ref("acme", "one"), ref("acme", "two"), ref("other", "one")} {
		for _, entity := range []string{"deals", "contacts"} {
			noError(t, rule, s.SaveCheckpoint(t.Context(), r, entity, enlace.Checkpoint{Mark: "x"}))
		}
	}
	for range 2 {
		noError(t, "DeleteCheckpoints may be repeated", s.DeleteCheckpoints(t.Context(), ref("acme", "one")))
	}
	for _, c := range []struct {
		ref  enlace.Ref
		want int64
	}{{ref("acme", "one"), 0}, {ref("acme", "two"), 1}, {ref("other", "one"), 1}} {
		for _, entity := range []string{"deals", "contacts"} {
			got, err := s.LoadCheckpoint(t.Context(), c.ref, entity)
			noError(t, rule, err)
			equal(t, rule, got.Version, c.want)
		}
	}
	wantError(t, "a save over a deleted checkpoint is ErrConflict",
		s.SaveCheckpoint(t.Context(), ref("acme", "one"), "deals", enlace.Checkpoint{Version: 1}), enlace.ErrConflict)
	noError(t, "after DeleteCheckpoints one begins again with version 0",
		s.SaveCheckpoint(t.Context(), ref("acme", "one"), "deals", enlace.Checkpoint{}))
}

// checkpointRace lets many writers compete until the checkpoint has the given
// version, half of them on a, the others on b.
func checkpointRace(t *testing.T, a, b enlace.CheckpointStore, last int64) {
	const rule = "exactly one of many writers gets a version"
	one := ref("acme", "one")
	var versions once
	together(writers, func(i int) {
		s := a
		if i%2 == 1 {
			s = b
		}
		for {
			cp, err := s.LoadCheckpoint(t.Context(), one, "deals")
			if err != nil {
				t.Errorf("%s: LoadCheckpoint: %v", rule, err)
				return
			}
			if cp.Version >= last {
				return
			}
			runtime.Gosched() // let others load the same version
			cp.Mark = enlace.Cursor(fmt.Sprint(cp.Version + 1))
			switch err := s.SaveCheckpoint(t.Context(), one, "deals", cp); {
			case err == nil:
				versions.win(cp.Version + 1)
			case !errors.Is(err, enlace.ErrConflict):
				t.Errorf("%s: the others get ErrConflict, not %v", rule, err)
				return
			}
		}
	})
	versions.check(t, rule, 1, last)
	got, err := a.LoadCheckpoint(t.Context(), one, "deals")
	noError(t, rule, err)
	equal(t, "the last winner's checkpoint is the stored one", withoutTime(got),
		enlace.Checkpoint{Mark: enlace.Cursor(fmt.Sprint(last)), Version: last})
}
