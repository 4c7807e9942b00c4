package admin

import (
	"net/http"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
)

// form is what a descriptor asks for, made into fields. Constraints of HTML are a
// courtesy; the service validates.
type form struct {
	Provider string
	Title    string
	DocsURL  string
	Fields   []formField   // name, and the settings
	Features []formChoice  // what the product uses
	Schemes  []schemeForm  // ways to authenticate
	Faults   []formFault   // the summary above the form
	Version  int64         // of the integration that is edited; 0 for a new one
	Conflict []conflictRow // what somebody else has changed meanwhile
}

type formField struct {
	Name, Label, Help string
	Type              string // of the input: "text", "number", "url", "password"; or "choice", "boolean"
	Value, Default    string
	Choices           []string
	Required          bool
	Min, Max          int64
	Problem           string
	Advanced          bool
}

type formChoice struct {
	Value   string
	Checked bool
}

type schemeForm struct {
	Name, Title string
	Fields      []formField
	Checked     bool
	OAuth       bool // a person authorizes at the provider
}

type formFault struct{ Field, Label, Problem string }

// conflictRow is one field that two people have changed.
type conflictRow struct{ Name, Label, Mine, Theirs string }

// entered is what a form has sent.
type entered struct {
	name       string
	settings   map[string]string
	features   []enlace.Feature
	credential *enlace.Credential // nil if none was entered
}

// fieldsOf are the settings of an adapter, those for every adapter last.
func fieldsOf(d enlace.Descriptor) []enlace.Field {
	fields := slices.Clone(d.Settings)
	if len(d.Environments) > 0 {
		choice := enlace.Field{Name: "environment", Label: "Environment", Kind: enlace.FieldChoice, Default: d.Environments[0].Name}
		for _, e := range d.Environments {
			choice.Choices = append(choice.Choices, e.Name)
		}
		fields = append(fields, choice)
	}
	return append(fields, enlace.CommonSettings()...)
}

// newForm makes the form of an adapter, filled with what an integration has.
func newForm(c *call, d enlace.Descriptor, in enlace.Integration) form {
	t := translator(c.Language)
	f := form{Provider: d.Name, Title: d.Title, DocsURL: httpOnly(d.DocsURL), Version: in.Version}
	f.Fields = append(f.Fields, formField{Name: "name", Label: t.text("form.name"), Help: t.text("form.name.help"), Type: "text", Value: in.Name, Required: true})
	own := len(d.Settings)
	if len(d.Environments) > 0 {
		own++
	}
	for i, field := range fieldsOf(d) {
		made := formField{Name: "setting." + field.Name, Label: t.foreign(field.Label), Help: t.foreign(field.Help), Type: "text",
			Value: in.Settings[field.Name], Default: field.Default, Choices: field.Choices, Required: field.Required && field.Default == "",
			Min: field.Min, Max: field.Max, Advanced: i >= own}
		switch field.Kind {
		case enlace.FieldInteger, enlace.FieldMilliseconds:
			made.Type = "number"
		case enlace.FieldURL:
			made.Type = "url"
		case enlace.FieldBoolean:
			made.Type, made.Choices = "choice", []string{"true", "false"}
		case enlace.FieldChoice:
			made.Type = "choice"
		}
		if made.Label == "" {
			made.Label = field.Name
		}
		f.Fields = append(f.Fields, made)
	}
	for _, feature := range d.Features {
		f.Features = append(f.Features, formChoice{string(feature), slices.Contains(in.Features, feature)})
	}
	f.Schemes = schemesOf(t, d)
	return f
}

func schemesOf(t translator, d enlace.Descriptor) []schemeForm {
	var schemes []schemeForm
	for i, scheme := range d.Auth {
		_, oauth := scheme.(enlace.OAuth2)
		s := schemeForm{Name: scheme.Scheme(), Title: t.foreign(titleOf(scheme)), Checked: i == 0, OAuth: oauth}
		for _, field := range scheme.SecretFields() {
			s.Fields = append(s.Fields, formField{Name: "secret." + scheme.Scheme() + "." + field.Name, Label: t.foreign(field.Label), Help: t.foreign(field.Help),
				Type: "password", Required: field.Required})
		}
		schemes = append(schemes, s)
	}
	return schemes
}

// titleOf is the scheme's title for people.
func titleOf(scheme enlace.AuthScheme) string {
	title := ""
	switch s := scheme.(type) {
	case enlace.APIKey:
		title = s.Title
	case enlace.Basic:
		title = s.Title
	case enlace.SecretURL:
		title = s.Title
	case enlace.OAuth2:
		title = s.Title
	case enlace.ClientCredentials:
		title = s.Title
	case enlace.CustomAuth:
		title = s.Title
	}
	if title == "" {
		return scheme.Scheme()
	}
	return title
}

const maxFormFields = 200

// readForm takes what was sent, by the fields that the descriptor has.
func readForm(r *http.Request, c *call, d enlace.Descriptor) (entered, error) {
	if err := r.ParseForm(); err != nil {
		return entered{}, problemOf(c, err)
	}
	if len(r.PostForm) > maxFormFields {
		return entered{}, newProblem(c, "payload_too_large")
	}
	e := entered{name: strings.TrimSpace(r.PostForm.Get("name")), settings: map[string]string{}}
	for _, field := range fieldsOf(d) {
		if value := strings.TrimSpace(r.PostForm.Get("setting." + field.Name)); value != "" {
			e.settings[field.Name] = value
		}
	}
	for _, feature := range r.PostForm["feature"] {
		e.features = append(e.features, enlace.Feature(feature))
	}
	e.credential = readCredential(r, d)
	return e, nil
}

// readCredential takes the secrets of the scheme that was chosen; nil if none was
// entered. For an OAuth scheme the app's own secrets count.
func readCredential(r *http.Request, d enlace.Descriptor) *enlace.Credential {
	chosen := r.PostForm.Get("scheme")
	for _, scheme := range d.Auth {
		if scheme.Scheme() != chosen {
			continue
		}
		credential := &enlace.Credential{Scheme: chosen, Secrets: map[string]enlace.Secret{}}
		for _, field := range scheme.SecretFields() {
			if value := strings.TrimSpace(r.PostForm.Get("secret." + chosen + "." + field.Name)); value != "" {
				credential.Secrets[field.Name] = enlace.NewSecret(value)
			}
		}
		if len(credential.Secrets) > 0 {
			return credential
		}
	}
	return nil
}

// fill puts back what was entered. Secrets are not among it.
func (f *form) fill(r *http.Request, e entered) {
	for i := range f.Fields {
		f.Fields[i].Value = strings.TrimSpace(r.PostForm.Get(f.Fields[i].Name))
	}
	for i := range f.Features {
		f.Features[i].Checked = slices.Contains(e.features, enlace.Feature(f.Features[i].Value))
	}
	f.choose(r.PostForm.Get("scheme"))
}

func (f *form) choose(scheme string) {
	for i := range f.Schemes {
		f.Schemes[i].Checked = f.Schemes[i].Name == scheme
	}
}

// mark puts the faults of a refusal beside the fields and into the summary.
func (f *form) mark(p *problem) {
	for _, fault := range p.faults {
		entry := formFault{Label: fault.field, Problem: fault.detail}
		place := func(field *formField, name string) {
			if entry.Field == "" && (field.Name == name || strings.HasSuffix(field.Name, "."+name)) {
				field.Problem, entry.Field, entry.Label = fault.detail, field.Name, field.Label
			}
		}
		for i := range f.Schemes {
			if f.Schemes[i].Checked {
				for j := range f.Schemes[i].Fields {
					place(&f.Schemes[i].Fields[j], fault.field)
				}
			}
		}
		for i := range f.Fields {
			place(&f.Fields[i], fault.field)
		}
		f.Faults = append(f.Faults, entry)
	}
	if len(p.faults) == 0 {
		f.Faults = append(f.Faults, formFault{Label: p.title, Problem: p.detail})
	}
}

// httpOnly is an address for a link, or nothing if it is not one of the web.
func httpOnly(address string) string {
	if strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://") {
		return address
	}
	return ""
}
