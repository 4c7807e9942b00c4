package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/sqlite"
)

// A copy that is made while everybody writes is a state that there was.
func TestBackupUnderLoad(t *testing.T) {
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "live.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ref := func(i int) enlace.Ref { return enlace.Ref{Tenant: "acme", ID: fmt.Sprintf("i%06d", i)} }
	var next atomic.Int64
	create := func() {
		// In order, so that a state of the past is the first so many.
		i := int(next.Add(1))
		if err := store.CreateIntegration(t.Context(), enlace.Integration{Ref: ref(i), Provider: "crm", Name: strings.Repeat("x", 500)}); err != nil {
			t.Error(err)
		}
	}
	for range 500 {
		create()
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				create()
			}
		}
	})
	for n := range 5 {
		atLeast := int(next.Load()) - 1
		path := filepath.Join(dir, fmt.Sprint("copy", n, ".db"))
		if err := store.Backup(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		atMost := int(next.Load())
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("the copy has mode %v, %v", info.Mode(), err)
		}
		copied, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for after := (enlace.Ref{}); ; {
			list, err := copied.EveryIntegration(t.Context(), after, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, in := range list {
				if count++; in.Ref != ref(count) {
					t.Fatalf("the copy has %s in place of %s", in.ID, ref(count).ID)
				}
				after = in.Ref
			}
			if len(list) < 1000 {
				break
			}
		}
		if count < atLeast || count > atMost {
			t.Errorf("the copy has %d rows; there were %d when it began and %d when it was there", count, atLeast, atMost)
		}
		// It is a store like any other.
		if err := copied.CreateIntegration(t.Context(), enlace.Integration{Ref: enlace.Ref{ID: "new"}, Provider: "crm", Name: "n"}); err != nil {
			t.Error(err)
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if err := store.Backup(t.Context(), filepath.Join(dir, "copy0.db")); !errors.Is(err, enlace.ErrConflict) {
		t.Errorf("a backup over a file: %v", err)
	}
	if err := store.Backup(t.Context(), filepath.Join(dir, "missing", "x.db")); err == nil {
		t.Error("a backup into a directory that does not exist succeeded")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".enlace-backup-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("half copies are left: %v, %v", left, err)
	}
}
