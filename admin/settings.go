package admin

import (
	"net/http"
	"strings"
)

type settingsData struct {
	Languages []struct{ Code, Name string }
	Zones     []string
	Themes    []string
}

func (a *Admin) settingsPage(w http.ResponseWriter, r *http.Request, c *call) error {
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "settings", title: t.text("nav.settings"), section: "settings", data: settingsData{languages, zoneNames, themes}})
}

// saveSettings keeps the choices in a cookie and leads back to where the user was.
func (a *Admin) saveSettings(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	p := c.preferences
	if r.PostForm.Has("language") {
		p.Language = r.PostForm.Get("language")
	}
	if r.PostForm.Has("theme") {
		p.Theme = r.PostForm.Get("theme")
	}
	if r.PostForm.Has("zone") {
		p.Zone = r.PostForm.Get("zone")
	}
	if r.PostForm.Has("keys") {
		p.Keys = r.PostForm.Get("keys")
	}
	p = p.orDefaults(r.Header.Get("Accept-Language"), a.options.Language)
	secure := r.TLS != nil || (a.public != nil && a.public.Scheme == "https")
	http.SetCookie(w, p.cookie(secure))
	leave(w, http.StatusSeeOther, c.mount.root+insidePath(r.PostForm.Get("back")))
	return nil
}

// insidePath is a path within the mount, with its query; anything else is the
// overview's. It keeps redirects from leading out.
func insidePath(path string) string {
	if len(path) > 500 || strings.ContainsAny(path, "\\\r\n\t:") || strings.Contains(path, "//") || strings.HasPrefix(path, "/") ||
		strings.Contains(path, "..") {
		return ""
	}
	return path
}
