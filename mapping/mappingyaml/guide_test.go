package mappingyaml_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/mapping"
	"github.com/enlace-go/enlace/mapping/mappingyaml"
)

// block is a fenced part of the guide.
type block struct {
	line       int
	info, text string
}

func blocksOf(t *testing.T, path string) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var open *block
	for i, line := range strings.Split(string(text), "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case !fence && open != nil:
			open.text += line + "\n"
		case fence && open != nil:
			blocks = append(blocks, *open)
			open = nil
		case fence:
			open = &block{line: i + 1, info: info}
		}
	}
	return blocks
}

// TestGuide runs the guide: each mapping, its records, and what it says of them.
func TestGuide(t *testing.T) {
	compiledExamples := readAll(t, "../example_test.go", "../live/live_test.go")
	var g guide
	counts := map[string]int{}
	for _, b := range blocksOf(t, "../../docs/mapping.md") {
		counts[b.info]++
		text := strings.TrimSpace(b.text)
		got := text
		switch b.info {
		case "yaml mapping":
			g = guide{}
			g.load(text)
		case "json record":
			g.apply(text)
		case "json local":
			g.local = text
		case "json result":
			got = string(g.result.Data)
		case "text skipped":
			got = g.result.Skipped
		case "text faults":
			got = g.faults()
		case "json back":
			got = g.back()
		case "go":
			if !strings.Contains(compiledExamples, b.text) {
				t.Errorf("line %d: no example has these lines", b.line)
			}
		default:
			t.Errorf("line %d: nobody checks a block of %q", b.line, b.info)
		}
		if got != text {
			t.Errorf("line %d: it is\n%s\nand the guide says\n%s", b.line, got, text)
		}
		if g.err != nil && b.info == "json result" {
			t.Errorf("line %d: %v", b.line, g.err)
		}
	}
	for _, info := range []string{"yaml mapping", "json record", "json result", "text skipped", "text faults", "json back", "go"} {
		if counts[info] == 0 {
			t.Errorf("the guide has no block of %q", info)
		}
	}
}

func readAll(t *testing.T, paths ...string) string {
	t.Helper()
	var all bytes.Buffer
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// guide is the mapping that the guide is at, and what it did last.
type guide struct {
	compiled *mapping.Compiled
	local    string
	result   mapping.Result
	err      error
}

func (g *guide) load(text string) {
	m, err := mappingyaml.Parse([]byte(text))
	if err == nil {
		g.compiled, err = mapping.Compile(m)
	}
	g.err = err
}

func (g *guide) apply(record string) {
	if g.compiled != nil {
		g.result, g.err = g.compiled.Apply(json.RawMessage(record))
	}
}

func (g *guide) faults() string {
	wrong, ok := errors.AsType[*mapping.Error](g.err)
	if !ok {
		return "no faults"
	}
	var lines []string
	for _, f := range wrong.Faults {
		lines = append(lines, f.Field+": "+f.Detail)
	}
	return strings.Join(lines, "\n")
}

func (g *guide) back() string {
	inverse, err := g.compiled.Invert()
	if err != nil {
		return err.Error()
	}
	result, err := inverse.Apply(json.RawMessage(g.local))
	if err != nil {
		return err.Error()
	}
	return string(result.Data)
}
