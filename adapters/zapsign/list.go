package zapsign

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// row is one object of a list. Its raw bytes are kept, and only what a walk needs
// is looked at.
type row struct {
	raw              json.RawMessage
	token, status    string
	external, folder string
	created, updated time.Time
	deleted          bool
	signers          int    // 0 if there are none, or were not asked for
	digest           uint32 // of everything but the links to files, which differ every time
}

// pending says whether more can happen to the document by itself.
func (r row) pending() bool {
	return !r.deleted && documentStates[r.status] != StateCompleted && documentStates[r.status] != StateRefused
}

// rows is one page of a list.
type rows struct {
	all   []row
	count int  // over all pages, as the server says; 0 for a bare array
	more  bool // there is a next page
	page  int  // the page's number, by its "next"; 0 if that does not tell
	at    time.Time
}

// listRows reads one page of a list. The page's number is ours: "next" is never
// followed, since it may lead off https and repeat a token (sheet 6.2). A page
// past the end has no rows; another page than the one that was asked for is
// ErrProtocol. A 403 is a refused token here.
func listRows(ctx context.Context, c *enlace.Conn, op, path string, query url.Values, page int) (rows, error) {
	query.Set("page", strconv.Itoa(page))
	answer, err := c.Send(ctx, enlace.Call{Path: path, Query: query, Op: op})
	if page > 1 && errors.Is(err, enlace.ErrNotFound) {
		return rows{}, nil // sheet 6.2
	}
	if err != nil {
		return rows{}, refusedToken(err)
	}
	list, err := parseRows(answer.Body)
	if err != nil {
		return rows{}, protocol(op, "", err)
	}
	if list.page > 0 && list.page != page {
		return rows{}, protocol(op, "the answer is another page", nil)
	}
	if list.at, err = http.ParseTime(answer.Header.Get("Date")); err != nil {
		list.at = c.Clock().Reached(time.Now())
	}
	return list, nil
}

var errNoRows = errors.New("the answer holds no list")

// parseRows reads an envelope, or the bare array of older servers (sheet 2.1.4).
func parseRows(body []byte) (rows, error) {
	var list rows
	found := false
	s := rawjson.NewScanner(body)
	if s.Kind() == rawjson.KindArray {
		list.scan(s)
		return list, s.End()
	}
	for key := range s.Object() {
		switch string(key) {
		case "count":
			n, _ := rawjson.Int(s.Value())
			list.count = int(max(n, 0))
		case "next":
			next, _ := rawjson.String(s.Value())
			list.more, list.page = next != "", pageBefore(next)
		case "results":
			if s.Kind() == rawjson.KindArray {
				list.all, found = nil, true
				list.scan(s)
			}
		}
	}
	if err := s.End(); err != nil {
		return rows{}, err
	}
	if !found {
		return rows{}, errNoRows
	}
	return list, nil
}

// pageBefore is the number of the page whose next one has that address.
func pageBefore(next string) int {
	u, err := url.Parse(next)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(u.Query().Get("page"))
	return max(n-1, 0)
}

func (l *rows) scan(s *rawjson.Scanner) {
	for range s.Array() {
		if s.Kind() != rawjson.KindObject {
			continue
		}
		if r := scanRow(s); r.token != "" {
			l.all = append(l.all, r)
		}
	}
}

func scanRow(s *rawjson.Scanner) row {
	var r row
	start := s.Offset()
	for key := range s.Object() {
		name := string(key)
		if name == "signers" && s.Kind() == rawjson.KindArray {
			from := s.Offset()
			for range s.Array() {
				r.signers++
			}
			r.digest += memberDigest(name, s.Since(from))
			continue
		}
		value := s.Value()
		switch name {
		case "token":
			r.token, _ = rawjson.String(value)
		case "status":
			r.status, _ = rawjson.String(value)
		case "external_id":
			r.external, _ = rawjson.String(value)
		case "folder_path":
			r.folder, _ = rawjson.String(value)
		case "created_at":
			r.created = scanTime(value)
		case "last_update_at":
			r.updated = scanTime(value)
		case "deleted":
			r.deleted = string(value) == "true"
		case "original_file", "signed_file":
			value = nil
		}
		r.digest += memberDigest(name, value)
	}
	r.raw = s.Since(start)
	return r
}

func scanTime(value []byte) time.Time {
	text, _ := rawjson.String(value)
	return parseTime(text)
}

// memberDigest is added up over the members, so that their order is no change.
func memberDigest(name string, value []byte) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(value)
	return h.Sum32()
}

// maxPages ends a list whose server always says that there is more.
const maxPages = 100_000

// listAll walks a list from its first page to its last.
func listAll(ctx context.Context, c *enlace.Conn, op, path string, query url.Values) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		for page := 1; page <= maxPages; page++ {
			list, err := listRows(ctx, c, op, path, query, page)
			if err != nil {
				yield(row{}, err)
				return
			}
			for _, r := range list.all {
				if !yield(r, nil) {
					return
				}
			}
			if !list.more || len(list.all) == 0 {
				return
			}
		}
		yield(row{}, protocol(op, "the list does not end", nil))
	}
}

// typed decodes the rows of a walk.
func typed[T any](op string, walk iter.Seq2[row, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for r, err := range walk {
			var value T
			if err == nil && json.Unmarshal(r.raw, &value) != nil {
				err = protocol(op, "a row is not of the expected form", nil)
			}
			if !yield(value, err) || err != nil {
				return
			}
		}
	}
}
