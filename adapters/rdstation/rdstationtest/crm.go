package rdstationtest

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// Entity is a kind of records of the CRM, named by its path in API v2.
type Entity string

// The entities of the CRM.
const (
	CRMContacts      Entity = "contacts"
	CRMDeals         Entity = "deals"
	CRMOrganizations Entity = "organizations"
	CRMTasks         Entity = "tasks"
	CRMProducts      Entity = "products"
	CRMPipelines     Entity = "pipelines"
	CRMStages        Entity = "stages" // with pipeline_id
	CRMCampaigns     Entity = "campaigns"
	CRMSources       Entity = "sources"
	CRMLostReasons   Entity = "lost_reasons"
	CRMSegments      Entity = "segments" // of organizations
	CRMCustomFields  Entity = "custom_fields"
	CRMNotes         Entity = "notes"         // with deal_id
	CRMDealProducts  Entity = "deal_products" // with deal_id and product_id
)

// kind is what a field of a record holds.
type kind uint8

const (
	textKind   kind = iota
	numberKind      // floats, 0 if missing
	intKind
	boolKind
	dateKind // YYYY-MM-DD
	timeKind
	textsKind  // array of strings
	listKind   // array of objects
	objectKind // an object
	refKind    // id of a record of spec.refs
	refsKind   // ids of them
)

// spec is one field of an entity in API v2.
type spec struct {
	name     string
	kind     kind
	required bool
	fixed    bool     // cannot be written
	options  []string // of texts
	refs     Entity
	first    any // the value of new records; null or the kind's nothing if nil
	longest  int // of texts
}

// entityType is what API v2 knows of an entity (sheet 3.2).
type entityType struct {
	event   string // in names of webhook events; "" for none
	fields  []spec
	sorts   []string
	filters []string // "@" stands for custom fields
}

var (
	taskTypes    = []string{"call", "email", "meeting", "task", "lunch", "visit", "whatsapp"}
	dealStatuses = []string{"ongoing", "won", "lost", "paused"}
)

func crmTypes() map[Entity]*entityType {
	named := func(event string) *entityType {
		return &entityType{event: event, fields: []spec{{name: "name", required: true}, {name: "description"}}, sorts: []string{"name", "created_at", "updated_at"}, filters: []string{"name"}}
	}
	return map[Entity]*entityType{
		CRMContacts: {event: "contact", fields: []spec{
			{name: "name", required: true}, {name: "job_title"}, {name: "emails", kind: listKind}, {name: "phones", kind: listKind},
			{name: "birthday", kind: dateKind}, {name: "social_profiles", kind: listKind}, {name: "organization_id", kind: refKind, refs: CRMOrganizations},
			{name: "legal_bases", kind: listKind}, {name: "custom_fields", kind: objectKind},
		}, sorts: []string{"name", "created_at"}, filters: []string{"name", "job_title", "email", "phone", "organization_id", "created_at", "updated_at", "@"}},
		CRMDeals: {event: "deal", fields: []spec{
			{name: "name", required: true}, {name: "recurrence_price", kind: numberKind}, {name: "one_time_price", kind: numberKind},
			{name: "total_price", kind: numberKind, fixed: true}, {name: "expected_close_date", kind: dateKind}, {name: "rating", kind: intKind, first: json.Number("1")},
			{name: "status", options: dealStatuses, first: "ongoing"}, {name: "closed_at", kind: timeKind, fixed: true},
			{name: "pipeline_id", kind: refKind, refs: CRMPipelines}, {name: "stage_id", kind: refKind, refs: CRMStages}, {name: "owner_id"},
			{name: "source_id", kind: refKind, refs: CRMSources}, {name: "campaign_id", kind: refKind, refs: CRMCampaigns},
			{name: "lost_reason_id", kind: refKind, refs: CRMLostReasons}, {name: "organization_id", kind: refKind, refs: CRMOrganizations},
			{name: "contact_ids", kind: refsKind, refs: CRMContacts}, {name: "custom_fields", kind: objectKind},
		}, sorts: []string{"name", "rating", "created_at", "updated_at", "closed_at"}, filters: []string{"id", "name", "rating", "status", "closed_at", "created_at",
			"updated_at", "expected_close_date", "organization_id", "stage_id", "lost_reason_id", "campaign_id", "owner_id", "pipeline_id", "product_ids", "total_price", "has", "@"}},
		CRMOrganizations: {event: "organization", fields: []spec{
			{name: "name", required: true}, {name: "description"}, {name: "url"}, {name: "address", kind: objectKind},
			{name: "segment_ids", kind: refsKind, refs: CRMSegments}, {name: "follower_ids", kind: textsKind}, {name: "owner_id"}, {name: "custom_fields", kind: objectKind},
		}, sorts: []string{"name", "created_at", "updated_at"}, filters: []string{"name", "owner_id", "segment_ids", "created_at", "updated_at", "@"}},
		CRMTasks: {event: "task", fields: []spec{
			{name: "name", required: true}, {name: "description"}, {name: "type", required: true, options: taskTypes},
			{name: "status", options: []string{"open", "completed", "canceled"}, first: "open"}, {name: "due_date", kind: timeKind},
			{name: "created_by_id", fixed: true}, {name: "completed_at", kind: timeKind, fixed: true}, {name: "completed_by_id", fixed: true},
			{name: "deal_id", kind: refKind, refs: CRMDeals}, {name: "owner_ids", kind: textsKind},
		}, sorts: []string{"due_date", "deal_id", "completed_at", "updated_at", "status"}, filters: []string{"deal_id", "type", "owner_ids", "completed_at", "due_date", "status"}},
		CRMProducts: {event: "product", fields: []spec{
			{name: "name", required: true}, {name: "description"}, {name: "price", kind: numberKind}, {name: "visible", kind: boolKind, first: true}, {name: "custom_fields", kind: objectKind},
		}, sorts: []string{"name", "status"}, filters: []string{"name", "is", "@"}},
		CRMPipelines: {fields: []spec{{name: "name", required: true}, {name: "order", kind: intKind}}, sorts: []string{"name", "order"}, filters: []string{"name"}},
		CRMStages: {fields: []spec{{name: "name", required: true}, {name: "description"}, {name: "objective"}, {name: "order", kind: intKind}},
			sorts: []string{"order", "name"}, filters: []string{"name"}},
		CRMCampaigns: named("campaign"), CRMSources: named("source"), CRMLostReasons: named("lost_reason"), CRMSegments: named(""),
		CRMCustomFields: {fields: []spec{
			{name: "name", required: true}, {name: "slug", fixed: true}, {name: "type", first: "text"}, {name: "entity", required: true, options: []string{"deal", "contact", "organization", "product"}},
			{name: "options", kind: textsKind}, {name: "unique", kind: boolKind}, {name: "allow_new_option", kind: boolKind}, {name: "order", kind: intKind},
			{name: "required_rules", kind: listKind}, {name: "display_rules", kind: listKind},
		}, sorts: []string{"name", "order"}, filters: []string{"name", "entity", "type"}},
		CRMNotes: {fields: []spec{
			{name: "description", required: true, longest: 524288}, {name: "user_id"}, {name: "registered_at", kind: timeKind}, {name: "pinned_at", kind: timeKind},
			{name: "edited_by_id", fixed: true}, {name: "edited_at", kind: timeKind, fixed: true},
		}, sorts: []string{"created_at"}},
		CRMDealProducts: {fields: []spec{
			{name: "product_id", kind: refKind, required: true, refs: CRMProducts}, {name: "price", kind: numberKind}, {name: "quantity", kind: numberKind, first: json.Number("1")},
			{name: "discount_type", options: []string{"amount", "percentage"}, first: "amount"}, {name: "discount", kind: numberKind},
			{name: "total_price", kind: numberKind, fixed: true}, {name: "billing_frequency", options: []string{"one-time", "monthly"}, first: "one-time"},
		}, sorts: []string{"created_at"}},
	}
}

// record is one of the CRM. Its fields are those of API v2, and some that no answer shows, whose
// names begin with a space.
type record struct {
	id               string
	entity           Entity
	fields           object
	created, updated time.Time
}

// The fields that no answer shows.
const (
	parentKey  = " parent"   // the deal of notes and products, the pipeline of stages
	ownerKey   = " owner"    // of contacts, for visibility
	notesKey   = " notes"    // of contacts, API v1 only
	nickKey    = " nickname" // of stages
	historyKey = " history"  // of deals: their stages so far
)

// crm is the CRM of the account.
type crm struct {
	types  map[Entity]*entityType
	tables map[Entity][]*record
	byID   map[string]*record
	users  []User
	turns  int // counts reads of unsorted lists
}

func (c *crm) init(a *Account) {
	c.types, c.tables, c.byID = crmTypes(), map[Entity][]*record{}, map[string]*record{}
	for _, user := range a.options.Users {
		user.ID = orDefault(user.ID, randomHex(24))
		user.Token = orDefault(user.Token, randomHex(24))
		user.Visibility = orDefault(user.Visibility, Geral)
		c.users = append(c.users, user)
	}
	a.newPipeline(object{"name": "Funil padrão", "order": json.Number("1")}, a.now())
}

var defaultStages = []string{"Sem contato", "Contato feito", "Identificação do interesse", "Apresentação", "Proposta enviada"}

// newPipeline makes a pipeline with the stages that every new one has.
func (a *Account) newPipeline(fields object, now time.Time) *record {
	pipeline := a.crm.add(CRMPipelines, fields, now)
	for i, name := range defaultStages {
		a.crm.add(CRMStages, object{"name": name, "order": i + 1, parentKey: pipeline.id, nickKey: strings.ToUpper(name[:2])}, now)
	}
	return pipeline
}

// add stores a record; fields may have its id.
func (c *crm) add(entity Entity, fields object, now time.Time) *record {
	r := &record{id: orDefault(text(fields["id"]), randomHex(24)), entity: entity, fields: object{}, created: now, updated: now}
	for _, s := range c.types[entity].fields {
		r.fields[s.name] = s.nothing()
	}
	maps.Copy(r.fields, fields)
	delete(r.fields, "id")
	c.tables[entity] = append(c.tables[entity], r)
	c.byID[r.id] = r
	return r
}

// nothing is the value of a field that nobody set.
func (s spec) nothing() any {
	switch {
	case s.first != nil:
		return s.first
	case s.kind == numberKind:
		return json.Number("0.0")
	case s.kind == boolKind:
		return false
	case s.kind == textsKind || s.kind == refsKind:
		return []string{}
	case s.kind == listKind:
		return []any{}
	case s.kind == objectKind:
		return object{}
	default:
		return nil
	}
}

func (c *crm) get(entity Entity, id string) *record {
	if r := c.byID[id]; r != nil && r.entity == entity {
		return r
	}
	return nil
}

// children returns the records of an entity that belong to a parent.
func (c *crm) children(entity Entity, parent string) []*record {
	found := []*record{}
	for _, r := range c.tables[entity] {
		if r.fields[parentKey] == parent {
			found = append(found, r)
		}
	}
	return found
}

func (c *crm) remove(r *record) {
	delete(c.byID, r.id)
	c.tables[r.entity] = slices.DeleteFunc(c.tables[r.entity], func(other *record) bool { return other == r })
}

func (r *record) text(key string) string { return text(r.fields[key]) }

func (r *record) number(key string) float64 { return numberOr(r.fields[key], 0) }

// stages returns the stages of a pipeline by their order.
func (c *crm) stages(pipeline string) []*record {
	stages := c.children(CRMStages, pipeline)
	slices.SortStableFunc(stages, func(x, y *record) int { return cmp.Compare(x.number("order"), y.number("order")) })
	return stages
}

func (c *crm) customField(entity, slug string) *record {
	for _, f := range c.tables[CRMCustomFields] {
		if f.text("entity") == entity && f.text("slug") == slug {
			return f
		}
	}
	return nil
}

func (c *crm) user(id string) *User {
	i := slices.IndexFunc(c.users, func(u User) bool { return u.ID == id })
	if i < 0 {
		return nil
	}
	return &c.users[i]
}

func (c *crm) userByToken(q *request) *User {
	value := q.query.Get("token")
	if body, valid := parseJSON(q.raw); value == "" && valid && strings.HasPrefix(q.http.URL.Path, "/api/v1/webhooks") {
		fields, _ := body.(object)
		value = text(fields["token"])
	}
	i := slices.IndexFunc(c.users, func(u User) bool { return u.Token == value && value != "" })
	if i < 0 {
		return nil
	}
	return &c.users[i]
}

// CRMUsers returns the users with their ids and tokens, those of the options and what New chose.
func (a *Account) CRMUsers() []User {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.crm.users)
}

// settle brings what follows from other fields up to date after a change.
func (a *Account) settle(r *record, before object, now time.Time) {
	switch r.entity {
	case CRMDeals:
		a.settleDeal(r, before, now)
	case CRMTasks:
		if r.fields["status"] != "completed" {
			r.fields["completed_at"] = nil
		} else if before["status"] != "completed" {
			r.fields["completed_at"] = utcTime(now)
		}
	case CRMDealProducts:
		a.settleDealProduct(r)
	case CRMNotes:
		if r.fields["registered_at"] == nil {
			r.fields["registered_at"] = utcTime(now)
		}
	case CRMCustomFields:
		if r.fields["slug"] == nil {
			r.fields["slug"] = slug(r.text("name"))
		}
	}
}

func slug(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			return c
		case c == ' ' || c == '-':
			return '_'
		default:
			return -1
		}
	}, strings.ToLower(name))
}

func (a *Account) settleDeal(r *record, before object, now time.Time) {
	f := r.fields
	if stage := a.crm.get(CRMStages, r.text("stage_id")); stage != nil {
		f["pipeline_id"] = stage.fields[parentKey]
	} else {
		if f["pipeline_id"] == nil {
			f["pipeline_id"] = a.crm.tables[CRMPipelines][0].id
		}
		if stages := a.crm.stages(r.text("pipeline_id")); len(stages) > 0 {
			f["stage_id"] = stages[0].id
		}
	}
	if f["stage_id"] != before["stage_id"] {
		past, _ := f[historyKey].([]object)
		if n := len(past); n > 0 {
			past[n-1]["end_date"] = localTime(now)
		}
		id := randomHex(24)
		f[historyKey] = append(past, object{"_id": id, "id": id, "deal_stage_id": f["stage_id"], "start_date": localTime(now), "end_date": nil})
	}
	closed := f["status"] == "won" || f["status"] == "lost"
	if !closed {
		f["closed_at"] = nil
	} else if f["closed_at"] == nil {
		f["closed_at"] = utcTime(now)
	}
	f["total_price"] = decimal(r.number("recurrence_price") + r.number("one_time_price"))
}

// settleDealProduct sums up a deal's products into its prices.
func (a *Account) settleDealProduct(r *record) {
	total := r.number("price") * r.number("quantity")
	if r.fields["discount_type"] == "percentage" {
		total -= total * r.number("discount") / 100
	} else {
		total -= r.number("discount")
	}
	r.fields["total_price"] = decimal(max(0, total))
	a.priceDeal(r.text(parentKey))
}

func (a *Account) priceDeal(id string) {
	deal := a.crm.get(CRMDeals, id)
	if deal == nil {
		return
	}
	once, monthly := 0.0, 0.0
	for _, product := range a.crm.children(CRMDealProducts, id) {
		if product.fields["billing_frequency"] == "monthly" {
			monthly += product.number("total_price")
		} else {
			once += product.number("total_price")
		}
	}
	deal.fields["one_time_price"], deal.fields["recurrence_price"] = decimal(once), decimal(monthly)
	deal.fields["total_price"] = decimal(once + monthly)
}

// decimal is a number that always has a fraction, as the CRM writes prices.
func decimal(f float64) json.Number {
	s := string(encodeJSON(f))
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return json.Number(s)
}

// touch tells webhooks of a record that is new or changed.
func (a *Account) touch(r *record, created bool) {
	action := "updated"
	if created {
		action = "created"
	}
	a.tellCRM(r, action)
}

// PutCRM adds a record of the CRM, or changes the one that has the id given in fields, and returns
// its id. It is what a user does in the product: webhooks hear of it. Keys are those of API v2,
// and created_at and updated_at (time.Time); stages have pipeline_id and maybe nickname, notes
// and products of deals have deal_id, and contacts may have owner_id, which decides who sees them
// in API v1. It panics if there is no such entity.
func (a *Account) PutCRM(entity Entity, fields map[string]any) (id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.crm.types[entity] == nil {
		panic("rdstationtest: the CRM has no " + string(entity))
	}
	given, now := plain(fields, utcTime), a.now()
	hide(entity, given)
	created, updated := parseOr(given["created_at"]), parseOr(given["updated_at"])
	delete(given, "created_at")
	delete(given, "updated_at")
	r := a.crm.get(entity, text(given["id"]))
	isNew := r == nil
	before := object{}
	switch {
	case isNew && entity == CRMPipelines:
		r = a.newPipeline(given, now)
	case isNew:
		r = a.crm.add(entity, given, now)
	default:
		before = maps.Clone(r.fields)
		delete(given, "id")
		maps.Copy(r.fields, given)
	}
	a.settle(r, before, now)
	r.updated = now
	if !created.IsZero() {
		r.created = created
		r.updated = cmp.Or(updated, created)
	}
	if !updated.IsZero() {
		r.updated = updated
	}
	a.touch(r, isNew)
	return r.id
}

// hide moves the keys that API v2 does not have to where no answer shows them.
func hide(entity Entity, fields object) {
	hidden := map[Entity]map[string]string{
		CRMStages: {"pipeline_id": parentKey, "nickname": nickKey}, CRMNotes: {"deal_id": parentKey},
		CRMDealProducts: {"deal_id": parentKey}, CRMContacts: {"owner_id": ownerKey},
	}
	for name, key := range hidden[entity] {
		if value, given := fields[name]; given {
			fields[key] = value
			delete(fields, name)
		}
	}
}

func parseOr(value any) time.Time {
	t, _ := parseTime(text(value))
	return t
}

// DeleteCRM removes a record as a user of the product does, which webhooks hear of. It returns
// false if there is none.
func (a *Account) DeleteCRM(entity Entity, id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.crm.get(entity, id)
	if r != nil {
		a.crm.remove(r)
		a.tellCRM(r, "deleted")
	}
	return r != nil
}
