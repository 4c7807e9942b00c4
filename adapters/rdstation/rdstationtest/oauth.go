package rdstationtest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// app is an application and its callbacks.
type app struct {
	App
	next     []string // callbacks that become valid at nextFrom
	nextFrom time.Time
}

func newApp(description App) *app {
	description.Product = orDefault(description.Product, Marketing)
	description.ClientID = orDefault(description.ClientID, randomUUID())
	description.ClientSecret = orDefault(description.ClientSecret, randomHex(32))
	description.Redirects = slices.Clone(description.Redirects)
	return &app{App: description}
}

func (p *app) accepts(redirect string, now time.Time) bool {
	if p.next != nil && !now.Before(p.nextFrom) {
		p.Redirects, p.next = p.next, nil
	}
	return slices.Contains(p.Redirects, redirect)
}

// grant is one consent, with all the tokens that follow from it.
type grant struct {
	app     *app
	revoked bool
}

// token is an access or a refresh token.
type token struct {
	grant   *grant
	refresh bool
	dead    bool      // replaced by a newer one
	expires time.Time // zero for never
}

type code struct {
	app      *app
	redirect string
	expires  time.Time
	used     bool
}

type tokens struct {
	known map[string]*token
	codes map[string]*code
}

// Tokens is the answer of a token endpoint.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`           // seconds
	TokenType    string `json:"token_type,omitempty"` // of the CRM only
}

// App returns the account's first application for a product, with its credentials. It panics if
// there is none.
func (a *Account) App(product Product) App {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, known := range a.apps {
		if known.Product == product {
			return known.App
		}
	}
	panic("rdstationtest: the account has no application for " + string(product))
}

// SetRedirects replaces the callbacks of an application. They work after
// [Options].CallbackDelay. It panics if there is no such application.
func (a *Account) SetRedirects(clientID string, redirects ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.mustApp(clientID)
	known.next, known.nextFrom = append([]string{}, redirects...), a.now().Add(a.options.CallbackDelay)
}

func (a *Account) mustApp(clientID string) *app {
	if known := a.app(clientID); known != nil {
		return known
	}
	panic("rdstationtest: no application has the client_id " + clientID)
}

func (a *Account) app(clientID string) *app {
	for _, known := range a.apps {
		if known.ClientID == clientID {
			return known
		}
	}
	return nil
}

// Authorize gives tokens as if a user had just consented, without the detour over the browser. It
// panics if there is no such application.
func (a *Account) Authorize(clientID string) Tokens {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.issue(&grant{app: a.mustApp(clientID)}, "", a.now())
}

// ExpireTokens ends the life of all access tokens of a product.
func (a *Account) ExpireTokens(product Product) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.tokens.known {
		if !t.refresh && t.grant.app.Product == product {
			t.expires = a.now()
		}
	}
}

// RevokeTokens kills all tokens of a product, as a user does who removes the application.
func (a *Account) RevokeTokens(product Product) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.tokens.known {
		if t.grant.app.Product == product {
			t.grant.revoked = true
		}
	}
}

// issue makes an access token and, unless refresh is to be kept, a refresh token.
func (a *Account) issue(g *grant, refresh string, now time.Time) Tokens {
	if g.app.Product == CRM {
		issued := Tokens{AccessToken: randomHex(32), RefreshToken: randomHex(32), ExpiresIn: int(a.options.UnifiedTTL.Seconds()), TokenType: "bearer"}
		a.tokens.known[issued.AccessToken] = &token{grant: g, expires: now.Add(a.options.UnifiedTTL)}
		a.tokens.known[issued.RefreshToken] = &token{grant: g, refresh: true, expires: now.Add(a.options.UnifiedIdleTTL)}
		return issued
	}
	issued := Tokens{AccessToken: a.jwt(g, now), RefreshToken: refresh, ExpiresIn: int(a.options.AccessTTL.Seconds())}
	a.tokens.known[issued.AccessToken] = &token{grant: g, expires: now.Add(a.options.AccessTTL)}
	if refresh == "" {
		issued.RefreshToken = randomHex(12) + "-" + randomHex(6)
		a.tokens.known[issued.RefreshToken] = &token{grant: g, refresh: true}
	}
	return issued
}

// jwt looks like the classic access tokens; nothing may be read from it.
func (a *Account) jwt(g *grant, now time.Time) string {
	part := base64.RawURLEncoding.EncodeToString
	claims := encodeJSON(object{
		"iss": "https://api.rd.services", "sub": g.app.ClientID + "@clients", "aud": "https://app.rdstation.com.br/api/v2/",
		"app_name": "rdstationtest", "iat": now.Unix(), "exp": now.Add(a.options.AccessTTL).Unix(), "scope": "",
	})
	return part([]byte(`{"typ":"JWT","alg":"RS256"}`)) + "." + part(claims) + "." + part([]byte(randomHex(64)))
}

// authenticate checks the credential that the route's surface wants.
func (a *Account) authenticate(q *request) *reply {
	var refused reply
	switch q.route.surface {
	case marketingSurface, crmSurface:
		return a.authenticateBearer(q)
	case crmV1Surface:
		user := a.crm.userByToken(q)
		if q.user = user; user != nil && !user.Inactive {
			return nil
		}
		refused = reply{status: http.StatusUnauthorized, body: object{"error": "Permission denied."}}
	case conversionKey:
		i := slices.IndexFunc(a.options.APIKeys, func(k APIKey) bool { return k.Key == q.query.Get("api_key") && k.Key != "" })
		if i >= 0 && !a.options.APIKeys[i].Inactive {
			q.key = &a.options.APIKeys[i]
			return nil
		}
		refused = invalidToken()
	default:
		return nil
	}
	return &refused
}

func (a *Account) authenticateBearer(q *request) *reply {
	scheme, value, _ := strings.Cut(q.http.Header.Get("Authorization"), " ")
	wanted := Marketing
	if q.route.surface == crmSurface {
		wanted = CRM
	}
	var refused reply
	t := a.tokens.known[value]
	switch {
	case !strings.EqualFold(scheme, "Bearer") || value == "":
		refused = gateway(http.StatusUnauthorized, "invalid_request", "The access token is missing")
	case t != nil && !t.refresh && t.grant.app.Product != wanted:
		refused = gatewayInvalidToken()
	case t == nil || t.refresh || t.dead || t.grant.revoked:
		if refused = invalidToken(); wanted == CRM {
			refused = gatewayInvalidToken()
		}
	case !q.now.Before(t.expires):
		refused = a.expired(q.route.surface)
	default:
		q.grant = t.grant
		return nil
	}
	return &refused
}

func gatewayInvalidToken() reply {
	return gateway(http.StatusUnauthorized, "invalid_token", "The access token is invalid or has expired")
}

// expired is the answer to an access token whose time is over (F9).
func (a *Account) expired(s surface) reply {
	const challenge = `Bearer realm="https://api.rd.services/", error="expired_token", error_description="The access token expired"`
	switch {
	case s == crmSurface || a.quirks.ExpiredStyle == ExpiredGateway:
		return gatewayInvalidToken()
	case a.quirks.ExpiredStyle == ExpiredRemapped:
		return invalidToken().with("x-amzn-remapped-www-authenticate", challenge)
	default:
		return invalidToken().with("WWW-Authenticate", challenge)
	}
}

// serveDialog is the classic authorization dialog, where the user consents at once (F1).
func serveDialog(a *Account, q *request) reply {
	redirect := q.query.Get("redirect_uri")
	if redirect == "" {
		redirect = q.query.Get("redirect_url")
	}
	known := a.app(q.query.Get("client_id"))
	if known == nil || known.Product != Marketing || !known.accepts(redirect, q.now) {
		return flat(http.StatusUnauthorized, "ACCESS_DENIED", "O parâmetro redirect_uri não contém um valor válido.")
	}
	return a.consent(q, known, redirect, a.options.CodeTTL)
}

// serveAuthorize is the unified authorization dialog; what it answers to mistakes is that of the
// gateway's plugin, which nobody documents (U10).
func serveAuthorize(a *Account, q *request) reply {
	known, redirect := a.app(q.query.Get("client_id")), q.query.Get("redirect_uri")
	switch {
	case q.query.Get("response_type") != "code":
		return gateway(http.StatusBadRequest, "unsupported_response_type", "Invalid response_type")
	case known == nil || known.Product != CRM:
		return gateway(http.StatusBadRequest, "invalid_client", "Invalid client authentication")
	case !known.accepts(redirect, q.now):
		return invalidRedirect()
	}
	return a.consent(q, known, redirect, a.options.UnifiedCodeTTL)
}

func invalidRedirect() reply {
	return gateway(http.StatusBadRequest, "invalid_request", "Invalid redirect_uri that does not match with any redirect_uri created with the application")
}

// consent sends the browser back with a code and with state as it came.
func (a *Account) consent(q *request, known *app, redirect string, life time.Duration) reply {
	value := randomHex(32)
	a.tokens.codes[value] = &code{app: known, redirect: redirect, expires: q.now.Add(life)}
	target, err := url.Parse(redirect)
	if err != nil {
		return invalidRedirect()
	}
	query := target.Query()
	query.Set("code", value)
	if state := q.query.Get("state"); state != "" {
		query.Set("state", state)
	}
	target.RawQuery = query.Encode()
	return reply{status: http.StatusFound}.with("Location", target.String())
}

// serveClassicToken exchanges codes and refresh tokens of Marketing; JSON and forms both work (F4).
func serveClassicToken(a *Account, q *request) reply {
	fields, refused := classicFields(q)
	if refused != nil {
		return *refused
	}
	missing := []object{}
	needed := []string{"client_id", "client_secret"}
	if fields("refresh_token") == "" {
		needed = append(needed, "code")
	}
	for _, name := range needed {
		if fields(name) == "" {
			missing = append(missing, pathProblem("CANNOT_BE_NULL", "Cannot be null.", "body."+name))
		}
	}
	if len(missing) > 0 {
		return listed(http.StatusBadRequest, missing...)
	}
	known := a.app(fields("client_id"))
	if known == nil || known.Product != Marketing || known.ClientSecret != fields("client_secret") {
		return a.tokenError("ACCESS_DENIED", "Wrong credentials provided.")
	}
	if refresh := fields("refresh_token"); refresh != "" {
		return a.classicRefresh(q, known, refresh)
	}
	return a.classicCode(q, known, fields("code"))
}

func classicFields(q *request) (get func(string) string, refused *reply) {
	if isForm(q.http) {
		values, err := url.ParseQuery(string(q.raw))
		if err == nil {
			return values.Get, nil
		}
	} else if isJSON(q.http) {
		value, _ := parseJSON(q.raw)
		if fields, isObject := value.(object); isObject {
			return func(name string) string { return text(fields[name]) }, nil
		}
	} else {
		answer := mediaTypeError(openSurface)
		return nil, &answer
	}
	answer := malformed(openSurface)
	return nil, &answer
}

// tokenError has one of the three shapes that the pages show (sheet 1.5).
func (a *Account) tokenError(kind, message string) reply {
	switch {
	case a.quirks.UnwrappedErrors:
		return reply{status: http.StatusUnauthorized, body: problem(kind, message)}
	case a.quirks.ArrayErrors:
		return listed(http.StatusUnauthorized, problem(kind, message))
	default:
		return flat(http.StatusUnauthorized, kind, message)
	}
}

func (a *Account) classicCode(q *request, known *app, value string) reply {
	c := a.tokens.codes[value]
	if c == nil || c.app != known {
		return a.tokenError("ACCESS_DENIED", "Wrong credentials provided.")
	}
	if c.used || !q.now.Before(c.expires) {
		return a.tokenError("EXPIRED_CODE_GRANT", "The authorization code grant has expired.")
	}
	c.used = true
	return ok(a.issue(&grant{app: known}, "", q.now))
}

func (a *Account) classicRefresh(q *request, known *app, value string) reply {
	t := a.tokens.known[value]
	if t == nil || !t.refresh || t.dead || t.grant.revoked || t.grant.app != known {
		return a.tokenError("INVALID_REFRESH_TOKEN", "The provided refresh token is invalid or was revoked.")
	}
	keep := ""
	switch a.quirks.Rotation {
	case SameToken:
		keep = value
	case RotateKillOld:
		t.dead = true
	}
	a.stats.counts.Refreshes++
	return ok(a.issue(t.grant, keep, q.now))
}

// serveRevoke ends a grant, with both of its tokens (F11).
func serveRevoke(a *Account, q *request) reply {
	if !isForm(q.http) {
		return mediaTypeError(openSurface)
	}
	values, err := url.ParseQuery(string(q.raw))
	if err != nil {
		return malformed(openSurface)
	}
	t := a.tokens.known[values.Get("token")]
	if t == nil || t.dead || t.grant.revoked || t.grant.app.Product != Marketing {
		return invalidToken()
	}
	t.grant.revoked = true
	return ok(object{})
}

// serveUnifiedToken exchanges codes and refresh tokens of the CRM, from forms only (F13).
func serveUnifiedToken(a *Account, q *request) reply {
	values := url.Values{}
	if isForm(q.http) {
		values, _ = url.ParseQuery(string(q.raw))
	}
	answer := a.unifiedToken(q, values)
	return answer.with("Cache-Control", "no-store").with("Pragma", "no-cache")
}

func (a *Account) unifiedToken(q *request, values url.Values) reply {
	kind := values.Get("grant_type")
	if kind != "authorization_code" && kind != "refresh_token" {
		return gateway(http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type")
	}
	known := a.app(values.Get("client_id"))
	if known == nil || known.Product != CRM || known.ClientSecret != values.Get("client_secret") {
		return gateway(http.StatusBadRequest, "invalid_client", "Invalid client authentication")
	}
	if kind == "refresh_token" {
		return a.unifiedRefresh(q, known, values.Get("refresh_token"))
	}
	c := a.tokens.codes[values.Get("code")]
	if c == nil || c.app != known || c.used || !q.now.Before(c.expires) {
		return gateway(http.StatusBadRequest, "invalid_request", "Invalid code")
	}
	if c.redirect != values.Get("redirect_uri") {
		return invalidRedirect()
	}
	c.used = true
	return ok(a.issue(&grant{app: known}, "", q.now))
}

// unifiedRefresh gives a new pair and kills the old one; of two at once the second loses (F14).
func (a *Account) unifiedRefresh(q *request, known *app, value string) reply {
	t := a.tokens.known[value]
	if t == nil || !t.refresh || t.dead || t.grant.revoked || t.grant.app != known || !q.now.Before(t.expires) {
		return gateway(http.StatusBadRequest, "invalid_request", "Invalid refresh_token")
	}
	for other, old := range a.tokens.known {
		if old.grant == t.grant && (old.refresh || !a.quirks.KeepUnifiedAccess) {
			delete(a.tokens.known, other)
		}
	}
	a.stats.counts.Refreshes++
	return ok(a.issue(t.grant, "", q.now))
}

// cors adds the headers that only /platform/conversions has (F38).
func cors(r reply) reply {
	return r.with("Access-Control-Allow-Origin", "*").with("Access-Control-Allow-Methods", "POST, OPTIONS").
		with("Access-Control-Allow-Headers", "Content-Type").with("Access-Control-Max-Age", strconv.Itoa(600))
}
