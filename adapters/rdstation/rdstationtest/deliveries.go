package rdstationtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Outcome is what became of an attempt to deliver a webhook.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered" // 2xx in time
	Retrying  Outcome = "retrying"  // anything else; another attempt follows
	Failed    Outcome = "failed"    // the last attempt, or one that is never repeated
)

// Delivery is one attempt to deliver a webhook, or the validation call of a new one.
type Delivery struct {
	ID      int    // of this attempt; for [Account.RepeatDelivery]
	Webhook string // uuid of the subscription; "" for validation calls and the legacy payload
	URL     string
	Event   string // event type or name; "validation" and "leads" for those two
	Attempt int    // from 1
	At      time.Time
	Status  int   // 0 if there was no answer
	Err     error // why there was none
	Outcome Outcome
	Header  http.Header
	Body    []byte
}

// maxLog bounds how many attempts are remembered.
const maxLog = 10_000

// delivery is an event on its way to one subscription.
type delivery struct {
	hook    *hook // nil for the legacy payload
	url     string
	event   string
	body    func(now time.Time) []byte
	retries int
	attempt int
}

func webhookClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// post sends a body and waits no longer than a receiver may take.
func (a *Account) post(address string, header http.Header, body []byte) (status int, err error) {
	ctx, cancel := context.WithTimeout(a.background, a.options.WebhookTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header = header
	response, err := a.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)); err != nil {
		return 0, err
	}
	return response.StatusCode, nil
}

func good(status int) bool { return status >= 200 && status < 300 }

// send starts a delivery, or puts it aside while deliveries are held.
func (a *Account) send(d *delivery) {
	if a.holding {
		a.held = append(a.held, d)
		return
	}
	a.schedule(a.now(), func() { a.attempt(d) })
}

// attempt sends a delivery once and plans the next attempt if that fails (F45).
func (a *Account) attempt(d *delivery) {
	a.mu.Lock()
	if d.hook != nil && (d.hook.gone || d.hook.status != "active") {
		a.mu.Unlock()
		return
	}
	d.attempt++
	a.stats.counts.Deliveries++
	entry := Delivery{URL: d.url, Event: d.event, Attempt: d.attempt, At: a.now(), Header: http.Header{"Content-Type": {"application/json"}}}
	if d.hook != nil {
		entry.Webhook = d.hook.uuid
		if d.hook.authHeader != "" {
			entry.Header.Set(d.hook.authHeader, d.hook.authKey)
		}
	}
	entry.Body = d.body(entry.At)
	a.mu.Unlock()

	entry.Status, entry.Err = a.post(d.url, entry.Header.Clone(), entry.Body)

	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case good(entry.Status):
		entry.Outcome = Delivered
	case d.attempt <= d.retries && !a.closed:
		entry.Outcome = Retrying
		delays := a.options.RetryDelays
		a.schedule(a.now().Add(delays[min(d.attempt, len(delays))-1]), func() { a.attempt(d) })
	default:
		entry.Outcome = Failed
	}
	if d.hook != nil && entry.Outcome != Retrying {
		a.suspend(d.hook, entry.Outcome == Failed)
	}
	a.record(entry)
}

// suspend counts the failures of a CRM webhook in a row and switches it off after too many (F47).
func (a *Account) suspend(h *hook, failed bool) {
	if !failed {
		h.failures = 0
		return
	}
	h.failures++
	if a.options.SuspendAfter > 0 && h.failures >= a.options.SuspendAfter && h.surface != marketingSurface {
		h.status = "suspended"
	}
}

func (a *Account) record(entry Delivery) {
	a.lastID++
	entry.ID = a.lastID
	if len(a.log) >= maxLog {
		a.log = slices.Delete(a.log, 0, maxLog/10)
	}
	a.log = append(a.log, entry)
}

// Deliveries returns the attempts to deliver webhooks so far, the last ten thousand at most.
func (a *Account) Deliveries() []Delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.log)
}

// HoldDeliveries keeps deliveries back until [Account.ReleaseDeliveries].
func (a *Account) HoldDeliveries() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holding = true
}

// ReleaseDeliveries sends what was held back, one after the other: in the order in which it
// happened or, if reversed, the last one first (F49). It returns when their first attempts are over.
func (a *Account) ReleaseDeliveries(reversed bool) {
	a.mu.Lock()
	held := a.held
	a.held, a.holding = nil, false
	a.mu.Unlock()
	if reversed {
		slices.Reverse(held)
	}
	for _, d := range held {
		a.attempt(d)
	}
}

// RepeatDelivery sends the same bytes again, once, as happens to receivers that answer slowly
// (F49). It returns when the attempt is over, and false if no attempt has that id.
func (a *Account) RepeatDelivery(id int) bool {
	a.mu.Lock()
	i := slices.IndexFunc(a.log, func(d Delivery) bool { return d.ID == id })
	if i < 0 || a.closed {
		a.mu.Unlock()
		return false
	}
	entry := a.log[i]
	entry.At = a.now()
	entry.Attempt++
	a.stats.counts.Deliveries++
	a.running++
	a.mu.Unlock()

	entry.Status, entry.Err = a.post(entry.URL, entry.Header.Clone(), entry.Body)
	if entry.Outcome = Failed; good(entry.Status) {
		entry.Outcome = Delivered
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	a.record(entry)
	a.running--
	a.settled.Broadcast()
	return true
}

// tellContact tells the subscriptions of Marketing about a contact. The profile they get is the
// one at the time of sending, not that of the event (sheet 7.2).
func (a *Account) tellContact(event, identifier string, lead *contact, at time.Time) {
	for _, h := range a.hooks {
		if h.surface != marketingSurface || h.event != event || h.status != "active" ||
			event == "WEBHOOK.CONVERTED" && len(h.identifiers) > 0 && !slices.Contains(h.identifiers, identifier) {
			continue
		}
		a.send(&delivery{hook: h, url: h.url, event: event, retries: a.retries(), body: func(now time.Time) []byte {
			return encodeJSON(object{"event_type": event, "entity_type": "CONTACT", "event_identifier": identifier,
				"timestamp": localTime(now), "event_timestamp": localTime(at), "contact": a.hookContact(h, lead)})
		}})
	}
}

func (a *Account) retries() int {
	if a.quirks.FiveRetries {
		return 5
	}
	return 3
}

// hookContact is the contact of a delivery, with the relations that were asked for (F44).
func (a *Account) hookContact(h *hook, lead *contact) object {
	o := a.profile(lead)
	for key, value := range o {
		if custom := a.customField(key); custom != nil && len(custom.options) > 0 && custom.dataType == "STRING" {
			o[key] = []any{value} // option fields come as arrays
		}
	}
	if slices.Contains(h.relations, "COMPANY") {
		o["company"] = object{"name": lead.company}
	}
	if slices.Contains(h.relations, "CONTACT_FUNNEL") {
		f := lead.funnel.render()
		f["name"], f["origin"] = "default", lead.funnel.origin
		o["funnel"] = f
	}
	return o
}

// SendLeads posts contacts in the legacy payload, as webhooks 1.x and workflow actions do (sheet
// 7.3, F48). It panics if there is no contact with such a uuid.
func (a *Account) SendLeads(url string, uuids ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	leads := []object{}
	for _, uuid := range uuids {
		lead := a.contacts.byUUID[uuid]
		if lead == nil {
			panic("rdstationtest: no contact has the uuid " + uuid)
		}
		leads = append(leads, a.legacyLead(lead))
	}
	body := encodeJSON(object{"leads": leads})
	a.send(&delivery{url: url, event: "leads", retries: a.retries(), body: func(time.Time) []byte { return body }})
}

// legacyLead has numbers and booleans as strings, and custom fields by their names.
func (a *Account) legacyLead(lead *contact) object {
	o := object{"id": fmt.Sprint(lead.legacyN), "uuid": lead.uuid, "email": lead.email, "company": lead.company, "opportunity": fmt.Sprint(lead.funnel.opportunity),
		"created_at": legacyTime(lead.created), "user": lead.funnel.owner, "lead_stage": lead.funnel.stage, "fit_score": lead.funnel.fit,
		"interest": lead.funnel.interest, "tags": lead.tags}
	for _, key := range profileKeys {
		o[key] = text(lead.fields[key])
	}
	custom := object{}
	for _, f := range a.fields {
		if value, given := lead.fields[f.identifier]; given && f.custom {
			custom[text(f.label["pt-BR"])] = value
		}
	}
	o["custom_fields"] = custom
	conversions := []event{}
	for _, e := range lead.events {
		if e.kind == "CONVERSION" {
			conversions = append(conversions, e)
		}
	}
	o["number_conversions"] = fmt.Sprint(len(conversions))
	if n := len(conversions); n > 0 {
		o["first_conversion"], o["last_conversion"] = legacyConversion(lead, conversions[0], 1), legacyConversion(lead, conversions[n-1], n)
	}
	return o
}

func legacyConversion(lead *contact, e event, sum int) object {
	return object{"content": object{"identificador": e.identifier, "email_lead": lead.email}, "created_at": legacyTime(e.at),
		"cumulative_sum": fmt.Sprint(sum), "source": "Desconhecido",
		"conversion_origin": object{"source": "unknown", "medium": "unknown", "value": "", "campaign": "", "channel": "Unknown"}}
}

func legacyTime(t time.Time) string { return t.In(brasilia).Format("2006-01-02T15:04:05-07:00") }
