package admin

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

const (
	english    = "en"
	portuguese = "pt-BR"
)

//go:embed locales
var localeFiles embed.FS

// catalogs are the texts by language and key. A key that ends in ".one" and one in
// ".other" make a plural.
var catalogs = map[string]map[string]string{english: mustCatalog(english), portuguese: mustCatalog(portuguese)}

// languages are those that there are, with their own names.
var languages = []struct{ Code, Name string }{{portuguese, "Português (Brasil)"}, {english, "English"}}

func mustCatalog(language string) map[string]string {
	data, err := localeFiles.ReadFile("locales/" + language + ".json")
	if err != nil {
		panic(err)
	}
	var catalog map[string]string
	if err := json.Unmarshal(data, &catalog); err != nil {
		panic("admin: " + language + ": " + err.Error())
	}
	return catalog
}

// translator says things in one language.
type translator string

// text is the text of a key, with {0}, {1}… replaced by the arguments. A key that
// there is not shows as itself; a test looks for that.
func (t translator) text(key string, args ...any) string {
	text, ok := catalogs[string(t)][key]
	if !ok {
		return key
	}
	for i, arg := range args {
		text = strings.ReplaceAll(text, fmt.Sprintf("{%d}", i), fmt.Sprint(arg))
	}
	return text
}

// optional is the text of a key, or the fallback if there is none: for words that
// come from adapters and providers, which nobody can list.
func (t translator) optional(key, fallback string) string {
	if text, ok := catalogs[string(t)][key]; ok {
		return text
	}
	return fallback
}

// count is the plural of a key for n, with {0} replaced by n.
func (t translator) count(key string, n int) string {
	form := ".other"
	if n == 1 || (n == 0 && t == portuguese) {
		form = ".one"
	}
	return t.text(key+form, t.number(n))
}

// foreign translates words of adapters, which are written in English.
func (t translator) foreign(text string) string { return t.optional("adapter."+text, text) }

// stepDetail translates what a step of a connection test has found.
func (t translator) stepDetail(detail string) string {
	for ending, key := range map[string]string{": can be read": "step.readable", ": no records": "step.norecords"} {
		if entity, ok := strings.CutSuffix(detail, ending); ok {
			return t.text(key, entity)
		}
	}
	return detail
}

// chooseLanguage takes the first language of an Accept-Language header that there
// is. Weights are ignored: browsers send their languages in order.
func chooseLanguage(accepted, fallback string) string {
	for entry := range strings.SplitSeq(accepted, ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(entry), ";")
		switch base, _, _ := strings.Cut(strings.ToLower(tag), "-"); base {
		case "pt":
			return portuguese
		case "en":
			return english
		}
	}
	return fallback
}
