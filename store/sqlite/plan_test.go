package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
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
