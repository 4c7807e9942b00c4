package adaptertest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/adaptertest"
)

const (
	deskKey     = "desk-key-0123456789"
	deskSecret  = "desk-webhook-secret"
	deskPage    = 4
	deskTickets = 11
)

// desk is a well-behaved fake of a help desk: tickets in the order of their
// changes, several of them changed in the same second.
type desk struct {
	mu      sync.Mutex
	ahead   time.Duration // of the desk's clock
	tickets []*ticket
	keys    map[string]string // tickets by idempotency key
	created int
	updated int
	hooks   map[string]string
}

type ticket struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Changed int64  `json:"changed"` // Unix seconds
	Deleted bool   `json:"deleted,omitempty"`
	Big     int64  `json:"big"`
}

func newDesk(ahead time.Duration) *desk {
	d := &desk{ahead: ahead, keys: map[string]string{}, hooks: map[string]string{}}
	for i := range deskTickets {
		changed := d.now() - 3600 + int64(i/3) // three at a time
		d.tickets = append(d.tickets, &ticket{ID: strconv.Itoa(100 + i*7), Subject: fmt.Sprint("ticket ", i), Changed: changed, Big: 1<<60 + 1})
	}
	return d
}

func (d *desk) now() int64 { return time.Now().Add(d.ahead).Unix() }

func (d *desk) find(id string) *ticket {
	for _, t := range d.tickets {
		if t.ID == id {
			return t
		}
	}
	return nil
}

func (d *desk) touch(string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tickets[0].Subject += "!"
	d.tickets[0].Changed = d.now()
	return d.tickets[0].ID
}

func (d *desk) remove(string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tickets[1].Deleted, d.tickets[1].Changed = true, d.now()
	return d.tickets[1].ID
}

// ServeHTTP implements http.Handler.
func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api/")
	id, single := strings.CutPrefix(path, "tickets/")
	switch {
	case r.Header.Get("X-Key") != deskKey:
		refuse(w, http.StatusUnauthorized, "no such key")
	case path == "me":
		reply(w, map[string]string{"name": "desk"})
	case path == "fields":
		reply(w, []string{"id", "subject"})
	case path == "tickets" && r.Method == http.MethodGet:
		d.list(w, r.URL.Query())
	case path == "tickets":
		d.create(w, r)
	case path == "batch":
		d.batch(w, r)
	case path == "hooks":
		delete(d.hooks, r.URL.Query().Get("url"))
		reply(w, map[string]bool{"ok": true})
	case single && d.find(id) == nil:
		refuse(w, http.StatusNotFound, "no such ticket")
	case single && r.Method == http.MethodGet:
		reply(w, d.find(id))
	case single && r.Method == http.MethodPatch:
		t := d.find(id)
		if json.NewDecoder(r.Body).Decode(t) != nil {
			refuse(w, http.StatusBadRequest, "no JSON")
			return
		}
		t.ID, t.Changed = id, d.now()
		d.updated++
		reply(w, t)
	default:
		refuse(w, http.StatusNotFound, "no such method")
	}
}

// list answers with the tickets behind a cursor, or changed at or after a time.
func (d *desk) list(w http.ResponseWriter, query url.Values) {
	since, _ := strconv.ParseInt(query.Get("since"), 10, 64)
	var changed int64
	id := ""
	if after := query.Get("after"); after != "" {
		if n, _ := fmt.Sscanf(after, "%d:%s", &changed, &id); n != 2 {
			refuse(w, http.StatusGone, "no such cursor")
			return
		}
	}
	limit := deskPage
	if n, err := strconv.Atoi(query.Get("limit")); err == nil {
		limit = min(limit, n)
	}
	ordered := slices.Clone(d.tickets)
	slices.SortFunc(ordered, func(a, b *ticket) int { return int(a.Changed-b.Changed)*1000 + strings.Compare(a.ID, b.ID) })
	page := []*ticket{}
	for _, t := range ordered {
		if t.Changed >= since && (t.Changed > changed || t.Changed == changed && t.ID > id) {
			page = append(page, t)
		}
	}
	done := len(page) <= limit
	page = page[:min(len(page), limit)]
	next := query.Get("after")
	if len(page) > 0 {
		last := page[len(page)-1]
		next = fmt.Sprintf("%d:%s", last.Changed, last.ID)
	}
	reply(w, map[string]any{"tickets": page, "next": next, "done": done, "time": d.now()})
}

func (d *desk) create(w http.ResponseWriter, r *http.Request) {
	var t ticket
	if json.NewDecoder(r.Body).Decode(&t) != nil {
		refuse(w, http.StatusBadRequest, "no JSON")
		return
	}
	reply(w, d.add(t, r.Header.Get("Idempotency-Key")))
}

func (d *desk) add(t ticket, key string) *ticket {
	if key != "" && d.keys[key] != "" {
		return d.find(d.keys[key])
	}
	d.created++
	t.ID, t.Changed = strconv.Itoa(1000+d.created), d.now()
	if key != "" {
		d.keys[key] = t.ID
	}
	d.tickets = append(d.tickets, &t)
	return &t
}

func (d *desk) batch(w http.ResponseWriter, r *http.Request) {
	var tickets []ticket
	if json.NewDecoder(r.Body).Decode(&tickets) != nil {
		refuse(w, http.StatusBadRequest, "no JSON")
		return
	}
	var ids []string
	for _, t := range tickets {
		if old := d.find(t.ID); old != nil {
			d.updated++
			old.Subject, old.Changed = t.Subject, d.now()
			ids = append(ids, t.ID)
			continue
		}
		ids = append(ids, d.add(t, "").ID)
	}
	reply(w, ids)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// deskProvider is what the suite is given.
func deskProvider(ahead time.Duration) adaptertest.Provider {
	d := newDesk(ahead)
	count := func(n *int) func() int {
		return func() int { d.mu.Lock(); defer d.mu.Unlock(); return *n }
	}
	body := []byte(`{"events":[{"id":"e1","type":"ticket.changed","ticket":"107"}]}`)
	mac := hmac.New(sha256.New, []byte(deskSecret))
	mac.Write(body)
	return adaptertest.Provider{
		Handler:    d,
		Credential: enlace.Credential{Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret(deskKey)}},
		Touch:      d.touch,
		Remove:     d.remove,
		Writes: []adaptertest.Write{
			{Mutation: enlace.Mutation{Entity: "tickets", Op: enlace.OpCreate, Data: map[string]string{"subject": "new"}}, Effects: count(&d.created)},
			{Mutation: enlace.Mutation{Entity: "tickets", Op: enlace.OpUpdate, ID: "107", Data: map[string]string{"subject": "old"}}, Effects: count(&d.updated)},
		},
		Webhooks: []adaptertest.Webhook{{
			Delivery: enlace.Delivery{Method: http.MethodPost, URL: &url.URL{Path: "/webhooks/1"}, Body: body,
				Header: http.Header{"X-Signature": {hex.EncodeToString(mac.Sum(nil))}, "Content-Type": {"application/json"}}},
			Secret: enlace.NewSecret(deskSecret),
		}},
	}
}

// openDoor makes the desk accept any key.
func openDoor(p *adaptertest.Provider) {
	guarded := p.Handler
	p.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Key", deskKey)
		guarded.ServeHTTP(w, r)
	})
}
