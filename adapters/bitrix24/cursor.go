package bitrix24

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
)

const cursorVersion = 1

// cursor is a position in a walk through the items of one kind: the id ranges
// that are still to be read. Ranges may be read in any order and by several
// readers at a time, and a walk that was cut off goes on with exactly those that
// are left. When none is left only Mark remains, where the next walk begins.
type cursor struct {
	Version int `json:"v"`
	// Mark is the portal's clock when the finished walk began.
	Mark string `json:"mark,omitempty"`

	Since   string    `json:"since,omitempty"`   // this walk reads what changed since then; empty reads everything
	Began   string    `json:"began,omitempty"`   // the portal's clock when this walk began
	Pending []idRange `json:"pending,omitempty"` // in ascending order, without overlaps
	Density float64   `json:"density,omitempty"` // items per id, once it is known
	Total   int       `json:"total,omitempty"`   // items in the whole walk, once it is known
}

// idRange is the ids behind After, up to and including To; a To of 0 is open.
type idRange struct {
	After int64 `json:"after"`
	To    int64 `json:"to,omitempty"`
}

// openCursor finds out where to go on.
func openCursor(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (cursor, error) {
	if req.Cursor == "" {
		pos := cursor{Version: cursorVersion, Pending: []idRange{{}}}
		if req.Since.IsZero() {
			return pos, nil
		}
		var err error
		pos.Since, err = portalTime(ctx, c, req.Since)
		return pos, err
	}
	pos, err := parseCursor(req.Cursor)
	if err != nil || len(pos.Pending) > 0 {
		return pos, err
	}
	mark, _ := time.Parse(time.RFC3339, pos.Mark) // checked by parseCursor
	return cursor{Version: cursorVersion, Since: mark.Add(-overlap(c)).Format(time.RFC3339), Pending: []idRange{{}}}, nil
}

// parseCursor reads what page has written, and refuses everything else.
func parseCursor(text enlace.Cursor) (cursor, error) {
	var pos cursor
	err := json.Unmarshal([]byte(text), &pos)
	if err == nil && len(pos.Pending) == 0 {
		_, err = time.Parse(time.RFC3339, pos.Mark)
	}
	if err != nil || pos.Version != cursorVersion || !pos.valid() {
		return cursor{}, &enlace.Error{Op: "pull", Kind: enlace.ErrCursorExpired, Outcome: enlace.OutcomeNotRun}
	}
	return pos, nil
}

// valid says whether what is pending is nothing, one open range whose ids are not
// known yet, or closed ranges with their density.
func (p cursor) valid() bool {
	if p.Density == 0 && len(p.Pending) > 0 {
		return len(p.Pending) == 1 && p.Pending[0].To == 0 && p.Pending[0].After >= 0
	}
	last := int64(0)
	for _, r := range p.Pending {
		if r.After < last || r.To <= r.After {
			return false
		}
		last = r.To
	}
	return p.Density >= 0 && p.Density <= 1
}

func overlap(c *enlace.Conn) time.Duration {
	d, _ := time.ParseDuration(c.Setting("overlap") + "s") // validated as an integer
	return d + c.Clock().Spread
}

// portalTime writes an instant with the portal's own offset, which is what date
// filters are documented with (sheet 5.6).
func portalTime(ctx context.Context, c *enlace.Conn, t time.Time) (string, error) {
	var answer struct {
		Result string `json:"result"`
	}
	if err := c.Do(ctx, call("server.time", map[string]any{}), &answer); err != nil {
		return "", err
	}
	now, err := time.Parse(time.RFC3339, answer.Result)
	if err != nil {
		return "", &enlace.Error{Op: "server.time", Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan}
	}
	return t.In(now.Location()).Format(time.RFC3339), nil
}

// begin notes the portal's clock at the first answer of a walk.
func (p *cursor) begin(c *enlace.Conn, t timing) {
	if p.Began != "" {
		return
	}
	p.Began = t.date
	if _, err := time.Parse(time.RFC3339, t.date); err != nil {
		// An answer without its time: what its header, or others', tell.
		p.Began = c.Clock().Reached(time.Now()).UTC().Format(time.RFC3339)
	}
}

// done takes the ids behind after, up to and including to, off what is pending.
func (p *cursor) done(after, to int64) {
	var left []idRange
	for _, r := range p.Pending {
		if r.To != 0 && r.To <= after || r.After >= to {
			left = append(left, r)
			continue
		}
		if r.After < after {
			left = append(left, idRange{r.After, after})
		}
		if r.To == 0 || r.To > to {
			left = append(left, idRange{to, r.To})
		}
	}
	p.Pending = left
}

// page makes a page of what was read since the last one.
func (p *cursor) page(records []enlace.Record) enlace.Page {
	page := enlace.Page{Records: records, Total: p.Total, Done: len(p.Pending) == 0}
	next := *p
	if page.Done {
		next = cursor{Version: cursorVersion, Mark: p.Began}
	}
	text, err := json.Marshal(next)
	if err == nil { // it cannot fail: the density is finite
		page.Next = enlace.Cursor(text)
	}
	return page
}

func parseID(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }
