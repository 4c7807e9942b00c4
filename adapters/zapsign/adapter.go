// Package zapsign is the adapter for ZapSign, the Brazilian service for
// electronic signatures, in production and in the sandbox.
//
// It reads documents, signers and templates; creates, changes, cancels and
// deletes documents, signers and templates; fetches the signed files; registers
// webhooks and reads their events. Beside the raw records there are typed
// functions, which take a [*enlace.Conn]: [CreateDocument], [GetDocument],
// [AddSigner], [DownloadSigned], [ParseEvent] and more. "Sheet" in the comments
// is the contract sheet for ZapSign's API v1.
//
// # Accounts
//
// An account is connected by its API token (Settings > Integrations > ZapSign
// API), or by a user's name and password, for which enlace gets a JWT. Tokens of
// the sandbox and of production are different: choose the setting "environment".
// Accounts on Brazil-hosted infrastructure set "apiUrl" to
// https://br.api.zapsign.com.br/api/v1/.
//
// # What a create costs
//
// Every created document and extra document is billed, signed or not, and
// ZapSign knows no idempotency keys. A create is therefore never sent twice by
// itself. With a key ([DocumentInput].Key, [enlace.Mutation].Key) it can be
// repeated safely: the document gets a folder of its own by which it is found
// again. See [CreateDocument].
//
// # Reading by change
//
// ZapSign has no filter for the time of change. A run by change reads the
// documents in progress, those created since the last run and those deleted, and
// looks up every document that was in progress at the last run and is not any
// more. So it finds new documents, signatures, refusals, cancellations, renames
// of documents in progress, and deletions of documents created within
// "reconcileDays". It cannot find a finished document that was moved to another
// folder, a deletion of an older one, or a signer who was removed, where the
// time of change did not move with it; a full run does. Webhooks make it faster,
// and it makes up for webhooks, which ZapSign delivers with few repetitions.
//
// Templates have no filter at all: every run reads them all.
package zapsign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

var (
	_ enlace.Puller           = Adapter{}
	_ enlace.Fetcher          = Adapter{}
	_ enlace.Pusher           = Adapter{}
	_ enlace.WebhookReceiver  = Adapter{}
	_ enlace.WebhookRegistrar = Adapter{}
	_ enlace.WebhookSampler   = Adapter{}
	_ enlace.HealthChecker    = Adapter{}
	_ enlace.Authenticator    = Adapter{}
	_ enlace.Classifier       = Adapter{}
)

// Name is the adapter's registry key.
const Name = "zapsign"

// The environments: separate accounts with separate tokens (sheet 1.1).
const (
	Production = "production"
	Sandbox    = "sandbox" // documents have no legal validity, and no plan is needed
)

// The auth schemes.
const (
	SchemeToken = "api_token" // static API token: secret "api_key" (sheet 1.2)
	SchemeJWT   = "jwt"       // a user's password: secrets "organization_id", "username", "password" (sheet 1.3)
)

// The entities that can be synchronised.
const (
	Documents = "documents"
	Signers   = "signers"
	Templates = "templates"
)

// DefaultFileHost is where ZapSign keeps files, in both environments (sheet 1.1).
const DefaultFileHost = "zapsign.s3.amazonaws.com"

// Adapter is the driver. Its zero value is ready for use.
type Adapter struct{}

// Describe implements enlace.IntegrationAdapter.
func (Adapter) Describe() enlace.Descriptor {
	all := []enlace.Operation{enlace.OpRead, enlace.OpCreate, enlace.OpUpdate, enlace.OpDelete}
	return enlace.Descriptor{
		Name: Name, Title: "ZapSign", Version: "0.1.0",
		DocsURL:  "https://docs.zapsign.com.br/",
		BaseURL:  "https://{apiHost}/api/v1/",
		Features: []enlace.Feature{enlace.FeatureESignature, enlace.FeatureDocumentsSync, enlace.FeatureWebhooks},
		Auth: []enlace.AuthScheme{
			enlace.APIKey{Name: SchemeToken, Title: "API token", Place: enlace.BearerHeader()},
			enlace.CustomAuth{Name: SchemeJWT, Title: "User and password", Login: true, Fields: []enlace.SecretField{
				{Name: "organization_id", Label: "Organization id", Help: "The number beside the API token.", Required: true},
				{Name: "username", Label: "User", Required: true},
				{Name: "password", Label: "Password", Required: true},
			}},
		},
		Environments: []enlace.Environment{
			{Name: Production, Title: "Production", Values: map[string]string{"apiHost": "api.zapsign.com.br"}},
			{Name: Sandbox, Title: "Sandbox", Values: map[string]string{"apiHost": "sandbox.api.zapsign.com.br"}},
		},
		Settings: settings(),
		Entities: []enlace.Entity{
			{Name: Documents, Title: "Documents", Operations: all, Incremental: enlace.IncrementalUpdates, CreateOnce: true},
			{Name: Signers, Title: "Signers", Operations: all, Incremental: enlace.IncrementalUpdates, Parents: []string{Documents}, CreateOnce: true},
			{Name: Templates, Title: "Templates", Operations: all, CreateOnce: true},
		},
		// Sheet 4.3: 500 in a fixed minute, by token and by the caller's address.
		// 8 a second and 12 at once are 492 in the worst minute; the rest is for
		// logins and for requests that bunch up on their way.
		Limits: enlace.Limits{PerSecond: 8, Burst: 12, PerHost: true},
	}
}

func settings() []enlace.Field {
	return []enlace.Field{
		{Name: "folder", Label: "Folder", Default: "enlace", Pattern: `[^/]{1,50}`,
			Help: "Documents created with a key and without a folder get one of their own in this folder."},
		{Name: "settle", Label: "Settle time (s)", Kind: enlace.FieldInteger, Default: "600", Min: 60, Max: 3600,
			Help: "How long a create whose answer was lost is looked for before it may be sent again, in seconds."},
		{Name: "details", Label: "Full records", Kind: enlace.FieldBoolean, Default: "true",
			Help: "Read each document and template in full, one request each. false takes the lists' rows, with fewer fields."},
		{Name: "overlap", Label: "Overlap (s)", Kind: enlace.FieldInteger, Default: "300", Min: 60, Max: 86400,
			Help: "How far before the last run a run by change begins, in seconds. Lists are up to a minute old."},
		{Name: "reconcileDays", Label: "Reconcile (days)", Kind: enlace.FieldInteger, Default: "90", Min: 0, Max: 36500,
			Help: "Deletions of documents created in the last so many days are found by a run by change. 0 looks at all."},
		{Name: "maxFileMB", Label: "Largest file (MB)", Kind: enlace.FieldInteger, Default: "10", Min: 1, Max: 100,
			Help: "Files above are refused before they are sent. More than 10 needs an agreement with ZapSign."},
		{Name: "fileHost", Label: "File host", Kind: enlace.FieldHost, Default: DefaultFileHost,
			Help: "The only host that files are downloaded from."},
	}
}

// CheckHealth implements enlace.HealthChecker by the first page of GET /docs/,
// which needs no plan (sheet 8). Whatever refuses it, refuses the token: ErrAuth
// for 401 and 403 alike. The page is dropped, since it links to contracts.
func (Adapter) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	query := url.Values{"sort_order": {"desc"}, "deleted": {"false"}}
	_, err := listRows(ctx, c, "health", "docs/", query, 1)
	if e, ok := errors.AsType[*enlace.Error](err); ok && e.Status == http.StatusPaymentRequired {
		return nil // the token is good, the account has no plan
	}
	return err
}

// refusedToken is for endpoints that refuse nothing but the token: any 403 is
// that there, whatever its body says (sheet 4.1).
func refusedToken(err error) error {
	if e, ok := errors.AsType[*enlace.Error](err); ok && e.Status == http.StatusForbidden {
		refused := *e
		refused.Kind = enlace.ErrAuth
		return &refused
	}
	return err
}

// get reads an object.
func get[T any](ctx context.Context, c *enlace.Conn, op, path string, query url.Values) (T, error) {
	return do[T](ctx, c, enlace.Call{Path: path, Query: query, Op: op})
}

// getObject reads the object with that token.
func getObject[T any](ctx context.Context, c *enlace.Conn, op, collection, token string) (T, error) {
	body, err := readObject(ctx, c, op, collection, token)
	if err != nil {
		var none T
		return none, err
	}
	return decode[T](op, body)
}

// readObject reads the object with that token as it is. Another one is
// ErrProtocol: what is not in it proves nothing.
func readObject(ctx context.Context, c *enlace.Conn, op, collection, token string) (json.RawMessage, error) {
	at, err := path(collection, token)
	if err != nil {
		return nil, err
	}
	body, err := get[json.RawMessage](ctx, c, op, at, nil)
	if err != nil {
		return nil, err
	}
	raw, err := rawjson.Get(body, "token")
	if found, ok := rawjson.String(raw); err != nil || !ok || found != token {
		return nil, protocol(op, "", errOtherRecord)
	}
	return body, nil
}

// do sends a call and decodes its answer.
func do[T any](ctx context.Context, c *enlace.Conn, call enlace.Call) (T, error) {
	var out T
	err := c.Do(ctx, call, &out)
	return out, err
}

// change sends a write and decodes the object that it answers with.
func change[T any](ctx context.Context, c *enlace.Conn, call enlace.Call) (T, error) {
	body, err := write(ctx, c, call)
	if err != nil {
		var none T
		return none, err
	}
	return decode[T](call.Op, body)
}

// acknowledge sends a write whose answer is no object but the news that it was
// done: {"message": "…"}, or a text (sheet 9.15). An answer that is neither leaves
// open what happened.
func acknowledge(ctx context.Context, c *enlace.Conn, call enlace.Call) error {
	answer, err := c.Send(ctx, call)
	if err != nil {
		return err
	}
	body := bytes.TrimSpace(answer.Body)
	if len(body) > 0 && body[0] != '{' && body[0] != '[' {
		return nil
	}
	var news struct{ Message, Success, Token string }
	if json.Unmarshal(body, &news) != nil || news.Message+news.Success+news.Token == "" {
		return &enlace.Error{Provider: Name, Op: call.Op, Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeUnknown,
			Status: answer.Status, Message: "the answer does not say that it was done"}
	}
	return nil
}

// path is the address of one object: every part is escaped, and there is a slash
// at the end, without which nothing but a GET works (sheet 1.6). A part that is
// no token is an error.
func path(parts ...string) (string, error) {
	var b strings.Builder
	for _, part := range parts {
		if part == "" || strings.Trim(part, ".") == "" || len(part) > 300 || strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }) {
			return "", invalid("address", "token", "not a token of ZapSign", "the token as ZapSign gave it")
		}
		b.WriteString(url.PathEscape(part))
		b.WriteByte('/')
	}
	return b.String(), nil
}

// invalid is an argument that was refused before anything was sent.
func invalid(op, field, problem, allowed string) error {
	return refuse(op, enlace.Fault{Field: field, Problem: problem, Allowed: allowed})
}

func refuse(op string, faults ...enlace.Fault) error {
	return &enlace.Error{Provider: Name, Op: op, Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeNotRun, Err: &enlace.ValidationError{Faults: faults}}
}

// unsupported is an operation that the adapter does not have.
func unsupported(op, message string) error {
	return &enlace.Error{Provider: Name, Op: op, Kind: enlace.ErrUnsupported, Outcome: enlace.OutcomeNotRun, Message: message}
}

// protocol is an answer that was not what the sheet says.
func protocol(op, message string, err error) error {
	return &enlace.Error{Provider: Name, Op: op, Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan, Message: message, Err: err}
}

// number is an integer setting, which enlace has validated.
func number(c *enlace.Conn, setting string) int {
	n, _ := strconv.Atoi(c.Setting(setting))
	return n
}

func seconds(c *enlace.Conn, setting string) time.Duration {
	return time.Duration(number(c, setting)) * time.Second
}

// object reads any JSON object into its members.
func object(op string, data any) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, invalid(op, "Data", "cannot be written as JSON", "a JSON object")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return nil, invalid(op, "Data", "not a JSON object", "a JSON object") // null would be a server error (sheet 9.17)
	}
	return members, nil
}
