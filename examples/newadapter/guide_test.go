package newadapter_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var fence = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// Every piece of code in the guide stands, letter by letter, in a file of this
// package, which is compiled and tested.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/writing-an-adapter.md")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range []string{"adapter.go", "adapter_test.go", "hubspot_test.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	snippets := fence.FindAllStringSubmatch(string(guide), -1)
	if len(snippets) < 8 || 2*len(snippets) != strings.Count(string(guide), "```") {
		t.Errorf("%d snippets were found, in %d fences", len(snippets), strings.Count(string(guide), "```"))
	}
	for _, snippet := range snippets {
		language, code := snippet[1], snippet[2]
		if language != "go" {
			t.Errorf("a snippet of the language %q cannot be checked:\n%s", language, code)
			continue
		}
		found := false
		for _, text := range files {
			found = found || strings.Contains(text, code)
		}
		if !found {
			t.Errorf("this stands in none of the files:\n%s", code)
		}
	}
	// The template stays a template.
	if lines := strings.Count(files["adapter.go"], "\n"); lines > 150 {
		t.Errorf("adapter.go has %d lines, more than 150", lines)
	}
}
