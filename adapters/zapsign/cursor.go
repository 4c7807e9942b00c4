package zapsign

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
)

const cursorVersion = 1

// The phases of a walk. A walk that reads everything has only the first; one that
// reads since a given time goes on with phaseDeleted; one that reads what changed
// has the others, in this order.
const (
	phaseLive    = "live"    // every document that is not deleted
	phasePending = "pending" // the documents in progress
	phaseNew     = "new"     // those created since the last run, in any state
	phaseDeleted = "deleted"
	phaseGone    = "gone" // those that were in progress at the last run and came in no list: one by one
)

// cursor is a position in a walk. Pages of a list are read from the last to the
// first, so that what leaves the list meanwhile moves to pages that are still to
// come (sheet 6.2).
type cursor struct {
	Version int `json:"v"`
	// Mark is the server's clock when the last finished run began.
	Mark string `json:"mark,omitempty"`
	// Open are the documents that were in progress at the last run and have not
	// come up in this one; Seen are those found in progress by this run.
	Open tracked `json:"open,omitempty"`
	Seen tracked `json:"seen,omitempty"`
	// Horizon is the day of creation of the oldest document in progress that the
	// last run had no room for in its Seen: this run reads everything created
	// since. NextHorizon is the same for the next run.
	Horizon     string `json:"horizon,omitempty"`
	NextHorizon string `json:"next_horizon,omitempty"`

	Phase string `json:"phase,omitempty"` // empty is a finished walk
	Since string `json:"since,omitempty"` // only what changed since then; empty reads everything
	Began string `json:"began,omitempty"` // the server's clock when this walk began
	Page  int    `json:"page,omitempty"`  // the next to read; 0 asks for the number of pages first
	Row   string `json:"row,omitempty"`   // where to go on within the page; empty is its beginning
	Given int    `json:"given,omitempty"` // records of that row that were given already
	Total int    `json:"total,omitempty"`
}

// openCursor finds out where to go on. overlap is how far before the last run a
// run by change begins.
func openCursor(req enlace.PullRequest, overlap time.Duration) (cursor, error) {
	if req.Cursor == "" {
		pos := cursor{Version: cursorVersion, Phase: phaseLive}
		if !req.Since.IsZero() {
			pos.Since = stamp(req.Since)
		}
		return pos, nil
	}
	pos, err := parseCursor(req.Cursor)
	if err != nil || pos.Phase != "" {
		return pos, err
	}
	mark := parseTime(pos.Mark)
	return cursor{Version: cursorVersion, Phase: phasePending, Mark: pos.Mark, Since: stamp(mark.Add(-overlap)),
		Open: pos.Seen, Horizon: pos.Horizon}, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// parseCursor reads what was written by page, and refuses everything else.
func parseCursor(text enlace.Cursor) (cursor, error) {
	var pos cursor
	if err := json.Unmarshal([]byte(text), &pos); err != nil || pos.Version != cursorVersion || !pos.valid() {
		return cursor{}, &enlace.Error{Provider: Name, Op: "pull", Kind: enlace.ErrCursorExpired, Outcome: enlace.OutcomeNotRun}
	}
	return pos, nil
}

func (p cursor) valid() bool {
	known := func(text string) bool { return text == "" || !parseTime(text).IsZero() }
	day := func(text string) bool { _, err := time.Parse(time.DateOnly, text); return text == "" || err == nil }
	if !known(p.Mark) || !known(p.Since) || !known(p.Began) || !day(p.Horizon) || !day(p.NextHorizon) || p.Page < 0 || p.Given < 0 {
		return false
	}
	switch p.Phase {
	case phasePending, phaseNew, phaseGone:
		return p.Mark != "" && p.Since != ""
	case phaseDeleted:
		return p.Since != ""
	case phaseLive:
		return true
	default:
		return p.Phase == "" && p.Mark != ""
	}
}

// next goes to the next phase.
func (p *cursor) next() {
	p.Page, p.Row, p.Given = 0, "", 0
	switch {
	case p.Phase == phasePending:
		p.Phase = phaseNew
	case p.Phase == phaseNew, p.Phase == phaseLive && p.Since != "":
		p.Phase = phaseDeleted
	case p.Phase == phaseDeleted && len(p.Open) > 0:
		p.Phase = phaseGone
	default:
		p.Phase = ""
	}
}

// page makes a page of what was read since the last one.
func (p cursor) page(records []enlace.Record) enlace.Page {
	page := enlace.Page{Records: records, Total: p.Total, Done: p.Phase == ""}
	if page.Done {
		p = cursor{Version: cursorVersion, Mark: p.Began, Seen: p.Seen, Horizon: p.NextHorizon}
	}
	text, err := json.Marshal(p)
	if err == nil { // it cannot fail
		page.Next = enlace.Cursor(text)
	}
	return page
}

// maxTracked is how many documents in progress a cursor remembers, 22 bytes each.
const maxTracked = 2000

// track is what a cursor remembers of a document in progress.
type track struct {
	token  [16]byte
	digest uint32
	day    uint16 // of creation, counted from 1970
}

const trackSize = 16 + 4 + 2

// tracked is a set of documents in progress, in order of their tokens.
type tracked []track

// MarshalText implements encoding.TextMarshaler.
func (t tracked) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, len(t)*trackSize)
	for _, e := range t {
		raw = append(raw, e.token[:]...)
		raw = binary.BigEndian.AppendUint32(raw, e.digest)
		raw = binary.BigEndian.AppendUint16(raw, e.day)
	}
	return base64.RawURLEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *tracked) UnmarshalText(text []byte) error {
	raw, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err != nil {
		return err
	}
	if len(raw)%trackSize != 0 || len(raw) > (maxTracked+1)*trackSize {
		return errTracked
	}
	*t = make(tracked, 0, len(raw)/trackSize)
	for ; len(raw) > 0; raw = raw[trackSize:] {
		*t = append(*t, track{token: [16]byte(raw), digest: binary.BigEndian.Uint32(raw[16:]), day: binary.BigEndian.Uint16(raw[20:])})
	}
	if !slices.IsSortedFunc(*t, func(a, b track) int { return bytes.Compare(a.token[:], b.token[:]) }) {
		return errTracked
	}
	return nil
}

var errTracked = errors.New("not a set of documents")

// search returns where a token is, or would be.
func (t tracked) search(id [16]byte) (int, bool) {
	return slices.BinarySearchFunc(t, id, func(e track, id [16]byte) int { return bytes.Compare(e.token[:], id[:]) })
}

// find returns the place of a token; -1 if it is not there.
func (t tracked) find(token string) int {
	if id, ok := packToken(token); ok {
		if i, there := t.search(id); there {
			return i
		}
	}
	return -1
}

// drop takes a token out.
func (t *tracked) drop(token string) {
	if i := t.find(token); i >= 0 {
		*t = slices.Delete(*t, i, i+1)
	}
}

// note remembers that a document is in progress, which Seen does not hold yet. What there is no room for, the
// youngest first, moves the next run's horizon to its day of creation.
func (p *cursor) note(token string, digest uint32, created time.Time) {
	day := uint16(max(0, min(created.Unix()/86400, 1<<16-1)))
	id, ok := packToken(token)
	if ok {
		at, _ := p.Seen.search(id)
		p.Seen = slices.Insert(p.Seen, at, track{id, digest, day})
		if len(p.Seen) <= maxTracked {
			return
		}
		youngest := 0
		for i, e := range p.Seen {
			if e.day > p.Seen[youngest].day {
				youngest = i
			}
		}
		day = p.Seen[youngest].day
		p.Seen = slices.Delete(p.Seen, youngest, youngest+1)
	}
	if text := time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly); p.NextHorizon == "" || text < p.NextHorizon {
		p.NextHorizon = text
	}
}

// packToken makes 16 bytes of a UUID in its usual form.
func packToken(token string) (id [16]byte, ok bool) {
	if len(token) != 36 || token[8] != '-' || token[13] != '-' || token[18] != '-' || token[23] != '-' {
		return id, false
	}
	digits := token[:8] + token[9:13] + token[14:18] + token[19:23] + token[24:]
	n, err := hex.Decode(id[:], []byte(digits))
	return id, err == nil && n == len(id) && unpackToken(id) == token
}

func unpackToken(id [16]byte) string {
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
