package rdstationtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const maxEventBody = 200_000 // sheet 6.1: 0.2 MB

// serveEvents takes one event. The body decides about its type, whatever the query says (2.5).
func serveEvents(a *Account, q *request) reply {
	if refused := a.checkSize(q); refused != nil {
		return *refused
	}
	return a.oneEvent(q)
}

func (a *Account) oneEvent(q *request) reply {
	body, isObject := q.object()
	if !isObject {
		return malformed(marketingSurface)
	}
	if refused := a.checkEvent(body, "$"); refused != nil {
		return *refused
	}
	if refused := a.limitEvents(q, body); refused != nil {
		return *refused
	}
	return ok(object{"event_uuid": a.accept(body, q.now)})
}

// serveConversions is the same with an API key, for conversions only (F38).
func serveConversions(a *Account, q *request) reply { return cors(a.conversion(q)) }

func (a *Account) conversion(q *request) reply {
	if refused := a.checkSize(q); refused != nil {
		return *refused
	}
	if q.key.OfCRM {
		return listed(http.StatusBadRequest, problem("UNABLE_TO_LOAD_CDP_SCHEMA", "Unable to load schema for tenant_id '575000000000000001'"))
	}
	if body, _ := q.object(); text(body["event_type"]) != "CONVERSION" {
		return a.unknownType("$", []string{"CONVERSION"})
	}
	return a.oneEvent(q)
}

// serveBatch takes many events or, if one of them is invalid, none (U12).
func serveBatch(a *Account, q *request) reply {
	if refused := a.checkSize(q); refused != nil {
		return *refused
	}
	list, isArray := q.body.([]any)
	if !isArray || len(list) == 0 {
		return malformed(marketingSurface)
	}
	bodies := []object{}
	for i, item := range list {
		body, _ := item.(object)
		if refused := a.checkEvent(body, fmt.Sprintf("$[%d]", i)); refused != nil {
			return *refused
		}
		bodies = append(bodies, body)
	}
	if refused := a.limitEvents(q, bodies...); refused != nil {
		return *refused
	}
	uuids := []object{}
	for _, body := range bodies {
		uuids = append(uuids, object{"event_uuid": a.accept(body, q.now)})
	}
	return ok(object{"event_batch_uuid": randomUUID(), "events": uuids})
}

func (a *Account) checkSize(q *request) *reply {
	if len(q.raw) <= maxEventBody {
		return nil
	}
	status := http.StatusRequestEntityTooLarge
	if a.quirks.LargeEvents400 {
		status = http.StatusBadRequest
	}
	refused := flat(status, "TOO_LONG", "Is too long (maximum 200000 bytes)")
	return &refused
}

// limitEvents counts events against the limits of their leads.
func (a *Account) limitEvents(q *request, bodies ...object) *reply {
	for _, body := range bodies {
		payload, _ := body["payload"].(object)
		lead := orDefault(a.email(text(payload["email"])), text(payload["phone"]))
		if refused := a.takeLimits(q, []limitKey{{LimitEventsLead, lead}}); refused != nil {
			return refused
		}
	}
	return nil
}

// accept takes an event that was checked. Its effect may come later (F32).
func (a *Account) accept(body object, now time.Time) (uuid string) {
	a.stats.counts.Events++
	if a.options.ProcessingDelay == 0 {
		a.process(body, now)
	} else {
		a.schedule(now.Add(a.options.ProcessingDelay), func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.process(body, now)
		})
	}
	return randomUUID()
}

// process gives an event its effect; at is when it was accepted.
func (a *Account) process(body object, at time.Time) {
	payload, _ := body["payload"].(object)
	kind := text(body["event_type"])
	lead := a.eventLead(payload)
	switch kind {
	case "OPPORTUNITY", "SALE", "OPPORTUNITY_LOST":
		if lead != nil { // for others they are lost (F35)
			a.qualify(lead, kind, payload, at)
		}
		return
	}
	if lead == nil {
		if a.full() {
			return
		}
		lead = a.newContact(text(payload["email"]), text(payload["phone"]), at)
	}
	kept := a.takeProfile(lead, payload, kind == "CONVERSION")
	a.contacts.version++
	if kind != "CONVERSION" {
		lead.events = append(lead.events, event{kind: kind, identifier: text(payload["identifier"]), at: at, payload: kept})
		return
	}
	identifier := text(payload["conversion_identifier"])
	lead.events = append(lead.events, event{kind: kind, identifier: identifier, at: at, payload: kept})
	if at.After(lead.lastConversion) {
		lead.lastConversion = at
	}
	a.tellContact("WEBHOOK.CONVERTED", identifier, lead, at)
}

func (a *Account) eventLead(payload object) *contact {
	if email := a.email(text(payload["email"])); email != "" {
		return a.find(identifier{"email", email})
	}
	return a.find(identifier{"phone", text(payload["phone"])})
}

// qualify marks, sells or unmarks.
func (a *Account) qualify(lead *contact, kind string, payload object, at time.Time) {
	lead.events = append(lead.events, event{kind: kind, identifier: "default", at: at, payload: payload})
	switch kind {
	case "OPPORTUNITY":
		a.moveFunnel(lead, lead.funnel.stage, true, at, !a.quirks.QuietAPIMarks)
	case "SALE":
		lead.funnel.sales = append(lead.funnel.sales, sale{at, numberOr(payload["value"], 0)})
	case "OPPORTUNITY_LOST":
		a.moveFunnel(lead, lead.funnel.stage, false, at, false)
	}
}

// takeProfile writes the keys that contacts have, drops all others (F33), and returns what stays
// of the payload.
func (a *Account) takeProfile(lead *contact, payload object, customFields bool) (kept object) {
	kept = object{}
	for key, value := range payload {
		switch {
		case key == "tags":
			tags, _ := stringArray(value)
			lead.addTags(tags)
		case key == "legal_bases":
			lead.legalBases, _ = value.([]any)
		case key == "available_for_mailing":
			lead.mailing, _ = value.(bool)
		case key == "company_name":
			lead.company = text(value)
		case slices.Contains(profileKeys, key) || customFields && a.customField(key) != nil:
			if !empty(value) {
				lead.fields[key] = value
			}
		case key == "email", slices.Contains(plainKeys, key), !strings.HasPrefix(key, "cf_") && !customFields:
		default:
			continue
		}
		kept[key] = value
	}
	return kept
}

// Convert is a visitor who converts on a page of the account, and returns the contact's uuid:
// webhooks hear of it. payload has the optional keys of a CONVERSION; nil for none.
func (a *Account) Convert(email, conversionIdentifier string, payload map[string]any) (uuid string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body := plain(payload, localTime)
	if body == nil {
		body = object{}
	}
	body["email"], body["conversion_identifier"] = email, conversionIdentifier
	a.process(object{"event_type": "CONVERSION", "payload": body}, a.now())
	if lead := a.eventLead(body); lead != nil {
		return lead.uuid
	}
	return ""
}
