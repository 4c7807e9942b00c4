package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

// pageSize is how many rows a table shows.
const pageSize = 50

type integrationListData struct {
	Rows      []integrationRow
	Providers []string
	States    []string
	Filter    integrationFilter
	Filtered  bool
	Empty     bool // there is none at all
	Next      string
	First     bool
	Times     part[map[string]time.Duration]
	HasTimes  bool // the user may see metrics
}

type integrationRow struct {
	enlace.Integration
	P95   time.Duration // of the provider's answers in the last day; 0 if there were none
	Shown string        // status as people see it
	Title string        // of the provider
}

// integrationFilter is what the list is narrowed to. It is in the address, so that
// a view can be passed on.
type integrationFilter struct{ Provider, State, Text, Cursor string }

func (f integrationFilter) matches(in enlace.Integration) bool {
	text := strings.ToLower(f.Text)
	return (f.State == "" || f.State == shownStatus(in)) &&
		(text == "" || strings.Contains(strings.ToLower(in.Name), text) || strings.Contains(in.ID, text))
}

// next is the query of the page after this one.
func (f integrationFilter) next(cursor string) string {
	q := url.Values{}
	for name, value := range map[string]string{"provider": f.Provider, "state": f.State, "q": f.Text, "cursor": cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return "?" + q.Encode()
}

func (a *Admin) integrationList(w http.ResponseWriter, r *http.Request, c *call) error {
	q := r.URL.Query()
	filter := integrationFilter{Provider: q.Get("provider"), State: q.Get("state"), Text: q.Get("q"), Cursor: q.Get("cursor")}
	times := read(a, r.Context(), c, func(ctx context.Context) (map[string]time.Duration, error) { return a.responseTimes(ctx, c) })
	rows, next, err := a.filtered(r.Context(), c, filter, pageSize)
	if err != nil {
		return err
	}
	data := integrationListData{Filter: filter, Times: times(), HasTimes: c.may(GrantViewMetrics), First: filter.Cursor == "", Filtered: filter.Provider != "" || filter.State != "" || filter.Text != ""}
	titles := a.titles()
	for _, in := range rows {
		data.Rows = append(data.Rows, integrationRow{in, data.Times.Value[in.ID], shownStatus(in), titleFor(titles, in.Provider)})
	}
	if next != "" {
		data.Next = filter.next(next)
	}
	for name := range a.service.Registry().All() {
		data.Providers = append(data.Providers, name)
	}
	data.States = []string{"connected", "pending", "needs_reauth", "misconfigured", "in_doubt", "disabled"}
	data.Empty = len(data.Rows) == 0 && data.First && !data.Filtered
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "integrations", title: t.text("nav.integrations"), section: "integrations", live: data.First, data: data})
}

// responseTimes are the 95th percentiles of the last day by integration: one query for all
// rows of a page. Of a tenant's integrations those with the most requests are in it, up to a
// thousand.
func (a *Admin) responseTimes(ctx context.Context, c *call) (map[string]time.Duration, error) {
	if !c.may(GrantViewMetrics) {
		return nil, nil
	}
	m, err := a.service.Metrics(ctx, enlace.MetricsQuery{Tenant: c.access.Tenant, GroupBy: enlace.GroupIntegration, Top: 1000, TotalsOnly: true})
	times := make(map[string]time.Duration, len(m.Series))
	for _, s := range m.Series {
		times[s.Name] = s.Total.P95
	}
	return times, err
}

// filtered reads up to limit integrations that match, and the cursor behind them.
// It looks at a bounded number of rows: a filter that matches little gives short pages.
func (a *Admin) filtered(ctx context.Context, c *call, f integrationFilter, limit int) ([]enlace.Integration, string, error) {
	var found []enlace.Integration
	cursor := f.Cursor
	for range 10 {
		list, next, err := a.service.List(ctx, enlace.IntegrationQuery{Tenant: c.access.Tenant, Provider: f.Provider, Cursor: cursor, Limit: limit - len(found)})
		if err != nil {
			return nil, "", err
		}
		for _, in := range list {
			if f.matches(in) {
				found = append(found, in)
			}
		}
		// Whole pages of the store only, since its cursor is opaque.
		if cursor = next; next == "" || len(found) >= limit {
			break
		}
	}
	return found, cursor, nil
}

func (a *Admin) titles() map[string]string {
	titles := map[string]string{}
	for name, adapter := range a.service.Registry().All() {
		titles[name] = adapter.Describe().Title
	}
	return titles
}

func titleFor(titles map[string]string, provider string) string {
	if title := titles[provider]; title != "" {
		return title
	}
	return provider
}

type providerRow struct {
	enlace.Descriptor
	Capabilities []string
	Schemes      []string
}

func (a *Admin) providerList(w http.ResponseWriter, r *http.Request, c *call) error {
	var rows []providerRow
	t := translator(c.Language)
	for _, adapter := range a.service.Registry().All() {
		row := providerRow{Descriptor: adapter.Describe()}
		row.DocsURL = httpOnly(row.DocsURL)
		for _, scheme := range schemesOf(t, row.Descriptor) {
			row.Schemes = append(row.Schemes, scheme.Title)
		}
		rows = append(rows, row)
	}
	return a.show(w, r, c, page{name: "providers", title: t.text("new.title"), section: "integrations",
		crumbs: []crumb{{t.text("nav.integrations"), "i"}}, data: rows})
}

func (a *Admin) newIntegration(w http.ResponseWriter, r *http.Request, c *call) error {
	d, err := a.describe(r.PathValue("provider"))
	if err != nil {
		return err
	}
	return a.showForm(w, r, c, newForm(c, d, enlace.Integration{Name: d.Title}), 0)
}

func (a *Admin) describe(provider string) (enlace.Descriptor, error) {
	adapter, err := a.service.Registry().Lookup(provider)
	if err != nil {
		return enlace.Descriptor{}, err
	}
	return adapter.Describe(), nil
}

func (a *Admin) showForm(w http.ResponseWriter, r *http.Request, c *call, f form, status int) error {
	t := translator(c.Language)
	crumbs := []crumb{{t.text("nav.integrations"), "i"}, {t.text("new.title"), "new"}}
	return a.show(w, r, c, page{name: "new", status: status, title: t.text("new.of", f.Title), section: "integrations", crumbs: crumbs, data: f})
}

func (a *Admin) createIntegration(w http.ResponseWriter, r *http.Request, c *call) error {
	d, err := a.describe(r.PathValue("provider"))
	if err != nil {
		return err
	}
	e, err := readForm(r, c, d)
	if err != nil {
		return err
	}
	in, err := a.service.Create(r.Context(), enlace.NewIntegration{Tenant: c.access.Tenant, Provider: d.Name, Name: e.name, Settings: e.settings,
		Features: e.features, Credential: e.credential})
	if err != nil {
		p := problemOf(c, err)
		if p.status >= 500 {
			return err
		}
		f := newForm(c, d, enlace.Integration{})
		f.fill(r, e)
		f.mark(p)
		return a.showForm(w, r, c, f, p.status)
	}
	if in.Status == enlace.StatusPending && c.may(GrantConnect) {
		leave(w, http.StatusSeeOther, c.mount.root+"i/"+in.ID+"/connect?done=created&scheme="+url.QueryEscape(r.PostForm.Get("scheme")))
		return nil
	}
	leave(w, http.StatusSeeOther, c.mount.root+"i/"+in.ID+"?done=created")
	return nil
}

type integrationData struct {
	enlace.Integration
	Shown        string
	Provider     enlace.Descriptor
	Known        bool // its adapter is registered
	Capabilities []string
	Settings     []setting
	Runs         part[[]runRow]
	CanSync      bool
	CanPlan      bool
	Health       part[healthRow]
	Credential   part[credentialFacts]
	Panels       part[[]Panel]
	WebhookURL   string // where the provider delivers; empty if it does not
	CanRegister  bool
}

type setting struct{ Label, Value string }

func (a *Admin) integrationPage(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	runs := read(a, r.Context(), c, func(ctx context.Context) ([]runRow, error) { return a.recentRuns(ctx, c, in) })
	t := translator(c.Language)
	health := read(a, r.Context(), c, func(ctx context.Context) (healthRow, error) {
		h, err := a.service.Health(ctx, in.Ref)
		if errors.Is(err, enlace.ErrNotFound) {
			err = nil // not checked yet
		}
		return healthRow{Health: h, Spoken: spokenHealth(t, h), Cells: healthCells(h)}, err
	})
	panels := read(a, r.Context(), c, func(ctx context.Context) ([]Panel, error) { return a.panels(ctx, c, in) })
	credential := read(a, r.Context(), c, func(ctx context.Context) (credentialFacts, error) { return a.credentialPart(ctx, c, in) })
	data := integrationData{Integration: in, Shown: shownStatus(in)}
	if adapter, err := a.service.Registry().Lookup(in.Provider); err == nil {
		data.Provider, data.Known = adapter.Describe(), true
		data.Provider.DocsURL = httpOnly(data.Provider.DocsURL)
		can := enlace.CapabilitiesOf(adapter)
		data.Capabilities = capabilityNames(can)
		data.CanSync = can.Has(enlace.CanPull)
		if can.Has(enlace.CanReceiveWebhooks) {
			data.WebhookURL, _ = a.service.WebhookTarget(in.Ref) // without a public address there is none
			data.CanRegister = data.WebhookURL != "" && can.Has(enlace.CanRegisterWebhooks)
		}
		data.CanPlan = can.Has(enlace.CanPush) && a.source(in) != nil
	}
	for _, field := range fieldsOf(data.Provider) {
		if value := in.Settings[field.Name]; value != "" {
			data.Settings = append(data.Settings, setting{t.foreign(field.Label), value})
		}
	}
	data.Runs, data.Health, data.Panels, data.Credential = runs(), health(), panels(), credential()
	return a.show(w, r, c, page{name: "integration", title: in.Name, section: "integrations", live: true,
		crumbs: []crumb{{t.text("nav.integrations"), "i"}}, data: data})
}

func (a *Admin) recentRuns(ctx context.Context, c *call, in enlace.Integration) ([]runRow, error) {
	list, _, err := a.service.Runs(ctx, enlace.RunQuery{Tenant: in.Tenant, Integration: in.ID, Limit: 10})
	rows := make([]runRow, 0, len(list))
	for _, run := range list {
		row := newRunRow(run, time.Now())
		row.Name = in.Name
		rows = append(rows, row)
	}
	return rows, err
}

// find is the integration that the path names, of the user's tenant.
func (a *Admin) find(r *http.Request, c *call) (enlace.Integration, error) {
	return a.service.Get(r.Context(), enlace.Ref{Tenant: c.access.Tenant, ID: r.PathValue("id")})
}

// findWithProvider is find, and what its provider is.
func (a *Admin) findWithProvider(r *http.Request, c *call) (enlace.Integration, enlace.Descriptor, error) {
	in, err := a.find(r, c)
	if err != nil {
		return in, enlace.Descriptor{}, err
	}
	d, err := a.describe(in.Provider)
	return in, d, err
}

func (a *Admin) editIntegration(w http.ResponseWriter, r *http.Request, c *call) error {
	in, d, err := a.findWithProvider(r, c)
	if err != nil {
		return err
	}
	return a.showEdit(w, r, c, in, newForm(c, d, in), 0)
}

type editData struct {
	form
	Integration enlace.Integration
}

func (a *Admin) showEdit(w http.ResponseWriter, r *http.Request, c *call, in enlace.Integration, f form, status int) error {
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "edit", status: status, title: t.text("edit.of", in.Name), section: "integrations",
		crumbs: []crumb{{t.text("nav.integrations"), "i"}, {in.Name, "i/" + in.ID}}, data: editData{f, in}})
}

func (a *Admin) saveIntegration(w http.ResponseWriter, r *http.Request, c *call) error {
	in, d, err := a.findWithProvider(r, c)
	if err != nil {
		return err
	}
	e, err := readForm(r, c, d)
	if err != nil {
		return err
	}
	changed := in
	changed.Name, changed.Settings, changed.Features = e.name, e.settings, e.features
	if changed.Version, err = strconv.ParseInt(r.PostForm.Get("version"), 10, 64); err != nil {
		return newProblem(c, "version_required")
	}
	switch r.PostForm.Get("do") {
	case "review":
		return a.reviewIntegration(w, r, c, in, d, e, changed.Version)
	case "edit": // back from the review
		f := newForm(c, d, in)
		f.fill(r, e)
		f.Version = changed.Version
		return a.showEdit(w, r, c, in, f, 0)
	}
	_, err = a.service.Update(r.Context(), changed)
	if err == nil {
		leave(w, http.StatusSeeOther, c.mount.root+"i/"+in.ID+"?done=saved")
		return nil
	}
	p := problemOf(c, err)
	if p.status >= 500 {
		return err
	}
	f := newForm(c, d, in)
	f.fill(r, e)
	if errors.Is(err, enlace.ErrConflict) {
		f.conflict(in)
		return a.showEdit(w, r, c, in, f, http.StatusPreconditionFailed)
	}
	f.Version = changed.Version
	f.mark(p)
	return a.showEdit(w, r, c, in, f, p.status)
}

// conflict lists the fields whose stored value is another than the entered one, to
// choose from. The form then goes on from the stored version.
func (f *form) conflict(stored enlace.Integration) {
	f.Version = stored.Version
	for _, field := range f.Fields {
		theirs := stored.Settings[strings.TrimPrefix(field.Name, "setting.")]
		if field.Name == "name" {
			theirs = stored.Name
		}
		if field.Value != theirs {
			f.Conflict = append(f.Conflict, conflictRow{field.Name, field.Label, field.Value, theirs})
		}
	}
	if len(f.Conflict) == 0 {
		return
	}
	f.Fields = slices.DeleteFunc(f.Fields, func(field formField) bool {
		return slices.ContainsFunc(f.Conflict, func(row conflictRow) bool { return row.Name == field.Name })
	})
}

func (a *Admin) enableIntegration(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.after(w, r, c, "enabled", a.service.Enable)
}

func (a *Admin) disableIntegration(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.after(w, r, c, "disabled", a.service.Disable)
}

func (a *Admin) disconnectIntegration(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.after(w, r, c, "disconnected", a.service.Disconnect)
}

// after carries out a change and leads back to the integration's page.
func (a *Admin) after(w http.ResponseWriter, r *http.Request, c *call, done string,
	change func(context.Context, enlace.Ref) (enlace.Integration, error)) error {
	in, err := change(r.Context(), enlace.Ref{Tenant: c.access.Tenant, ID: r.PathValue("id")})
	if err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"i/"+in.ID+"?done="+done)
	return nil
}

type deleteData struct {
	enlace.Integration
	Wrong bool // another name was typed
}

func (a *Admin) deletePage(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	return a.showDelete(w, r, c, in, false)
}

func (a *Admin) showDelete(w http.ResponseWriter, r *http.Request, c *call, in enlace.Integration, wrong bool) error {
	t := translator(c.Language)
	status := 0
	if wrong {
		status = http.StatusUnprocessableEntity
	}
	return a.show(w, r, c, page{name: "delete", status: status, title: t.text("delete.of", in.Name), section: "integrations",
		crumbs: []crumb{{t.text("nav.integrations"), "i"}, {in.Name, "i/" + in.ID}}, data: deleteData{in, wrong}})
}

func (a *Admin) deleteIntegration(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	if strings.TrimSpace(r.PostForm.Get("name")) != strings.TrimSpace(in.Name) {
		return a.showDelete(w, r, c, in, true)
	}
	if err := a.service.Delete(r.Context(), in.Ref); err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"i?done=deleted")
	return nil
}

// capabilityNames are the names of an adapter's capabilities.
func capabilityNames(can enlace.Capability) []string { return strings.Split(can.String(), ",") }
