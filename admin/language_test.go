package admin

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/all"
	"github.com/enlace-go/enlace/adapters/fake"
)

var placeMarks = regexp.MustCompile(`\{\d\}`)

// TestCatalogs: every language has the same keys, with the same places in each
// text, and both forms of each plural.
func TestCatalogs(t *testing.T) {
	reference := catalogs[english]
	for language, catalog := range catalogs {
		for key, text := range catalog {
			other, ok := reference[key]
			if !ok {
				t.Errorf("%s: %s is in no other language", language, key)
			}
			if a, b := placeMarks.FindAllString(text, -1), placeMarks.FindAllString(other, -1); !slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))) &&
				!strings.HasSuffix(key, ".one") {
				t.Errorf("%s: %s has the places %v, English %v", language, key, a, b)
			}
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s is empty", language, key)
			}
			if stem, ok := strings.CutSuffix(key, ".one"); ok && catalog[stem+".other"] == "" {
				t.Errorf("%s: %s has no plural", language, stem)
			}
		}
		for key := range reference {
			if catalog[key] == "" {
				t.Errorf("%s: %s is missing", language, key)
			}
		}
	}
}

// TestKeysExist: every key that a template or the code names is there, and no
// text is there for nobody.
func TestKeysExist(t *testing.T) {
	used := map[string]bool{}
	key := regexp.MustCompile(`(?:\bt|\bn|\.text\(|\.count\(|newProblem\(c,) "([a-z][a-z0-9_.]*)"|(?:text|count)\("([a-z][a-z0-9_.]*)"`)
	sources, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		data, err := templateFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range key.FindAllStringSubmatch(string(data), -1) {
			used[match[1]+match[2]] = true
		}
	}
	for name := range used {
		if catalogs[english][name] == "" && catalogs[english][name+".other"] == "" {
			t.Errorf("%q is used and not in the catalog", name)
		}
	}
	if len(used) < 100 {
		t.Errorf("only %d keys found", len(used))
	}
	for code := range codes {
		for _, suffix := range []string{"", ".detail"} {
			if catalogs[english]["problem."+code+suffix] == "" {
				t.Errorf("problem.%s%s is not in the catalog", code, suffix)
			}
		}
	}
	for group, states := range looks {
		for state := range states {
			if catalogs[english]["state."+group+"."+state] == "" {
				t.Errorf("state.%s.%s is not in the catalog", group, state)
			}
		}
	}
	for _, entry := range (&Admin{}).navigation(&call{access: Access{Grants: Administrator}}) {
		if catalogs[english]["nav."+entry.Key] == "" || icons[entry.Icon] == "" {
			t.Errorf("the navigation's %q has no text or icon", entry.Key)
		}
	}
	for _, name := range capabilityNames(enlace.Capability(1<<16 - 1)) {
		if catalogs[english]["capability."+name] == "" {
			t.Errorf("capability.%s is not in the catalog", name)
		}
	}
	groups := regexp.MustCompile(`badge "([a-z]+)"`)
	for _, name := range sources {
		data, err := templateFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range groups.FindAllStringSubmatch(string(data), -1) {
			if looks[match[1]] == nil {
				t.Errorf("%s: badges of the group %q have no looks", name, match[1])
			}
		}
	}
	for _, name := range grantNames {
		if catalogs[english]["grant."+name] == "" {
			t.Errorf("grant.%s is not in the catalog", name)
		}
	}
}

// TestAdaptersInPortuguese: what the adapters that enlace ships say about
// themselves is there in Portuguese.
func TestAdaptersInPortuguese(t *testing.T) {
	missing := map[string]bool{}
	check := func(text string) {
		if _, ok := catalogs[portuguese]["adapter."+text]; !ok && text != "" {
			missing[text] = true
		}
	}
	for _, adapter := range append(all.Adapters(), enlace.IntegrationAdapter(fake.Adapter{})) {
		d := adapter.Describe()
		for _, field := range fieldsOf(d) {
			check(field.Label)
			check(field.Help)
		}
		for _, scheme := range d.Auth {
			check(titleOf(scheme))
			for _, field := range scheme.SecretFields() {
				check(field.Label)
				check(field.Help)
			}
		}
		for _, entity := range d.Entities {
			check(entity.Title)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("not in Portuguese: %s", text)
	}
}

func TestChooseLanguage(t *testing.T) {
	for header, want := range map[string]string{"": "en", "pt-BR,pt;q=0.9,en;q=0.8": "pt-BR", "pt": "pt-BR", "pt-PT": "pt-BR", "en-GB,pt;q=0.5": "en",
		"de-DE,de;q=0.9": "en", "fr, pt-BR;q=0.5": "pt-BR", "*": "en", ";;,,q=": "en"} {
		if got := chooseLanguage(header, english); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	pt, en := translator(portuguese), translator(english)
	for _, c := range []struct{ got, want string }{
		{pt.number(1234567), "1.234.567"}, {en.number(-1234), "-1,234"}, {en.number(999), "999"},
		{pt.decimal(1234.5, 1), "1.234,5"}, {en.decimal(0.25, 2), "0.25"}, {pt.percent(.985), "98,5%"}, {en.percent(1), "100%"},
		{pt.duration(1200e6), "1,2 s"}, {en.duration(340e6), "340 ms"}, {en.count("card.runs", 1), "one done in 24 h"}, {pt.count("card.runs", 1200), "1.200 concluídas em 24 h"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// TestConsoleWords: every test, fault and verdict of the console has its words.
func TestConsoleWords(t *testing.T) {
	keys := []string{"verdict.canceled"}
	for _, kind := range testKinds {
		keys = append(keys, "test."+kind, "test."+kind+".effect", "verdict."+kind)
	}
	for _, kind := range []string{"webhook.inbound", "webhook.outbound"} {
		keys = append(keys, "verdict."+kind+".failed")
	}
	keys = append(keys, "verdict.webhook.inbound.noticed", "verdict.webhook.inbound.kept")
	for _, fault := range webhookFaults {
		keys = append(keys, "hook.fault."+string(fault), "hook.cannot."+string(fault))
	}
	for _, key := range keys {
		if catalogs[english][key] == "" {
			t.Errorf("%s is not in the catalog", key)
		}
	}
}
