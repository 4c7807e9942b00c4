package zapsigntest

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// webhook is a registration.
type webhook struct {
	account  *account
	id       int
	url      string
	kind     string
	docToken string
	headers  []webhookHeader
}

type webhookHeader struct {
	id          int
	name, value string
}

// Webhook is what a test can see of a registration, which clients cannot list.
type Webhook struct {
	ID       int
	URL      string
	Type     string // "" for the four basic events
	DocToken string // "" for the whole account
	Headers  map[string]string
}

// Webhooks returns the registrations of all accounts, oldest first.
func (a *API) Webhooks() []Webhook {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Webhook
	for _, w := range a.webhooks {
		out := Webhook{w.id, w.url, w.kind, w.docToken, map[string]string{}}
		for _, h := range w.headers {
			out.Headers[h.name] = h.value
		}
		all = append(all, out)
	}
	return all
}

// createWebhook is POST /user/company/webhook/ (F39, T20). Any type will do.
func (c *call) createWebhook() answer {
	w := &webhook{account: c.account, url: c.in.text("url"), kind: c.in.text("type"), docToken: c.in.text("doc_token")}
	headers := c.readHeaders()
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	address, err := url.Parse(w.url)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "" {
		return *refused("url inválida.")
	}
	w.id = c.nextID()
	c.attachHeaders(w, headers)
	c.webhooks = append(c.webhooks, w)
	return ok(map[string]int{"id": w.id})
}

func (a *API) nextID() int {
	a.lastID++
	return a.lastID
}

func (c *call) readHeaders() []webhookHeader {
	var headers []webhookHeader
	for _, in := range c.in.objects("headers") {
		headers = append(headers, webhookHeader{name: in.text("name"), value: in.text("value")})
	}
	return headers
}

func (c *call) attachHeaders(w *webhook, headers []webhookHeader) {
	for _, h := range headers {
		h.id = c.nextID()
		w.headers = append(w.headers, h)
	}
}

// webhook finds the registration that the body names.
func (c *call) webhook() (int, *answer) {
	id := c.in.id("id")
	if wrong := c.in.typeError(); wrong != nil {
		return 0, wrong
	}
	i := slices.IndexFunc(c.webhooks, func(w *webhook) bool { return w.account == c.account && strconv.Itoa(w.id) == id })
	if i < 0 {
		no := notFound()
		return 0, &no
	}
	return i, nil
}

// addWebhookHeaders is POST /user/company/webhook/header/, whose answer is not documented.
func (c *call) addWebhookHeaders() answer {
	headers := c.readHeaders()
	i, no := c.webhook()
	if no != nil {
		return *no
	}
	w := c.webhooks[i]
	if c.options.Quirks.ReplaceWebhookHeaders {
		w.headers = nil
	}
	c.attachHeaders(w, headers)
	return message(200, "OK")
}

// deleteWebhook is DELETE /user/company/webhook/delete/.
func (c *call) deleteWebhook() answer {
	i, no := c.webhook()
	if no != nil {
		return *no
	}
	c.webhooks = slices.Delete(c.webhooks, i, i+1)
	return text(200, "Webhook deletado com sucesso")
}

// deleteWebhookHeader is DELETE /user/company/webhook/header/delete/.
func (c *call) deleteWebhookHeader() answer {
	id := c.in.id("id")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	for _, w := range c.webhooks {
		i := slices.IndexFunc(w.headers, func(h webhookHeader) bool { return strconv.Itoa(h.id) == id })
		if i >= 0 && w.account == c.account {
			w.headers = slices.Delete(slices.Clone(w.headers), i, i+1)
			return message(200, "OK")
		}
	}
	return notFound()
}

// eventJSON is the payload of most events (F43): the Document and what the event adds.
type eventJSON struct {
	documentJSON
	EventType             string      `json:"event_type"`
	SignerWhoSigned       *signerJSON `json:"signer_who_signed,omitempty"`
	SignerWhoViewed       *signerJSON `json:"signer_who_viewed,omitempty"`
	SignerWhoRead         *signerJSON `json:"signer_who_read,omitempty"`
	CreatedSigner         *signerJSON `json:"created_signer,omitempty"`
	UnauthenticatedSigner *signerJSON `json:"unauthenticated_signer,omitempty"`
	ExpirationDate        string      `json:"expiration_date,omitempty"`
}

// bounceJSON is the payload of email_bounce (F48, T25).
type bounceJSON struct {
	Email      string  `json:"email"`
	Token      string  `json:"token"`
	Type       string  `json:"type"`
	Status     string  `json:"status"`
	StatusCode *string `json:"status_code"`
	Error      string  `json:"error"`
	Delivered  bool    `json:"delivered"`
	EventType  string  `json:"event_type"`
}

// emitDocument sends an event that is about the document alone.
func (a *API) emitDocument(d *document, event string) {
	d.remember(event, func() { a.emitDocument(d, event) })
	a.emit(d.account, d, event, eventJSON{documentJSON: a.renderForWebhook(d), EventType: event})
}

// emitExpiry sends the events of the deadline (T26).
func (a *API) emitExpiry(d *document, event string) {
	d.remember(event, func() { a.emitExpiry(d, event) })
	date := withFraction(d.deadline, "2006-01-02T15:04:05") + "+00:00"
	a.emit(d.account, d, event, eventJSON{documentJSON: a.renderForWebhook(d), EventType: event, ExpirationDate: date})
}

// emitSigner sends an event that is about a signer. Those that tell of a message have its kind.
func (a *API) emitSigner(s *signer, event, kind string) {
	d := s.document
	d.remember(event, func() { a.emitSigner(s, event, kind) })
	who := a.renderSigner(s)
	if kind != "" {
		who.notificationJSON = &notificationJSON{kind, s.sendVia, stamp(s.sentAt)}
	}
	payload := eventJSON{documentJSON: a.renderForWebhook(d), EventType: event}
	switch event {
	case "doc_signed":
		payload.SignerWhoSigned = &who
	case "doc_viewed":
		payload.SignerWhoViewed = &who
	case "doc_read_confirmation":
		payload.SignerWhoRead = &who
	default:
		payload.CreatedSigner = &who
	}
	a.emit(d.account, d, event, payload)
}

// remember keeps how to send the last doc_* event again (F23).
func (d *document) remember(event string, again func()) {
	if strings.HasPrefix(event, "doc_") {
		d.lastEvent = again
	}
}

// basicEvents are those that a registration without a type gets (F40).
var basicEvents = []string{"doc_created", "doc_signed", "doc_refused", "doc_deleted"}

// emit sends an event to all registrations that it concerns, to each on its own (F41).
func (a *API) emit(acc *account, d *document, event string, payload any) {
	for _, w := range a.webhooks {
		wanted := w.kind == event || w.kind == "" && slices.Contains(basicEvents, event)
		if wanted && w.concerns(acc, d) {
			a.deliver(w, d, event, payload)
		}
	}
}

func (w *webhook) concerns(acc *account, d *document) bool {
	return w.account == acc && (w.docToken == "" || d != nil && w.docToken == d.token)
}

// EmitUnknown sends a Document with any event_type to every address that has a registration for
// it, whatever its type, to test how receivers take what they do not know (F49). It panics if
// there is no such main document.
func (a *API) EmitUnknown(docToken, eventType string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.documents[docToken]
	if d == nil || d.parent != nil {
		panic("zapsigntest: no main document " + docToken)
	}
	told := map[string]bool{}
	for _, w := range a.webhooks {
		if w.concerns(d.account, d) && !told[w.url] {
			told[w.url] = true
			a.deliver(w, d, eventType, eventJSON{documentJSON: a.renderForWebhook(d), EventType: eventType})
		}
	}
}
