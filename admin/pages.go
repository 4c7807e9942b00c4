package admin

import (
	"bytes"
	"compress/gzip"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

//go:embed templates
var templateFiles embed.FS

// pages are the parsed templates. Each language and zone has a set of its own,
// whose functions speak that language.
type pages struct {
	mu   sync.Mutex
	sets map[[2]string]*template.Template
}

func loadPages() *pages {
	p := &pages{sets: map[[2]string]*template.Template{}}
	p.in(english, homeZone[english])
	return p
}

// in is the set of a language and a zone. There are few enough to keep each.
func (p *pages) in(language, zone string) *template.Template {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := [2]string{language, zone}
	set, ok := p.sets[key]
	if !ok {
		set = template.New("").Option("missingkey=error").Funcs(templateFunctions(translator(language), location(zone)))
		names, err := fs.Glob(templateFiles, "templates/*.html")
		if err != nil {
			panic(err)
		}
		for _, name := range names {
			source, err := templateFiles.ReadFile(name)
			if err != nil {
				panic(err)
			}
			template.Must(set.Parse(spoken(translator(language), string(source))))
		}
		p.sets[key] = set
	}
	return set
}

// constantCall is a text or an icon without arguments.
var constantCall = regexp.MustCompile(`\{\{(t|icon) "([a-z0-9_.]+)"\}\}`)

// spoken puts the texts and icons that are the same in every page of a language into
// the source of a template: to call a function for each of them is most of what a
// table costs.
func spoken(t translator, source string) string {
	return constantCall.ReplaceAllStringFunc(source, func(call string) string {
		match := constantCall.FindStringSubmatch(call)
		if match[1] == "icon" {
			return string(icon(match[2]))
		}
		return template.HTMLEscapeString(t.text(match[2]))
	})
}

func templateFunctions(t translator, zone *time.Location) template.FuncMap {
	instant := func(at time.Time, text string) template.HTML {
		if at.IsZero() {
			return "–"
		}
		return template.HTML(`<time datetime="` + at.UTC().Format(time.RFC3339) + `" title="` +
			t.date(at.In(zone), "2006-01-02 15:04:05 -07:00") + `">` + template.HTMLEscapeString(text) + `</time>`)
	}
	return template.FuncMap{
		"t":              t.text,
		"n":              t.count,
		"word":           t.optional,
		"foreign":        t.foreign,
		"phrase":         t.phrase,
		"num":            t.number,
		"dec":            t.decimal,
		"percent":        t.percent,
		"dur":            t.duration,
		"when":           func(at time.Time) template.HTML { return instant(at, t.date(at.In(zone), "2006-01-02 15:04")) },
		"clock":          func(at time.Time) template.HTML { return instant(at, at.In(zone).Format("15:04:05")) },
		"ago":            func(at time.Time) template.HTML { return instant(at, t.ago(time.Since(at))) },
		"icon":           icon,
		"badge":          func(group string, state any) template.HTML { return badge(t, group, state) },
		"chart":          func(c chart) template.HTML { return c.svg(t, zone) },
		"pick":           func(key string, from map[string]string) string { return from[key] },
		"join":           strings.Join,
		"contains":       contains,
		"short":          short,
		"rowsOf":         func(root string, rows []runRow) runTable { return runTable{root, rows} },
		"sub":            func(a, b int) int { return a - b },
		"num64":          func(n int64) string { return t.number(int(n)) },
		"strip":          func(s strip) template.HTML { return s.svg(t) },
		"dot":            func(state, detail string) template.HTML { return dot(t, state, detail) },
		"conflictStates": func() []string { return []string{"open", "decided", "resolved"} },
		"auditResults":   func() []string { return auditResults },
		"testRows":       func(root string, rows []testView) testTable { return testTable{root, rows} },
		"found":          func(s testStep) template.HTML { return found(t, zone, s) },
		"curlPath":       curlPath,
		"waterfall":      func(r requestTiming, whole time.Duration) template.HTML { return waterfall(t, r, whole) },
		"phaseNames":     phaseNames,
		"problemTitle":   func(p *problem) string { return p.title },
		"problemDetail":  func(p *problem) string { return p.detail },
		"keys":           func() map[string]string { return navigationKeys },
		"grants":         func(g Grants) []string { return strings.Split(g.String(), ",") },
	}
}

// view is what a page's template gets: the shell's part, and the page's own data.
type view struct {
	Root     string // relative way to the mount
	Here     string // the request's path inside the mount
	Query    string // with the question mark, or empty
	Language string
	Theme    string
	Zone     string
	Keys     string // "off" if single keys do nothing
	Title    string
	Section  string // which entry of the navigation is marked
	Crumbs   []crumb
	Nav      []navEntry
	Access   Access
	Options  Options
	Flash    *flash
	RequestID,
	Version string
	Rendered time.Time
	Live     bool // the page refreshes itself
	Number   uint64
	Data     any
	Body     template.HTML
	file     func(string) string
}

type crumb struct{ Title, Path string }

// flash is one message about what was just done.
type flash struct {
	Tone string // "good" or "bad"
	Text string
}

// May says whether the user has the grant of that name.
func (v view) May(name string) bool {
	g, ok := grantByName(name)
	return ok && v.Access.Grants.Has(g)
}

// File is the relative address of a static file.
func (v view) File(name string) string { return v.Root + "static/" + v.file(name) }

// page is one answer in the shell.
type page struct {
	status  int // 0 is 200
	name    string
	title   string // translated
	section string
	crumbs  []crumb
	live    bool
	flash   *flash
	data    any
}

// show renders a page. To a request of htmx it gives the page's own part without
// the shell.
func (a *Admin) show(w http.ResponseWriter, r *http.Request, c *call, p page) error {
	v := view{Root: c.mount.root, Here: c.mount.path, Language: c.Language, Theme: c.Theme, Zone: c.Zone, Keys: c.Keys, Title: p.title, Section: p.section,
		Crumbs: p.crumbs, Access: c.access, Options: a.options, Flash: p.flash, RequestID: c.id, Rendered: time.Now(), Live: p.live, Number: c.number,
		Data: p.data, file: func(name string) string { return a.files.names[name] }}
	if r.URL.RawQuery != "" {
		v.Query = "?" + r.URL.RawQuery
	}
	v.Nav = a.navigation(c)
	if v.Flash == nil {
		v.Flash = flashOf(r, c)
	}
	set := a.pages.in(c.Language, c.Zone)
	out := newBuffer()
	defer dropBuffer(out)
	if err := set.ExecuteTemplate(out, p.name, v); err != nil {
		return err
	}
	if r.Header.Get("HX-Request") == "" {
		v.Body = template.HTML(out.String())
		out.Reset()
		if err := set.ExecuteTemplate(out, "layout", v); err != nil {
			return err
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", c.Language)
	h.Add("Vary", "Accept-Language, Cookie, HX-Request, Accept-Encoding")
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		if p.status != 0 {
			w.WriteHeader(p.status)
		}
		zip := gzipPool.Get().(*gzip.Writer)
		defer gzipPool.Put(zip)
		zip.Reset(w)
		_, _ = zip.Write(out.Bytes())
		_ = zip.Close()
		return nil
	}
	if p.status != 0 {
		w.WriteHeader(p.status)
	}
	_, _ = w.Write(out.Bytes())
	return nil
}

var bufferPool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func newBuffer() *bytes.Buffer { return bufferPool.Get().(*bytes.Buffer) }

// dropBuffer keeps a buffer for the next page, unless this one was out of the ordinary.
func dropBuffer(b *bytes.Buffer) {
	if b.Cap() <= 1<<20 {
		b.Reset()
		bufferPool.Put(b)
	}
}

var gzipPool = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// flashOf reads the message that a redirect has left in the query: a key of the
// catalog, never a text.
func flashOf(r *http.Request, c *call) *flash {
	q := r.URL.Query()
	t := translator(c.Language)
	if kind := q.Get("error"); kind != "" { // of the library's authorization flow
		return &flash{Tone: "bad", Text: t.text("failed.authorize") + " " + t.optional("kind."+kind, "")}
	}
	if q.Has("connected") {
		return &flash{Tone: "good", Text: t.text("done.connected")}
	}
	for _, tone := range []string{"done", "failed"} {
		if key := q.Get(tone); key != "" {
			if text := t.optional(tone+"."+key, ""); text != "" {
				return &flash{Tone: map[string]string{"done": "good", "failed": "bad"}[tone], Text: text}
			}
		}
	}
	return nil
}

func contains(list []string, item string) bool {
	for _, entry := range list {
		if entry == item {
			return true
		}
	}
	return false
}

// short cuts a text for a table.
func short(text string, length int) string {
	runes := []rune(text)
	if len(runes) <= length {
		return text
	}
	return string(runes[:length-1]) + "…"
}
