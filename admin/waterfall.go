package admin

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// phases of a request, in order; each has a colour of its own and stands in words
// in the table beside.
var phases = []string{"waited", "dns", "connect", "tls", "wait", "read"}

func (r requestTiming) phases() []time.Duration {
	return []time.Duration{r.Waited, r.DNS, r.Connect, r.TLS, r.Wait, r.Read}
}

// waterfall draws where the time of one request went, on the scale of the test.
func waterfall(t translator, r requestTiming, whole time.Duration) template.HTML {
	const width = 300.0
	whole = max(whole, time.Microsecond)
	var b strings.Builder
	var words []string
	for i, d := range r.phases() {
		if d > 0 {
			words = append(words, t.text("phase."+phases[i])+" "+t.duration(d))
		}
	}
	fmt.Fprintf(&b, `<svg class="waterfall" viewBox="0 0 %d 14" role="img" aria-label="%s" preserveAspectRatio="none">`, int(width), template.HTMLEscapeString(strings.Join(words, ", ")))
	x := float64(r.Start-r.Waited) / float64(whole) * width
	x = max(0, x)
	for i, d := range r.phases() {
		if d <= 0 {
			continue
		}
		w := max(float64(d)/float64(whole)*width, .8)
		fmt.Fprintf(&b, `<rect class="p%d" x="%.1f" y="2" width="%.1f" height="10"/>`, i, x, w)
		x += w
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

type phaseName struct {
	Index int
	Name  string
}

// phaseNames are the phases for a legend.
func phaseNames() []phaseName {
	var names []phaseName
	for i, name := range phases {
		names = append(names, phaseName{i, name})
	}
	return names
}
