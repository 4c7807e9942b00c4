package bitrix24test

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

type tokenKind uint8

const (
	accessToken tokenKind = iota
	refreshToken
	authorizationCode
)

// token is an access token, a refresh token or an authorization code.
type token struct {
	kind    tokenKind
	expires time.Time
	dead    bool   // used, rotated or revoked
	sibling string // the access token that came with a refresh token
	userID  int
}

// Bounds of how many tokens are remembered; the oldest go first.
const (
	maxTokens      = 10_000
	maxEventTokens = 1000
)

// tokens are those that the authorization server gave out.
type tokens struct {
	mu    sync.Mutex
	known map[string]*token
	order []string
	event []string // those that came with events, which would push out all others
}

func (t *tokens) issue(kind tokenKind, lifetime time.Duration) (string, *token) {
	return t.issueWithin(&t.order, maxTokens, kind, lifetime)
}

// issueForEvent issues an access token without a refresh token.
func (t *tokens) issueForEvent(lifetime time.Duration) (string, *token) {
	return t.issueWithin(&t.event, maxEventTokens, accessToken, lifetime)
}

func (t *tokens) issueWithin(order *[]string, most int, kind tokenKind, lifetime time.Duration) (string, *token) {
	text := randomHex(35)
	issued := &token{kind: kind, expires: time.Now().Add(lifetime)}
	if len(*order) >= most {
		delete(t.known, (*order)[0])
		*order = (*order)[1:]
	}
	t.known[text], *order = issued, append(*order, text)
	return text, issued
}

// redeem uses up a code or a refresh token.
func (t *tokens) redeem(text string, kind tokenKind, keep bool) (used *token, late bool) {
	found := t.known[text]
	if found == nil || found.kind != kind || found.dead {
		return nil, false
	}
	if !time.Now().Before(found.expires) {
		return nil, true
	}
	found.dead = !keep
	return found, false
}

func randomHex(bytes int) string {
	buffer := make([]byte, bytes)
	rand.Read(buffer)
	return hex.EncodeToString(buffer)
}

func sameSecret(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

var (
	errNoAuth             = &restError{401, "NO_AUTH_FOUND", "Wrong authorization data"}
	errExpiredToken       = &restError{401, "expired_token", "The access token provided has expired."}
	errInvalidToken       = &restError{401, "invalid_token", "Unable to get application by token"}
	errAppGone            = &restError{401, "APPLICATION_NOT_FOUND", "Application not found"}
	errHTTPSRequired      = &restError{400, "INVALID_REQUEST", "Https required."}
	errInvalidCredentials = restError{401, "INVALID_CREDENTIALS", "Invalid request credentials"}
)

// authenticate finds out who calls (F4 to F6, F9).
func (p *Portal) authenticate(req *request, path restPath, r *http.Request) *restError {
	if !path.webhook {
		who, err := p.tokenCredential(req.params, r)
		req.credential = who
		return err
	}
	if p.httpsOnly() && r.TLS == nil {
		return errHTTPSRequired
	}
	if path.userID != strconv.Itoa(p.webhookUser) || !sameSecret(path.secret, p.webhookSecret) {
		err := errInvalidCredentials
		if p.quirks.InvalidCredentials403 {
			err.status = http.StatusForbidden
		}
		return &err
	}
	req.credential = &credential{key: "webhook", userID: p.webhookUser}
	return nil
}

func (p *Portal) tokenCredential(params *node, r *http.Request) (*credential, *restError) {
	text := params.fold("auth").string()
	if bearer, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found && text == "" && p.quirks.AcceptBearer {
		text = bearer
	}
	if text == "" {
		return nil, errNoAuth
	}
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	found := p.tokens.known[text]
	switch {
	case found == nil || found.kind != accessToken || found.dead:
		return nil, errInvalidToken
	case !p.installed:
		return nil, errAppGone
	case !time.Now().Before(found.expires):
		return nil, errExpiredToken
	}
	return &credential{key: "app", userID: found.userID, app: true}, nil
}

// serveAuthorize is /oauth/authorize/: a user who consents at once (F12).
func (p *Portal) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	target, err := url.Parse(p.redirect)
	if !p.installed || query.Get("client_id") != p.clientID || p.redirect == "" || err != nil {
		writeHTML(w, http.StatusBadRequest, "Application not found")
		return
	}
	code, _ := p.tokens.issue(authorizationCode, p.codeTTL)
	answer := target.Query()
	answer.Set("code", code)
	answer.Set("state", query.Get("state"))
	answer.Set("domain", p.Host())
	answer.Set("member_id", p.memberID)
	answer.Set("scope", strings.Join(p.scopes, ","))
	answer.Set("server_domain", p.oauthHost())
	target.RawQuery = answer.Encode()
	w.Header().Set("Location", target.String())
	w.WriteHeader(http.StatusFound)
}

// oauthError is an answer of the authorization server that says no.
type oauthError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// Tokens is the answer of the token endpoint (sheet 1.2).
type Tokens struct {
	AccessToken    string `json:"access_token"`
	Expires        int64  `json:"expires"` // Unix seconds
	ExpiresIn      int64  `json:"expires_in"`
	Scope          string `json:"scope"`
	Domain         string `json:"domain"` // of the authorization server
	ServerEndpoint string `json:"server_endpoint"`
	Status         string `json:"status"`
	ClientEndpoint string `json:"client_endpoint"`
	MemberID       string `json:"member_id"`
	UserID         int    `json:"user_id"`
	RefreshToken   string `json:"refresh_token"`
}

// serveToken is /oauth/token/, by GET and by POST (F13 to F17).
func (p *Portal) serveToken(w http.ResponseWriter, r *http.Request, body []byte) {
	fault := p.faults.take("oauth/token", false)
	if fault.spoils(w, r) {
		return
	}
	if err := fault.refusal(); err != nil {
		p.writeError(w, err)
		return
	}
	params := readParams(r, body)
	pair, err := p.exchange(params)
	p.stats.tokens(err == nil && params.get("grant_type").string() == "refresh_token")
	status, answer := http.StatusOK, any(pair)
	if err != nil {
		status, answer = err.status, err
	}
	text, _ := json.Marshal(answer)
	if status == http.StatusOK {
		fault.deliver(w, r, text)
		return
	}
	writeJSON(w, status, text)
}

func (p *Portal) exchange(params *node) (*Tokens, *oauthError) {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	if err := p.checkClient(params); err != nil {
		return nil, err
	}
	switch params.get("grant_type").string() {
	case "authorization_code":
		return p.exchangeCode(params)
	case "refresh_token":
		return p.exchangeRefreshToken(params)
	default:
		return nil, &oauthError{400, "invalid_request", "Invalid grant_type parameter or parameter missing"}
	}
}

func (p *Portal) checkClient(params *node) *oauthError {
	switch {
	case params.get("client_id").string() == "":
		return &oauthError{400, "invalid_request", `No "client_id" parameter found`}
	case !sameSecret(params.get("client_id").string(), p.clientID):
		return &oauthError{200, "wrong_client", ""}
	case !sameSecret(params.get("client_secret").string(), p.clientSecret):
		if p.quirks.InvalidClient401 {
			return &oauthError{401, "invalid_client", "Invalid client secret"}
		}
		return &oauthError{400, "invalid_client", "Invalid client secret"}
	case !p.installed:
		return &oauthError{401, "NOT_INSTALLED", "Application is not installed"}
	}
	return nil
}

var errInvalidGrant = &oauthError{400, "invalid_grant", "The grant is invalid, expired or revoked"}

func (p *Portal) exchangeCode(params *node) (*Tokens, *oauthError) {
	code := params.get("code").string()
	if code == "" {
		return nil, &oauthError{400, "invalid_request", `No "code" parameter found`}
	}
	used, late := p.tokens.redeem(code, authorizationCode, false)
	if used == nil {
		if late && p.quirks.ExpiredCodeError {
			return nil, &oauthError{400, "expired_token", "The authorization token provided has expired."}
		}
		return nil, errInvalidGrant
	}
	return p.pair(p.userID), nil
}

func (p *Portal) exchangeRefreshToken(params *node) (*Tokens, *oauthError) {
	text := params.get("refresh_token").string()
	if text == "" {
		return nil, &oauthError{400, "invalid_request", `No "refresh_token" parameter found`}
	}
	used, _ := p.tokens.redeem(text, refreshToken, p.quirks.ReusableRefreshTokens)
	if used == nil {
		return nil, errInvalidGrant
	}
	if access := p.tokens.known[used.sibling]; access != nil && p.quirks.RefreshKillsAccess {
		access.dead = true
	}
	return p.pair(used.userID), nil
}

// pair issues an access token and a refresh token.
func (p *Portal) pair(userID int) *Tokens {
	access, issued := p.tokens.issue(accessToken, p.accessTTL)
	refresh, second := p.tokens.issue(refreshToken, p.refreshTTL)
	second.sibling = access
	issued.userID, second.userID = userID, userID
	return p.describe(access, issued, refresh)
}

// describe is what the portal says about tokens.
func (p *Portal) describe(access string, issued *token, refresh string) *Tokens {
	base, oauth := p.endpoints()
	return &Tokens{
		AccessToken: access, RefreshToken: refresh,
		Expires: issued.expires.Unix(), ExpiresIn: int64(p.accessTTL / time.Second),
		ClientEndpoint: base + "/rest/", ServerEndpoint: oauth + "/rest/",
		Domain: p.oauthHost(), MemberID: p.memberID, Scope: strings.Join(p.scopes, ","), Status: p.app.payment.Status, UserID: issued.userID,
	}
}

// serveServerMethod is the authorization server's own REST endpoint, which knows app.info only
// (F18). Its answer adds to the portal's what tells whose token it is.
func (p *Portal) serveServerMethod(w http.ResponseWriter, r *http.Request, body []byte) {
	path, isMethod := parsePath(r.URL.Path)
	if !isMethod || path.method != "app.info" {
		p.writeError(w, errMethodNotFound)
		return
	}
	started := time.Now()
	who, err := p.tokenCredential(readParams(r, body), r)
	if err != nil {
		p.writeError(w, err)
		return
	}
	dst := p.appendAppInfo([]byte(`{"result":`))
	dst = append(dst[:len(dst)-1], ',')
	base, _ := p.endpoints()
	owner, _ := json.Marshal(map[string]any{
		"client_id": p.clientID, "member_id": p.memberID, "scope": strings.Join(p.scopes, ","), "status": p.application().payment.Status,
		"user_id": who.userID, "client_endpoint": base + "/rest/", "domain": p.Host(),
	})
	dst = append(dst, owner[1:]...)
	writeJSON(w, http.StatusOK, p.appendTail(dst, page{}, timing{started: started, finished: time.Now()}))
}

// Authorize gives tokens as if a user had just consented, without the detour over the browser.
func (p *Portal) Authorize() Tokens {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	return *p.pair(p.userID)
}

// ExpireTokens ends the life of all access tokens: the portal answers expired_token to them.
func (p *Portal) ExpireTokens() {
	p.eachToken(accessToken, func(t *token) { t.expires = time.Now() })
}

// RevokeRefreshTokens kills all refresh tokens: the token endpoint answers invalid_grant.
func (p *Portal) RevokeRefreshTokens() {
	p.eachToken(refreshToken, func(t *token) { t.dead = true })
}

func (p *Portal) eachToken(kind tokenKind, change func(*token)) {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	for _, t := range p.tokens.known {
		if t.kind == kind {
			change(t)
		}
	}
}

// SetRedirect sets the address that the application has registered for the answer to an
// authorization request.
func (p *Portal) SetRedirect(address string) {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	p.redirect = address
}

// SetInstalled removes the application from the portal, or installs it again. While it is removed
// its tokens are refused, nobody can authorize it and it gets no events. It is only a switch:
// [Portal.Uninstall] and [Portal.Install] are what a user does.
func (p *Portal) SetInstalled(installed bool) {
	p.tokens.mu.Lock()
	defer p.tokens.mu.Unlock()
	p.installed = installed
}

func cloneScopes(scopes []string) []string {
	if len(scopes) == 0 {
		return []string{"crm", "user"}
	}
	return slices.Clone(scopes)
}
