package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/internal/sqlstore"
)

// Each list reads its page in order from an index: no statement scans a table,
// or sorts.
func TestStatementsUseIndexes(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "enlace.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, statement := range []string{
		selectIntegration, listIntegrations, listIntegrationsOfProvider, updateIntegration, deleteIntegration,
		selectCredential, saveCredential, releaseCredential, removePlaceholder, deleteCredential, listCredentials,
		selectCheckpoint, updateCheckpoint, deleteCheckpoints,
		selectRun, listRuns, listRunsOfIntegration,
	} {
		args := make([]any, strings.Count(statement, "?"))
		rows, err := s.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, args...)
		if err != nil {
			t.Fatalf("%v\n%s", err, statement)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan, "; ")
		if !strings.HasPrefix(text, "SEARCH") || strings.Contains(text, "SCAN") || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("plan is %q for\n%s", text, statement)
		}
		if strings.HasPrefix(statement, "SELECT") && strings.Contains(statement, "LIMIT") && !strings.Contains(text, ">") && !strings.Contains(text, "<") {
			t.Errorf("the page does not begin at the cursor: plan is %q for\n%s", text, statement)
		}
	}
}

// A new column of sealed data belongs into the list of what a rotation seals anew.
func TestEverySealedColumnIsResealed(t *testing.T) {
	others := map[string]bool{ // sealed and walked by their own methods, or no sealed data
		"enlace_credentials.data": true, "enlace_keyring.data": true,
		"enlace_records.accepted": true, "enlace_records.pushed": true, "enlace_outgoing_changes.digest": true,
		"enlace_refused_records.digest": true,
		"enlace_audit.previous":         true, "enlace_audit.hash": true, "enlace_audit_heads.hash": true, "enlace_metrics.points": true,
	}
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "enlace.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows, err := s.read.QueryContext(t.Context(), `SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c
		WHERE t.type = 'table' AND c.type = 'BLOB'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			t.Fatal(err)
		}
		if table, name, _ := strings.Cut(strings.TrimPrefix(column, "enlace_"), "."); !others[column] && !sqlstore.IsSealed(table, name) {
			t.Errorf("%s is in none of the lists: is it sealed?", column)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
