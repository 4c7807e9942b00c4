package main

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(nodeVariable); text != "" { // a child of the test
		fmt.Fprintln(os.Stderr, runNode(text))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// Nodes and PostgreSQL are killed, and nothing is lost or done twice. The promise itself
// is for longer: go run ./examples/multinode -for 10m -kill-postgres 10.
func TestKilledNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("whole processes")
	}
	if _, ok := postgresBinaries(); !ok {
		t.Skip(errNoPostgres)
	}
	r, err := run(t.Context(), options{engine: "process", duration: 12 * time.Second, killEvery: 2 * time.Second, killPostgres: 1, nodes: 3, rate: 40, lease: 10 * time.Second}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	r.print(t.Output())
	if len(r.Violations) > 0 {
		t.Error("see VIOLATED above")
	}
	if r.NodeKills < 3 || r.PostgresKills != 1 || r.Acknowledged == 0 || r.Pulls == 0 || r.Ticks == 0 {
		t.Error("the test shows nothing")
	}
}
