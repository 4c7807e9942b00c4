package adaptertest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/enlace-go/enlace"
)

// adapter is the driver of the desk. It is right if sabotage is empty; otherwise
// it has the fault of that name.
type adapter struct {
	sabotage string
	memory   *memory
}

// memory is what an adapter must not have.
type memory struct {
	busy    atomic.Bool
	pages   int
	release chan struct{}
}

// batcher and streamer have capabilities beside the usual ones.
type (
	batcher  struct{ adapter }
	streamer struct{ adapter }
)

func (a adapter) is(sabotage string) bool { return a.sabotage == sabotage }

// Describe implements enlace.IntegrationAdapter.
func (a adapter) Describe() enlace.Descriptor {
	d := enlace.Descriptor{
		Name: "desk", Title: "Desk", Version: "1.0.0", DocsURL: "https://desk.example/docs", BaseURL: "https://desk.example/api/",
		Features: []enlace.Feature{enlace.FeatureWebhooks, enlace.FeatureRealTimeSync},
		Auth:     []enlace.AuthScheme{enlace.APIKey{Place: enlace.Placement{Header: "X-Key"}}},
		Settings: []enlace.Field{{Name: "queue", Label: "Queue", Kind: enlace.FieldInteger, Default: "1", Min: 1, Max: 9}},
		Entities: []enlace.Entity{{Name: "tickets", Title: "Tickets", Incremental: enlace.IncrementalFull, CreateOnce: true,
			Operations: []enlace.Operation{enlace.OpRead, enlace.OpCreate, enlace.OpUpdate}}},
	}
	switch a.sabotage {
	case "random description":
		d.Title = strconv.Itoa(rand.Int())
	case "no features":
		d.Features = nil
	case "invalid default":
		d.Settings[0].Default = "10"
	case "wrong header":
		d.Auth = []enlace.AuthScheme{enlace.APIKey{Place: enlace.BearerHeader()}}
	case "claims deletions it cannot do":
		d.Entities[0].Operations = append(d.Entities[0].Operations, enlace.OpDelete)
	case "claims an entity it cannot read":
		d.Entities = append(d.Entities, enlace.Entity{Name: "users", Title: "Users", Operations: []enlace.Operation{enlace.OpRead}})
	case "hides webhooks":
		d.Features = []enlace.Feature{enlace.FeatureCRMSync}
	}
	return d
}

type answer struct {
	Tickets []json.RawMessage `json:"tickets"`
	Next    string            `json:"next"`
	Done    bool              `json:"done"`
	Time    int64             `json:"time"`
}

func unsupported(entity string, op enlace.Operation) error {
	if entity == "tickets" && op != enlace.OpUpsert && op != enlace.OpDelete {
		return nil
	}
	return &enlace.Error{Op: string(op), Kind: enlace.ErrUnsupported, Outcome: enlace.OutcomeNotRun}
}

// Pull implements enlace.Puller.
func (a adapter) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	if err := unsupported(req.Entity, enlace.OpRead); err != nil && !a.is("any entity") {
		return enlace.Page{}, err
	}
	query := url.Values{}
	if req.Cursor != "" && !a.is("ignored cursor") {
		query.Set("after", string(req.Cursor))
	} else if !req.Since.IsZero() && !a.is("ignored since") {
		query.Set("since", strconv.FormatInt(req.Since.Unix(), 10))
	}
	if req.Limit > 0 && !a.is("ignored limit") {
		query.Set("limit", strconv.Itoa(req.Limit))
	}
	if a.is("time only") { // a cursor without the id: what changed in the same second is lost
		if second, _, ok := strings.Cut(string(req.Cursor), ":"); ok {
			query.Set("after", second+":999999999")
		}
	}
	call := enlace.Call{Path: "tickets", Query: query}
	var got answer
	err := a.do(ctx, c, call, &got)
	if err != nil {
		return enlace.Page{}, err
	}
	return a.page(ctx, c, req, got)
}

// do sends a read, with the faults that concern sending.
func (a adapter) do(ctx context.Context, c *enlace.Conn, call enlace.Call, out *answer) error {
	switch a.sabotage {
	case "ignored context":
		ctx = context.Background()
	case "one at a time":
		if a.memory.busy.Swap(true) {
			return errors.New("busy")
		}
		defer a.memory.busy.Store(false)
	case "sleeps":
		time.Sleep(time.Second)
	case "leaks a goroutine":
		release := make(chan struct{})
		go func() { <-release }()
	case "blocks for ever":
		<-a.memory.release
	case "logs the answer":
		resp, err := c.Client().Get("https://desk.example/api/tickets?" + call.Query.Encode())
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		_, _ = body.ReadFrom(resp.Body)
		c.Logger().Info("answer", "body", body.String())
		return json.Unmarshal(body.Bytes(), out)
	}
	err := c.Do(ctx, call, out)
	switch {
	case err == nil:
	case a.is("retries") && errors.Is(err, enlace.ErrUnavailable):
		err = c.Do(ctx, call, out)
	case a.is("swallowed error"):
		*out, err = answer{Done: true}, nil
	case a.is("lost error kind"):
		err = &enlace.Error{Op: "pull", Kind: enlace.ErrProtocol, Err: errors.New("it failed")}
	case a.is("panics on an error"):
		panic(err)
	}
	return err
}

// page makes a page, with the faults that concern pages.
func (a adapter) page(ctx context.Context, c *enlace.Conn, req enlace.PullRequest, got answer) (enlace.Page, error) {
	if got.Tickets == nil && !a.is("no list is an empty one") && !a.is("swallowed error") {
		return enlace.Page{}, &enlace.Error{Op: "pull", Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan}
	}
	page := enlace.Page{Next: enlace.Cursor(got.Next), Done: got.Done}
	if a.is("no list is an empty one") && got.Tickets == nil {
		page.Done = true
	}
	if second, _, ok := strings.Cut(got.Next, ":"); ok && got.Done && !a.is("mark without overlap") {
		// The desk counts in seconds, and this one may not be over.
		page.Next = enlace.Cursor(second + ":0")
	}
	for _, item := range got.Tickets {
		r, err := a.record(item)
		if err != nil {
			return enlace.Page{}, err
		}
		if !r.Deleted || !a.is("drops tombstones") {
			page.Records = append(page.Records, r)
		}
	}
	switch a.sabotage {
	case "skipped page":
		if req.Cursor == "" && !page.Done {
			var second answer
			if err := c.Do(ctx, enlace.Call{Path: "tickets", Query: url.Values{"after": {got.Next}}}, &second); err != nil {
				return enlace.Page{}, err
			}
			page.Next, page.Done = enlace.Cursor(second.Next), second.Done
		}
	case "state in a variable":
		if a.memory.pages++; req.Cursor != "" && a.memory.pages == 1 {
			page.Done = true
		}
	case "never done":
		page.Done = false
		if got.Done {
			page.Next = enlace.Cursor(strconv.FormatInt(rand.Int64(), 10)[:3] + ":0")
		}
	case "cursor stalls":
		if !page.Done && req.Cursor != "" {
			page.Next = req.Cursor
		}
	case "no next":
		page.Next = ""
	case "binary cursor":
		page.Next += "\x00"
	case "wrong mark": // the time at the end: what changed during the run is lost
		if page.Done {
			page.Next = enlace.Cursor(strconv.FormatInt(time.Now().Unix(), 10) + ":999999999")
		}
	case "reads everything":
		if page.Done {
			page.Next = "0:0"
		}
	case "cursor with a secret":
		page.Next += enlace.Cursor(" " + deskKey)
	}
	return page, nil
}

func (a adapter) record(item json.RawMessage) (enlace.Record, error) {
	var head ticket
	if err := json.Unmarshal(item, &head); err != nil || head.ID == "" {
		return enlace.Record{}, &enlace.Error{Op: "pull", Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan}
	}
	r := enlace.Record{Entity: "tickets", ID: head.ID, Modified: time.Unix(head.Changed, 0), Deleted: head.Deleted}
	if !r.Deleted {
		r.Data = item
	}
	switch a.sabotage {
	case "missing id":
		r.ID = ""
	case "modified data":
		var loose map[string]any
		_ = json.Unmarshal(item, &loose)
		r.Data, _ = json.Marshal(loose) // numbers become floats, the order changes
	case "wrong entity":
		r.Entity = "ticket"
	}
	return r, nil
}

// Fetch implements enlace.Fetcher.
func (a adapter) Fetch(ctx context.Context, c *enlace.Conn, entity string, ids []string) ([]enlace.Record, error) {
	if err := unsupported(entity, enlace.OpRead); err != nil {
		return nil, err
	}
	var records []enlace.Record
	for _, id := range ids {
		var item json.RawMessage
		err := c.Do(ctx, enlace.Call{Path: "tickets/" + url.PathEscape(id), Op: "ticket"}, &item)
		switch {
		case errors.Is(err, enlace.ErrNotFound) && a.is("no tombstones"), err != nil && a.is("swallowed fetch"):
			continue
		case errors.Is(err, enlace.ErrNotFound):
			records = append(records, enlace.Record{Entity: entity, ID: id, Deleted: true})
			continue
		case err != nil:
			return nil, err
		}
		r, err := a.record(item)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// Push implements enlace.Pusher.
func (a adapter) Push(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (enlace.Ack, error) {
	if err := unsupported(m.Entity, m.Op); err != nil {
		return enlace.Ack{}, err
	}
	call := enlace.Call{Method: http.MethodPost, Path: "tickets", Body: m.Data, Idempotent: m.Key != "" || a.is("create marked idempotent")}
	if m.Key != "" && !a.is("key not sent") {
		call.Header = http.Header{"Idempotency-Key": {m.Key}}
	}
	if a.is("another key each time") {
		call.Header.Set("Idempotency-Key", strconv.Itoa(rand.Int()))
	}
	if m.Op == enlace.OpUpdate {
		call = enlace.Call{Method: http.MethodPatch, Path: "tickets/" + url.PathEscape(m.ID), Body: m.Data, Idempotent: true, Op: "update ticket"}
	}
	if a.is("nothing is sent") {
		return enlace.Ack{ID: "1"}, nil
	}
	var body []byte
	err := c.Do(ctx, call, &body)
	if a.is("repeats writes") && errors.Is(err, enlace.ErrUnavailable) {
		err = c.Do(ctx, call, &body)
	}
	if err != nil {
		return enlace.Ack{}, err
	}
	var written ticket
	if err := json.Unmarshal(body, &written); err != nil || written.ID == "" {
		switch a.sabotage {
		case "ack without an answer":
			return enlace.Ack{ID: m.ID}, nil
		case "secret in an error":
			return enlace.Ack{}, fmt.Errorf("push: %w: %s", enlace.ErrProtocol, body)
		}
		if a.is("lost is refused") {
			return enlace.Ack{}, &enlace.Error{Op: "push", Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeNotRun}
		}
		return enlace.Ack{}, &enlace.Error{Op: "push", Kind: enlace.ErrProtocol, Message: "no ticket in the answer"}
	}
	if a.is("ack without id") {
		written.ID = ""
	}
	return enlace.Ack{ID: written.ID, Created: m.Op == enlace.OpCreate}, nil
}

// MaxBatch implements enlace.BatchPusher.
func (batcher) MaxBatch() int { return 10 }

// PushBatch implements enlace.BatchPusher.
func (b batcher) PushBatch(ctx context.Context, c *enlace.Conn, ms []enlace.Mutation) ([]enlace.PushResult, error) {
	var tickets []ticket
	for _, m := range ms {
		data, err := json.Marshal(m.Data)
		if err != nil {
			return nil, err
		}
		t := ticket{ID: m.ID}
		_ = json.Unmarshal(data, &t)
		tickets = append(tickets, t)
	}
	var ids []string
	if err := c.Do(ctx, enlace.Call{Method: http.MethodPost, Path: "batch", Body: tickets, Idempotent: b.is("batch marked idempotent")}, &ids); err != nil {
		return nil, err
	}
	var results []enlace.PushResult
	for _, id := range ids {
		results = append(results, enlace.PushResult{Ack: enlace.Ack{ID: id}})
	}
	switch b.sabotage {
	case "batch out of order":
		slices.Reverse(results)
	case "batch cut short":
		results = results[:1]
	}
	return results, nil
}

// Pages implements enlace.PageStreamer: one page ahead.
func (s streamer) Pages(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) iter.Seq2[enlace.Page, error] {
	return func(yield func(enlace.Page, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		type result struct {
			page enlace.Page
			err  error
		}
		results := make(chan result)
		go func() {
			defer close(results)
			for {
				page, err := s.Pull(ctx, c, req)
				if s.is("stream left behind") && ctx.Err() != nil {
					<-s.memory.release
				}
				results <- result{page, err}
				if err != nil || page.Done {
					return
				}
				req.Cursor, req.Since = page.Next, time.Time{}
			}
		}()
		defer func() {
			cancel()
			for !s.is("stream left behind") {
				if _, open := <-results; !open {
					return
				}
			}
		}()
		for r := range results {
			if second, _, ok := strings.Cut(string(r.page.Next), ":"); ok && s.is("stream cursor runs ahead") && !r.page.Done {
				r.page.Next = enlace.Cursor(second + ":999") // behind records that were not yielded yet
			}
			if !yield(r.page, r.err) || r.err != nil {
				return
			}
		}
	}
}

// DescribeFields implements enlace.MetadataDescriber.
func (a adapter) DescribeFields(ctx context.Context, c *enlace.Conn, entity string) ([]enlace.RecordField, error) {
	if err := unsupported(entity, enlace.OpRead); err != nil && !a.is("fields of anything") {
		return nil, err
	}
	var names []string
	if err := c.Do(ctx, enlace.Call{Path: "fields"}, &names); err != nil && !a.is("swallowed fields") {
		return nil, err
	}
	var fields []enlace.RecordField
	for _, name := range names {
		if a.is("field without a path") {
			name = ""
		}
		fields = append(fields, enlace.RecordField{Path: name, Type: "text"})
	}
	return fields, nil
}

// CheckHealth implements enlace.HealthChecker.
func (a adapter) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	if a.is("health without a request") {
		return nil
	}
	var me struct{ Name string }
	err := c.Do(ctx, enlace.Call{Path: "me"}, &me)
	if a.is("health swallows") {
		return nil
	}
	return err
}

// Classify implements enlace.Classifier.
func (a adapter) Classify(status int, h http.Header, _ []byte) error {
	switch {
	case status == http.StatusGone && !a.is("cursor error lost"):
		return &enlace.Error{Kind: enlace.ErrCursorExpired, Outcome: enlace.OutcomeNotRun}
	case a.is("429 is invalid") && status == 429:
		return &enlace.Error{Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeRan}
	case a.is("401 is an outage") && status == 401:
		return &enlace.Error{Kind: enlace.ErrUnavailable}
	case a.is("lost Retry-After") && status == 429:
		return &enlace.Error{Kind: enlace.ErrRateLimited, Outcome: enlace.OutcomeNotRun}
	case a.is("500 did not run") && status >= 500:
		return &enlace.Error{Kind: enlace.ErrUnavailable, Outcome: enlace.OutcomeNotRun}
	case a.is("500 is final") && status >= 500:
		return &enlace.Error{Kind: enlace.ErrUnavailable, Outcome: enlace.OutcomeRan}
	}
	return enlace.ErrDefault
}

// acceptAll and loose are verifiers of the adapter's own making.
type (
	acceptAll struct{}
	loose     struct{ enlace.HMACVerifier }
	talkative struct{ enlace.HMACVerifier }
)

func (acceptAll) Verify(enlace.Delivery, []enlace.Secret) error { return nil }

func (acceptAll) Proof(enlace.Delivery) enlace.Proof { return enlace.Proof{} }

func (l loose) Verify(d enlace.Delivery, secrets []enlace.Secret) error {
	first := d.Header.Get("X-Signature") // of how many?
	d.Header = http.Header{"X-Signature": {first}}
	return l.HMACVerifier.Verify(d, secrets)
}

func (v talkative) Verify(d enlace.Delivery, secrets []enlace.Secret) error {
	if err := v.HMACVerifier.Verify(d, secrets); err != nil {
		return fmt.Errorf("%w: a body of %d bytes", err, len(d.Body))
	}
	return nil
}

// Verifier implements enlace.WebhookReceiver.
func (a adapter) Verifier() enlace.Verifier {
	switch a.sabotage {
	case "accepts all":
		return acceptAll{}
	case "accepts two signatures":
		return loose{enlace.HMACVerifier{Header: "X-Signature"}}
	case "explains refusals":
		return talkative{enlace.HMACVerifier{Header: "X-Signature"}}
	case "wrong proof":
		return enlace.HMACVerifier{Header: "X-Sign"}
	case "no verifier":
		return nil
	}
	return enlace.HMACVerifier{Header: "X-Signature"}
}

// ParseWebhook implements enlace.WebhookReceiver.
func (a adapter) ParseWebhook(_ context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	var body struct {
		Events []struct{ ID, Type, Ticket string }
	}
	if err := json.Unmarshal(d.Body, &body); err != nil {
		return nil, &enlace.Error{Op: "parse webhook", Kind: enlace.ErrProtocol}
	}
	switch {
	case a.is("panics on junk") && body.Events[0].ID == "":
		panic("no id")
	case a.is("no events"):
		return nil, nil
	case a.is("changes the body"):
		copy(d.Body, "{ ")
		d.Body[0]++
	}
	var events []enlace.Event
	for _, e := range body.Events {
		if e.Ticket == "" && !a.is("events about nothing") {
			return nil, &enlace.Error{Op: "parse webhook", Kind: enlace.ErrProtocol}
		}
		events = append(events, enlace.Event{ID: e.ID, Type: e.Type, Record: enlace.Record{Entity: "tickets", ID: e.Ticket}})
	}
	return events, nil
}

// AnswerChallenge implements enlace.WebhookChallenger.
func (a adapter) AnswerChallenge(w http.ResponseWriter, _ *http.Request, body []byte) bool {
	if !a.is("everything is a challenge") && !bytes.HasPrefix(body, []byte(`{"challenge":"ok"}`)) {
		return false
	}
	_, _ = w.Write(body)
	return true
}

// EnsureWebhook implements enlace.WebhookRegistrar.
func (a adapter) EnsureWebhook(ctx context.Context, c *enlace.Conn, target string, secret enlace.Secret) error {
	err := c.Do(ctx, enlace.Call{Method: http.MethodPut, Path: "hooks", Query: url.Values{"url": {target}}, Idempotent: true}, nil)
	if a.is("registration swallows") {
		return nil
	}
	return err
}

// RemoveWebhook implements enlace.WebhookRegistrar.
func (a adapter) RemoveWebhook(ctx context.Context, c *enlace.Conn, target string) error {
	err := c.Do(ctx, enlace.Call{Method: http.MethodDelete, Path: "hooks", Query: url.Values{"url": {target}}, Idempotent: true}, nil)
	if a.is("removal asks before it refuses") {
		return unsupported("hooks", enlace.OpDelete)
	}
	return err
}
