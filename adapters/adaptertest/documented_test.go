package adaptertest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/adapters/adaptertest"
)

// A file that lags behind the descriptor is found out, and can be written anew.
func TestDocumented(t *testing.T) {
	file := filepath.Join(t.TempDir(), "desk.md")
	a := adapter{memory: &memory{}}
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := adaptertest.CheckDocumented(a, file, true); err == nil {
		t.Error("there is no file")
	}
	write("# Desk\n<!-- begin desk -->\n")
	if err := adaptertest.CheckDocumented(a, file, true); err == nil || !strings.Contains(err.Error(), "end desk") {
		t.Errorf("without an end: %v", err)
	}
	write("# Desk\n<!-- begin desk -->\nold\n<!-- end desk -->\nmore\n")
	if err := adaptertest.CheckDocumented(a, file, false); err == nil || !strings.Contains(err.Error(), "does not say") {
		t.Errorf("out of date: %v", err)
	}
	for range 2 {
		if err := adaptertest.CheckDocumented(a, file, true); err != nil {
			t.Error(err)
		}
	}
	if err := adaptertest.CheckDocumented(a, file, false); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Desk\n", "\nmore\n", "| `queue` | `1` | 1 to 9 |", "| `tickets` | read, create, update | creations, updates and deletions | is carried out once |"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	a.sabotage = "invalid default"
	if err := adaptertest.CheckDocumented(a, file, false); err == nil {
		t.Error("another default is not noticed")
	}
}
