package bitrix24test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// EventMode says how events arrive. The zero value is a portal that is kind: each once, in order
// per address, with tokens (F62 and sheet 6.3 for what real ones do).
type EventMode struct {
	NoTokens      bool // no user can be tied to the changes: events of applications have no access token
	RefreshTokens bool // ordinary events of applications have a refresh token too
	Duplicate     bool // every event is sent twice
	Reverse       bool // of the events that wait for an address the newest goes first; each waits at least 50 ms
	Forge         bool // the application_token is wrong, as if somebody else had sent the event
}

// reverseWait is how long an event waits for younger ones to overtake it.
const reverseWait = 50 * time.Millisecond

// SetEventMode changes how events arrive from now on, those that wait already included.
func (p *Portal) SetEventMode(mode EventMode) {
	p.events.mu.Lock()
	defer p.events.mu.Unlock()
	p.events.mode = mode
}

// Delivery is one event that the portal sent. There is exactly one attempt (F56).
type Delivery struct {
	At      time.Time // when it was sent
	Event   string
	Address string
	Body    string // the form, with its tokens
	Status  int    // of the answer; 0 if there was none
	Err     error  // why there was no answer
	Lost    bool   // no answer, or one that is not 2xx
}

// Deliveries returns what the portal sent so far, the last 10 000 of it.
func (p *Portal) Deliveries() []Delivery {
	p.events.mu.Lock()
	defer p.events.mu.Unlock()
	return slices.Clone(p.events.log)
}

// Drain returns when no event is on its way any more, throttled ones included. Event handlers must
// not call it: the portal waits for them.
func (p *Portal) Drain() {
	e := &p.events
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.busy > 0 {
		e.idle.Wait()
	}
}

// Close ends all deliveries; what waits is lost. It returns when nothing of the portal runs any
// more. Without events on their way a portal has no goroutine, and need not be closed.
func (p *Portal) Close() {
	e := &p.events
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.end()
	p.Drain()
}

// eventForm is which of the shapes of sheet 6.3 an event has.
type eventForm uint8

const (
	appForm       eventForm = iota // tokens of who acted
	hookForm                       // outgoing webhook: no tokens, its own application token
	installForm                    // ONAPPINSTALL, ONAPPUPDATE: a refresh token too
	uninstallForm                  // ONAPPUNINSTALL: no tokens
	paymentForm                    // ONAPPPAYMENT: no application token either
	signalForm                     // ONOFFLINEEVENT: no data
)

// delivery is an event on its way to one address.
type delivery struct {
	event, address string
	handlerID      int
	data           *node
	form           eventForm
	userID         int    // whose tokens it carries; 0 for none
	token          string // application token of hookForm, and of an application that is gone
}

// lane is what waits for one address. A goroutine works on it while there is something.
type lane struct{ waiting []*delivery }

// send queues a delivery. The caller holds e.mu.
func (e *events) send(p *Portal, d *delivery) {
	l := e.lanes[d.address]
	if e.closed || l != nil && len(l.waiting) >= maxQueue {
		return
	}
	if l != nil {
		l.waiting = append(l.waiting, d)
		return
	}
	l = &lane{waiting: []*delivery{d}}
	e.lanes[d.address] = l
	e.spawn(func() { p.work(d.address, l) })
}

// spawn runs work that Drain waits for. The caller holds e.mu.
func (e *events) spawn(work func()) {
	e.busy++
	go func() {
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.busy--; e.busy == 0 {
				e.idle.Broadcast()
			}
		}()
		work()
	}()
}

// work sends what waits for an address, one after the other, until there is nothing.
func (p *Portal) work(address string, l *lane) {
	e := &p.events
	for {
		e.mu.Lock()
		if len(l.waiting) == 0 || e.closed {
			delete(e.lanes, address)
			e.mu.Unlock()
			return
		}
		delay := e.delay
		if e.mode.Reverse {
			delay = max(delay, reverseWait)
		}
		e.mu.Unlock()
		if fakehttp.Pause(e.life, delay) != nil {
			continue // the portal is closed
		}
		d, mode := e.next(l)
		p.deliver(d, mode)
		if mode.Duplicate {
			p.deliver(d, mode)
		}
	}
}

// next takes from a lane what is to be sent now. Only the lane's goroutine takes.
func (e *events) next(l *lane) (*delivery, EventMode) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, last := l.waiting[0], len(l.waiting)-1
	if e.mode.Reverse {
		d, l.waiting = l.waiting[last], l.waiting[:last]
	} else {
		l.waiting = l.waiting[1:]
	}
	return d, e.mode
}

// deliver makes the one attempt.
func (p *Portal) deliver(d *delivery, mode EventMode) {
	e := &p.events
	sent := Delivery{At: time.Now(), Event: d.event, Address: d.address}
	sent.Body = encodeForm(p.eventBody(d, mode))
	sent.Status, sent.Err = e.post(d.address, sent.Body)
	sent.Lost = sent.Err != nil || sent.Status < 200 || sent.Status > 299

	p.stats.event(sent.Lost)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.log) >= maxDeliveries {
		e.log = slices.Delete(e.log, 0, maxDeliveries/10)
	}
	e.log = append(e.log, sent)
}

// post sends a form and returns the status of the answer. It follows no redirect.
func (e *events) post(address, body string) (status int, err error) {
	ctx, cancel := context.WithTimeout(e.life, e.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("bitrix24test: event handler: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", "Bitrix24 Webhook Engine")
	response, err := e.transport.RoundTrip(request)
	if err != nil {
		return 0, fmt.Errorf("bitrix24test: event handler: %w", err)
	}
	defer response.Body.Close()
	io.CopyN(io.Discard, response.Body, 64<<10) // a handler's answer means nothing but its status
	return response.StatusCode, nil
}

// eventBody is the form of an event (sheet 6.3).
func (p *Portal) eventBody(d *delivery, mode EventMode) *node {
	now := time.Now().Unix()
	body := newArray()
	body.push("event", newText(d.event))
	if d.handlerID > 0 {
		body.push("event_handler_id", newText(strconv.Itoa(d.handlerID)))
	}
	if d.data != nil {
		body.push("data", d.data)
	}
	body.push("ts", newText(strconv.FormatInt(now, 10)))

	auth := newArray()
	set := func(key, value string) { auth.push(key, newText(value)) }
	tokens := Tokens{}
	withTokens := d.userID > 0 && (d.form == installForm || d.form == signalForm || d.form == appForm && !mode.NoTokens)
	if withTokens {
		tokens, withTokens = p.eventTokens(d.userID, d.form != appForm || mode.RefreshTokens)
	}
	if withTokens {
		set("access_token", tokens.AccessToken)
		set("expires", strconv.FormatInt(tokens.Expires, 10))
		set("expires_in", strconv.FormatInt(tokens.ExpiresIn, 10))
		scope := tokens.Scope
		if d.form == installForm {
			scope = strings.ReplaceAll(scope, ",", " ") // as the documentation of these events has it (Q34)
		}
		set("scope", scope)
	}
	base, oauth := p.endpoints()
	set("domain", p.Host())
	set("server_endpoint", oauth+"/rest/")
	if withTokens {
		set("status", tokens.Status)
	}
	set("client_endpoint", base+"/rest/")
	set("member_id", p.memberID)
	if withTokens {
		set("user_id", strconv.Itoa(tokens.UserID))
		if tokens.RefreshToken != "" {
			set("refresh_token", tokens.RefreshToken)
		}
	}
	if d.form != paymentForm {
		token := orDefault(d.token, p.ApplicationToken())
		if mode.Forge {
			token = randomHex(16)
		}
		set("application_token", token)
	}
	body.push("auth", auth)
	return body
}

// encodeForm writes an array as PHP's http_build_query does: bracket keys, nothing for empty
// arrays and null.
func encodeForm(n *node) string {
	return string(appendForm(nil, "", n))
}

func appendForm(dst []byte, prefix string, n *node) []byte {
	for i, key := range n.keys {
		if prefix != "" {
			key = prefix + "[" + key + "]"
		}
		switch item := n.items[i]; {
		case item.isArray():
			dst = appendForm(dst, key, item)
		case item.isNull():
		default:
			if len(dst) > 0 {
				dst = append(dst, '&')
			}
			text := item.text
			if item.kind == boolNode && text == "" {
				text = "0"
			}
			dst = append(append(append(dst, url.QueryEscape(key)...), '='), url.QueryEscape(text)...)
		}
	}
	return dst
}

// HandlerTransport returns a transport that hands requests to a handler in memory, whatever their
// address: as [Options].EventTransport it lets events arrive in a bubble of testing/synctest. The
// handler runs in the goroutine that sends, so one that waits longer than the sender should heed
// its request's context.
func HandlerTransport(handler http.Handler) http.RoundTripper {
	return fakehttp.Transport(handler, 0)
}
