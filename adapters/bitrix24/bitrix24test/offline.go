package bitrix24test

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// reservationLife is how long a reserved set stays in the queue (sheet 3.3).
const reservationLife = 30 * 24 * time.Hour

// offlineQueue holds the offline events of the application. It is like a state: changes of one
// object by one event are one record with the latest time.
type offlineQueue struct {
	records []*offlineRecord          // in order of their ids
	open    map[string]*offlineRecord // those that nobody has reserved, by connector, event and object
	lastID  int64
}

type offlineRecord struct {
	id        int64
	at        time.Time
	event     string
	data      *node
	connector string
	key       string
	process   string // "" until somebody reserves it
	reserved  time.Time
	failed    bool
}

// record keeps an event.
func (q *offlineQueue) record(event, object string, data *node, connector string) {
	key := strings.Join([]string{connector, event, object}, "\x00")
	if r := q.open[key]; r != nil {
		r.at, r.data = time.Now(), data
		return
	}
	if len(q.records) >= maxQueue {
		return
	}
	q.lastID++
	r := &offlineRecord{id: q.lastID, at: time.Now(), event: event, data: data, connector: connector, key: key}
	q.records, q.open[key] = append(q.records, r), r
}

// reserve hides a record from other readers.
func (q *offlineQueue) reserve(r *offlineRecord, process string) {
	if q.open[r.key] == r {
		delete(q.open, r.key)
	}
	r.process, r.reserved = process, time.Now()
}

// remove deletes the records that drop tells.
func (q *offlineQueue) remove(drop func(*offlineRecord) bool) {
	q.records = slices.DeleteFunc(q.records, func(r *offlineRecord) bool {
		gone := drop(r)
		if gone && q.open[r.key] == r {
			delete(q.open, r.key)
		}
		return gone
	})
}

func (q *offlineQueue) expire() {
	oldest := time.Now().Add(-reservationLife)
	q.remove(func(r *offlineRecord) bool { return r.process != "" && !r.reserved.After(oldest) })
}

// signal is the throttle of one handler of ONOFFLINEEVENT.
type signal struct {
	last    time.Time // when the last one was due
	pending bool      // one waits for its time
}

// signal tells the handlers of ONOFFLINEEVENT that there are new records, each at most once in its
// interval. The caller holds e.mu.
func (e *events) signal(p *Portal) {
	for _, h := range e.handlers {
		if h.event != "ONOFFLINEEVENT" {
			continue
		}
		s := e.signals[h.id]
		if s == nil {
			s = &signal{}
			e.signals[h.id] = s
		}
		user := orDefault(h.userID, p.userID)
		d := &delivery{event: h.event, address: h.address, form: signalForm, userID: user}
		wait := h.interval - time.Since(s.last)
		switch {
		case s.pending || e.closed:
		case s.last.IsZero() || wait <= 0:
			s.last = time.Now()
			e.send(p, d)
		default:
			s.pending = true
			e.spawn(func() {
				ended := fakehttp.Pause(e.life, wait) != nil
				e.mu.Lock()
				defer e.mu.Unlock()
				s.pending, s.last = false, time.Now()
				if !ended {
					e.send(p, d)
				}
			})
		}
	}
}

// offlineQueue locks the queue for an administrator's call.
func (c *call) offlineQueue() (q *offlineQueue, unlock func(), err *restError) {
	if !c.isAdmin() {
		return nil, nil, accessDenied("")
	}
	e := &c.portal.events
	e.mu.Lock()
	e.queue.expire()
	return &e.queue, e.mu.Unlock, nil
}

// offlineGet is event.offline.get: it takes records out of the queue, or with clear=0 reserves
// them under a process id. With a process id it reads that set again.
func offlineGet(c *call, dst []byte) ([]byte, page, *restError) {
	q, unlock, err := c.offlineQueue()
	if err != nil {
		return dst, page{}, err
	}
	defer unlock()
	clear := c.params.fold("clear") == nil || c.params.fold("clear").number() != 0
	if !clear && c.portal.quirks.NoReservations {
		return dst, page{}, &restError{403, "WRONG_LICENSE", "This feature is not enabled for the current license: extended offline events handling"}
	}
	limit := int64(pageSize)
	if given := c.params.fold("limit"); given != nil {
		if limit = given.number(); limit <= 0 {
			return dst, page{}, argumentError("Value must be positive integer")
		}
	}
	process := strings.TrimSpace(c.params.fold("process_id").string())
	reread, failed := process != "", c.params.fold("error").number() == 1
	chosen := c.offlineRows(q, "TIMESTAMP_X", func(r *offlineRecord) bool {
		if r.failed != failed {
			return false
		}
		return r.process == process || failed && !reread
	})
	chosen = chosen[:min(int64(len(chosen)), limit)]
	if !reread && !clear {
		process = randomHex(16)
		for _, r := range chosen {
			q.reserve(r, process)
		}
	}
	dst = append(dst, `{"process_id":`...)
	if process == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, process, c.portal.quirks.EscapeJSON)
	}
	dst = c.appendOffline(append(dst, `,"events":`...), chosen, false)
	if clear {
		q.remove(func(r *offlineRecord) bool { return slices.Contains(chosen, r) })
	}
	return append(dst, '}'), page{}, nil
}

// offlineList is event.offline.list: it shows the queue and changes nothing.
func offlineList(c *call, dst []byte) ([]byte, page, *restError) {
	q, unlock, err := c.offlineQueue()
	if err != nil {
		return dst, page{}, err
	}
	defer unlock()
	rows := c.offlineRows(q, "ID", func(*offlineRecord) bool { return true })
	total := int64(len(rows))
	start := max(c.params.fold("start").number(), 0) / pageSize * pageSize
	rows = rows[min(start, total):min(start+pageSize, total)]
	extras := page{hasTotal: true, total: total, hasNext: start+pageSize < total, next: start + pageSize}
	return c.appendOffline(dst, rows, true), extras, nil
}

// offlineClear is event.offline.clear: it acknowledges a reserved set or a part of it.
func offlineClear(c *call, dst []byte) ([]byte, page, *restError) {
	return c.settle(dst, false)
}

// offlineError is event.offline.error: it marks records of a reserved set as failed.
func offlineError(c *call, dst []byte) ([]byte, page, *restError) {
	return c.settle(dst, true)
}

func (c *call) settle(dst []byte, failed bool) ([]byte, page, *restError) {
	q, unlock, err := c.offlineQueue()
	if err != nil {
		return dst, page{}, err
	}
	defer unlock()
	process := strings.TrimSpace(c.params.fold("process_id").string())
	ids, messages := c.params.fold("id"), c.params.fold("message_id")
	switch {
	case process == "":
		return dst, page{}, missingArgument("PROCESS_ID")
	case failed && !messages.isArray() || messages != nil && !messages.isArray():
		return dst, page{}, argumentError("Value must be array of MESSAGE_ID values")
	case !failed && ids != nil && !ids.isArray():
		return dst, page{}, argumentError("Value must be array of integers")
	}
	connector, wanted := c.connector(), messages
	if !failed && ids != nil {
		wanted = ids // the ids count, not the messages
	}
	chosen := func(r *offlineRecord) bool {
		if r.process != process || r.connector != connector {
			return false
		}
		return wanted == nil || slices.ContainsFunc(wanted.items, func(id *node) bool { return id.number() == r.id })
	}
	if !failed {
		q.remove(chosen)
		return append(dst, "true"...), page{}, nil
	}
	for _, r := range q.records {
		r.failed = r.failed || chosen(r)
	}
	return append(dst, "true"...), page{}, nil
}

// offlineFields are what filters and orders of the queue know.
var offlineFields = []string{"ID", "TIMESTAMP_X", "EVENT_NAME", "MESSAGE_ID", "PROCESS_ID", "ERROR"}

// value returns what a filter or order compares: a number or a text.
func (r *offlineRecord) value(name string) (int64, string) {
	switch name {
	case "TIMESTAMP_X":
		return r.at.Unix(), ""
	case "EVENT_NAME":
		return 0, strings.ToLower(r.event)
	case "PROCESS_ID":
		return 0, r.process
	case "ERROR":
		return truth(r.failed), ""
	default:
		return r.id, "" // MESSAGE_ID is the same number
	}
}

// offlineRows returns the records of the call's connector that fit both wanted and the call's
// filter, in the call's order.
func (c *call) offlineRows(q *offlineQueue, order string, wanted func(*offlineRecord) bool) []*offlineRecord {
	connector, conditions := c.connector(), c.offlineFilter()
	rows := []*offlineRecord{}
	for _, r := range q.records {
		fits := r.connector == connector && wanted(r)
		for _, condition := range conditions {
			fits = fits && condition(r)
		}
		if fits {
			rows = append(rows, r)
		}
	}
	keys, given := []string{order}, c.params.fold("order")
	down := map[string]bool{}
	if given.isArray() && len(given.keys) > 0 {
		keys = nil
		for i, key := range given.keys {
			if key = strings.ToUpper(key); slices.Contains(offlineFields, key) {
				keys = append(keys, key)
				down[key] = strings.EqualFold(given.items[i].string(), "DESC")
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b *offlineRecord) int {
		for _, key := range keys {
			numberA, textA := a.value(key)
			numberB, textB := b.value(key)
			if result := cmp.Or(cmp.Compare(numberA, numberB), cmp.Compare(textA, textB)); result != 0 {
				if down[key] {
					return -result
				}
				return result
			}
		}
		return cmp.Compare(a.id, b.id)
	})
	return rows
}

// offlineFilter reads the parameter filter with the prefixes of lists. What it does not know is
// ignored.
func (c *call) offlineFilter() []func(*offlineRecord) bool {
	filter, conditions := c.params.fold("filter"), []func(*offlineRecord) bool{}
	if !filter.isArray() {
		return nil
	}
	for i, key := range filter.keys {
		name, op, negate := cutPrefix(key)
		if name = strings.ToUpper(name); !slices.Contains(offlineFields, name) {
			continue
		}
		condition := condition{op: op, negate: negate}
		values := []*node{filter.items[i]}
		if filter.items[i].isArray() {
			values, condition.op = filter.items[i].items, opIn
		}
		isText := name == "EVENT_NAME" || name == "PROCESS_ID"
		for _, value := range values {
			condition.texts = append(condition.texts, strings.ToLower(value.string()))
			number := value.number()
			if name == "TIMESTAMP_X" {
				number, _ = c.portal.parseTime(value.string(), kindTime)
			}
			condition.numbers = append(condition.numbers, number)
		}
		if len(values) == 0 {
			condition.op = opIn
		}
		conditions = append(conditions, func(r *offlineRecord) bool {
			number, text := r.value(name)
			if isText {
				return condition.holdsText([]byte(text)) != condition.negate
			}
			return condition.holdsNumber(number) != condition.negate
		})
	}
	return conditions
}

// appendOffline appends records, with what only event.offline.list shows if it is asked for.
func (c *call) appendOffline(dst []byte, rows []*offlineRecord, all bool) []byte {
	dst = append(dst, '[')
	for i, r := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		id := strconv.FormatInt(r.id, 10)
		dst = c.appendText(dst, `{"ID"`, id)
		dst = append(appendISO(append(dst, `,"TIMESTAMP_X":"`...), r.at.Unix(), c.portal.location), '"')
		dst = c.appendText(dst, `,"EVENT_NAME"`, r.event)
		dst = c.appendNode(append(dst, `,"EVENT_DATA":`...), r.data)
		dst = append(dst, `,"EVENT_ADDITIONAL":false`...)
		dst = c.appendText(dst, `,"MESSAGE_ID"`, id)
		if all {
			dst = c.appendText(dst, `,"PROCESS_ID"`, r.process)
			dst = c.appendText(dst, `,"ERROR"`, strconv.FormatInt(truth(r.failed), 10))
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendNode appends an array of texts as JSON.
func (c *call) appendNode(dst []byte, n *node) []byte {
	if !n.isArray() {
		return appendString(dst, n.string(), c.portal.quirks.EscapeJSON)
	}
	dst = append(dst, '{')
	for i, key := range n.keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, key, c.portal.quirks.EscapeJSON), ':')
		dst = c.appendNode(dst, n.items[i])
	}
	return append(dst, '}')
}
