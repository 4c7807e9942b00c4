package rdstation

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/enlace-go/enlace"
)

// Options choose a page of a list. The zero value is the first page of the
// provider's usual size.
type Options struct {
	Page   int      // from 1
	Size   int      // records of a page: 25 by default, 125 at most, 50 for campaigns
	Order  string   // such as "last_conversion_date:desc" or "name:asc", where the list has it
	Search string   // where the list has it
	IDs    []string // where the list has it
	Extra  url.Values
}

func (o Options) query(search string) url.Values {
	q := url.Values{}
	for name, values := range o.Extra {
		q[name] = values
	}
	for name, n := range map[string]int{"page": o.Page, "page_size": o.Size} {
		if n > 0 {
			q.Set(name, strconv.Itoa(n))
		}
	}
	if o.Order != "" {
		q.Set("order", o.Order)
	}
	if o.Search != "" {
		q.Set(search, o.Search)
	}
	if len(o.IDs) > 0 {
		q["ids[]"] = o.IDs
	}
	return q
}

// List is one page of a list.
type List[T any] struct {
	Items []T
	Total int // in all pages; 0 if the provider does not say
}

// readList reads a page of one of the listings.
func readList[T any](ctx context.Context, m *Marketing, c *enlace.Conn, entity string, query url.Values) (List[T], error) {
	l := listings[entity]
	switch entity {
	case "landing_pages", "popups", "forms", "workflows": // the others spell it without brackets
		if order, ok := query["order"]; ok {
			query["order[]"] = order
			query.Del("order")
		}
	}
	answer, err := m.send(ctx, c, request{named(get(l.path, query), "list "+entity), spendOf(l.kind)})
	if err != nil {
		return List[T]{}, err
	}
	return decodeList[T](answer, entity, l.shape)
}

func decodeList[T any](answer enlace.Response, entity string, sh shape) (List[T], error) {
	body := answer.Body
	if len(sh.lists) == 0 {
		body = asArray(body)
	}
	read, err := parseList(body, entity, sh)
	if err != nil {
		return List[T]{}, err
	}
	l := List[T]{Items: make([]T, len(read.records)), Total: max(read.total, totalOf(answer.Header))}
	for i, r := range read.records {
		if err := decode("list "+entity, r.Data, &l.Items[i]); err != nil {
			return List[T]{}, err
		}
	}
	return l, nil
}

// Segmentation is a set of contacts by rules that were made in the product.
type Segmentation struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	Standard      bool   `json:"standard"` // one of the five that every account has
	ProcessStatus string `json:"process_status"`
	CreatedAt     string `json:"created_at"`
	UpdatedAt     string `json:"updated_at"`
}

// Segmentations reads GET /platform/segmentations (sheet 2.4; segmentations
// limit). A Search leaves out the standard ones. Segmentation 1 is all contacts.
// Errors: those of every read, see [Marketing].
func (m *Marketing) Segmentations(ctx context.Context, c *enlace.Conn, o Options) (List[Segmentation], error) {
	return readList[Segmentation](ctx, m, c, "segmentations", o.query("search"))
}

// SegmentContact is what a segmentation tells about a contact; see
// [Marketing.Contact] for the rest.
type SegmentContact struct {
	UUID             string `json:"uuid"`
	Name             string `json:"name"`
	Email            string `json:"email"`
	LastConversionAt string `json:"last_conversion_date"` // empty without a conversion
	CreatedAt        string `json:"created_at"`
}

// SegmentContacts reads GET /platform/segmentations/{id}/contacts (sheet 2.4;
// segmentations limit). Order is last_conversion_date only. ErrNotFound for an
// unknown segmentation.
func (m *Marketing) SegmentContacts(ctx context.Context, c *enlace.Conn, segmentation int64, o Options) (List[SegmentContact], error) {
	path := "platform/segmentations/" + strconv.FormatInt(segmentation, 10) + "/contacts"
	answer, err := m.send(ctx, c, request{named(get(path, o.query("search")), "list contacts of a segmentation"), spendOf(segmentKind)})
	if err != nil {
		return List[SegmentContact]{}, err
	}
	return decodeList[SegmentContact](answer, "contacts", segmentShape)
}

// Email is an e-mail of the account.
type Email struct {
	ID                  int64           `json:"id"`
	Name                string          `json:"name"`
	Type                string          `json:"type"`
	Status              string          `json:"status"`
	SendAt              string          `json:"send_at"`
	LeadsCount          int             `json:"leads_count"`
	CampaignID          int64           `json:"campaign_id"`
	ComponentTemplateID int64           `json:"component_template_id"`
	PredictiveSending   bool            `json:"is_predictive_sending"`
	SendingIsImminent   bool            `json:"sending_is_imminent"`
	BehaviorScore       json.RawMessage `json:"behavior_score_info"`
	CreatedAt           string          `json:"created_at"`
	UpdatedAt           string          `json:"updated_at"`
}

// Emails reads GET /platform/emails (sheet 2.7; 60 an hour). Extra takes types[].
// ErrRateLimited when the hour's are used up.
func (m *Marketing) Emails(ctx context.Context, c *enlace.Conn, o Options) (List[Email], error) {
	return readList[Email](ctx, m, c, "emails", o.query("query"))
}

// Email reads GET /platform/emails/{id} (sheet 2.7; 60 an hour with the list).
// ErrNotFound.
func (m *Marketing) Email(ctx context.Context, c *enlace.Conn, id int64) (Email, error) {
	call := named(get("platform/emails/"+strconv.FormatInt(id, 10), nil), "get email")
	return receive[Email](ctx, m, c, request{call, spendOf(emailsKind)})
}

// Asset is a landing page, a pop-up or a form.
type Asset struct {
	ID                   int64  `json:"id"`
	Title                string `json:"title"`
	ConversionIdentifier string `json:"conversion_identifier"`
	Status               string `json:"status"`
	Trigger              string `json:"trigger"` // of a pop-up
	HasActiveExperiment  bool   `json:"has_active_experiment"`
	HadExperiment        bool   `json:"had_experiment"`
	CreatedAt            string `json:"created_at"`
	UpdatedAt            string `json:"updated_at"`
}

// UnmarshalJSON also takes the provider's spelling "upated_at" (sheet Q23).
func (a *Asset) UnmarshalJSON(data []byte) error {
	type plain Asset
	var raw struct {
		plain
		Misspelled string `json:"upated_at"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*a = Asset(raw.plain)
	if a.UpdatedAt == "" {
		a.UpdatedAt = raw.Misspelled
	}
	return nil
}

// LandingPages reads GET /platform/landing_pages (sheet 2.7; 60 an hour).
// ErrRateLimited when the hour's are used up.
func (m *Marketing) LandingPages(ctx context.Context, c *enlace.Conn, o Options) (List[Asset], error) {
	return readList[Asset](ctx, m, c, "landing_pages", o.query("search"))
}

// Popups reads GET /platform/popups (sheet 2.7; 60 an hour). Extra takes trigger[].
// ErrRateLimited when the hour's are used up.
func (m *Marketing) Popups(ctx context.Context, c *enlace.Conn, o Options) (List[Asset], error) {
	return readList[Asset](ctx, m, c, "popups", o.query("search"))
}

// Forms reads GET /platform/embeddables (sheet 2.7; 60 an hour). ErrRateLimited when
// the hour's are used up.
func (m *Marketing) Forms(ctx context.Context, c *enlace.Conn, o Options) (List[Asset], error) {
	return readList[Asset](ctx, m, c, "forms", o.query("search"))
}

// Workflow is an automation flow.
type Workflow struct {
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	Status    string           `json:"status"`  // only of a single one
	Actions   []WorkflowAction `json:"actions"` // only of a single one
	CreatedBy string           `json:"user_email_created"`
	UpdatedBy string           `json:"user_email_updated"`
	CreatedAt string           `json:"created_at"`
	UpdatedAt string           `json:"updated_at"`
}

// WorkflowAction is a step of a flow; Type is a code such as SDEMA or ADTAG.
type WorkflowAction struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// Workflows reads GET /platform/workflows (sheet 2.7; 40 an hour). ErrRateLimited
// when the hour's are used up.
func (m *Marketing) Workflows(ctx context.Context, c *enlace.Conn, o Options) (List[Workflow], error) {
	return readList[Workflow](ctx, m, c, "workflows", o.query("search"))
}

// Workflow reads GET /platform/workflows/{id} (sheet 2.7; 1, 5 or 15 an hour by
// plan). ErrNotFound.
func (m *Marketing) Workflow(ctx context.Context, c *enlace.Conn, id string) (Workflow, error) {
	if _, err := pathID(id); err != nil {
		return Workflow{}, err
	}
	type answer struct {
		Workflow Workflow `json:"workflow_info"`
	}
	a, err := receive[answer](ctx, m, c, request{named(get("platform/workflows/"+id, nil), "get workflow"), spendOf(workflowKind)})
	return a.Workflow, err
}

// Enrolment says which contacts went into a flow.
type Enrolment struct{ Added, NotFound []string }

// AddToWorkflow puts contacts into a flow, by e-mail, by POST
// /platform/workflows/{id}/leads (sheet 2.7; 1, 10 or 100 requests an hour, with
// 10, 25 or 50 e-mails each, by plan). A flow that is off or unknown is ErrInvalid
// with the code WORKFLOW_STATUS_ERROR. It is not repeated if it may have run.
func (m *Marketing) AddToWorkflow(ctx context.Context, c *enlace.Conn, id string, emails ...string) (Enrolment, error) {
	if _, err := pathID(id); err != nil {
		return Enrolment{}, err
	}
	type answer struct {
		Added    json.RawMessage `json:"leads_added"`
		NotFound json.RawMessage `json:"leads_not_found"`
	}
	call := write(http.MethodPost, "platform/workflows/"+id+"/leads", map[string][]string{"leads": emails}, "add to workflow")
	a, err := receive[answer](ctx, m, c, request{call, spendOf(enrolKind)})
	return Enrolment{flatten(a.Added), flatten(a.NotFound)}, err
}

// flatten reads an array of texts, or of arrays of texts (sheet 2.7).
func flatten(raw json.RawMessage) []string {
	var nested [][]string
	if json.Unmarshal(raw, &nested) == nil {
		var flat []string
		for _, part := range nested {
			flat = append(flat, part...)
		}
		return flat
	}
	var flat []string
	_ = json.Unmarshal(raw, &flat) // of another form: the contacts were added all the same
	return flat
}

// Campaign is a set of assets with a common aim.
type Campaign struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Status     string `json:"status"`
	TotalItems int    `json:"total_items"`
	User       struct {
		Email string `json:"email"`
	} `json:"user"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

// Campaigns reads GET /platform/campaigns (sheet 2.7; plans Pro and Advanced). Size
// is 50 at most; Extra takes start_date and end_date. ErrForbidden with another plan.
func (m *Marketing) Campaigns(ctx context.Context, c *enlace.Conn, o Options) (List[Campaign], error) {
	query := o.query("search")
	if ids := query["ids[]"]; len(ids) > 0 {
		query.Set("ids", strings.Join(ids, ","))
		query.Del("ids[]")
	}
	return readList[Campaign](ctx, m, c, "campaigns", query)
}

// Campaign reads GET /platform/campaigns/{id} (sheet 2.7). ErrNotFound.
func (m *Marketing) Campaign(ctx context.Context, c *enlace.Conn, id int64) (Campaign, error) {
	type answer struct {
		Campaign Campaign `json:"campaign"`
	}
	call := named(get("platform/campaigns/"+strconv.FormatInt(id, 10), nil), "get campaign")
	a, err := receive[answer](ctx, m, c, request{call: call})
	return a.Campaign, err
}

// CampaignItem is an asset of a campaign.
type CampaignItem struct {
	CampaignItemID json.Number `json:"campaign_item_id"`
	PlatformItemID json.Number `json:"platform_item_id"`
	ItemType       string      `json:"item_type"`
	AddedAt        string      `json:"added_at"`
}

// CampaignItems reads GET /platform/campaigns/{id}/items (sheet 2.7). Extra takes
// item_type; Order is added_at or item_type. ErrNotFound for an unknown campaign.
func (m *Marketing) CampaignItems(ctx context.Context, c *enlace.Conn, id int64, o Options) (List[CampaignItem], error) {
	call := named(get("platform/campaigns/"+strconv.FormatInt(id, 10)+"/items", o.query("search")), "list campaign items")
	answer, err := m.send(ctx, c, request{call: call})
	if err != nil {
		return List[CampaignItem]{}, err
	}
	return decodeList[CampaignItem](answer, "campaign items", shape{lists: []string{"items"}, id: []string{"campaign_item_id"}})
}

// Field is a field of contacts, the provider's own or a custom one (sheet 2.2).
type Field struct {
	UUID             string            `json:"uuid,omitempty"`
	APIIdentifier    string            `json:"api_identifier,omitempty"` // cf_… for custom ones; cannot be changed
	CustomField      bool              `json:"custom_field,omitempty"`
	DataType         string            `json:"data_type"`         // STRING, INTEGER, BOOLEAN or STRING[]
	PresentationType string            `json:"presentation_type"` // TEXT_INPUT, TEXT_AREA, URL_INPUT, PHONE_INPUT, EMAIL_INPUT, CHECK_BOX, NUMBER_INPUT, COMBO_BOX, RADIO_BUTTON or MULTIPLE_CHOICE
	Name             map[string]string `json:"name"`              // by language; pt-BR is enough
	Label            map[string]string `json:"label"`
	ValidationRules  ValidationRules   `json:"validation_rules"`
}

// ValidationRules are the values that a field may have; none is any.
type ValidationRules struct {
	ValidOptions []FieldOption `json:"valid_options,omitempty"`
}

// FieldOption is one value of a field of choices.
type FieldOption struct {
	Value string            `json:"value"`
	Label map[string]string `json:"label"`
}

// Fields reads GET /platform/contacts/fields: all fields, the provider's own too
// (sheet 2.2; a million a day). Errors: those of every read, see [Marketing].
func (m *Marketing) Fields(ctx context.Context, c *enlace.Conn) ([]Field, error) {
	l, err := readList[Field](ctx, m, c, "fields", nil)
	return l.Items, err
}

// CreateField creates a custom field by POST /platform/contacts/fields (sheet
// 2.2). ErrConflict with the code TAKEN if there is one of that identifier,
// ErrInvalid for reserved names and kinds that do not fit.
func (m *Marketing) CreateField(ctx context.Context, c *enlace.Conn, f Field) (Field, error) {
	f.UUID, f.CustomField = "", false
	return receive[Field](ctx, m, c, request{call: write(http.MethodPost, listings["fields"].path, f, "create field")})
}

// UpdateField changes a custom field by PATCH /platform/contacts/fields/{uuid}
// (sheet 2.2). Its identifier stays. ErrNotFound; ErrInvalid, also for the
// provider's own fields.
func (m *Marketing) UpdateField(ctx context.Context, c *enlace.Conn, uuid string, f Field) (Field, error) {
	if _, err := pathID(uuid); err != nil {
		return Field{}, err
	}
	f.UUID, f.CustomField, f.APIIdentifier = "", false, ""
	call := write(http.MethodPatch, listings["fields"].path+"/"+uuid, f, "update field")
	call.Idempotent = true
	return receive[Field](ctx, m, c, request{call: call})
}

// DeleteField deletes a custom field, and its values, by DELETE
// /platform/contacts/fields/{uuid} (sheet 2.2). ErrNotFound.
func (m *Marketing) DeleteField(ctx context.Context, c *enlace.Conn, uuid string) error {
	if _, err := pathID(uuid); err != nil {
		return err
	}
	return m.remove(ctx, c, listings["fields"].path+"/"+uuid, "delete field")
}

// CatalogFeed is an address from which the provider reads a product catalogue.
type CatalogFeed struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	URL       string `json:"url"`
	Status    string `json:"status"`
	Format    string `json:"format"` // xml, json or google_shopping
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

// CatalogFeeds reads GET /platform/catalog_feeds (sheet 2.7). An account has one.
// It is written by mutations of the entity catalog_feeds. Errors: those of every
// read, see [Marketing].
func (m *Marketing) CatalogFeeds(ctx context.Context, c *enlace.Conn) ([]CatalogFeed, error) {
	l, err := readList[CatalogFeed](ctx, m, c, "catalog_feeds", nil)
	return l.Items, err
}
