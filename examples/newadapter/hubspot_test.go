package newadapter_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const token = "pat-eu1-0123-4567"

// hubspot is a well-behaved fake of the contacts API: search, create, update,
// and a list that serves as a health check.
type hubspot struct {
	ahead time.Duration // of its clock

	mu               sync.Mutex
	all              []*contact // the one with id n is at n-1
	created, updated int
}

type contact struct {
	ID         string            `json:"id"`
	Properties map[string]string `json:"properties"`
	UpdatedAt  time.Time         `json:"updatedAt"`
}

func newHubSpot(n int, ahead time.Duration) *hubspot {
	h := &hubspot{ahead: ahead}
	for range n {
		h.add(map[string]string{"lastname": "Souza"})
	}
	return h
}

func (h *hubspot) now() time.Time { return time.Now().Add(h.ahead).UTC() }

func (h *hubspot) add(properties map[string]string) *contact {
	c := &contact{ID: strconv.Itoa(len(h.all) + 1), Properties: properties, UpdatedAt: h.now()}
	h.all = append(h.all, c)
	return c
}

// touch changes the first contact.
func (h *hubspot) touch() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.all[0]
	c.Properties["lastname"] += "!"
	c.UpdatedAt = h.now()
	return c.ID
}

// ServeHTTP implements http.Handler.
func (h *hubspot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.Header().Set("Date", h.now().Format(http.TimeFormat))
	path, id := strings.TrimPrefix(r.URL.Path, "/crm/v3/objects/"), 0
	if rest, ok := strings.CutPrefix(path, "contacts/"); ok && r.Method == http.MethodPatch {
		id, _ = strconv.Atoi(rest)
	}
	var body struct {
		FilterGroups []struct{ Filters []filter }
		Limit        int
		Properties   json.RawMessage
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	var properties map[string]string
	_ = json.Unmarshal(body.Properties, &properties)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		answer(w, http.StatusUnauthorized, map[string]string{"category": "INVALID_AUTHENTICATION"})
	case r.Method == http.MethodGet && path == "contacts":
		answer(w, http.StatusOK, map[string]any{"results": h.all[:1]})
	case path == "contacts/search":
		filters := body.FilterGroups[0].Filters
		answer(w, http.StatusOK, map[string]any{"results": h.search(filters[0].Value, filters[1].Value, body.Limit)})
	case path == "contacts":
		h.created++
		answer(w, http.StatusCreated, h.add(properties))
	case id > 0 && id <= len(h.all):
		h.updated++
		maps.Copy(h.all[id-1].Properties, properties)
		h.all[id-1].UpdatedAt = h.now()
		answer(w, http.StatusOK, h.all[id-1])
	default:
		answer(w, http.StatusNotFound, map[string]string{"category": "OBJECT_NOT_FOUND"})
	}
}

type filter struct {
	Value int64 `json:",string"`
}

// search finds contacts by time of change and id, in the order of ids.
func (h *hubspot) search(since, after int64, limit int) []*contact {
	found := []*contact{}
	for i, c := range h.all {
		if int64(i) >= after && c.UpdatedAt.UnixMilli() >= since && len(found) < limit {
			found = append(found, c)
		}
	}
	return found
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
