package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/mapping"
	"github.com/enlace-go/enlace/mapping/live"
)

const (
	shadowRecords = 200 // that a shadow reads from the provider
	shadowTimeout = 20 * time.Second
)

type mappingsData struct {
	Integration enlace.Integration
	Entities    []mappedEntity
}

type mappedEntity struct {
	Name, Title string
	Versions    []enlace.MappingVersion
}

func (a *Admin) mappingList(w http.ResponseWriter, r *http.Request, c *call) error {
	in, d, err := a.findWithProvider(r, c)
	if err != nil {
		return err
	}
	versions, _, err := a.service.Mappings(r.Context(), enlace.MappingQuery{Ref: in.Ref, Limit: most})
	if err != nil {
		return err
	}
	t := translator(c.Language)
	data := mappingsData{Integration: in}
	for _, e := range d.Entities {
		if strings.HasSuffix(e.Name, "*") {
			continue
		}
		row := mappedEntity{Name: e.Name, Title: t.foreign(e.Title)}
		for _, v := range versions {
			if v.Entity == e.Name {
				row.Versions = append(row.Versions, v)
			}
		}
		data.Entities = append(data.Entities, row)
	}
	slices.SortStableFunc(data.Entities, func(a, b mappedEntity) int { return len(b.Versions) - len(a.Versions) })
	return a.show(w, r, c, page{name: "mappings", title: t.text("mappings.of", in.Name), section: "integrations",
		crumbs: []crumb{{t.text("nav.integrations"), "i"}, {in.Name, "i/" + in.ID}}, data: data})
}

type mappingData struct {
	Integration enlace.Integration
	Entity      string
	Version     enlace.MappingVersion // Number 0 for a new one
	Text        string
	Faults      []string
	Shadow      *mapping.ShadowReport
	ShadowError string
}

// mappingKey is the version that the path names; number 0 is a new one.
func (c *call) mappingKey(r *http.Request) enlace.MappingKey {
	number, err := strconv.Atoi(r.PathValue("number"))
	if err != nil {
		number = -1
	}
	return enlace.MappingKey{Ref: c.integrationRef(r.PathValue("id")), Entity: r.PathValue("entity"), Number: number}
}

func (a *Admin) mappingPage(w http.ResponseWriter, r *http.Request, c *call) error {
	data, err := a.loadMapping(r, c)
	if err != nil {
		return err
	}
	return a.showMapping(w, r, c, data, 0)
}

// loadMapping reads a version; a new one begins with the active document.
func (a *Admin) loadMapping(r *http.Request, c *call) (mappingData, error) {
	in, err := a.find(r, c)
	if err != nil {
		return mappingData{}, err
	}
	key := c.mappingKey(r)
	data := mappingData{Integration: in, Entity: key.Entity}
	if key.Number == 0 {
		data.Text = indented(json.RawMessage(`{"name":"` + key.Entity + `","fields":[{"from":"id","to":"id"}]}`))
		if active, err := a.service.ActiveMapping(r.Context(), in.Ref, key.Entity); err == nil {
			data.Text = indented(active.Document)
		}
		return data, nil
	}
	if data.Version, err = a.service.Mapping(r.Context(), key); err != nil {
		return mappingData{}, err
	}
	data.Text = indented(data.Version.Document)
	return data, nil
}

func (a *Admin) showMapping(w http.ResponseWriter, r *http.Request, c *call, data mappingData, status int) error {
	return a.showMappingAs(w, r, c, "mapping", data, data, status)
}

// showMappingAs is a page about a version; shown is what its template gets.
func (a *Admin) showMappingAs(w http.ResponseWriter, r *http.Request, c *call, name string, data mappingData, shown any, status int) error {
	t := translator(c.Language)
	title := t.text("mapping.new", data.Entity)
	if data.Version.Number > 0 {
		title = t.text("mapping.title", data.Entity, data.Version.Number)
	}
	return a.show(w, r, c, page{name: name, status: status, title: title, section: "integrations", crumbs: []crumb{{t.text("nav.integrations"), "i"},
		{data.Integration.Name, "i/" + data.Integration.ID}, {t.text("mappings.title"), "i/" + data.Integration.ID + "/mappings"}}, data: shown})
}

// changeMapping saves, activates or retires a version, or tries it in the shadow.
func (a *Admin) changeMapping(w http.ResponseWriter, r *http.Request, c *call) error {
	data, err := a.loadMapping(r, c)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	version := data.Version
	if sent, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64); err == nil {
		version.Version = sent
	}
	do := r.PostForm.Get("do")
	grant := GrantUpdate
	if do == "shadow" {
		grant = GrantTest
	}
	if err := a.admit(w, r, c, grant, do == "shadow"); err != nil {
		return err
	}
	document := json.RawMessage(r.PostForm.Get("document"))
	if do == "review" && !json.Valid(document) {
		do = "save" // which says what is wrong with it
	}
	switch do {
	case "review":
		return a.reviewMapping(w, r, c, data, document)
	case "edit": // back from the review
		data.Text = string(document)
		return a.showMapping(w, r, c, data, 0)
	case "save":
		version.Ref, version.Entity, version.Document = data.Integration.Ref, data.Entity, document
		version, err = a.service.SaveMapping(r.Context(), version)
		if faults := mappingFaults(err); faults != nil {
			data.Text, data.Faults = string(document), faults
			return a.showMapping(w, r, c, data, http.StatusUnprocessableEntity)
		}
	case "activate":
		version, err = a.service.ActivateMapping(r.Context(), version)
	case "retire":
		version, err = a.service.RetireMapping(r.Context(), version)
	case "shadow":
		return a.shadow(w, r, c, data)
	default:
		err = newProblem(c, "validation_failed")
	}
	if err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"i/"+data.Integration.ID+"/mappings/"+url.PathEscape(data.Entity)+"/"+strconv.Itoa(version.Number)+"?done=mapping."+do)
	return nil
}

// mappingFaults are what is wrong with a document, in the engine's words.
func mappingFaults(err error) []string {
	if v, ok := errors.AsType[*enlace.ValidationError](err); ok {
		var faults []string
		for _, f := range v.Faults {
			faults = append(faults, f.Field+": "+f.Problem)
		}
		return faults
	}
	if errors.Is(err, enlace.ErrInvalid) {
		return strings.Split(err.Error(), "\n")
	}
	return nil
}

// shadow maps records of the provider by the version and by the active one, writes
// nothing, and shows what would change. Values are masked: their form shows.
func (a *Admin) shadow(w http.ResponseWriter, r *http.Request, c *call, data mappingData) error {
	report, err := a.shadowReport(r.Context(), data.Version.Key())
	data.Shadow = &report
	if err != nil {
		data.ShadowError = translator(c.Language).optional("kind."+enlace.KindLabel(err), problemOf(c, err).title)
	}
	return a.showMapping(w, r, c, data, 0)
}

// shadowReport maps records of the provider by a version and by the active one.
func (a *Admin) shadowReport(ctx context.Context, key enlace.MappingKey) (mapping.ShadowReport, error) {
	ctx, cancel := context.WithTimeout(ctx, shadowTimeout)
	defer cancel()
	payloads := live.Payloads(ctx, a.service, key.Ref, key.Entity, shadowRecords)
	return live.Shadow(ctx, a.service, key, payloads, mapping.ShadowOptions{MaxFields: 100, MaxSamples: 2, Redact: mapping.Mask})
}
