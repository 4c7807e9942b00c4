package zapsigntest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Delivery is an attempt to deliver an event to a webhook.
type Delivery struct {
	ID            int // of the event at this registration; the same for all attempts
	WebhookID     int
	URL           string
	Event         string
	DocumentToken string // "" if the event is about no document
	Attempt       int    // from 1
	At            time.Time
	Status        int    // 0 if there was no answer
	Error         string // why there was none
	Body          []byte // that was sent; not to be changed
	Answer        []byte // the first kilobyte of it
	GivenUp       bool   // it failed and was the last attempt
}

// keptDeliveries bounds what [API.Deliveries] remembers.
const keptDeliveries = 10_000

// Deliveries returns the attempts so far, oldest first, up to the last ten thousand.
func (a *API) Deliveries() []Delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.deliveries)
}

// DeliveryFaultKind is what goes wrong with a delivery on the provider's side.
type DeliveryFaultKind uint8

// The kinds of faults of deliveries (F45).
const (
	LoseDelivery   DeliveryFaultKind = iota + 1 // it never happens
	RepeatDelivery                              // it happens DeliveryFault.Copies times more
	DelayDelivery                               // it happens DeliveryFault.Delay later, so that others overtake it
)

// DeliveryFault makes the delivery of some events go wrong, at each registration on its own.
type DeliveryFault struct {
	Event  string // "" for all
	Kind   DeliveryFaultKind
	After  int           // how many matching deliveries go well first
	Times  int           // how many go wrong then; 0 means 1, negative means all
	Copies int           // of RepeatDelivery; 2 if 0
	Delay  time.Duration // of DelayDelivery; 10 s if 0
}

// FaultDelivery plans a fault of deliveries. Of several that match the one planned first happens.
// It panics if there is no such kind.
func (a *API) FaultDelivery(fault DeliveryFault) {
	if fault.Kind == 0 || fault.Kind > DelayDelivery {
		panic("zapsigntest: no such kind of fault of deliveries")
	}
	fault.Times, fault.Copies, fault.Delay = orDefault(fault.Times, 1), orDefault(fault.Copies, 2), orDefault(fault.Delay, 10*time.Second)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost = append(a.lost, &fault)
}

func (a *API) takeDeliveryFault(event string) DeliveryFault {
	for i, fault := range a.lost {
		if fault.Event != "" && fault.Event != event {
			continue
		}
		if fault.After > 0 {
			fault.After--
			continue
		}
		due := *fault
		if fault.Times > 0 {
			if fault.Times--; fault.Times == 0 {
				a.lost = slices.Delete(a.lost, i, i+1)
			}
		}
		return due
	}
	return DeliveryFault{}
}

// parcel is an event on its way to a registration.
type parcel struct {
	id       int
	webhook  *webhook
	event    string
	docToken string
	payload  any
	attempt  int
}

// deliver has an event delivered, unless a fault has other plans.
func (a *API) deliver(w *webhook, d *document, event string, payload any) {
	a.lastParcel++
	p := parcel{id: a.lastParcel, webhook: w, event: event, payload: payload, attempt: 1}
	if d != nil {
		p.docToken = d.token
	}
	switch fault := a.takeDeliveryFault(event); fault.Kind {
	case LoseDelivery:
	case DelayDelivery:
		a.plan(a.now().Add(fault.Delay), func() { a.enqueue(p) })
	case RepeatDelivery:
		for range fault.Copies {
			a.enqueue(p)
		}
		a.enqueue(p)
	default:
		a.enqueue(p)
	}
}

// lane is the queue of what goes to one address: in order, one at a time. It has a goroutine while
// it is not empty.
type lane struct{ waiting []parcel }

func (a *API) enqueue(p parcel) {
	if a.closed {
		return
	}
	if a.pending == 0 {
		a.idle = make(chan struct{})
	}
	a.pending++
	if l := a.lanes[p.webhook.url]; l != nil {
		l.waiting = append(l.waiting, p)
		return
	}
	l := &lane{[]parcel{p}}
	a.lanes[p.webhook.url] = l
	a.running.Go(func() { a.drive(p.webhook.url, l) })
}

// drive delivers what is in a lane until it is empty.
func (a *API) drive(address string, l *lane) {
	for {
		a.mu.Lock()
		if len(l.waiting) == 0 {
			delete(a.lanes, address)
			a.mu.Unlock()
			return
		}
		p := l.waiting[0]
		l.waiting = l.waiting[1:]
		live := slices.Contains(a.webhooks, p.webhook)
		headers := slices.Clone(p.webhook.headers)
		a.mu.Unlock()
		var done Delivery
		if live {
			done = a.attempt(p, headers)
		}
		a.mu.Lock()
		if live {
			a.record(p, done)
		}
		if a.pending--; a.pending == 0 {
			close(a.idle)
		}
		a.mu.Unlock()
	}
}

// attempt sends an event once (F42 to F44).
func (a *API) attempt(p parcel, headers []webhookHeader) Delivery {
	done := Delivery{
		ID: p.id, WebhookID: p.webhook.id, URL: p.webhook.url, Event: p.event, DocumentToken: p.docToken, Attempt: p.attempt, At: a.now(),
		Body: pythonJSON(marshal(p.payload)),
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.webhook.account.Retry.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.webhook.url, bytes.NewReader(done.Body))
	if err != nil {
		done.Error = err.Error()
		return done
	}
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("Content-Type", typeJSON)
	r.Header.Set("User-Agent", "zapsigntest")
	if a.options.Quirks.BareDeliveries {
		r.Header.Del("Content-Type")
		r.Header["User-Agent"] = nil
	}
	for _, h := range headers {
		if strings.EqualFold(h.name, "Host") {
			r.Host = h.value
			continue
		}
		r.Header.Set(h.name, h.value)
	}
	// RoundTrip follows no redirects and sends no cookies.
	response, err := a.outgoing.Transport.RoundTrip(r)
	if err != nil {
		done.Error = err.Error()
		return done
	}
	defer response.Body.Close()
	done.Answer, err = io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	}
	if done.Status = response.StatusCode; err != nil {
		done.Status, done.Error = 0, err.Error()
	}
	return done
}

// record keeps an attempt and plans the next one if it failed.
func (a *API) record(p parcel, done Delivery) {
	a.stats.Deliveries++
	if done.Status != http.StatusOK {
		a.stats.Failed++
		retry := p.webhook.account.Retry
		done.GivenUp = p.attempt >= retry.Attempts
		if !done.GivenUp {
			p.attempt++
			a.plan(a.now().Add(retry.Wait), func() { a.enqueue(p) })
		}
	}
	a.deliveries = append(a.deliveries, done)
	if len(a.deliveries) > keptDeliveries {
		a.deliveries = slices.Clone(a.deliveries[keptDeliveries/10:])
	}
}

// Settle waits until no delivery is under way or due. Attempts that are planned for later do not
// count; [API.Advance] brings them about. It returns the error of ctx if that ends first.
func (a *API) Settle(ctx context.Context) error {
	for {
		a.mu.Lock()
		pending, idle := a.pending, a.idle
		a.mu.Unlock()
		if pending == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
