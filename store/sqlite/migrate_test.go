package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3/database"
)

// Two processes that apply the same migration must not both commit it, also
// where the migration itself could run twice.
func TestMigrationIsNotNotedTwice(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "enlace.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	goose, err := database.NewStore(database.DialectSQLite3, VersionTable)
	if err != nil {
		t.Fatal(err)
	}
	versions, request := versionStore{goose}, database.InsertRequest{Version: 99}
	if err := versions.Insert(t.Context(), s.write, request); err != nil {
		t.Error(err)
	}
	if err := versions.Insert(t.Context(), s.write, request); err == nil {
		t.Error("the second entry was accepted")
	}
}
