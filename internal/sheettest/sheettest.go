// Package sheettest checks the index of a provider's contract sheet: which test
// holds which of its numbered behaviours, cases and quirks.
package sheettest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Numbers are the numbers from 1 to Last behind a letter: F1, F2…
type Numbers struct {
	Letter string
	Last   int
}

var function = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)

// Check fails unless index has a line for every number, and every test that it
// names exists. A line is a number and names of tests, with the folder and a dot
// before those that are not of this package; or a number, a dash, and why there is
// no test.
func Check(t *testing.T, index string, numbers ...Numbers) {
	t.Helper()
	lines := map[string]string{}
	for line := range strings.Lines(strings.TrimSpace(index)) {
		number, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, twice := lines[number]; twice {
			t.Errorf("%s is there twice", number)
		}
		lines[number] = strings.TrimSpace(rest)
	}
	wanted := 0
	for _, n := range numbers {
		for i := range n.Last {
			wanted++
			if number := fmt.Sprint(n.Letter, i+1); lines[number] == "" {
				t.Errorf("%s has no test", number)
			}
		}
	}
	if len(lines) != wanted {
		t.Errorf("%d lines for %d numbers", len(lines), wanted)
	}
	existing := map[string]map[string]bool{} // by folder
	for number, names := range lines {
		if strings.HasPrefix(names, "- ") {
			continue
		}
		for _, name := range strings.Fields(names) {
			folder, test, elsewhere := strings.Cut(name, ".")
			if !elsewhere {
				folder, test = ".", name
			}
			if existing[folder] == nil {
				existing[folder] = testsIn(t, folder)
			}
			if !existing[folder][test] {
				t.Errorf("%s: there is no %s", number, name)
			}
		}
	}
}

// testsIn are the tests of a folder.
func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range function.FindAllStringSubmatch(string(text), -1) {
			tests[match[1]] = true
		}
	}
	return tests
}
