package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/sqlite"
	"github.com/enlace-go/enlace/store/storetest"
)

func open(t *testing.T, path string, o sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "enlace.db") }

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) enlace.Store { return open(t, newPath(t), sqlite.Options{}) })
}

func TestSharedStore(t *testing.T) {
	t.Parallel()
	storetest.TestShared(t, func(t *testing.T) (a, b enlace.Store) {
		path, o := newPath(t), sqlite.Options{Lease: 300 * time.Millisecond}
		return open(t, path, o), open(t, path, o)
	})
}
