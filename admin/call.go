package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// call is one request on its way through the admin.
type call struct {
	admin   *Admin
	mount   mount
	id      string
	address string        // of the peer
	number  uint64        // of the last signal before anything was read
	asked   *http.Request // as the host's mux gave it
	access  Access
	preferences
}

type callKey struct{}

func (c *call) attach(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callKey{}, c))
}

// callOf is the call that a request belongs to.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// inside is the request as the handler's own routes see it.
func (c *call) inside(r *http.Request) *http.Request {
	c.asked = r
	clone := *r
	address := *r.URL
	address.RawPath = "/" + c.mount.path
	address.Path = address.RawPath
	if plain, err := url.PathUnescape(address.RawPath); err == nil {
		address.Path = plain
	}
	clone.URL, clone.Pattern = &address, ""
	return &clone
}

// original is the request as it came to the handler, for the host's authorizer.
func (c *call) original(r *http.Request) *http.Request { return c.asked.WithContext(r.Context()) }

// may says whether the user has all of the grants.
func (c *call) may(g Grants) bool { return c.access.Grants.Has(g) }

// publicRoot is the absolute address of the mount, for what leaves the site.
func (c *call) publicRoot(r *http.Request) string {
	if c.admin.public != nil {
		return c.admin.public.String()
	}
	return origin(r) + c.mount.prefix
}

const preferencesCookie = "enlace-admin"

// preferences are what a user has chosen for this browser. They live in a cookie
// and nowhere else.
type preferences struct {
	Language string // a key of catalogs
	Theme    string // "light", "dark" or "" for the system's
	Zone     string // an IANA name out of zones, or "" for the language's
	Keys     string // "off" if single keys do nothing
}

var themes = []string{"", "light", "dark"}

func (a *Admin) preferencesOf(r *http.Request) preferences {
	p := preferences{}
	if cookie, err := r.Cookie(preferencesCookie); err == nil {
		if values, err := url.ParseQuery(cookie.Value); err == nil {
			p = preferences{Language: values.Get("language"), Theme: values.Get("theme"), Zone: values.Get("zone"), Keys: values.Get("keys")}
		}
	}
	return p.orDefaults(r.Header.Get("Accept-Language"), a.options.Language)
}

// orDefaults drops what there is not and fills in what is missing.
func (p preferences) orDefaults(accepted, fallback string) preferences {
	if _, ok := catalogs[p.Language]; !ok {
		p.Language = chooseLanguage(accepted, fallback)
	}
	if p.Theme != "light" && p.Theme != "dark" {
		p.Theme = ""
	}
	if p.Keys != "off" {
		p.Keys = ""
	}
	if _, ok := zones[p.Zone]; !ok {
		p.Zone = homeZone[p.Language]
	}
	return p
}

func (p preferences) cookie(secure bool) *http.Cookie {
	value := url.Values{"language": {p.Language}, "theme": {p.Theme}, "zone": {p.Zone}, "keys": {p.Keys}}.Encode()
	// Without a path the browser takes that of the mount, whatever a proxy made of it.
	return &http.Cookie{Name: preferencesCookie, Value: value, MaxAge: int((365 * 24 * time.Hour).Seconds()), HttpOnly: true, Secure: secure,
		SameSite: http.SameSiteLaxMode}
}
