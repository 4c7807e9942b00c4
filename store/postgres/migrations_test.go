package postgres_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/enlace-go/enlace/store/postgres"
)

// firstRelease is the last migration before there was anything to upgrade.
const firstRelease = 53

var (
	createdTable  = regexp.MustCompile(`(?i)CREATE TABLE (?:IF NOT EXISTS )?(enlace\.\w+)`)
	changedTable  = regexp.MustCompile(`(?i)(?:ALTER TABLE|INDEX \w+ ON|UPDATE|DELETE FROM|INSERT INTO) (enlace\.\w+)`)
	takesAway     = regexp.MustCompile(`(?i)\b(DROP|RENAME|TRUNCATE|DELETE|ALTER COLUMN)\b`)
	addsColumn    = regexp.MustCompile(`(?i)ADD COLUMN[^;]*NOT NULL[^;]*;`)
	sqlCommentEnd = regexp.MustCompile(`--.*`)
)

// Processes of the release before go on over what a migration has made: it only adds. And
// it holds up none of them: it has one table that is in use, so that nobody can stand in a
// ring with it.
func TestMigrationsOnlyAdd(t *testing.T) {
	files, err := postgres.Migrations("")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		if _, begins, ok := strings.Cut(up, "-- +goose Up\n"); !ok || !strings.HasPrefix(begins, "SET LOCAL lock_timeout = 2000;\n") {
			t.Errorf("%s waits for locks without end", name)
		}
		if !strings.Contains(up, "LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;") {
			t.Errorf("%s may be applied by two processes at the same time", name)
		}
		if version <= firstRelease {
			continue
		}
		up = sqlCommentEnd.ReplaceAllString(up, "")
		if word := takesAway.FindString(up); word != "" {
			t.Errorf("%s takes something away: %s", name, word)
		}
		for _, column := range addsColumn.FindAllString(up, -1) {
			if !strings.Contains(strings.ToUpper(column), "DEFAULT") {
				t.Errorf("%s adds a column that others cannot fill: %s", name, column)
			}
		}
		changed := map[string]bool{}
		for _, match := range changedTable.FindAllStringSubmatch(up, -1) {
			changed[match[1]] = true
		}
		for _, match := range createdTable.FindAllStringSubmatch(up, -1) {
			delete(changed, match[1])
		}
		if len(changed) > 1 {
			t.Errorf("%s changes %d tables that are in use", name, len(changed))
		}
	}
}
