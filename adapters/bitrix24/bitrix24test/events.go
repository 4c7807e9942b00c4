package bitrix24test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What happens to a record, as the names of events end.
const (
	verbAdd    = "ADD"
	verbUpdate = "UPDATE"
	verbDelete = "DELETE"
)

// actor is who changes something.
type actor struct {
	userID    int
	connector string // auth_connector of the call, which keeps its own changes out of that queue
}

func (c *call) actor() actor {
	who := actor{userID: c.request.credential.userID}
	if c.request.credential.app {
		who.connector = c.request.params.fold("auth_connector").string()
	}
	return who
}

// Bounds of what a portal keeps about events.
const (
	maxHandlers   = 1000
	maxDeliveries = 10_000  // that Deliveries tells about
	maxQueue      = 100_000 // deliveries or offline records that wait; more are lost
)

// events are who listens to the portal, and what is on its way to them.
type events struct {
	transport http.RoundTripper
	delay     time.Duration
	timeout   time.Duration
	life      context.Context // ends with the portal, and with it all deliveries
	end       context.CancelFunc

	mu       sync.Mutex // taken after the lock on the records and before that on the tokens
	idle     sync.Cond  // signalled when busy falls to 0
	busy     int        // goroutines that deliver or wait to
	closed   bool
	mode     EventMode
	handlers []eventHandler
	hooks    []outgoingHook
	lastID   int              // of handlers and hooks
	lanes    map[string]*lane // by address
	log      []Delivery
	queue    offlineQueue
	signals  map[int]*signal // of handlers of ONOFFLINEEVENT, by their ids
}

// eventHandler is what an application bound with event.bind.
type eventHandler struct {
	id        int
	event     string
	address   string // "" if offline
	userID    int    // whose tokens it gets; 0 for those of who acted
	offline   bool
	connector string
	interval  time.Duration // between two ONOFFLINEEVENT
}

// outgoingHook is an outgoing webhook.
type outgoingHook struct {
	id      int
	address string
	events  []string
	token   string
}

func (e *events) start(options Options) {
	e.transport, e.delay, e.timeout = options.EventTransport, options.EventDelay, orDefault(options.EventTimeout, 10*time.Second)
	if e.transport == nil {
		// A connection for each delivery leaves none behind.
		e.transport = &http.Transport{DisableKeepAlives: true, Proxy: nil}
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.idle.L = &e.mu
	e.lanes, e.signals, e.lastID = map[string]*lane{}, map[int]*signal{}, 195
	e.queue.open = map[string]*offlineRecord{}
}

// announce tells who listens that something happened to a record.
func (p *Portal) announce(verb string, t *entityType, id int64, by actor) {
	text, number := strconv.FormatInt(id, 10), strconv.Itoa(t.id)
	if !t.dynamic {
		p.emit(t.event+verb, text, fieldsData(texts("ID", text)), by)
		return
	}
	data := fieldsData(texts("ID", text, "ENTITY_TYPE_ID", number))
	p.emit(t.event+verb, number+":"+text, data, by)
	p.emit(t.event+verb+"_"+number, number+":"+text, data, by)
}

// announceMove tells that a deal went to another funnel.
func (p *Portal) announceMove(id int64, by actor) {
	text := strconv.FormatInt(id, 10)
	p.emit("ONCRMDEALMOVETOCATEGORY", text, fieldsData(texts("ID", text)), by)
}

// fieldsData is the usual data of an event.
func fieldsData(fields *node) *node {
	data := newArray()
	data.push("FIELDS", fields)
	return data
}

// AddActivity adds an activity, such as a call, to the timeline of a record: it moves the record's
// lastActivityTime but not its time of change (sheet 5.7), and makes ONCRMACTIVITYADD. It returns
// the activity's id. It panics if the record does not exist.
func (p *Portal) AddActivity(entityTypeID int, id int64) int64 {
	p.records.Lock()
	defer p.records.Unlock()
	t, r := p.table(entityTypeID), &record{}
	if !t.load(id, r) {
		panic("bitrix24test: AddActivity: entity type " + strconv.Itoa(entityTypeID) + " has no record " + strconv.FormatInt(id, 10))
	}
	p.amend(t, r, map[*field]any{t.typ.byUniversal["lastActivityTime"]: time.Now().Unix(), t.typ.byUniversal["lastActivityBy"]: int64(p.webhookUser)})
	p.activities++
	text := strconv.FormatInt(p.activities, 10)
	p.emit("ONCRMACTIVITYADD", text, fieldsData(texts("ID", text)), p.colleague())
	return p.activities
}

// emit hands an event about an object to all who listen to it, unless the application is not
// there or still being installed (F59): outgoing webhooks need no application.
func (p *Portal) emit(event, object string, data *node, by actor) {
	e := &p.events
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, hook := range e.hooks {
		if slices.Contains(hook.events, event) {
			e.send(p, &delivery{event: event, address: hook.address, handlerID: hook.id, data: data, form: hookForm, token: hook.token})
		}
	}
	if len(e.handlers) == 0 || !p.listening() {
		return
	}
	for _, h := range e.handlers {
		switch {
		case h.event != event:
		case !h.offline:
			user := h.userID
			if user == 0 {
				user = by.userID
			}
			e.send(p, &delivery{event: event, address: h.address, handlerID: h.id, data: data, form: appForm, userID: user})
		case h.connector == "" || h.connector != by.connector:
			e.queue.record(event, object, data, h.connector)
			e.signal(p)
		}
	}
}

// systemEvents are those that need no scope.
var systemEvents = []string{
	"ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT", "ONAPPMETHODCONFIRM", "ONAPPTEST", "ONOFFLINEEVENT",
}

// eventScopes are the scopes that have events, in order.
var eventScopes = []string{"", "crm", "user"}

// eventsOf returns the names of the events of a scope (sheet 6.2).
func (p *Portal) eventsOf(scope string) []string {
	switch scope {
	case "":
		return systemEvents
	case "user":
		return []string{"ONUSERADD"}
	case "crm":
	default:
		return nil
	}
	names := []string{"ONCRMDEALMOVETOCATEGORY"}
	verbs := []string{verbAdd, verbUpdate, verbDelete}
	add := func(prefix string, endings ...string) {
		for _, ending := range endings {
			names = append(names, prefix+ending)
		}
	}
	for _, kind := range []string{"LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE"} {
		add("ONCRM"+kind, verbs...)
		add("ONCRM"+kind+"USERFIELD", append(verbs, "SETENUMVALUES")...)
	}
	for _, kind := range []string{"DYNAMICITEM", "TYPE", "ACTIVITY", "REQUISITE", "TIMELINECOMMENT", "PRODUCT", "CURRENCY"} {
		add("ONCRM"+kind, verbs...)
	}
	add("ONCRMDYNAMICITEM", "ADD_31", "UPDATE_31", "DELETE_31")
	for _, t := range p.smartTypes {
		number := strconv.Itoa(t.EntityTypeID)
		add("ONCRMDYNAMICITEM", "ADD_"+number, "UPDATE_"+number, "DELETE_"+number)
	}
	return names
}

// hasEvent tells whether the application may bind an event, which its scopes decide.
func (p *Portal) hasEvent(name string) bool {
	for _, scope := range eventScopes {
		if (scope == "" || p.granted(scope)) && slices.Contains(p.eventsOf(scope), name) {
			return true
		}
	}
	return false
}

// AddOutgoingWebhook adds an outgoing webhook, as somebody does by hand in the portal: events with
// these names go to the address, without tokens. It returns the webhook's application token.
func (p *Portal) AddOutgoingWebhook(address string, names ...string) (applicationToken string) {
	for i, name := range names {
		names[i] = strings.ToUpper(name)
	}
	e := &p.events
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lastID++
	hook := outgoingHook{id: e.lastID, address: address, events: slices.Clone(names), token: randomHex(16)}
	e.hooks = append(e.hooks, hook)
	return hook.token
}

// RemoveOutgoingWebhooks removes all outgoing webhooks.
func (p *Portal) RemoveOutgoingWebhooks() {
	p.events.mu.Lock()
	defer p.events.mu.Unlock()
	p.events.hooks = nil
}
