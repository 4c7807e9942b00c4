package rdstation

import (
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
	_ enlace.Puller            = CRM{}
	_ enlace.Fetcher           = CRM{}
	_ enlace.Pusher            = CRM{}
	_ enlace.WebhookReceiver   = CRM{}
	_ enlace.WebhookRegistrar  = CRM{}
	_ enlace.WebhookSampler    = CRM{}
	_ enlace.WebhookInspector  = CRM{}
	_ enlace.HealthChecker     = CRM{}
	_ enlace.Classifier        = CRM{}
	_ enlace.MetadataDescriber = CRM{}
)

// CRM is the driver for RD Station CRM by version 2 of its API. Its zero value is
// ready for use. The provider takes 120 requests a minute, which enlace keeps to;
// a list shows the first 10,000 records of a filter only, so that long lists are
// read in slices of time.
//
// Errors of all its methods are [*enlace.Error]s: ErrInvalid (validation; Code is
// the provider's error type), ErrNotFound, ErrForbidden, ErrAuth, ErrRateLimited,
// ErrUnavailable, ErrProtocol, ErrCanceled.
type CRM struct{}

// crmRate is a little below the published 120 a minute, which is counted in fixed
// windows: what is sent within one must arrive within one (sheet 6.4).
const crmRate = 1.95

// Describe implements enlace.IntegrationAdapter.
func (CRM) Describe() enlace.Descriptor {
	entities := make([]enlace.Entity, 0, len(crmEntities))
	for _, name := range crmOrder {
		e := crmEntities[name]
		entity := enlace.Entity{Name: name, Title: e.title, Operations: append([]enlace.Operation{enlace.OpRead}, e.writes...), Parents: e.parents}
		if e.changed != "" {
			entity.Incremental = enlace.IncrementalUpdates
		}
		entities = append(entities, entity)
	}
	return enlace.Descriptor{
		Name: CRMName, Title: "RD Station CRM", Version: version, DocsURL: docsURL + "/crm-v2-introduction",
		BaseURL:  "https://api.rd.services/crm/v2/",
		Features: []enlace.Feature{enlace.FeatureCRMSync, enlace.FeatureContactsSync, enlace.FeatureWebhooks, enlace.FeatureRealTimeSync},
		Auth: []enlace.AuthScheme{enlace.OAuth2{Name: SchemeOAuth, Title: "RD Station account",
			AuthURL: "https://accounts.rdstation.com/oauth/authorize", TokenURL: "https://api.rd.services/oauth2/token",
			Place: enlace.BearerHeader(), Life: 2 * time.Hour, Refresh: enlace.RefreshAhead, RefreshLife: 14 * 24 * time.Hour}},
		Settings: []enlace.Field{overlapSetting("300")},
		Entities: entities,
		Limits:   enlace.Limits{PerSecond: crmRate, Burst: 1},
	}
}

// CheckHealth implements enlace.HealthChecker by GET /users of a single user (sheet 10).
func (CRM) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	var body json.RawMessage
	err := c.Do(ctx, get("users", url.Values{"page[size]": {"1"}}), &body)
	if err == nil {
		_, err = parseList(body, "users", crmEntities["users"].shape())
	}
	return err
}

const (
	crmPageSize  = 200    // the most that is known to work (sheet 3.2)
	crmReachable = 10_000 // records of one listing (sheet 3.2)
)

// crmEntity is how an entity of the CRM is read and written (sheet 3.2).
type crmEntity struct {
	title   string
	path    string
	id      string             // name of the member with the id
	slice   string             // the time by which long lists are sliced, and sorted; empty if there is none
	changed string             // "filter" or "sort": how what changed since a time is found; empty if it cannot be
	sort    string             // where there is no slice: without an order two reads differ (sheet Q38)
	writes  []enlace.Operation // beside reading
	parents []string
}

const (
	byFilter = "filter" // a condition on updated_at
	bySort   = "sort"   // in descending order of updated_at, down to the time
)

var (
	createUpdate = []enlace.Operation{enlace.OpCreate, enlace.OpUpdate}
	fullWrites   = []enlace.Operation{enlace.OpCreate, enlace.OpUpdate, enlace.OpDelete}
)

var crmEntities = map[string]crmEntity{
	"organizations": {"Organizations", "organizations", "id", "created_at", byFilter, "", createUpdate, nil},
	"contacts":      {"Contacts", "contacts", "id", "created_at", byFilter, "", createUpdate, []string{"organizations"}},
	"deals":         {"Deals", "deals", "id", "created_at", byFilter, "", createUpdate, []string{"contacts", "organizations", "stages"}},
	"tasks":         {"Tasks", "tasks", "id", "due_date", bySort, "", createUpdate, []string{"deals"}},
	"products":      {"Products", "products", "id", "", "", "name", createUpdate, nil},
	"pipelines":     {"Pipelines", "pipelines", "id", "", "", "name", createUpdate, nil},
	"stages":        {"Stages", "pipelines", "id", "", "", "name", createUpdate, []string{"pipelines"}},
	"users":         {"Users", "users", "id", "", "", "name", nil, nil},
	"teams":         {"Teams", "teams", "team_id", "", "", "name", nil, nil},
	"campaigns":     {"Campaigns", "campaigns", "id", "", "", "name", createUpdate, nil},
	"sources":       {"Sources", "sources", "id", "", "", "name", createUpdate, nil},
	"lost_reasons":  {"Lost reasons", "lost_reasons", "id", "", "", "name", createUpdate, nil},
	"segments":      {"Segments", "segments", "id", "", "", "name", createUpdate, nil},
	"custom_fields": {"Custom fields", "custom_fields", "id", "", "", "name", fullWrites, nil},
}

// crmOrder is the order in which the entities are described.
var crmOrder = []string{"contacts", "organizations", "deals", "tasks", "products", "pipelines", "stages", "users", "teams", "campaigns",
	"sources", "lost_reasons", "segments", "custom_fields"}

// Query chooses a page of a list of the CRM (sheet 3.2).
type Query struct {
	// Filter is in the provider's language RDQL, such as
	// `status:ongoing and total_price:>100`; see [QuoteRDQL] for values.
	Filter string
	Sort   string // a property; ids and times that can be sorted by depend on the resource
	Desc   bool
	Page   int // from 1
	Size   int // 20 by default, 200 at most
}

// QuoteRDQL writes a text as a value of a filter, such as `name:~`+QuoteRDQL(name).
// The language has no way to write a quotation mark, so that those are left out.
func QuoteRDQL(value string) string {
	quoted := []byte{'"'}
	for _, b := range []byte(value) {
		if b != '"' && b != '\\' && b >= ' ' {
			quoted = append(quoted, b)
		}
	}
	return string(append(quoted, '"'))
}

// rdqlTime writes an instant as the filters take it: in UTC, to the second.
func rdqlTime(t time.Time) string { return t.UTC().Format(`"2006-01-02 15:04:05"`) }

func (q Query) values() url.Values {
	v := url.Values{"page[number]": {strconv.Itoa(max(1, q.Page))}}
	if q.Size > 0 {
		v.Set("page[size]", strconv.Itoa(q.Size))
	}
	if q.Filter != "" {
		v.Set("filter", q.Filter)
	}
	if q.Sort != "" {
		direction := "asc"
		if q.Desc {
			direction = "desc"
		}
		v.Set("sort["+q.Sort+"]", direction)
	}
	return v
}

// CRMList is one page of a list of the CRM.
type CRMList[T any] struct {
	Items []T
	// Next is the query of the next page; nil after the last. The provider's own
	// links are not followed: they lead nowhere (sheet Q37).
	Next *Query
}

// Resource is one kind of record of the CRM, with typed access. It is got from a
// method of [CRM], and its methods take a Conn of an integration of CRM.
type Resource[T any] struct{ path string }

// op names what is done, without the ids in the path.
func (r Resource[T]) op(verb string) string {
	parts := strings.Split(r.path, "/")
	for i := 0; i < len(parts); i += 2 { // every other part is an id
		verb += " " + parts[i]
	}
	return verb
}

// List reads a page by GET. Give a Sort: without one the provider returns other
// records each time (sheet Q38). Only the first 10,000 of a filter can be reached.
// Errors: ErrInvalid for a filter or a sort that the provider does not know, and
// those of every read, see [CRM].
func (r Resource[T]) List(ctx context.Context, c *enlace.Conn, q Query) (CRMList[T], error) {
	body, err := r.read(ctx, c, r.path, q.values(), "list")
	if err != nil {
		return CRMList[T]{}, err
	}
	var answer struct {
		Data  []T `json:"data"`
		Links struct {
			Next string `json:"next"`
		} `json:"links"`
	}
	if err := decode(r.op("list"), body, &answer); err != nil {
		return CRMList[T]{}, err
	}
	if answer.Data == nil { // an empty list is one too
		return CRMList[T]{}, malformed(r.op("list"), errNoRecords)
	}
	l := CRMList[T]{Items: answer.Data}
	if answer.Links.Next != "" {
		next := q
		next.Page = max(1, q.Page) + 1
		l.Next = &next
	}
	return l, nil
}

// Get reads one record by GET (sheet 3.2). ErrNotFound.
func (r Resource[T]) Get(ctx context.Context, c *enlace.Conn, id string) (T, error) {
	var none T
	path, err := r.at(id)
	if err != nil {
		return none, err
	}
	body, err := r.read(ctx, c, path, nil, "get")
	if err != nil {
		return none, err
	}
	return r.one(body)
}

// Create makes a record by POST (sheet 3.2). It is not repeated if it may have run.
// ErrInvalid with the provider's words.
func (r Resource[T]) Create(ctx context.Context, c *enlace.Conn, record any) (T, error) {
	return r.write(ctx, c, write(http.MethodPost, r.path, crmBody{record}, r.op("create")))
}

// Update changes a record by PUT (sheet 3.2); members that it leaves out stay as they are.
// ErrNotFound.
func (r Resource[T]) Update(ctx context.Context, c *enlace.Conn, id string, changes any) (T, error) {
	path, err := r.at(id)
	if err != nil {
		var none T
		return none, err
	}
	call := write(http.MethodPut, path, crmBody{changes}, r.op("update"))
	call.Idempotent = true
	return r.write(ctx, c, call)
}

// Delete deletes a record by DELETE (sheet 3.2). The provider documents it for custom fields,
// webhooks and the products of a deal. ErrNotFound.
func (r Resource[T]) Delete(ctx context.Context, c *enlace.Conn, id string) error {
	path, err := r.at(id)
	if err != nil {
		return err
	}
	call := write(http.MethodDelete, path, nil, r.op("delete"))
	call.Idempotent = true
	answer, err := c.Send(ctx, call)
	if err != nil {
		return err
	}
	return checkDeleted(call.Op, answer.Body)
}

// crmBody is what the CRM wants around everything that is written.
type crmBody struct {
	Data any `json:"data"`
}

func (r Resource[T]) at(id string) (string, error) {
	for _, part := range append(strings.Split(r.path, "/"), id) {
		if _, err := pathID(part); err != nil {
			return "", err
		}
	}
	return r.path + "/" + id, nil
}

func (r Resource[T]) read(ctx context.Context, c *enlace.Conn, path string, query url.Values, verb string) (json.RawMessage, error) {
	for _, part := range strings.Split(path, "/") {
		if _, err := pathID(part); err != nil {
			return nil, err
		}
	}
	var body json.RawMessage
	err := c.Do(ctx, named(get(path, query), r.op(verb)), &body)
	return body, err
}

func (r Resource[T]) write(ctx context.Context, c *enlace.Conn, call enlace.Call) (T, error) {
	var body json.RawMessage
	if err := c.Do(ctx, call, &body); err != nil {
		var none T
		return none, err
	}
	return r.one(body)
}

func (r Resource[T]) one(body []byte) (T, error) {
	var record T
	data, err := rawjson.Get(body, "data")
	if err != nil || data == nil {
		return record, malformed(r.op("read"), errors.New("the answer has no data"))
	}
	err = decode(r.op("read"), data, &record)
	return record, err
}
