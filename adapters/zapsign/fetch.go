package zapsign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// parseDetail cuts a document into what a walk needs.
func parseDetail(body []byte) (detail, error) {
	var d detail
	if s := rawjson.NewScanner(body); s.Kind() == rawjson.KindObject {
		d.row = scanRow(s)
		if err := s.End(); err != nil {
			return detail{}, err
		}
	}
	s := rawjson.NewScanner(body)
	for key := range s.Object() {
		switch name := string(key); {
		case name == "parent_doc_token":
			d.extra = s.Kind() == rawjson.KindString
		case name == "signers" && s.Kind() == rawjson.KindArray:
			d.people = nil
			for range s.Array() {
				if s.Kind() == rawjson.KindObject {
					d.people = append(d.people, scanRow(s))
				}
			}
		}
	}
	return d, s.End()
}

// signerRecords makes a record of each signer. Signers of a deleted document are
// tombstones.
func (d detail) signerRecords() []enlace.Record {
	var records []enlace.Record
	for _, person := range d.people {
		if person.token == "" {
			continue
		}
		r := enlace.Record{Entity: Signers, ID: person.token, Deleted: d.deleted, Modified: d.updated}
		if !d.deleted {
			r.Data = withDocument(person.raw, d.token)
		}
		records = append(records, r)
	}
	return records
}

// withDocument puts the document's token at the head of a signer's object.
func withDocument(object json.RawMessage, document string) json.RawMessage {
	token, err := json.Marshal(document)
	if err != nil {
		return object
	}
	rest := bytes.TrimLeft(object[1:], " \t\r\n")
	out := slices.Concat([]byte(`{"doc_token":`), token)
	if rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, rest...)
}

// Fetch implements enlace.Fetcher by one request for each id: GET /docs/{token}/,
// /signers/{token}/ or /templates/{token}/ (sheet 2.1.5, 2.2.2, 2.4). A document
// that is deleted comes back as a tombstone. The token of an extra document is
// left out of the answer. A signer read by itself does not tell its document, so
// its Data has no doc_token here. Errors: ErrAuth, ErrForbidden, ErrUnavailable,
// ErrProtocol, ErrInvalid for what cannot be a token.
func (Adapter) Fetch(ctx context.Context, c *enlace.Conn, entity string, ids []string) ([]enlace.Record, error) {
	if collections[entity] == "" {
		return nil, unsupported("fetch", "no entity "+entity)
	}
	found := make([]*enlace.Record, len(ids))
	err := each(ctx, len(ids), func(ctx context.Context, i int) error {
		d, err := readDetail(ctx, c, collections[entity], ids[i])
		if err != nil || d.extra {
			return err
		}
		r := documentRecord(d.row)
		r.Entity = entity
		found[i] = &r
		return nil
	})
	if err != nil {
		return nil, err
	}
	var records []enlace.Record
	for _, r := range found {
		if r != nil {
			records = append(records, *r)
		}
	}
	return records, nil
}

// readDetail reads a record by itself. One that does not exist is deleted.
func readDetail(ctx context.Context, c *enlace.Conn, collection, token string) (detail, error) {
	body, err := readObject(ctx, c, "read "+collection, collection, token)
	if errors.Is(err, enlace.ErrNotFound) {
		return detail{row: row{token: token, deleted: true}}, nil
	}
	if err != nil {
		return detail{}, err
	}
	d, err := parseDetail(body)
	if err != nil {
		return detail{}, protocol("read "+collection, "", err)
	}
	return d, nil
}

var errOtherRecord = errors.New("the answer is another record")

// templatesCursor is a position in the list of templates.
type templatesCursor struct {
	Version int    `json:"v"`
	Page    int    `json:"page"`
	Row     string `json:"row,omitempty"` // the first of the page that is still to be given
}

// pullTemplates reads a page of templates, from the first page to the last: there
// is no order and no filter to be chosen (sheet 2.4).
func pullTemplates(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	pos := templatesCursor{Version: cursorVersion, Page: 1}
	if req.Cursor != "" {
		pos.Version = 0
		if json.Unmarshal([]byte(req.Cursor), &pos) != nil || pos.Version != cursorVersion || pos.Page < 1 {
			return enlace.Page{}, &enlace.Error{Provider: Name, Op: "pull", Kind: enlace.ErrCursorExpired, Outcome: enlace.OutcomeNotRun}
		}
	}
	list, err := listRows(ctx, c, "list templates", "templates/", url.Values{}, pos.Page)
	if err != nil {
		return enlace.Page{}, err
	}
	page := enlace.Page{Total: list.count, Done: !list.more || len(list.all) == 0}
	all := list.all[max(0, slices.IndexFunc(list.all, func(r row) bool { return r.token == pos.Row })):]
	pos.Page, pos.Row = pos.Page+1, ""
	if req.Limit > 0 && len(all) > req.Limit {
		pos.Page, pos.Row, page.Done = pos.Page-1, all[req.Limit].token, false
		all = all[:req.Limit]
	}
	if page.Records, err = templateRecords(ctx, c, all); err != nil {
		return enlace.Page{}, err
	}
	if !page.Done {
		next, err := json.Marshal(pos)
		if err != nil {
			return enlace.Page{}, err
		}
		page.Next = enlace.Cursor(next)
	}
	return page, nil
}

func templateRecords(ctx context.Context, c *enlace.Conn, all []row) ([]enlace.Record, error) {
	records := make([]enlace.Record, len(all))
	err := each(ctx, len(all), func(ctx context.Context, i int) error {
		r := all[i]
		if c.Setting("details") != "false" {
			d, err := readDetail(ctx, c, "templates", r.token)
			if err != nil {
				return err
			}
			r = d.row
		}
		records[i] = documentRecord(r)
		records[i].Entity = Templates
		return nil
	})
	return records, err
}
