package admin

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// phrase translates a sentence that the library has made in English, with numbers and
// names in it. The catalog has those sentences under keys that begin with "phrase.", with
// the same places; a sentence that it does not have stays as it is.
func (t translator) phrase(text string) string {
	if t == english || text == "" {
		return text
	}
	for _, p := range englishPhrases() {
		if found := p.form.FindStringSubmatch(text); found != nil {
			args := make([]any, len(p.places))
			for i, place := range p.places {
				args[place] = t.phrase(found[i+1])
			}
			return t.text(p.key, args...)
		}
	}
	return text
}

// phraseForm is a sentence of the English catalog as what it matches.
type phraseForm struct {
	key    string
	form   *regexp.Regexp
	places []int // number of each place, in the order of the English sentence
}

// englishPhrases are the sentences, the longer ones first: a short one may match too.
var englishPhrases = sync.OnceValue(func() []phraseForm {
	var phrases []phraseForm
	for _, key := range slices.Sorted(maps.Keys(catalogs[english])) {
		if !strings.HasPrefix(key, "phrase.") {
			continue
		}
		p := phraseForm{key: key}
		var form strings.Builder
		for i, piece := range regexp.MustCompile(`[{}]`).Split(catalogs[english][key], -1) {
			if place, err := strconv.Atoi(piece); i%2 == 1 && err == nil {
				p.places = append(p.places, place)
				form.WriteString("(.+?)")
			} else {
				form.WriteString(regexp.QuoteMeta(piece))
			}
		}
		p.form = regexp.MustCompile("(?s)^" + form.String() + "$")
		phrases = append(phrases, p)
	}
	slices.SortStableFunc(phrases, func(a, b phraseForm) int { return len(b.form.String()) - len(a.form.String()) })
	return phrases
})
