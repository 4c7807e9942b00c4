package admin

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/memory"
)

// newForTables is an admin for tests that go through its tables. Nobody has a grant.
func newForTables(t *testing.T) *Admin {
	t.Helper()
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(fake.Adapter{}), Store: memory.New(), Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	users := 0
	a := Handler(service, Options{Authorize: func(*http.Request) (Access, error) {
		users++ // each is another one, so that nobody meets a limit
		return Access{User: "u" + strings.Repeat("x", users%1000), Grants: 1 << 31}, nil
	}})
	t.Cleanup(a.Close)
	return a
}

// operationsOf are all pages and operations, as method and path.
func operationsOf(a *Admin) [][2]string {
	var all [][2]string
	fill := strings.NewReplacer("{$}", "", "{id}", "none", "{provider}", "fake", "{entity}", "contacts", "{number}", "1")
	for _, r := range routes() {
		if r.grant != 0 { // the settings are everybody's own
			all = append(all, [2]string{r.method, fill.Replace(r.pattern)})
		}
	}
	for _, o := range a.api.operations {
		all = append(all, [2]string{o.method, apiPath + fill.Replace(o.path)})
	}
	return all
}

// TestEverythingRefusesOtherSites: no page and no operation that changes something
// answers what another site makes a browser send.
func TestEverythingRefusesOtherSites(t *testing.T) {
	a := newForTables(t)
	refused := 0
	for _, o := range operationsOf(a) {
		if o[0] == http.MethodGet {
			continue
		}
		for _, site := range []string{"cross-site", "same-site"} {
			r := httptest.NewRequest(o[0], o[1], strings.NewReader(""))
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("Origin", "https://evil.example.com")
			r.Header.Set("Cookie", "session=1")
			r.Header.Set("Accept", "application/json")
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"cross_origin"`) {
				t.Errorf("%s %s from %s: status %d %s", o[0], o[1], site, w.Code, w.Body)
			}
			refused++
		}
	}
	if refused < 100 {
		t.Errorf("only %d requests", refused)
	}
}

// TestEverythingNeedsAGrant: whoever is let in without any grant is refused by every page
// and operation, before anything is looked up.
func TestEverythingNeedsAGrant(t *testing.T) {
	a := newForTables(t)
	for _, o := range operationsOf(a) {
		r := httptest.NewRequest(o[0], o[1], nil)
		r.Header.Set("Accept", "application/json")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"forbidden"`) {
			t.Errorf("%s %s: status %d %s", o[0], o[1], w.Code, w.Body)
		}
	}
}

// TestDoctorInPortuguese: every sentence of the doctor is in the catalog, so that none
// shows in English among the others.
func TestDoctorInPortuguese(t *testing.T) {
	source, err := os.ReadFile("../doctor.go")
	if err != nil {
		t.Skip("the doctor's source is not here: ", err)
	}
	verb := regexp.MustCompile(`%[+#]?[a-z]`)
	sentences := 0
	for _, line := range strings.Split(string(source), "\n") {
		if !strings.Contains(line, "find(\"") && !strings.Contains(line, "warn(") {
			continue
		}
		line = regexp.MustCompile(`find\("[a-z]+", `).ReplaceAllString(line, "find(")
		// What is put together from pieces becomes one piece with a value in it.
		line = regexp.MustCompile(`"\s*\+[^,"]+\+\s*"`).ReplaceAllString(line, "VALUE")
		line = regexp.MustCompile(`"\s*\+\s*[a-zA-Z(][^,]*`).ReplaceAllString(line, `VALUE"`)
		for _, match := range regexp.MustCompile(`"([^"]{4,})"`).FindAllStringSubmatch(strings.ReplaceAll(line, `\"`, "'"), -1) {
			sentence := verb.ReplaceAllString(match[1], "VALUE")
			sentences++
			if translator(portuguese).phrase(sentence) == sentence {
				t.Errorf("not in Portuguese: %s", sentence)
			}
		}
	}
	if sentences < 40 {
		t.Errorf("only %d sentences found", sentences)
	}
}

// TestPhrase: places may change their order, and what is not known stays.
func TestPhrase(t *testing.T) {
	pt := translator(portuguese)
	for text, want := range map[string]string{
		"the schema has version 3 and this program needs 5":  "o esquema está na versão 3 e este programa precisa da 5",
		"the schema has version 3":                           "o esquema está na versão 3",
		`"phone" and "fone" mean the same: phone`:            `"phone" e "fone" significam o mesmo: phone`,
		"a sentence that nobody knows":                       "a sentence that nobody knows",
		"the samples look like a date here and a text there": "as amostras parecem date aqui e text lá",
	} {
		if got := pt.phrase(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if got := translator(english).phrase(text); got != text {
			t.Errorf("English changes %q to %q", text, got)
		}
	}
}
