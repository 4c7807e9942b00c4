// Package cursor keeps the positions of walks by time of change. Adapters of
// providers whose lists are ordered by that use it, so that none of the usual
// mistakes loses a record:
//
//   - Records that changed at the same instant are told apart by their ids.
//   - A walk begins where the last one began, and not where it ended: what changed
//     while it was under way is read by the next one.
//   - That instant is by the provider's clock (its Date header, or a time it tells),
//     not by ours, less an overlap for changes that become visible late.
//   - Instants are kept in UTC, whatever zone the provider writes.
//
// What comes again because of the overlap is recognised by its digest and does not
// reach the host.
package cursor

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/enlace-go/enlace"
)

// version is that of the stored form.
const version = 1

// Position is where a record stands in a list that is ordered by time of change and
// then by id, both ascending. Ids are compared as the provider orders them: give
// numbers with leading zeros if it does not compare texts.
type Position struct {
	Time time.Time `json:"t,omitzero"`
	ID   string    `json:"id,omitempty"`
}

// Compare is negative if p comes before q.
func (p Position) Compare(q Position) int {
	return cmp.Or(p.Time.Compare(q.Time), cmp.Compare(p.ID, q.ID))
}

// Walk is one way through what has changed since an instant.
type Walk struct {
	From  time.Time // what changed at it or later is read; zero reads everything
	Began time.Time // the provider's clock when the walk began
	Last  Position  // the last record read so far; zero at the beginning
}

// stored is a walk on its way, or the mark of a finished one.
type stored struct {
	Version int       `json:"v"`
	From    time.Time `json:"from,omitzero"`
	Began   time.Time `json:"began,omitzero"`
	Last    *Position `json:"last,omitempty"`
	Mark    time.Time `json:"mark,omitzero"`
}

// Open finds out where a pull begins: at the beginning, at req.Since, in the middle
// of a walk, or overlap before the last finished walk began. now is a time that the
// provider's clock has certainly reached, and before the first request of the walk.
// Errors match ErrCursorExpired for a cursor that is not of this package.
func Open(req enlace.PullRequest, now time.Time, overlap time.Duration) (Walk, error) {
	if req.Cursor == "" {
		return Walk{From: utc(req.Since), Began: utc(now)}, nil
	}
	var s stored
	err := json.Unmarshal([]byte(req.Cursor), &s)
	if err != nil || s.Version != version || s.Mark.IsZero() == (s.Last == nil) || (s.Last != nil && s.Began.IsZero()) {
		return Walk{}, &enlace.Error{Op: "pull", Kind: enlace.ErrCursorExpired, Outcome: enlace.OutcomeNotRun}
	}
	if s.Last == nil {
		return Walk{From: utc(s.Mark.Add(-overlap)), Began: utc(now)}, nil
	}
	return Walk{From: utc(s.From), Began: utc(s.Began), Last: Position{utc(s.Last.Time), s.Last.ID}}, nil
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// Since is the lower bound to ask the provider for, itself included: round it down
// to what the provider's filter can express. It is zero if there is none.
func (w Walk) Since() time.Time {
	if w.Last.Time.After(w.From) {
		return w.Last.Time
	}
	return w.From
}

// Ahead says whether a record at p is still to be read: it is not below the bound
// and stands behind the last one. Adapters drop the others, which come because the
// bound includes itself or is rounded.
func (w Walk) Ahead(p Position) bool {
	return !p.Time.Before(w.From) && (w.Last == Position{} || p.Compare(w.Last) > 0)
}

// Next is the cursor behind the record at last.
func (w Walk) Next(last Position) enlace.Cursor {
	last.Time = utc(last.Time)
	return encode(stored{Version: version, From: w.From, Began: w.Began, Last: &last})
}

// End is the cursor of the finished walk, where the next one begins.
func (w Walk) End() enlace.Cursor { return encode(stored{Version: version, Mark: w.Began}) }

func encode(s stored) enlace.Cursor {
	text, _ := json.Marshal(s) // times of the years 0 to 9999 always have a form
	return enlace.Cursor(text)
}
