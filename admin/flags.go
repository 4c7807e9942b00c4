package admin

import (
	"net/http"

	"github.com/enlace-go/enlace"
)

type flagsData struct {
	Flags     []flagRow
	Rules     []enlace.FlagRule
	Names     map[string]string
	Providers []string
}

type flagRow struct {
	Name    string
	Enabled bool
}

func (a *Admin) flagsPage(w http.ResponseWriter, r *http.Request, c *call) error {
	data := flagsData{Names: a.names(r, c)}
	for _, flag := range enlace.KnownFlags() {
		data.Flags = append(data.Flags, flagRow{string(flag), a.service.FlagEnabled(r.Context(), flag, enlace.Ref{Tenant: c.access.Tenant}, "")})
	}
	rules, err := a.service.FlagRules(r.Context(), c.access.Tenant)
	if err != nil {
		return err
	}
	for _, rule := range rules { // those of the whole installation too, if there is one tenant only
		if rule.Target.Tenant == c.access.Tenant {
			data.Rules = append(data.Rules, rule)
		}
	}
	for name := range a.service.Registry().All() {
		data.Providers = append(data.Providers, name)
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "flags", title: t.text("nav.flags"), section: "flags", data: data})
}

// setFlag makes or removes a rule for the user's tenant. A user of one tenant
// cannot switch anything for another.
func (a *Admin) setFlag(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	form := r.PostForm
	flag := enlace.Flag(form.Get("flag"))
	target := enlace.FlagTarget{Tenant: c.access.Tenant, Provider: form.Get("provider"), Integration: form.Get("integration"), Entity: form.Get("entity")}
	var err error
	switch form.Get("state") {
	case "clear":
		err = a.service.ClearFlag(r.Context(), flag, target)
	case "on", "off":
		err = a.service.SetFlag(r.Context(), flag, target, form.Get("state") == "on", short(form.Get("reason"), 300))
	default:
		err = newProblem(c, "validation_failed")
	}
	if err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"flags?done=flag")
	return nil
}
