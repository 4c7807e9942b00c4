package bitrix24

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// authServers are the authorization servers that Bitrix24 has (sheet 1.2).
var authServers = [...]string{"oauth.bitrix.info", "oauth.bitrix24.tech"}

// Install is what a portal sends when an application is installed or updated, or when a
// user opens its page (sheet 1.5). Whoever knows the address can send anything: nothing
// of it may be believed before [VerifyInstall].
type Install struct {
	Event            string // EventInstall, EventUpdate, or empty for the page
	Portal           string // host
	MemberID         string
	Status           string
	AccessToken      enlace.Secret
	RefreshToken     enlace.Secret
	ApplicationToken enlace.Secret
	Expires          time.Time
	Scopes           []string
	ServerEndpoint   string // address of the authorization server's REST
	UserID           string
	Version          string // of the application
	Placement        string // of the page: where it was opened
}

// ParseInstall reads the request that tells of an installation: the event ONAPPINSTALL
// or ONAPPUPDATE, or the form with which a portal opens the application's page, part of
// which is in the query. Errors: ErrProtocol for anything else.
func ParseInstall(query url.Values, body []byte) (Install, error) {
	form, err := parseForm(body)
	if err != nil {
		return Install{}, err
	}
	if form.Get("event") != "" {
		return installOfEvent(body)
	}
	in := Install{
		Portal: query.Get("DOMAIN"), MemberID: form.Get("member_id"), Status: form.Get("status"), ServerEndpoint: form.Get("SERVER_ENDPOINT"),
		AccessToken: enlace.NewSecret(form.Get("AUTH_ID")), RefreshToken: enlace.NewSecret(form.Get("REFRESH_ID")),
		ApplicationToken: enlace.NewSecret(form.Get("APPLICATION_TOKEN")), Scopes: scopes(form.Get("APPLICATION_SCOPE")),
		Expires: expiry(form.Get("AUTH_EXPIRES"), ""), Placement: form.Get("PLACEMENT"),
	}
	return in, in.check()
}

func installOfEvent(body []byte) (Install, error) {
	e, err := ParseEvent(body)
	if err != nil {
		return Install{}, err
	}
	if e.Name != EventInstall && e.Name != EventUpdate {
		return Install{}, badEvent("the event is no installation")
	}
	a := e.Auth
	in := Install{Event: e.Name, Portal: a.Portal, MemberID: a.MemberID, Status: a.Status, AccessToken: a.AccessToken, RefreshToken: a.RefreshToken,
		ApplicationToken: a.ApplicationToken, Expires: a.Expires, Scopes: a.Scopes, ServerEndpoint: a.ServerEndpoint, UserID: a.UserID, Version: e.Data["VERSION"]}
	return in, in.check()
}

func (in Install) check() error {
	if in.Portal == "" || in.MemberID == "" || in.AccessToken.IsZero() {
		return badEvent("no portal, no member_id or no access token: not an installation")
	}
	return nil
}

// Account is an installation that was proved: what an integration is made from.
type Account struct {
	Portal     string // host; the setting "portal"
	AuthServer string // host; the setting "authServer"
	MemberID   string // the portal's lasting id: the key of the tenant
	Status     string
	// Credential has the tokens, the attributes and, if it came along, the application
	// token as the webhook's secret. It is for Service.Create or Service.Connect.
	Credential enlace.Credential
}

// InstallOptions say what [VerifyInstall] compares with.
type InstallOptions struct {
	ClientID string       // of the application. Required
	Client   *http.Client // nil is one with a timeout of 30 s; redirects are not followed
	// AuthServer replaces the base address of the authorization server, for tests:
	// "https://127.0.0.1:8443". Empty is the one that the installation names, which
	// must be one of Bitrix24's own.
	AuthServer string
}

// VerifyInstall proves an installation by app.info on the authorization server (sheet
// 1.5, 6.4): the server knows the access token, and says that it was made for this
// application, for that member_id and for that portal. Only then are the tokens worth
// storing. The application token itself can be proved by nobody: any user of the portal
// has an access token, so take it from the first installation and from EventUpdate, and
// do not let a page's form replace it.
//
// It makes one request. Errors: ErrAuth if the server does not accept the token or it is
// for something else, ErrBlocked for an authorization server that is not Bitrix24's,
// ErrUnavailable, ErrProtocol, ErrInvalid without a ClientID.
func VerifyInstall(ctx context.Context, in Install, o InstallOptions) (Account, error) {
	const op = "app.info"
	if o.ClientID == "" {
		return Account{}, invalid("verify install", "ClientID", "missing", "the client id of the application")
	}
	if err := in.check(); err != nil {
		return Account{}, err
	}
	endpoint, err := in.endpoint(o.AuthServer)
	if err != nil {
		return Account{}, err
	}
	body, err := askAuthServer(ctx, o.Client, endpoint, in.AccessToken)
	if err != nil {
		return Account{}, err
	}
	owner, err := ownerOf(body)
	if err != nil {
		return Account{}, noAnswer(op)
	}
	portal, err := url.Parse(owner.text("client_endpoint"))
	switch {
	case owner.text("client_id") != o.ClientID, owner.text("member_id") != in.MemberID,
		err != nil, portal.Scheme != "https" && o.AuthServer == "", !strings.EqualFold(portal.Host, in.Portal):
		return Account{}, &enlace.Error{Provider: Name, Op: op, Kind: enlace.ErrAuth, Outcome: enlace.OutcomeRan,
			Message: "the access token is not one of this application for that portal"}
	}
	return in.account(portal, endpoint), nil
}

// endpoint is the address of app.info on the authorization server. The installation's
// own word counts only if it names a server that is known.
func (in Install) endpoint(replaced string) (*url.URL, error) {
	address := in.ServerEndpoint
	if replaced != "" {
		address = strings.TrimSuffix(replaced, "/") + "/rest/"
	}
	u, err := url.Parse(address)
	if err != nil || replaced == "" && (u.Scheme != "https" || !slices.Contains(authServers[:], u.Host) || u.User != nil) {
		return nil, &enlace.Error{Provider: Name, Op: "app.info", Kind: enlace.ErrBlocked, Outcome: enlace.OutcomeNotRun,
			Message: "the authorization server is not one of Bitrix24's"}
	}
	u.Path, u.RawQuery, u.Fragment = "/rest/app.info", "", ""
	return u, nil
}

// askAuthServer calls app.info with the token in the body, where no log has it.
func askAuthServer(ctx context.Context, client *http.Client, endpoint *url.URL, token enlace.Secret) ([]byte, error) {
	own := http.Client{Timeout: 30 * time.Second}
	if client != nil {
		own = *client
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	form := url.Values{"auth": {token.Reveal()}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), strings.NewReader(form))
	if err != nil {
		return nil, &enlace.Error{Provider: Name, Op: "app.info", Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeNotRun}
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "enlace")
	response, err := own.Do(request)
	if err != nil {
		return nil, unreachable(ctx)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxEventBody))
	if err != nil {
		return nil, unreachable(ctx)
	}
	if err := (Adapter{}).Classify(response.StatusCode, response.Header, body); err != nil {
		e, ok := errors.AsType[*enlace.Error](err)
		if !ok {
			return nil, noAnswer("app.info")
		}
		e.Provider, e.Op = Name, "app.info"
		e.Message, e.Code = "", strings.ReplaceAll(e.Code, token.Reveal(), "…")
		if errors.Is(e.Kind, enlace.ErrTokenExpired) {
			e.Kind = enlace.ErrAuth // there is no other token to try
		}
		return nil, e
	}
	return body, nil
}

// unreachable does not hold the cause, which could show the address.
func unreachable(ctx context.Context) error {
	kind := enlace.ErrUnavailable
	if ctx.Err() != nil {
		kind = enlace.ErrCanceled
	}
	return &enlace.Error{Provider: Name, Op: "app.info", Kind: kind, Err: ctx.Err()}
}

// ownerOf finds what the server says about the token: beside the other members of the
// result, or within "install".
func ownerOf(body []byte) (fields, error) {
	result, err := rawjson.Get(body, "result")
	if err != nil {
		return nil, err
	}
	all, err := fieldsOf("app.info", result)
	if err != nil {
		return nil, err
	}
	var install fields
	if raw := all["install"]; len(raw) > 0 && bytes.HasPrefix(raw, []byte("{")) && json.Unmarshal(raw, &install) == nil {
		for name, value := range install {
			if _, there := all[name]; !there {
				all[name] = value
			}
		}
	}
	return all, nil
}

func (in Install) account(portal, server *url.URL) Account {
	attributes := map[string]string{"member_id": in.MemberID, "status": in.Status, "user_id": in.UserID,
		"client_endpoint": portal.Scheme + "://" + portal.Host + "/rest/", "server_endpoint": server.Scheme + "://" + server.Host + "/rest/"}
	for name, value := range attributes {
		if value == "" {
			delete(attributes, name)
		}
	}
	a := Account{Portal: portal.Host, AuthServer: server.Host, MemberID: in.MemberID, Status: in.Status,
		Credential: enlace.Credential{Scheme: SchemeOAuth, Attributes: attributes,
			Token: &enlace.Token{Access: in.AccessToken, Refresh: in.RefreshToken, Expiry: in.Expires, Scopes: in.Scopes, Issued: time.Now()}}}
	if !in.ApplicationToken.IsZero() {
		a.Credential.WebhookSecrets = []enlace.Secret{in.ApplicationToken}
	}
	return a
}
