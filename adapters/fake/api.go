package fake

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/enlace-go/enlace"
)

// apiError is how the API says what is wrong.
type apiError struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

// The codes that the adapter looks at, and others that are used twice.
const (
	codeTokenExpired  = "token_expired" // a fresh one helps
	codeUnauthorized  = "unauthorized"  // only another credential helps
	codeCursorExpired = "cursor_expired"
	codeReadOnly      = "read_only"
	codeUnknownEntity = "unknown_entity"
	codeNotFound      = "not_found"
	codeInvalid       = "invalid"
)

// route is what a request wants.
type route struct {
	op         Op // empty if there is no such thing
	entity, id string
}

// routeOf reads method and path:
//
//	GET    /v1/{entity}?cursor=&since=&limit=   list
//	GET    /v1/{entity}?id=&id=                 fetch
//	POST   /v1/{entity}                         create, once for each Idempotency-Key
//	PATCH  /v1/{entity}/{id}                    update the fields that are given; null removes one
//	PUT    /v1/{entity}/{id}                    upsert
//	DELETE /v1/{entity}/{id}                    delete
//	POST   /v1/batch                            up to 50 of these writes
//	GET    /v1/me                               health
//	GET    /v1/webhooks, PUT /v1/webhooks, DELETE /v1/webhooks?url=
//	GET    /oauth/authorize, POST /oauth/token, POST /session
func routeOf(r *http.Request) route {
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	switch fixed := r.Method + " " + r.URL.Path; fixed {
	case "GET /oauth/authorize":
		return route{op: OpAuthorize}
	case "POST /oauth/token":
		return route{op: OpToken}
	case "POST /session":
		return route{op: OpLogin}
	case "POST /v1/batch":
		return route{op: OpBatch}
	case "GET /v1/me":
		return route{op: OpHealth}
	case "GET /v1/webhooks", "PUT /v1/webhooks", "DELETE /v1/webhooks":
		return route{op: OpWebhooks}
	}
	if segments[0] != "v1" || len(segments) < 2 {
		return route{}
	}
	entity, _ := url.PathUnescape(segments[1])
	switch {
	case len(segments) == 2 && r.Method == http.MethodGet && r.URL.Query().Has("id"):
		return route{OpFetch, entity, ""}
	case len(segments) == 2 && r.Method == http.MethodGet:
		return route{OpList, entity, ""}
	case len(segments) == 2 && r.Method == http.MethodPost:
		return route{OpCreate, entity, ""}
	case len(segments) == 3 && segments[2] != "":
		id, _ := url.PathUnescape(segments[2])
		if !utf8.ValidString(id) { // no JSON could name that record
			return route{}
		}
		return route{map[string]Op{http.MethodPatch: OpUpdate, http.MethodPut: OpUpsert, http.MethodDelete: OpDelete}[r.Method], entity, id}
	}
	return route{}
}

// handle answers a request that nothing stands in the way of.
func (p *Provider) handle(v visit) answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(v.body) > maxBody {
		return refuse(http.StatusRequestEntityTooLarge, "too_large", "the body is larger than 1 MiB")
	}
	switch v.op {
	case OpAuthorize:
		return p.consent(v.URL.Query())
	case OpToken:
		return p.issue(v)
	case OpLogin:
		return p.logIn(v.body)
	case "":
		return refuse(http.StatusNotFound, "no_such_method", "there is no such method")
	}
	if a, ok := p.authenticate(v.Header); !ok {
		return a
	}
	switch v.op {
	case OpHealth:
		return reply(http.StatusOK, map[string]string{"account_id": accountID})
	case OpWebhooks:
		return p.register(v)
	case OpBatch:
		return p.batch(v.body)
	case OpList, OpFetch:
		return p.read(v)
	default:
		return p.write(write{Op: v.op, Entity: v.entity, ID: v.id, Key: v.Header.Get(keyHeader), Data: v.body})
	}
}

// authenticate says whether the request may come in, or else what to answer.
func (p *Provider) authenticate(h http.Header) (answer, bool) {
	if key := h.Get(apiKeyHeader); key != "" {
		if !p.grants.keyRevoked && p.options.APIKey.Equal(enlace.NewSecret(key)) {
			return answer{}, true
		}
		return refuse(http.StatusUnauthorized, codeUnauthorized, "no such key"), false
	}
	token, bearer := strings.CutPrefix(h.Get("Authorization"), "Bearer ")
	if !bearer {
		token = h.Get(sessionHeader)
	}
	if p.grants.valid(token) {
		return answer{}, true
	}
	return refuse(http.StatusUnauthorized, codeTokenExpired, "no token, or not a valid one"), false
}

func (p *Provider) read(v visit) answer {
	t, ok := p.tables[v.entity]
	if !ok {
		return refuse(http.StatusNotFound, codeUnknownEntity, "no such entity")
	}
	query := v.URL.Query()
	if v.op == OpFetch {
		return t.fetch(query["id"])
	}
	var from position
	if cursor := query.Get("cursor"); cursor != "" {
		if from, ok = parsePosition(cursor); !ok {
			return refuse(http.StatusGone, codeCursorExpired, "not a cursor of this provider")
		}
	} else if since := query.Get("since"); since != "" && t.entity.Incremental != enlace.IncrementalNone {
		at, err := time.Parse(time.RFC3339Nano, since)
		if err != nil {
			return refuse(http.StatusBadRequest, codeInvalid, "since is not a time")
		}
		from.Updated = at.UTC()
	}
	limit := p.options.PageSize
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return refuse(http.StatusBadRequest, codeInvalid, "limit is not a number from 1 on")
		}
		limit = min(limit, n)
	}
	return reply(http.StatusOK, t.page(from, limit))
}

// fetch finds the records that exist.
func (t *table) fetch(ids []string) answer {
	l := list{Items: []json.RawMessage{}, Done: true}
	if len(ids) > 100 {
		return refuse(http.StatusBadRequest, codeInvalid, "more than 100 ids")
	}
	for _, id := range ids {
		if r := t.get(id); r != nil {
			l.Items = append(l.Items, r.item)
		}
	}
	return reply(http.StatusOK, l)
}

// links are the fields that must name a record of another entity.
var links = map[string]struct{ field, entity string }{
	"contacts": {"company_id", "companies"},
	"deals":    {"contact_id", "contacts"},
}

// write carries out one mutation.
func (p *Provider) write(w write) answer {
	t, ok := p.tables[w.Entity]
	if !ok {
		return refuse(http.StatusNotFound, codeUnknownEntity, "no such entity")
	}
	if op := enlace.Operation(w.Op); op == enlace.OpRead || !t.entity.Can(op) {
		return refuse(http.StatusMethodNotAllowed, codeReadOnly, "the entity does not have the operation")
	}
	if w.Op == OpDelete {
		return p.deleteRecord(t, w.ID)
	}
	fields, ok := parseFields(w.Data)
	if !ok {
		return refuse(http.StatusBadRequest, codeInvalid, "the data is not a JSON object")
	}
	if a, ok := p.checkLink(w.Entity, fields); !ok {
		return a
	}
	key := createKey{w.Entity, w.Key}
	old := t.get(w.ID)
	switch {
	case w.Op == OpCreate && w.Key != "" && !p.options.IgnoreKeys && t.get(p.keys[key]) != nil:
		return created(t.get(p.keys[key]))
	case w.Op == OpCreate:
		w.ID = t.newID()
		if w.Key != "" {
			p.keys[key] = w.ID
		}
	case w.ID == "":
		return refuse(http.StatusBadRequest, codeInvalid, "no id")
	case w.Op == OpUpdate && old == nil:
		return refuse(http.StatusNotFound, codeNotFound, "no such record")
	case w.Op == OpUpdate:
		merged := maps.Clone(old.fields)
		maps.Copy(merged, fields)
		maps.DeleteFunc(merged, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
		fields = merged
	}
	p.effects[w.Op]++
	stored := t.put(w.ID, fields, p.now())
	if old != nil {
		return answer{status: http.StatusOK, body: stored.item}
	}
	return created(stored)
}

func created(r *row) answer { return answer{status: http.StatusCreated, body: r.item} }

// deleteRecord is well if the record has been deleted already: that is what a
// repetition finds.
func (p *Provider) deleteRecord(t *table, id string) answer {
	switch {
	case t.get(id) != nil:
		p.effects[OpDelete]++
		t.remove(id, p.now())
	case t.rows[id] == nil:
		return refuse(http.StatusNotFound, codeNotFound, "no such record")
	}
	return answer{status: http.StatusNoContent}
}

// checkLink refuses a record whose parent does not exist.
func (p *Provider) checkLink(entity string, fields map[string]json.RawMessage) (answer, bool) {
	link := links[entity]
	raw, given := fields[link.field]
	if !given || string(raw) == "null" {
		return answer{}, true
	}
	var id string
	if json.Unmarshal(raw, &id) != nil || p.tables[link.entity].get(id) == nil {
		return refuse(http.StatusUnprocessableEntity, codeInvalid, link.field+" does not name one of the "+link.entity), false
	}
	return answer{}, true
}

// batch carries out writes one after the other, whatever becomes of each.
func (p *Provider) batch(body []byte) answer {
	var request struct {
		Operations []write `json:"operations"`
	}
	if json.Unmarshal(body, &request) != nil || len(request.Operations) == 0 || len(request.Operations) > maxBatch {
		return refuse(http.StatusBadRequest, codeInvalid, "not a batch of 1 to 50 operations")
	}
	results := make([]written, len(request.Operations))
	for i, w := range request.Operations {
		a := p.refuseItem(i+1, w)
		if a.status == 0 {
			a = p.write(w)
		}
		results[i] = resultOf(w, a)
	}
	return reply(http.StatusOK, map[string]any{"results": results})
}

// resultOf is the answer to a single write in the form of a batch.
func resultOf(w write, a answer) written {
	body := struct {
		ID    string    `json:"id"`
		Error *apiError `json:"error"`
	}{ID: w.ID}
	_ = json.Unmarshal(a.body, &body) // a deletion has no body
	if a.status >= 300 {
		return written{Status: a.status, Error: body.Error}
	}
	return written{Status: a.status, ID: body.ID, Record: a.body}
}

// register adds or removes the target of webhooks, or lists them.
func (p *Provider) register(v visit) answer {
	if v.Method == http.MethodGet {
		return reply(http.StatusOK, map[string][]string{"urls": slices.Sorted(maps.Keys(p.webhooks))})
	}
	if v.Method == http.MethodDelete {
		target := v.URL.Query().Get("url")
		if _, ok := p.webhooks[target]; ok {
			delete(p.webhooks, target)
			p.effects[OpWebhooks]++
		}
		return answer{status: http.StatusNoContent}
	}
	var request struct {
		URL    string        `json:"url"`
		Secret enlace.Secret `json:"secret"`
	}
	if json.Unmarshal(v.body, &request) != nil || request.Secret.IsZero() || !absolute(request.URL) {
		return refuse(http.StatusUnprocessableEntity, codeInvalid, "url and secret are needed")
	}
	if !p.webhooks[request.URL].Equal(request.Secret) {
		p.webhooks[request.URL] = request.Secret
		p.effects[OpWebhooks]++
	}
	return reply(http.StatusOK, map[string]string{"url": request.URL})
}

func absolute(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

func reply(status int, body any) answer {
	text, err := json.Marshal(body)
	if err != nil {
		panic("fake: an answer does not marshal: " + err.Error())
	}
	return answer{status: status, body: text}
}

func refuse(status int, code, message string) answer {
	if code == "" {
		code = "error"
	}
	return reply(status, map[string]apiError{"error": {code, message}})
}

// repeatCursor makes a page say that it is the next one.
func repeatCursor(a answer, cursor string) answer {
	var l list
	if a.status != http.StatusOK || json.Unmarshal(a.body, &l) != nil {
		return a
	}
	l.Next, l.Done = cursor, false
	return reply(http.StatusOK, l)
}
