package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

const (
	pageSize  = 50 // rows in a page, whatever the client asks (sheet 3.3)
	batchSize = 50 // commands in a batch (sheet 3.3)

	listMethod = "crm.item.list"
)

// listPage is the answer to one list command.
type listPage struct {
	records []enlace.Record
	last    int64 // id of the last record; 0 without records
	total   int   // 0 unless it was asked for
	timing  timing
	err     error // of a command in a batch
}

// timing is the envelope's account of the portal's time (sheet 2.2). Every field
// may be missing.
type timing struct {
	date      string        // the portal's clock when the command began, with its offset
	duration  time.Duration // of this command
	operating time.Duration // what the method has used of its allowance
	resetAt   time.Time     // when the oldest part of that falls free
}

// list reads one page by a single call.
func list(ctx context.Context, c *enlace.Conn, entity string, p listParams) (listPage, error) {
	release, err := c.Budget(listMethod).Acquire(ctx, leastCost)
	if err != nil {
		return listPage{}, err
	}
	var body json.RawMessage
	if err := c.Do(ctx, call(listMethod, p), &body); err != nil {
		release(0)
		return listPage{}, err
	}
	page, err := parseList(body, entity)
	release(page.timing.duration)
	c.Budget(listMethod).Report(page.timing.operating, page.timing.resetAt)
	return page, err
}

// parseList cuts the answer of one list call into records.
func parseList(body []byte, entity string) (listPage, error) {
	var page listPage
	found := false
	s := rawjson.NewScanner(body)
	for key := range s.Object() {
		switch string(key) {
		case "result":
			found = scanItems(s, entity, &page)
		case "total":
			total, _ := rawjson.Int(s.Value())
			page.total = int(total)
		case "time":
			page.timing = scanTiming(s)
		}
	}
	if err := s.End(); err != nil {
		return listPage{}, protocolError(err)
	}
	if !found {
		return listPage{}, protocolError(errNoItems)
	}
	return page, nil
}

// errNoItems is an answer that holds no list. It must not pass for an empty one,
// or the walk would end there.
var errNoItems = errors.New("the answer holds no items")

// batch reads several pages by one call. Pages come in the order of the params;
// a command that failed has its error in its page.
func batch(ctx context.Context, c *enlace.Conn, entity string, commands []listParams) ([]listPage, error) {
	var body json.RawMessage
	if err := c.Do(ctx, call("batch", batchParams(commands)), &body); err != nil {
		return nil, err
	}
	return parseBatch(body, entity, len(commands))
}

// batchParams names the commands p0, p1…: names that are numbers would come back
// as arrays (sheet 4.2).
func batchParams(commands []listParams) map[string]any {
	cmd := make(map[string]string, len(commands))
	for i, p := range commands {
		cmd["p"+strconv.Itoa(i)] = listMethod + "?" + p.query().Encode()
	}
	return map[string]any{"halt": 0, "cmd": cmd}
}

// query spells the parameters in the bracket notation that batch commands need (sheet 4.1).
func (p listParams) query() url.Values {
	q := url.Values{"entityTypeId": {strconv.Itoa(p.EntityTypeID)}, "start": {strconv.Itoa(p.Start)}, "useOriginalUfNames": {p.OriginalUF}}
	for field, direction := range p.Order {
		q.Set("order["+field+"]", direction)
	}
	for i, field := range p.Select {
		q.Set("select["+strconv.Itoa(i)+"]", field)
	}
	for _, f := range p.Filter.conditions() {
		switch v := f.value.(type) {
		case int64:
			q.Set("filter["+f.name+"]", strconv.FormatInt(v, 10))
		case string:
			q.Set("filter["+f.name+"]", v)
		}
	}
	return q
}

func parseBatch(body []byte, entity string, commands int) ([]listPage, error) {
	pages := make([]listPage, commands)
	answered := make([]bool, commands)
	s := rawjson.NewScanner(body)
	for key := range s.Object() {
		if string(key) != "result" {
			continue
		}
		for section := range s.Object() {
			name := string(section)
			forEachCommand(s, commands, func(i int) {
				switch name {
				case "result":
					answered[i] = scanItems(s, entity, &pages[i])
				case "result_error":
					answered[i] = true
					pages[i].err = scanCommandError(s)
				case "result_time":
					pages[i].timing = scanTiming(s)
				}
			})
		}
	}
	if err := s.End(); err != nil {
		return nil, protocolError(err)
	}
	if slices.Contains(answered, false) {
		return nil, protocolError(errNoItems)
	}
	return pages, nil
}

// forEachCommand walks a section of a batch answer: an object keyed by command,
// or an empty array if there is nothing in it.
func forEachCommand(s *rawjson.Scanner, commands int, visit func(i int)) {
	if s.Kind() != rawjson.KindObject {
		s.Value()
		return
	}
	for key := range s.Object() {
		if len(key) < 2 || key[0] != 'p' {
			continue
		}
		if i, err := strconv.Atoi(string(key[1:])); err == nil && i >= 0 && i < commands {
			visit(i)
		}
	}
}

// scanItems reads {"items": [...]} and says whether it was that.
func scanItems(s *rawjson.Scanner, entity string, page *listPage) (found bool) {
	if s.Kind() != rawjson.KindObject {
		return string(s.Value()) == "[]" // an empty map comes as an array
	}
	for key := range s.Object() {
		if string(key) != "items" || s.Kind() != rawjson.KindArray {
			continue
		}
		found = true
		page.records = make([]enlace.Record, 0, pageSize)
		for range s.Array() {
			page.records = append(page.records, scanRecord(s, entity))
		}
	}
	if n := len(page.records); n > 0 {
		page.last, _ = parseID(page.records[n-1].ID)
	}
	return found
}

// scanRecord takes one item as it is and looks at its id and time of change only.
func scanRecord(s *rawjson.Scanner, entity string) enlace.Record {
	r := enlace.Record{Entity: entity}
	start := s.Offset()
	for key := range s.Object() {
		switch string(key) {
		case "id":
			r.ID, _ = rawjson.ID(s.Value())
		case "updatedTime":
			if text := s.Value(); len(text) > 2 {
				r.Modified, _ = time.Parse(time.RFC3339, string(text[1:len(text)-1]))
			}
		}
	}
	r.Data = s.Since(start)
	return r
}

func scanTiming(s *rawjson.Scanner) timing {
	var t timing
	if s.Kind() != rawjson.KindObject {
		s.Value()
		return t
	}
	for key := range s.Object() {
		switch string(key) {
		case "date_start":
			t.date, _ = rawjson.String(s.Value())
		case "duration":
			t.duration = seconds(s.Value())
		case "operating":
			t.operating = seconds(s.Value())
		case "operating_reset_at":
			if unix, ok := rawjson.Int(s.Value()); ok {
				t.resetAt = time.Unix(unix, 0)
			}
		}
	}
	return t
}

// seconds reads a number of seconds, whole or not; 0 if it is none.
func seconds(raw []byte) time.Duration {
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || n < 0 || n > 1e6 {
		return 0
	}
	return time.Duration(n * float64(time.Second))
}

func scanCommandError(s *rawjson.Scanner) error {
	raw := s.Value()
	code, isText := rawjson.String(raw)
	var description string
	if !isText {
		code, description, _, _ = errorOf(raw)
	}
	e := classifyCode(code, description, 0)
	e.Op, e.Code, e.Message = listMethod, code, description
	if errors.Is(e.Kind, enlace.ErrTokenExpired) {
		e.Kind = enlace.ErrUnavailable // it died while the batch ran; the next call brings a fresh one
	}
	return e
}

func protocolError(err error) error {
	if err == nil {
		return nil
	}
	return &enlace.Error{Op: listMethod, Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan, Err: err}
}
