package mapping

import (
	"fmt"
	"strings"
)

// values proposes a value table for two fields of choices: each of the account's to the local one
// that means the same, or to its label where the local field is a text. It returns nil if one of them would
// be left over, or be mapped to the same as another.
func (l *lexicon) values(to, from *SchemaField) ([]Pair, string) {
	if len(from.Choices) == 0 || len(from.Choices) > MaxSchemaChoices || len(to.Choices) > MaxSchemaChoices {
		return nil, ""
	}
	text := "each choice there has one here that means the same"
	match := l.choiceFinder(to.Choices)
	if len(to.Choices) == 0 {
		if to.Type != Text {
			return nil, ""
		}
		text = "the choices have labels"
		match = func(c Choice) string { return c.Label }
	}
	var pairs []Pair
	changes := false
	seenFrom, seenTo := make(map[string]bool), make(map[string]bool)
	for _, choice := range from.Choices {
		value := match(choice)
		if value == "" || seenTo[value] || seenFrom[choice.Value] {
			return nil, ""
		}
		seenTo[value], seenFrom[choice.Value] = true, true
		changes = changes || value != choice.Value
		pairs = append(pairs, Pair{From: Of(choice.Value), To: Of(value)})
	}
	for _, sample := range from.Samples[:min(len(from.Samples), MaxSchemaSamples)] {
		value, ok := cleanSample(sample)
		text, isScalar := scalarText(value)
		if ok && isScalar && len(text) > 0 && !seenFrom[string(text)] {
			return nil, ""
		}
	}
	if !changes {
		return nil, ""
	}
	return pairs, fmt.Sprintf("%s (%d)", text, len(pairs))
}

// choiceFinder returns a function that finds the value of the choice that means the same as
// another, by label or value; nothing if there is none or more than one.
func (l *lexicon) choiceFinder(choices []Choice) func(Choice) string {
	byMeaning := make(map[string]string)
	for _, c := range choices {
		for _, key := range l.choiceKeys(c) {
			if other, taken := byMeaning[key]; taken && other != c.Value {
				byMeaning[key] = ""
			} else if !taken {
				byMeaning[key] = c.Value
			}
		}
	}
	return func(c Choice) string {
		for _, key := range l.choiceKeys(c) {
			if value := byMeaning[key]; value != "" {
				return value
			}
		}
		return ""
	}
}

// choiceKeys are the meanings of a choice's label and value.
func (l *lexicon) choiceKeys(c Choice) (keys []string) {
	for _, name := range []string{c.Label, c.Value} {
		if meanings := l.meanings(name); len(meanings) > 0 {
			keys = append(keys, strings.Join(meanings, " "))
		}
	}
	return keys
}
