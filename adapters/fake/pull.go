package fake

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
)

// list is an answer that holds records.
type list struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next,omitempty"`
	Done  bool              `json:"done"`
	Total int               `json:"total,omitempty"`
}

// Pull implements enlace.Puller. Records come in the order in which they were
// changed, those of one instant by id, and the cursor is the provider's own: a
// pair of both. Notes cannot be read by change: Since has no effect on them.
func (Adapter) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	if err := supports(req.Entity, enlace.OpRead); err != nil {
		return enlace.Page{}, err
	}
	query := url.Values{}
	if req.Cursor != "" {
		query.Set("cursor", string(req.Cursor))
	} else if !req.Since.IsZero() {
		query.Set("since", req.Since.UTC().Format(time.RFC3339Nano))
	}
	if req.Limit > 0 {
		query.Set("limit", strconv.Itoa(req.Limit))
	}
	var answer list
	if err := c.Do(ctx, enlace.Call{Path: req.Entity, Query: query, Op: "list " + req.Entity}, &answer); err != nil {
		return enlace.Page{}, err
	}
	records, err := answer.records(req.Entity)
	if err != nil {
		return enlace.Page{}, err
	}
	return enlace.Page{Records: records, Next: enlace.Cursor(answer.Next), Done: answer.Done, Total: answer.Total}, nil
}

// Fetch implements enlace.Fetcher.
func (Adapter) Fetch(ctx context.Context, c *enlace.Conn, entity string, ids []string) ([]enlace.Record, error) {
	if err := supports(entity, enlace.OpRead); err != nil || len(ids) == 0 {
		return nil, err
	}
	var answer list
	if err := c.Do(ctx, enlace.Call{Path: entity, Query: url.Values{"id": ids}, Op: "fetch " + entity}, &answer); err != nil {
		return nil, err
	}
	records, err := answer.records(entity)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, r := range records {
		found[r.ID] = true
	}
	for _, id := range ids {
		if !found[id] {
			found[id] = true
			records = append(records, enlace.Record{Entity: entity, ID: id, Deleted: true})
		}
	}
	return records, nil
}

// records reads the items. An answer without the field is no list: taken for an
// empty one it would end a pull, or make tombstones of what was fetched.
func (l list) records(entity string) ([]enlace.Record, error) {
	if l.Items == nil {
		return nil, protocolError("read "+entity, "the answer is no list")
	}
	records := make([]enlace.Record, len(l.Items))
	for i, item := range l.Items {
		var err error
		if records[i], err = parseRecord(entity, item); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// parseRecord reads what every record has. The rest stays as it came.
func parseRecord(entity string, item json.RawMessage) (enlace.Record, error) {
	var head struct {
		ID      string    `json:"id"`
		Updated time.Time `json:"updated_at"`
		Deleted bool      `json:"deleted"`
	}
	if err := json.Unmarshal(item, &head); err != nil || head.ID == "" {
		return enlace.Record{}, protocolError("read "+entity, "a record is not of the expected form")
	}
	r := enlace.Record{Entity: entity, ID: head.ID, Deleted: head.Deleted, Modified: head.Updated}
	if !r.Deleted {
		r.Data = item
	}
	return r, nil
}

func protocolError(op, message string) error {
	return &enlace.Error{Provider: Name, Op: op, Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan, Message: message}
}
