package admin

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestDiffLines: what is removed and what stays is the text before, what is added and what
// stays the text after, whatever the texts are.
func TestDiffLines(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		lines := make([]string, random.IntN(12))
		for i := range lines {
			lines[i] = string(rune('a' + random.IntN(4)))
		}
		return strings.Join(lines, "\n")
	}
	for range 2000 {
		before, after := text(), text()
		var was, is []string
		lines := diffMiddle(strings.Split(before, "\n"), strings.Split(after, "\n"))
		for _, line := range lines {
			if line.Kind != "added" {
				was = append(was, line.Text)
			}
			if line.Kind != "removed" {
				is = append(is, line.Text)
			}
		}
		if strings.Join(was, "\n") != before || strings.Join(is, "\n") != after {
			t.Fatalf("%q to %q: %v", before, after, lines)
		}
		if (len(diffLines(before, after)) == 0) != (before == after) {
			t.Fatalf("%q to %q: %v", before, after, diffLines(before, after))
		}
	}
	far := strings.Repeat("same\n", 50)
	got := diffLines(far+"old"+"\n"+far, far+"new"+"\n"+far)
	if len(got) != 2+2*diffContext+2 || got[0].Kind != "gap" || got[len(got)-1].Kind != "gap" {
		t.Errorf("%d lines: %v", len(got), got)
	}
}
