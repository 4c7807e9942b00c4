package admin

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/enlace-go/enlace"
)

// reviewData is what an edit would change, before it is saved.
type reviewData struct {
	form
	Integration enlace.Integration
	Changes     []shownField
}

// reviewIntegration shows which fields a form would change, and saves nothing.
func (a *Admin) reviewIntegration(w http.ResponseWriter, r *http.Request, c *call, in enlace.Integration, d enlace.Descriptor, e entered, version int64) error {
	stored, f := newForm(c, d, in), newForm(c, d, in)
	f.fill(r, e)
	if version != in.Version { // somebody has saved while the form was open
		if f.conflict(in); len(f.Conflict) > 0 {
			return a.showEdit(w, r, c, in, f, http.StatusPreconditionFailed)
		}
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "edit-review", title: t.text("review.of", in.Name), section: "integrations",
		crumbs: []crumb{{t.text("nav.integrations"), "i"}, {in.Name, "i/" + in.ID}}, data: reviewData{f, in, formChanges(t, stored, f)}})
}

// formChanges are the fields in which two fillings of a form differ. Of a secret only that
// it changes.
func formChanges(t translator, before, after form) []shownField {
	var changes []shownField
	add := func(label, was, is string, secret bool) {
		if was == is {
			return
		}
		if secret {
			was, is = "", t.text("review.secret")
		}
		changes = append(changes, shownField{label, short(was, 300), short(is, 300)})
	}
	for i, field := range after.Fields {
		add(field.Label, before.Fields[i].Value, field.Value, field.Type == "password")
	}
	chosen := func(f form) string {
		var names []string
		for _, choice := range f.Features {
			if choice.Checked {
				names = append(names, t.optional("feature."+choice.Value, choice.Value))
			}
		}
		return strings.Join(names, ", ")
	}
	add(t.text("form.features"), chosen(before), chosen(after), false)
	return changes
}

// mappingReview is what saving a mapping would change in its document.
type mappingReview struct {
	mappingData
	Lines []diffLine
	Same  bool
}

func (a *Admin) reviewMapping(w http.ResponseWriter, r *http.Request, c *call, data mappingData, document json.RawMessage) error {
	review := mappingReview{mappingData: data}
	stored := data.Text
	review.Text = string(document)
	review.Lines = diffLines(stored, indented(document))
	review.Same = len(review.Lines) == 0
	return a.showMappingAs(w, r, c, "mapping-review", data, review, 0)
}

// diffLine is a line of a comparison: "removed", "added", "same", or "gap" for lines that are
// left out.
type diffLine struct{ Kind, Text string }

const (
	diffContext = 3         // equal lines around those that differ
	maxDiffWork = 4_000_000 // pairs of lines; a longer middle counts as replaced
)

// diffLines compares two texts line by line; nil if they are the same.
func diffLines(before, after string) []diffLine {
	if before == after {
		return nil
	}
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	var lines []diffLine
	add := func(kind string, texts ...string) {
		for _, text := range texts {
			lines = append(lines, diffLine{kind, text})
		}
	}
	add("same", a[:start]...)
	lines = append(lines, diffMiddle(a[start:len(a)-end], b[start:len(b)-end])...)
	add("same", a[len(a)-end:]...)
	return withoutDistant(lines)
}

// diffMiddle is the longest common part of two lists of lines, and what is not in it.
func diffMiddle(a, b []string) []diffLine {
	var lines []diffLine
	common := make([][]int, len(a)+1) // length of the longest common part behind (i, j)
	if len(a)*len(b) <= maxDiffWork {
		for i := range common {
			common[i] = make([]int, len(b)+1)
		}
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					common[i][j] = common[i+1][j+1] + 1
				} else {
					common[i][j] = max(common[i+1][j], common[i][j+1])
				}
			}
		}
		i, j := 0, 0
		for i < len(a) && j < len(b) {
			switch {
			case a[i] == b[j]:
				lines = append(lines, diffLine{"same", a[i]})
				i, j = i+1, j+1
			case common[i+1][j] >= common[i][j+1]:
				lines = append(lines, diffLine{"removed", a[i]})
				i++
			default:
				lines = append(lines, diffLine{"added", b[j]})
				j++
			}
		}
		a, b = a[i:], b[j:]
	}
	for _, text := range a {
		lines = append(lines, diffLine{"removed", text})
	}
	for _, text := range b {
		lines = append(lines, diffLine{"added", text})
	}
	return lines
}

// withoutDistant leaves out equal lines that are far from those that differ.
func withoutDistant(lines []diffLine) []diffLine {
	near := make([]bool, len(lines))
	for i, line := range lines {
		if line.Kind == "same" {
			continue
		}
		for j := max(0, i-diffContext); j <= min(len(lines)-1, i+diffContext); j++ {
			near[j] = true
		}
	}
	var kept []diffLine
	for i, line := range lines {
		if near[i] {
			kept = append(kept, line)
		} else if i == 0 || near[i-1] {
			kept = append(kept, diffLine{Kind: "gap"})
		}
	}
	return kept
}
