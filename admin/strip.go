package admin

import (
	"fmt"
	"html/template"
	"strings"
)

// svg draws the strip, and says in words what it shows.
func (s strip) svg(t translator) template.HTML {
	shares := map[string]float64{}
	var b strings.Builder
	x := 0.0
	var bars strings.Builder
	for _, p := range s.Pieces {
		shares[p.State] += p.Share
		fmt.Fprintf(&bars, `<rect class="h-%s" x="%.2f" y="0" width="%.2f" height="12"/>`, template.HTMLEscapeString(p.State), x*100, max(p.Share*100, .4))
		x += p.Share
	}
	var words []string
	for _, state := range healthStates {
		if shares[state] > 0.0005 {
			words = append(words, t.optional("state.health."+state, state)+" "+t.percent(shares[state]))
		}
	}
	fmt.Fprintf(&b, `<svg class="strip" viewBox="0 0 100 12" preserveAspectRatio="none" role="img" aria-label="%s">%s</svg>`,
		template.HTMLEscapeString(t.text("health.strip", strings.Join(words, ", "))), bars.String())
	return template.HTML(b.String())
}
