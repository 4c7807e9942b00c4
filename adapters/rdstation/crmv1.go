package rdstation

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
	"github.com/enlace-go/enlace/rawjson"
)

var (
	_ enlace.Puller            = CRMv1{}
	_ enlace.Fetcher           = CRMv1{}
	_ enlace.Pusher            = CRMv1{}
	_ enlace.WebhookReceiver   = CRMv1{}
	_ enlace.WebhookRegistrar  = CRMv1{}
	_ enlace.WebhookChallenger = CRMv1{}
	_ enlace.WebhookSampler    = CRMv1{}
	_ enlace.WebhookInspector  = CRMv1{}
	_ enlace.HealthChecker     = CRMv1{}
	_ enlace.Classifier        = CRMv1{}
)

// CRMv1 is the driver for RD Station CRM by version 1 of its API, for accounts that
// have a user's token and no application. Use [CRM] where you can: version 1 sees
// only what the token's user may see, without saying so, and finds fewer changes.
// Its zero value is ready for use. The limits are those of [CRM].
type CRMv1 struct{}

// Describe implements enlace.IntegrationAdapter.
func (CRMv1) Describe() enlace.Descriptor {
	var entities []enlace.Entity
	for _, e := range v1Entities {
		entity := enlace.Entity{Name: e.name, Title: e.title, Operations: append([]enlace.Operation{enlace.OpRead}, e.writes...)}
		if e.changed {
			entity.Incremental = enlace.IncrementalUpdates
		}
		entities = append(entities, entity)
	}
	return enlace.Descriptor{
		Name: CRMv1Name, Title: "RD Station CRM (user token)", Version: version, DocsURL: docsURL + "/crm-v1-token",
		BaseURL:  "https://crm.rdstation.com/api/v1/",
		Features: []enlace.Feature{enlace.FeatureCRMSync, enlace.FeatureContactsSync, enlace.FeatureWebhooks, enlace.FeatureRealTimeSync},
		Auth:     []enlace.AuthScheme{enlace.APIKey{Name: SchemeToken, Title: "User token", Place: enlace.Placement{Query: "token"}}},
		Settings: []enlace.Field{overlapSetting("300")},
		Entities: entities,
		Limits:   enlace.Limits{PerSecond: crmRate, Burst: 1},
	}
}

// CheckHealth implements enlace.HealthChecker by GET /token/check (sheet 10).
func (v CRMv1) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	_, err := v.TokenUser(ctx, c)
	return err
}

// TokenUser is whose token it is.
type TokenUser struct {
	Name         string `json:"name"`
	Email        string `json:"email"`
	Organization string `json:"organization"`
}

// TokenUser reads GET /token/check (sheet 3.1). Errors: ErrAuth for a token that is
// wrong or whose user is inactive, and those of every read.
func (CRMv1) TokenUser(ctx context.Context, c *enlace.Conn) (TokenUser, error) {
	var user TokenUser
	err := c.Do(ctx, get("token/check", nil), &user)
	if err == nil && user.Email == "" {
		err = malformed("token/check", errNotIt)
	}
	return user, err
}

// v1Entity is how an entity is read and written (sheet 3.1).
type v1Entity struct {
	name, title string
	path        string
	wrapper     string // around what is written
	order       string // "created_at" or "updated_at", where the list has it
	changed     bool   // the order by updated_at finds changes
	size        int    // of a page; 0 is an answer that holds everything
	writes      []enlace.Operation
}

var v1Entities = []v1Entity{
	{"contacts", "Contacts", "contacts", "contact", "created_at", true, 200, createUpdate},
	{"organizations", "Organizations", "organizations", "organization", "created_at", true, 200, createUpdate},
	{"deals", "Deals", "deals", "deal", "created_at", false, 200, createUpdate},
	{"activities", "Notes", "activities", "activity", "", false, 200, createUpdate[:1]},
	{"tasks", "Tasks", "tasks", "task", "", false, 200, createUpdate},
	{"products", "Products", "products", "product", "", false, 200, createUpdate},
	{"users", "Users", "users", "", "", false, 0, nil},
	{"teams", "Teams", "teams", "", "", false, 0, nil},
	{"pipelines", "Pipelines", "deal_pipelines", "", "", false, 200, nil},
	{"custom_fields", "Custom fields", "custom_fields", "", "", false, 0, nil},
	{"campaigns", "Campaigns", "campaigns", "campaign", "", false, 200, createUpdate},
	{"sources", "Sources", "deal_sources", "deal_source", "", false, 200, createUpdate},
	{"lost_reasons", "Lost reasons", "deal_lost_reasons", "deal_lost_reason", "", false, 200, createUpdate},
}

func v1EntityOf(name string) v1Entity {
	i := slices.IndexFunc(v1Entities, func(e v1Entity) bool { return e.name == name })
	return v1Entities[max(i, 0)]
}

// shape takes the list by its name or as the whole answer; ids come as "id", "_id"
// or both, with the same value.
func (e v1Entity) shape(body []byte) shape {
	sh := shape{id: []string{"id|_id"}, modified: []string{"updated_at"}}
	if rawjson.NewScanner(body).Kind() == rawjson.KindObject {
		sh.lists = []string{e.path}
	}
	return sh
}

// Pull implements enlace.Puller. Contacts and organizations are read by change in
// descending order of it; everything else has to be read as a whole. Deals are
// sliced by their creation, so that more than the provider's 10,000 are complete;
// other lists that are longer end with ErrForbidden.
func (v CRMv1) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	if err := supports(v.Describe(), req.Entity, enlace.OpRead); err != nil {
		return enlace.Page{}, err
	}
	e := v1EntityOf(req.Entity)
	pos, err := openCRM(c, req, e.changed)
	if err != nil {
		return enlace.Page{}, err
	}
	if (pos.Page-1)*e.size >= crmReachable {
		return enlace.Page{}, &enlace.Error{Op: "list " + e.name, Kind: enlace.ErrForbidden, Outcome: enlace.OutcomeNotRun,
			Message: "the provider lists the first 10,000 only, and there are more"}
	}
	answer, err := c.Send(ctx, named(get(e.path, e.query(pos)), "list "+e.name))
	if err != nil {
		return enlace.Page{}, err
	}
	list, err := parseList(answer.Body, req.Entity, e.shape(answer.Body))
	if err != nil {
		return enlace.Page{}, err
	}
	if pos.Began == nil {
		at := clock(c, answer.Header)
		pos.Began = &at
	}
	return e.page(req, pos, list)
}

func (e v1Entity) query(pos crmPosition) url.Values {
	q := url.Values{}
	if e.size > 0 {
		q.Set("page", strconv.Itoa(pos.Page))
		q.Set("limit", strconv.Itoa(e.size))
	}
	switch {
	case e.order == "":
	case pos.Since != nil:
		q.Set("order", "updated_at")
		q.Set("direction", "desc")
	default:
		q.Set("order", e.order)
		q.Set("direction", "asc")
	}
	if pos.From != nil {
		q.Set("created_at_period", "true")
		q.Set("start_date", pos.From.Format(v1Time))
		q.Set("end_date", pos.Began.In(v1Zone).AddDate(0, 0, 2).Format(v1Time))
	}
	return q
}

const v1Time = "2006-01-02T15:04:05"

// v1Zone is the zone of the times in answers; that of the filters is not documented.
var v1Zone = time.FixedZone("-03", -3*3600)

// page makes a page of one of the provider's.
func (e v1Entity) page(req enlace.PullRequest, pos crmPosition, l list) (enlace.Page, error) {
	more := e.size > 0 && (l.hasMore || (len(l.records) >= e.size && (l.total == 0 || l.total > pos.Page*e.size)))
	if pos.Since != nil {
		older := slices.IndexFunc(l.records, func(r enlace.Record) bool { return !r.Modified.IsZero() && r.Modified.Before(*pos.Since) })
		if older >= 0 {
			l.records, more = l.records[:older], false
		}
	}
	records, next, cut := pos.take(crmPage{records: l.records}, req.Limit)
	page := enlace.Page{Records: records, Total: l.total}
	switch {
	case cut:
		page.Next = next.cursor()
	case more:
		next.Page, next.Seen = pos.Page+1, nil
		if e.name == "deals" && pos.Page*e.size >= crmReachable {
			next.slice(l.records)
		}
		page.Next = next.cursor()
	default:
		page.Done = true
		if e.changed {
			page.Next = pos.ended()
		}
	}
	return page, nil
}

// slice begins at the creation of the last record, less a day: the zone of the
// filter is not documented.
func (p *crmPosition) slice(records []enlace.Record) {
	raw, _ := rawjson.Get(records[len(records)-1].Data, "created_at")
	text, _ := rawjson.String(raw)
	from := parseTime(text).In(v1Zone).AddDate(0, 0, -1)
	if p.From == nil || from.After(*p.From) {
		p.Page, p.From = 1, &from
	}
}

// Fetch implements enlace.Fetcher by one GET for each record. A record that the
// token's user may not see passes for deleted: the provider does not tell the two
// apart (sheet 1.4).
func (v CRMv1) Fetch(ctx context.Context, c *enlace.Conn, entity string, ids []string) ([]enlace.Record, error) {
	if err := supports(v.Describe(), entity, enlace.OpRead); err != nil {
		return nil, err
	}
	if entity == "activities" {
		return nil, notSingle(entity)
	}
	return fetchEach(ids, entity, func(id string) ([]byte, error) {
		if _, err := pathID(id); err != nil {
			return nil, err
		}
		var body json.RawMessage
		err := c.Do(ctx, named(get(v1EntityOf(entity).path+"/"+id, nil), "get "+entity), &body)
		return body, err
	}, "")
}

// dealRoot are the members of a deal that stand beside it, not in it, when it is
// written: in it, they are accepted and do nothing (sheet Q34).
var dealRoot = []string{"deal_stage_id", "contacts", "set_contacts", "organization", "campaign", "deal_source", "deal_products", "distribution_settings"}

// Push implements enlace.Pusher. The data is that of the record, without its
// wrapper; of a deal, the members that the provider wants beside it are put there.
// A create is not repeated if it may have run.
func (v CRMv1) Push(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (enlace.Ack, error) {
	if err := supports(v.Describe(), m.Entity, m.Op); err != nil {
		return enlace.Ack{}, err
	}
	e := v1EntityOf(m.Entity)
	body, err := e.body(m.Data)
	if err != nil {
		return enlace.Ack{}, err
	}
	call := write(http.MethodPost, e.path, body, string(m.Op)+" "+m.Entity)
	if m.Op == enlace.OpUpdate {
		if _, err := pathID(m.ID); err != nil {
			return enlace.Ack{}, err
		}
		call.Method, call.Path, call.Idempotent = http.MethodPut, e.path+"/"+m.ID, true
	}
	return pushed(ctx, c, call, m)
}

func (e v1Entity) body(data any) (map[string]any, error) {
	if e.name != "deals" {
		return map[string]any{e.wrapper: data}, nil
	}
	raw, err := json.Marshal(data)
	var members map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(raw, &members)
	}
	if err != nil {
		return nil, invalid("write deals", "the record does not marshal to a JSON object")
	}
	body := map[string]any{e.wrapper: members}
	for _, name := range dealRoot {
		if value, there := members[name]; there {
			body[name] = value
			delete(members, name)
		}
	}
	return body, nil
}

// AnswerChallenge implements enlace.WebhookChallenger; see [Marketing.AnswerChallenge].
func (CRMv1) AnswerChallenge(w http.ResponseWriter, r *http.Request, body []byte) bool {
	return (*Marketing)(nil).AnswerChallenge(w, r, body)
}

// v1Webhook is a subscription (sheet 7.6).
type v1Webhook struct {
	UUID      string `json:"uuid,omitempty"`
	EventType string `json:"event_type"`
	Method    string `json:"http_method"`
	URL       string `json:"url"`
	Status    string `json:"status,omitempty"`
}

func v1Webhooks(ctx context.Context, c *enlace.Conn) ([]v1Webhook, error) {
	var answer struct {
		Webhooks []v1Webhook `json:"webhooks"`
	}
	err := c.Do(ctx, get("webhooks", nil), &answer)
	return answer.Webhooks, err
}

// EnsureWebhook implements enlace.WebhookRegistrar: a subscription for each event
// but crm_task_deleted, which version 1 does not have. The secret becomes part of
// the address.
func (CRMv1) EnsureWebhook(ctx context.Context, c *enlace.Conn, target string, secret enlace.Secret) error {
	address, err := withToken(target, secret)
	if err != nil {
		return err
	}
	existing, err := v1Webhooks(ctx, c)
	if err != nil {
		return err
	}
	for _, name := range crmEvents() {
		if name == "crm_task_deleted" {
			continue
		}
		call := write(http.MethodPost, "webhooks", v1Webhook{EventType: name, Method: http.MethodPost, URL: address}, "create webhook")
		at := slices.IndexFunc(existing, func(w v1Webhook) bool { return strings.EqualFold(w.EventType, name) && sameTarget(w.URL, target) })
		if at >= 0 {
			w := existing[at]
			if w.URL == address && (w.Status == "" || w.Status == "active") {
				continue
			}
			if _, err := pathID(w.UUID); err != nil {
				return malformed("list webhooks", errors.New("a webhook without an id"))
			}
			call.Method, call.Path, call.Op, call.Idempotent = http.MethodPut, "webhooks/"+w.UUID, "update webhook", true
		}
		if err := c.Do(ctx, call, nil); err != nil {
			return err
		}
	}
	return nil
}

// RemoveWebhook implements enlace.WebhookRegistrar.
func (CRMv1) RemoveWebhook(ctx context.Context, c *enlace.Conn, target string) error {
	existing, err := v1Webhooks(ctx, c)
	if err != nil {
		return err
	}
	for _, w := range existing {
		if !sameTarget(w.URL, target) || !idForm.MatchString(w.UUID) {
			continue
		}
		call := write(http.MethodDelete, "webhooks/"+w.UUID, nil, "delete webhook")
		call.Idempotent = true
		if err := c.Do(ctx, call, nil); err != nil && !errors.Is(err, enlace.ErrNotFound) {
			return err
		}
	}
	return nil
}
