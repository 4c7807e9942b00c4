package rdstationtest

import (
	"net/http"
	"slices"
	"time"
)

// crmRetries is how often the CRM repeats a delivery (sheet 7.4).
const crmRetries = 5

var hookEntities = []string{"deal", "contact", "organization", "task", "product", "campaign", "source", "lost_reason"}

func crmEvents() []string {
	events := []string{}
	for _, entity := range hookEntities {
		events = append(events, "crm_"+entity+"_created", "crm_"+entity+"_updated", "crm_"+entity+"_deleted")
	}
	return events
}

// tellCRM tells all subscriptions of an event, those of Marketing too (F56). The document is that
// of the moment; retries repeat it.
func (a *Account) tellCRM(r *record, action string) {
	entity := a.crm.types[r.entity].event
	if entity == "" {
		return
	}
	event := "crm_" + entity + "_" + action
	var body []byte
	for _, h := range a.hooks {
		if h.event != event || h.status != "active" {
			continue
		}
		if body == nil {
			body = encodeJSON(object{"event_name": event, "document": a.document(r, action), "transaction_uuid": randomUUID(),
				"event_timestamp": utcTime(a.now().Truncate(time.Second))})
		}
		a.send(&delivery{hook: h, url: h.url, event: event, retries: crmRetries, body: func(time.Time) []byte { return body }})
	}
}

// document is what a delivery says about a record (sheet 7.6).
func (a *Account) document(r *record, action string) object {
	switch {
	case action == "deleted":
		return object{"id": r.id, "name": r.fields["name"]}
	case r.entity == CRMDeals:
		return a.dealDocument(r)
	default:
		return a.renderCRM(r)
	}
}

func (a *Account) dealDocument(r *record) object {
	o := object{"id": r.id, "name": r.fields["name"], "amount_monthly": r.fields["recurrence_price"], "amount_unique": r.fields["one_time_price"],
		"amount_total": r.fields["total_price"], "prediction_date": r.fields["expected_close_date"], "created_at": localTime(r.created),
		"updated_at": localTime(r.updated), "rating": r.fields["rating"], "status": r.fields["status"], "closed_at": localOrNull(r.fields["closed_at"]),
		"user": object{}, "deal_stage": object{}, "deal_pipeline": a.named(CRMPipelines, r.text("pipeline_id")), "deal_source": a.named(CRMSources, r.text("source_id")),
		"campaign": a.named(CRMCampaigns, r.text("campaign_id")), "deal_lost_reason": a.named(CRMLostReasons, r.text("lost_reason_id")),
		"deal_custom_fields": a.customValues(r, "deal", false), "deal_products": a.dealProductsV1(r.id)}
	if user := a.crm.user(r.text("owner_id")); user != nil {
		o["user"] = object{"id": user.ID, "name": user.Name, "email": user.Email, "avatar_url": nil}
	}
	if stage := a.crm.get(CRMStages, r.text("stage_id")); stage != nil {
		o["deal_stage"] = object{"id": stage.id, "name": stage.fields["name"], "nickname": stage.fields[nickKey], "order": stage.fields["order"],
			"created_at": localTime(stage.created), "updated_at": localTime(stage.updated)}
	}
	return o
}

// named is {id,name} of a record, or an empty object.
func (a *Account) named(entity Entity, id string) object {
	if r := a.crm.get(entity, id); r != nil {
		return object{"id": r.id, "name": r.fields["name"]}
	}
	return object{}
}

// localOrNull turns a timestamp of API v2 into one of v1.
func localOrNull(value any) any {
	if at := parseOr(value); !at.IsZero() {
		return localTime(at)
	}
	return nil
}

// The administration of webhooks in API v2.

func (h *hook) renderV2() object {
	return object{"id": h.uuid, "name": h.name, "event_name": h.event, "http_method": "POST", "url": h.url, "status": h.status,
		"created_at": utcTime(h.created), "updated_at": utcTime(h.updated)}
}

func serveHooksV2(a *Account, q *request) reply {
	return crmPage(a, q, a.hooksOf(q), (*hook).renderV2)
}

func serveHookV2(a *Account, q *request) reply {
	h := a.findHook(q)
	if h == nil {
		return crmNotFound()
	}
	return ok(object{"data": h.renderV2()})
}

func serveDeleteHookV2(a *Account, q *request) reply {
	h := a.findHook(q)
	if h == nil {
		return crmNotFound()
	}
	a.removeHook(h)
	return reply{status: http.StatusNoContent}
}

func serveCreateHookV2(a *Account, q *request) reply {
	h := &hook{uuid: randomUUID(), surface: crmSurface, app: q.grant.app, status: "active", created: q.now}
	if refused := a.changeHookV2(h, q, true); refused != nil {
		return *refused
	}
	a.hooks = append(a.hooks, h)
	return reply{status: http.StatusCreated, body: object{"data": h.renderV2()}}
}

func servePutHookV2(a *Account, q *request) reply {
	h := a.findHook(q)
	if h == nil {
		return crmNotFound()
	}
	if refused := a.changeHookV2(h, q, false); refused != nil {
		return *refused
	}
	return ok(object{"data": h.renderV2()})
}

// changeHookV2 checks a body and takes it over. auth_header and auth_key come together or not at
// all (F47).
func (a *Account) changeHookV2(h *hook, q *request, all bool) *reply {
	data, refused := crmData(q)
	if refused != nil {
		return refused
	}
	problems := []object{}
	check := func(key string, valid func(string) bool) {
		value, given := data[key]
		if s := text(value); (given || all) && (s == "" || valid != nil && !valid(s)) {
			problems = append(problems, pathProblem("INVALID", "It is not valid", "data."+key))
		}
	}
	check("name", nil)
	check("event_name", func(s string) bool { return slices.Contains(crmEvents(), s) })
	check("http_method", func(s string) bool { return s == "POST" })
	check("url", deliverable)
	header, key := text(data["auth_header"]), text(data["auth_key"])
	if (header == "") != (key == "") || header != "" && !headerName(header) || !headerValue(key) {
		problems = append(problems, pathProblem("INVALID", "auth_header and auth_key come together", "data.auth_header"))
	}
	if status := text(data["status"]); status != "" && !slices.Contains([]string{"active", "suspended", "inactive"}, status) {
		problems = append(problems, pathProblem("INCLUSION", "It is not valid", "data.status"))
	}
	if len(problems) > 0 {
		answer := listed(http.StatusUnprocessableEntity, problems...)
		return &answer
	}
	set := func(field *string, value string) {
		if value != "" {
			*field = value
		}
	}
	set(&h.name, text(data["name"]))
	set(&h.event, text(data["event_name"]))
	set(&h.url, text(data["url"]))
	set(&h.authHeader, header)
	set(&h.authKey, key)
	if set(&h.status, text(data["status"])); h.status == "active" {
		h.failures = 0
	}
	h.updated = q.now
	return nil
}

func headerName(s string) bool {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != ""
}

func headerValue(s string) bool {
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// The administration of webhooks in API v1.

func serveCreateHookV1(a *Account, q *request) reply {
	h := &hook{uuid: randomUUID(), surface: crmV1Surface, status: "active", created: q.now}
	if refused := h.changeV1(q); refused != nil {
		return *refused
	}
	a.hooks = append(a.hooks, h)
	return ok(h.render(a))
}

func servePutHookV1(a *Account, q *request) reply {
	h := a.findHook(q)
	if h == nil {
		return notFound()
	}
	if refused := h.changeV1(q); refused != nil {
		return *refused
	}
	return ok(h.render(a))
}

func (h *hook) changeV1(q *request) *reply {
	body, _ := q.object()
	event, address, method := text(body["event_type"]), text(body["url"]), text(body["http_method"])
	if !slices.Contains(crmEvents(), event) || event == "crm_task_deleted" || !deliverable(address) || method != "POST" {
		refused := flat(http.StatusBadRequest, "INVALID", "It is not valid")
		return &refused
	}
	h.event, h.url, h.updated = event, address, q.now
	return nil
}

func serveDeleteHookV1(a *Account, q *request) reply {
	h := a.findHook(q)
	if h == nil {
		return notFound()
	}
	a.removeHook(h)
	return reply{status: http.StatusOK}
}
