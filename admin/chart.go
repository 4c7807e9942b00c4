package admin

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
)

// chart is a time series of one or two measures as bars, drawn on the server: it
// is there in the first paint, prints, and needs no script.
type chart struct {
	Title  string // translated
	Unit   string // translated, behind the numbers
	Labels []string
	Points []chartPoint
	Step   time.Duration
	Peak   bool // the values are not to be added up
}

// chartPoint is one bar; the values are stacked.
type chartPoint struct {
	At     time.Time
	Values []float64
}

const (
	chartWidth, chartHeight = 600, 120
	chartTop                = 8
)

// svg draws the chart with its name, a sentence that says what is in it, and an
// equal table for whoever cannot see it.
func (c chart) svg(t translator, zone *time.Location) template.HTML {
	top, total := 0.0, 0.0
	for _, p := range c.Points {
		sum := 0.0
		for _, v := range p.Values {
			sum += v
		}
		top, total = math.Max(top, sum), total+sum
	}
	summary := t.text("chart.summary", t.decimal(total, decimals(total)), c.Unit, t.decimal(top, decimals(top)))
	if c.Peak {
		summary = t.text("chart.peak", t.decimal(top, decimals(top)), c.Unit)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<figure class="chart"><figcaption><strong>%s</strong> <span>%s</span></figcaption>`,
		template.HTMLEscapeString(c.Title), template.HTMLEscapeString(summary))
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s" preserveAspectRatio="none">`,
		chartWidth, chartHeight, template.HTMLEscapeString(c.Title+": "+summary))
	fmt.Fprintf(&b, `<line class="axis" x1="0" y1="%[1]d" x2="%[2]d" y2="%[1]d"/><line class="grid" x1="0" y1="%[3]d" x2="%[2]d" y2="%[3]d"/>`,
		chartHeight-1, chartWidth, chartTop)
	c.bars(&b, top)
	b.WriteString(`</svg>`)
	if len(c.Points) > 0 {
		fmt.Fprintf(&b, `<p class="ends"><span>%s</span><span>%s</span></p>`, c.label(t, zone, c.Points[0].At), c.label(t, zone, c.Points[len(c.Points)-1].At))
	}
	c.table(&b, t, zone)
	b.WriteString(`</figure>`)
	return template.HTML(b.String())
}

func (c chart) bars(b *strings.Builder, top float64) {
	if top == 0 {
		return
	}
	width := float64(chartWidth) / float64(len(c.Points))
	for i, p := range c.Points {
		foot := float64(chartHeight - 1)
		for series, v := range p.Values {
			height := v / top * (chartHeight - 1 - chartTop)
			if height <= 0 {
				continue
			}
			height = math.Max(height, 1)
			foot -= height
			fmt.Fprintf(b, `<rect class="s%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, series+1, float64(i)*width+width*.1, foot, width*.8, height)
		}
	}
}

func (c chart) table(b *strings.Builder, t translator, zone *time.Location) {
	fmt.Fprintf(b, `<details class="data"><summary>%s</summary><div class="scroll" tabindex="0" role="region" aria-label="%s"><table><thead><tr><th scope="col">%s</th>`,
		template.HTMLEscapeString(t.text("chart.table")), template.HTMLEscapeString(c.Title), template.HTMLEscapeString(t.text("chart.time")))
	for i, label := range c.Labels {
		fmt.Fprintf(b, `<th scope="col" class="num"><span class="swatch s%d"></span> %s</th>`, i+1, template.HTMLEscapeString(label))
	}
	b.WriteString(`</tr></thead><tbody>`)
	for _, p := range c.Points {
		fmt.Fprintf(b, `<tr><td>%s</td>`, c.label(t, zone, p.At))
		for _, v := range p.Values {
			fmt.Fprintf(b, `<td class="num">%s</td>`, t.decimal(v, decimals(v)))
		}
		b.WriteString(`</tr>`)
	}
	b.WriteString(`</tbody></table></div></details>`)
}

// label is a point's time, with the day where the points are far apart.
func (c chart) label(t translator, zone *time.Location, at time.Time) string {
	if c.Step >= 24*time.Hour {
		return t.date(at.In(zone), "2006-01-02")
	}
	if c.Step*time.Duration(len(c.Points)) > 24*time.Hour {
		return t.date(at.In(zone), "2006-01-02 15:04")
	}
	return at.In(zone).Format("15:04")
}

func decimals(v float64) int {
	if v == math.Trunc(v) {
		return 0
	}
	return 1
}
