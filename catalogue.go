package enlace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// CatalogueForm is the version of the index file's form.
const CatalogueForm = 1

// Catalogue is an index of adapters: what a registry offers, or a list that a
// community keeps as a file for others to find adapters in. See docs/catalogue.md.
type Catalogue struct {
	Form     int              `json:"form"` // CatalogueForm
	Adapters []CatalogueEntry `json:"adapters"`
}

// CatalogueEntry describes one adapter to those who choose one.
type CatalogueEntry struct {
	Name         string             `json:"name"` // the registry key
	Title        string             `json:"title"`
	Version      string             `json:"version"` // semantic
	Publisher    string             `json:"publisher,omitempty"`
	Package      string             `json:"package,omitempty"` // Go import path
	License      string             `json:"license,omitempty"` // SPDX identifier
	DocsURL      string             `json:"docs_url,omitempty"`
	SourceURL    string             `json:"source_url,omitempty"`
	Compatible   string             `json:"compatible,omitempty"` // versions of enlace: "v0.3" or "v0.3-v0.5"
	Features     []Feature          `json:"features,omitempty"`
	Auth         []string           `json:"auth,omitempty"` // names of schemes
	Capabilities string             `json:"capabilities,omitempty"`
	Entities     []CatalogueEntity  `json:"entities,omitempty"`
	Settings     []CatalogueSetting `json:"settings,omitempty"`
	// Checksum is the SHA-256 of the adapter's description, in hexadecimal: two
	// adapters with the same one promise the same. It says nothing of their code,
	// which the Go checksum database pins.
	Checksum string `json:"checksum"`
}

// CatalogueEntity is a kind of record that an adapter knows.
type CatalogueEntity struct {
	Name        string      `json:"name"`
	Title       string      `json:"title,omitempty"`
	Operations  []Operation `json:"operations"`
	Incremental Incremental `json:"incremental,omitempty"`
}

// CatalogueSetting is a setting that an adapter needs.
type CatalogueSetting struct {
	Name     string    `json:"name"`
	Label    string    `json:"label,omitempty"`
	Kind     FieldKind `json:"kind,omitempty"`
	Required bool      `json:"required,omitempty"`
}

// Publication is what an entry says about an adapter beyond its description.
type Publication struct {
	Publisher, Package, License, SourceURL, Compatible string
}

// Describer is implemented by adapters that tell how they are published. Without it
// the catalogue leaves those fields empty.
type Describer interface{ Publication() Publication }

// Catalogue describes the adapters of the registry, in order of their names.
func (r *Registry) Catalogue() Catalogue {
	c := Catalogue{Form: CatalogueForm, Adapters: []CatalogueEntry{}}
	for _, a := range r.All() {
		c.Adapters = append(c.Adapters, CatalogueEntryOf(a))
	}
	return c
}

// CatalogueEntryOf describes one adapter.
func CatalogueEntryOf(a IntegrationAdapter) CatalogueEntry {
	d := a.Describe()
	e := CatalogueEntry{Name: d.Name, Title: d.Title, Version: d.Version, DocsURL: d.DocsURL, Features: slices.Clone(d.Features),
		Capabilities: CapabilitiesOf(a).String()}
	if p, ok := As[Describer](a); ok {
		told := p.Publication()
		e.Publisher, e.Package, e.License, e.SourceURL, e.Compatible = told.Publisher, told.Package, told.License, told.SourceURL, told.Compatible
	}
	for _, scheme := range d.Auth {
		e.Auth = append(e.Auth, scheme.Scheme())
	}
	for _, entity := range d.Entities {
		e.Entities = append(e.Entities, CatalogueEntity{Name: entity.Name, Title: entity.Title, Operations: slices.Clone(entity.Operations), Incremental: entity.Incremental})
	}
	for _, f := range d.Settings {
		e.Settings = append(e.Settings, CatalogueSetting{Name: f.Name, Label: f.Label, Kind: f.Kind, Required: f.Required})
	}
	e.Checksum = e.sum()
	return e
}

// sum is the checksum of what the entry says about the adapter's abilities.
func (e CatalogueEntry) sum() string {
	e.Checksum, e.Publisher, e.Package, e.License, e.DocsURL, e.SourceURL, e.Compatible = "", "", "", "", "", "", ""
	text, _ := json.Marshal(e) // strings and lists of them: it always has a form
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:])
}

const maxCatalogue = 10 << 20 // bytes of an index file

// ParseCatalogue reads an index file and validates it. Every fault is in the one
// error, a [*ValidationError].
func ParseCatalogue(index []byte) (Catalogue, error) {
	var c Catalogue
	var faults ValidationError
	if len(index) > maxCatalogue {
		faults.add("index", "too large", "10 MiB")
		return c, faults.orNil()
	}
	decoder := json.NewDecoder(bytes.NewReader(index))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		faults.add("index", "not a catalogue: "+err.Error(), "JSON as Catalogue.Render writes it")
		return Catalogue{}, faults.orNil()
	}
	return c, c.Validate()
}

var (
	semanticVersion = regexp.MustCompile(`^v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
	compatibleRange = regexp.MustCompile(`^v\d+\.\d+(-v\d+\.\d+)?$`)
)

// Validate says what is wrong with the catalogue: every fault of every entry is in
// the one error, a [*ValidationError].
func (c Catalogue) Validate() error {
	var faults ValidationError
	if c.Form != CatalogueForm {
		faults.add("form", fmt.Sprintf("%d is not known", c.Form), fmt.Sprint(CatalogueForm))
	}
	seen := map[string]bool{}
	for i, e := range c.Adapters {
		at := func(field string) string { return fmt.Sprintf("adapters[%d] %s: %s", i, e.Name, field) }
		if !nameGrammar(e.Name) || seen[e.Name] {
			faults.add(at("name"), "not a registry key, or there twice", "a lower-case letter, then lower-case letters, digits and underscores, 64 at most")
		}
		seen[e.Name] = true
		if strings.TrimSpace(e.Title) == "" {
			faults.add(at("title"), "missing", "a name for people")
		}
		if !semanticVersion.MatchString(e.Version) {
			faults.add(at("version"), "not a semantic version", "1.2.3")
		}
		if e.Compatible != "" && !compatibleRange.MatchString(e.Compatible) {
			faults.add(at("compatible"), "not a range of versions", "v0.3 or v0.3-v0.5")
		}
		for field, address := range map[string]string{"docs_url": e.DocsURL, "source_url": e.SourceURL} {
			if u, err := url.Parse(address); address != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
				faults.add(at(field), "not an https URL", "https://…")
			}
		}
		if e.Checksum != e.sum() {
			faults.add(at("checksum"), "does not belong to the entry", "the one that CatalogueEntryOf gives")
		}
	}
	slices.SortStableFunc(faults.Faults, func(a, b Fault) int { return strings.Compare(a.Field, b.Field) })
	return faults.orNil()
}

// Render writes the index file: indented JSON, always the same for the same
// entries, so that it can live in version control.
func (c Catalogue) Render() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Adapters = slices.Clone(c.Adapters)
	slices.SortFunc(c.Adapters, func(a, b CatalogueEntry) int { return strings.Compare(a.Name, b.Name) })
	text, err := json.MarshalIndent(c, "", "  ")
	return append(text, '\n'), err
}

// Markdown writes the catalogue as a table for people.
func (c Catalogue) Markdown() string {
	var b strings.Builder
	b.WriteString("| adapter | version | publisher | features | entities |\n|---|---|---|---|---|\n")
	for _, e := range c.Adapters {
		title := markdownCell(e.Title)
		if e.DocsURL != "" {
			title = "[" + title + "](" + e.DocsURL + ")"
		}
		var entities []string
		for _, entity := range e.Entities {
			entities = append(entities, entity.Name)
		}
		fmt.Fprintf(&b, "| %s (`%s`) | %s | %s | %s | %s |\n", title, e.Name, markdownCell(e.Version), markdownCell(e.Publisher),
			markdownCell(joinWords(e.Features)), markdownCell(strings.Join(entities, ", ")))
	}
	return b.String()
}

func markdownCell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "[", `\[`, "]", `\]`).Replace(s)
}
