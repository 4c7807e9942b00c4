package rdstationtest

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// hook is a subscription: of Marketing, of the CRM v1 or of the CRM v2.
type hook struct {
	uuid        string
	surface     surface
	app         *app // of Marketing and CRM v2: who created it
	event       string
	entity      string
	url         string
	name        string
	identifiers []string
	relations   []string
	authHeader  string
	authKey     string
	status      string
	created     time.Time
	updated     time.Time
	failures    int
	gone        bool
}

var (
	marketingEvents = []string{"WEBHOOK.CONVERTED", "WEBHOOK.MARKED_OPPORTUNITY"}
	dealEvents      = []string{"crm_deal_created", "crm_deal_updated", "crm_deal_deleted"}
	relations       = []string{"COMPANY", "CONTACT_FUNNEL"}
)

func (h *hook) source() string {
	if strings.HasPrefix(h.event, "crm_") {
		return "CRM"
	}
	return "MKT"
}

// render is the object of Marketing and of the CRM v1 (sheet 7.1 and 7.6).
func (h *hook) render(a *Account) object {
	o := object{"uuid": h.uuid, "event_type": h.event, "event_identifiers": stringsOrNone(h.identifiers), "include_relations": stringsOrNone(h.relations),
		"http_method": "POST", "url": h.url, "source": h.source(), "status": h.status, "platform_account_id": a.options.AccountID,
		"created_at": utcTime(h.created), "updated_at": utcTime(h.updated)}
	if h.surface == crmV1Surface {
		o["created_via"], o["name"] = "api", nil
	} else {
		o["entity_type"] = h.entity
	}
	return o
}

func (a *Account) findHook(q *request) *hook {
	for _, h := range a.hooksOf(q) {
		if h.uuid == q.vars[0] {
			return h
		}
	}
	return nil
}

// hooksOf returns what the caller sees: subscriptions of its own surface and application only.
func (a *Account) hooksOf(q *request) []*hook {
	found := []*hook{}
	for _, h := range a.hooks {
		if h.surface == q.route.surface && (q.grant == nil || h.app == q.grant.app) {
			found = append(found, h)
		}
	}
	return found
}

func serveHooks(a *Account, q *request) reply {
	list := []object{}
	for _, h := range a.hooksOf(q) {
		o := h.render(a)
		if a.quirks.LowerCaseEvents {
			o["event_type"] = strings.ToLower(h.event)
		}
		list = append(list, o)
	}
	return ok(object{"webhooks": list})
}

func serveHook(a *Account, q *request) reply {
	h := a.findHook(q)
	if h == nil {
		return notFound()
	}
	return ok(h.render(a))
}

func serveDeleteHook(a *Account, q *request) reply {
	h := a.findHook(q)
	if h == nil {
		return notFound()
	}
	a.removeHook(h)
	return reply{status: http.StatusNoContent}
}

func (a *Account) removeHook(h *hook) {
	h.gone = true
	a.hooks = slices.DeleteFunc(a.hooks, func(other *hook) bool { return other == h })
}

// checkHook reads the body of POST and PUT: all four keys are required in both.
func (a *Account) checkHook(body object) (*hook, fieldErrors) {
	problems := fieldErrors{}
	for _, key := range []string{"event_type", "entity_type", "url", "http_method"} {
		if text(body[key]) == "" {
			problems.add(key, "CANNOT_BE_NULL", "Cannot be null.")
		}
	}
	h := &hook{event: text(body["event_type"]), entity: text(body["entity_type"]), url: text(body["url"])}
	if len(problems) > 0 {
		return h, problems
	}
	oneOf := func(key string, valid ...string) {
		if !slices.Contains(valid, text(body[key])) {
			problems.add(key, "MUST_BE_VALID_OPTION", "Must be one of the valid options.")
		}
	}
	events := marketingEvents
	if !a.options.CRMFree {
		events = append(slices.Clone(events), dealEvents...)
	}
	oneOf("event_type", events...)
	oneOf("entity_type", "CONTACT")
	oneOf("http_method", "POST")
	if !deliverable(h.url) {
		problems.add("url", "INVALID", "It is not valid")
	}
	h.identifiers = a.hookStrings(body, "event_identifiers", nil, problems)
	h.relations = a.hookStrings(body, "include_relations", relations, problems)
	if len(h.identifiers) > 0 && h.event != "WEBHOOK.CONVERTED" {
		problems.add("event_identifiers", "INVALID", "It is not valid")
	}
	return h, problems
}

func (a *Account) hookStrings(body object, key string, valid []string, problems fieldErrors) []string {
	texts, isArray := stringArray(body[key])
	if body[key] != nil && !isArray {
		problems.add(key, "MUST_BE_STRING_ARRAY", label(key)+" must be string array.")
	}
	for _, s := range texts {
		if valid != nil && !slices.Contains(valid, s) {
			problems.add(key, "MUST_BE_VALID_OPTION", "Must be one of the valid options.")
		}
	}
	return texts
}

// deliverable takes HTTPS, and plain HTTP to the loopback interface for tests' sake.
func deliverable(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

func (a *Account) duplicate(h *hook, surface surface, except *hook) bool {
	return !a.quirks.DuplicateHooksOK && slices.ContainsFunc(a.hooks, func(other *hook) bool {
		return other != except && other.surface == surface && other.url == h.url && other.event == h.event
	})
}

func taken() reply {
	problems := fieldErrors{}
	problems.add("url", "TAKEN", "Already in use")
	return problems.reply(http.StatusBadRequest)
}

// serveCreateHook calls the target before it stores anything; if that goes wrong the answer is
// 401, which is not about the token (F42). It runs without the lock.
func serveCreateHook(a *Account, q *request) reply {
	body, isObject := q.object()
	if !isObject {
		return malformed(marketingSurface)
	}
	h, problems := a.checkHook(body)
	if len(problems) > 0 {
		return problems.reply(http.StatusBadRequest)
	}
	a.mu.Lock()
	refused := a.duplicate(h, marketingSurface, nil)
	a.mu.Unlock()
	if refused {
		return taken()
	}
	if !a.validateTarget(h.url) {
		return invalidToken()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.duplicate(h, marketingSurface, nil) {
		return taken()
	}
	h.uuid, h.surface, h.app, h.status, h.created = randomUUID(), marketingSurface, q.grant.app, "active", a.now()
	h.updated = h.created
	a.hooks = append(a.hooks, h)
	status := http.StatusCreated
	if a.quirks.CreateWebhook200 {
		status = http.StatusOK
	}
	return reply{status: status, body: h.render(a)}
}

// validateTarget is the call that a new subscription's target must answer with 2xx (U5).
func (a *Account) validateTarget(address string) bool {
	entry := Delivery{URL: address, Event: "validation", Attempt: 1, At: a.Now(), Body: []byte("{}"), Outcome: Failed,
		Header: http.Header{"Content-Type": {"application/json"}}}
	entry.Status, entry.Err = a.post(address, entry.Header.Clone(), entry.Body)
	if good(entry.Status) {
		entry.Outcome = Delivered
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.record(entry)
	return entry.Outcome == Delivered
}

// servePutHook replaces everything but the identity.
func servePutHook(a *Account, q *request) reply {
	h := a.findHook(q)
	if h == nil {
		return notFound()
	}
	body, isObject := q.object()
	if !isObject {
		return malformed(marketingSurface)
	}
	changed, problems := a.checkHook(body)
	if len(problems) > 0 {
		return problems.reply(http.StatusBadRequest)
	}
	if a.duplicate(changed, marketingSurface, h) {
		return taken()
	}
	h.event, h.entity, h.url, h.identifiers, h.relations, h.updated = changed.event, changed.entity, changed.url, changed.identifiers, changed.relations, q.now
	return ok(h.render(a))
}
