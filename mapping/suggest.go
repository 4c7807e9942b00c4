package mapping

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/enlace-go/enlace/rawjson"
)

// Suggestion is a proposed field of a mapping from an account's records to the host's.
type Suggestion struct {
	Field    Field      `json:"field"`    // ready to be part of a mapping
	Score    float64    `json:"score"`    // from 0 to 1
	Evidence []Evidence `json:"evidence"` // why, strongest first as far as the suggester knows
}

// Evidence is a reason for or against a suggestion.
type Evidence struct {
	Kind   string  `json:"kind"`   // "name", "type", "samples", "values"; a host's suggester may have others
	Text   string  `json:"text"`   // for people
	Weight float64 `json:"weight"` // what it added to the score; negative if it took away
}

// Suggester proposes how the account's fields go into the local ones. [Names] is the one of this
// package; a host puts a language model behind another. What it returns is not trusted: ask it
// through [Propose].
type Suggester interface {
	Suggest(ctx context.Context, local, account Schema) ([]Suggestion, error)
}

// SuggesterFunc makes a function a Suggester.
type SuggesterFunc func(ctx context.Context, local, account Schema) ([]Suggestion, error)

// Suggest calls f.
func (f SuggesterFunc) Suggest(ctx context.Context, local, account Schema) ([]Suggestion, error) {
	return f(ctx, local, account)
}

// Suggest proposes for each local field at most one of the account's fields, and each of those
// once, from their names in Portuguese and English, their types and samples. It is [Names] with its
// defaults: deterministic, without any call outside.
func Suggest(local, account Schema) []Suggestion {
	return Names{}.suggest(local, account)
}

// Names is the Suggester that compares names, types and samples. The zero value is a good one.
type Names struct {
	MinScore float64    // suggestions below are left out; 0 is 0.5
	Synonyms [][]string // further groups of names that mean the same, the meaning first
}

// Suggest implements [Suggester]. Its only error is that of an ended context.
func (n Names) Suggest(ctx context.Context, local, account Schema) ([]Suggestion, error) {
	return n.suggest(local, account), ctx.Err()
}

func (n Names) suggest(local, account Schema) []Suggestion {
	l := newLexicon(n.Synonyms)
	to, from := l.profiles(local), l.profiles(account)
	least := either(n.MinScore, 0.5)
	var pairs []pairing
	for i := range to {
		for j := range from {
			if p := l.compare(&to[i], &from[j]); p.score >= least {
				p.to, p.from = i, j
				pairs = append(pairs, p)
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pairing) int { return cmp.Compare(b.score, a.score) })
	usedTo, usedFrom := make([]bool, len(to)), make([]bool, len(from))
	var suggestions []Suggestion
	for _, p := range pairs {
		if usedTo[p.to] || usedFrom[p.from] {
			continue
		}
		if s := l.suggestion(&p, &to[p.to], &from[p.from]); refusal(&s, local, account) == "" {
			usedTo[p.to], usedFrom[p.from] = true, true
			suggestions = append(suggestions, s)
		}
	}
	return suggestions
}

// profile is what is known about a field, prepared for many comparisons.
type profile struct {
	field    *SchemaField
	names    []string
	meanings [][]string // of each name
	look     look
	typ      Type
}

func (l *lexicon) profiles(s Schema) []profile {
	profiles := make([]profile, min(len(s.Fields), MaxSchemaFields))
	for i := range profiles {
		f := &s.Fields[i]
		p := profile{field: f, look: f.looks(), typ: f.Type}
		p.names = append([]string{f.Path}, f.Aliases[:min(len(f.Aliases), MaxNesting)]...)
		if f.Title != "" {
			p.names = append(p.names, f.Title)
		}
		for _, name := range p.names {
			p.meanings = append(p.meanings, l.meanings(name))
		}
		if p.typ == Any {
			p.typ = p.look.typ
		}
		profiles[i] = p
	}
	return profiles
}

// pairing is how well two fields fit.
type pairing struct {
	to, from int
	score    float64
	evidence []Evidence
}

// add counts evidence that closes a part of what is missing to certainty.
func (p *pairing) add(kind, text string, part float64) {
	weight := (1 - p.score) * part
	p.score += weight
	p.evidence = append(p.evidence, Evidence{kind, text, round(weight)})
}

// doubt counts evidence that leaves a part of the score.
func (p *pairing) doubt(kind, text string, part float64) {
	weight := p.score * (part - 1)
	p.score += weight
	p.evidence = append(p.evidence, Evidence{kind, text, round(weight)})
}

func round(weight float64) float64 { return math.Round(weight*100) / 100 }

// How much each kind of evidence is worth.
const (
	nameWorth     = 0.8
	samplesWorth  = 0.6
	typeWorth     = 0.25
	valuesWorth   = 0.25
	typesDiffer   = 0.4
	samplesDiffer = 0.5
)

func (l *lexicon) compare(to, from *profile) pairing {
	var p pairing
	if similarity, text := l.names(to, from); similarity > 0 {
		p.add("name", text, similarity*nameWorth)
	}
	telling := to.look.telling() || from.look.telling()
	switch same := to.look.kind == from.look.kind; {
	case telling && same:
		p.add("samples", "the samples of both look like a "+to.look.kind, samplesWorth)
	case telling && to.look.kind != "" && from.look.kind != "":
		p.doubt("samples", fmt.Sprintf("the samples look like a %s here and a %s there", to.look.kind, from.look.kind), samplesDiffer)
	}
	switch {
	case p.score == 0 || to.typ == Any || from.typ == Any:
	case to.typ == from.typ:
		p.add("type", "both are of type "+string(to.typ), typeWorth)
	case to.unlike(from):
		p.doubt("type", fmt.Sprintf("the types differ: %s here, %s there", to.typ, from.typ), typesDiffer)
	}
	return p
}

// unlike says whether values of one type are hardly meant as values of the other. Whole numbers
// may be times.
func (p *profile) unlike(other *profile) bool {
	a, b := family(p.typ), family(other.typ)
	stamp := a == Date && other.look.stamp != "" || b == Date && p.look.stamp != ""
	return a != "" && b != "" && a != b && !stamp
}

// family puts types together that values are converted between. Text holds anything.
func family(t Type) Type {
	switch t {
	case Text, ID:
		return ""
	case Decimal:
		return Integer
	case Time:
		return Date
	}
	return t
}

// names compares each name of one field with each of the other, and explains the best pair.
func (l *lexicon) names(to, from *profile) (best float64, text string) {
	var here, there int
	var common []string
	for i := range to.meanings {
		for j := range from.meanings {
			if score, shared := l.similarity(to.meanings[i], from.meanings[j]); score > best {
				best, here, there, common = score, i, j, shared
			}
		}
	}
	a, b := to.names[here], from.names[there]
	switch {
	case best == 0:
		return 0, ""
	case slices.Equal(words(a), words(b)):
		text = "are the same name"
	case len(common) == 0:
		text = "are written alike"
	case best >= 1:
		text = "mean the same: " + strings.Join(common, ", ")
	default:
		text = "have in common: " + strings.Join(common, ", ")
	}
	return best, fmt.Sprintf("%q and %q %s", a, b, text)
}

// suggestion makes the field: with a type or a value table only where there is something to convert.
func (l *lexicon) suggestion(p *pairing, to, from *profile) Suggestion {
	f := Field{From: from.field.Path, To: to.field.Path, Type: to.typ, List: from.field.List, OneWay: from.field.ReadOnly}
	if f.Type == Any || to.unlike(from) {
		f.Type = from.typ
	}
	if from.look.typ == f.Type || family(from.look.typ) == family(f.Type) {
		f.FromFormat = from.look.format
	}
	if to.look.typ == f.Type {
		f.ToFormat = to.look.format
	}
	f.adapt(from)
	if pairs, text := l.values(to.field, from.field); pairs != nil {
		f.Values, f.Type, f.FromFormat, f.ToFormat = pairs, Any, "", ""
		p.add("values", text, valuesWorth)
	}
	slices.SortStableFunc(p.evidence, func(a, b Evidence) int { return cmp.Compare(b.Weight, a.Weight) })
	return Suggestion{Field: f, Score: round(p.score), Evidence: p.evidence}
}

// adapt chooses between dates and times by what the account writes: a date cannot be read as an
// instant without saying where, and numbers that stand for times are seconds or milliseconds.
func (f *Field) adapt(from *profile) {
	switch {
	case f.Type == Time && from.look.kind == "date":
		f.FromFormat = either(from.look.format, "2006-01-02")
	case f.Type == Date && from.look.kind == "time" && from.look.format != "":
		f.FromFormat = from.look.format
	case (f.Type == Time || f.Type == Date) && from.look.stamp != "":
		f.Type, f.FromFormat = Time, from.look.stamp
	}
}

// Proposal is what a suggester's suggestions came to.
type Proposal struct {
	Accepted []Suggestion // valid, the highest score first, each field once on either side
	Refused  []Refusal
}

// Refusal is a suggestion that was not taken.
type Refusal struct {
	Suggestion Suggestion
	Reason     string
}

// Propose asks a suggester and checks what it says as if a stranger said it: the fields exist in
// the schemas, no field is used twice, the score is a score, the field compiles, converts the account's
// samples, and is nothing but a source, a target and a conversion. A suggester's error is
// returned as it is.
func Propose(ctx context.Context, s Suggester, local, account Schema) (Proposal, error) {
	suggestions, err := s.Suggest(ctx, local, account)
	if err != nil {
		return Proposal{}, err
	}
	suggestions = slices.Clone(suggestions[:min(len(suggestions), 2*MaxSchemaFields)])
	slices.SortStableFunc(suggestions, func(a, b Suggestion) int { return cmp.Compare(b.Score, a.Score) })
	var p Proposal
	used := make(map[[2]string]bool)
	for _, s := range suggestions {
		reason := refusal(&s, local, account)
		to, from := [2]string{"to", s.Field.To}, [2]string{"from", s.Field.From}
		if reason == "" && (used[to] || used[from]) {
			reason = "a better suggestion uses the same field"
		}
		if reason != "" {
			p.Refused = append(p.Refused, Refusal{s, reason})
			continue
		}
		used[to], used[from] = true, true
		p.Accepted = append(p.Accepted, s)
	}
	return p, nil
}

// refusal returns why a suggestion cannot be taken, or nothing. It bounds the suggestion's texts.
func refusal(s *Suggestion, local, account Schema) string {
	s.Evidence = slices.Clone(s.Evidence[:min(len(s.Evidence), MaxNesting)])
	for i, e := range s.Evidence {
		s.Evidence[i].Text = strings.ToValidUTF8(e.Text[:min(len(e.Text), 2*MaxPath)], "")
	}
	f := s.Field
	allowed := Field{From: f.From, To: f.To, Type: f.Type, FromFormat: f.FromFormat, ToFormat: f.ToFormat, Values: f.Values, Other: f.Other, List: f.List, OneWay: f.OneWay}
	var source *SchemaField
	for i := range account.Fields {
		if account.Fields[i].Path == f.From {
			source = &account.Fields[i]
		}
	}
	switch {
	case !(s.Score >= 0 && s.Score <= 1): // also NaN
		return "the score is not from 0 to 1"
	case source == nil:
		return "the account has no such field"
	case !slices.ContainsFunc(local.Fields, func(l SchemaField) bool { return l.Path == f.To }):
		return "there is no such local field"
	case !sameField(f, allowed):
		return "it is more than a source, a target and a conversion"
	}
	c, err := Compile(Mapping{Name: "suggestion", Version: 1, Fields: []Field{f}})
	if err != nil {
		return err.Error()
	}
	var r run
	for _, sample := range source.Samples[:min(len(source.Samples), MaxSchemaSamples)] {
		f := &c.root.fields[0]
		if value, ok := cleanSample(sample); ok && !f.isNothing(value) && !r.scalar(f, "", value) {
			return "a sample of the account cannot be converted"
		}
	}
	return ""
}

// sameField compares fields by their JSON form.
func sameField(a, b Field) bool {
	return string(Of(a)) == string(Of(b))
}

// cleanSample returns a sample without space around it, and false if it is too long or no JSON.
func cleanSample(sample json.RawMessage) (json.RawMessage, bool) {
	if len(sample) > maxSampleLength || rawjson.Valid(sample) != nil {
		return nil, false
	}
	return rawjson.NewScanner(sample).Value(), true
}
