package page

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

// Before reads the number that a page begins below; a list without a cursor begins
// at the greatest.
func Before(list, cursor string) (int64, error) {
	if cursor == "" {
		return math.MaxInt64, nil
	}
	text, err := Decode(list, cursor)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, ErrCursor
	}
	return n, nil
}

// JournalPosition is where an entry stands in the list of all runs.
func JournalPosition(e enlace.JournalEntry) string {
	return e.RunID + "\x00" + strconv.FormatInt(e.Number, 10)
}

// JournalAfter reads the run and the number behind which a page of all runs begins.
func JournalAfter(list, cursor string) (runID string, number int64, err error) {
	if cursor == "" {
		return "", 0, nil
	}
	position, err := Decode(list, cursor)
	if err != nil {
		return "", 0, err
	}
	runID, text, _ := strings.Cut(position, "\x00")
	if number, err = strconv.ParseInt(text, 10, 64); err != nil {
		return "", 0, ErrCursor
	}
	return runID, number, nil
}

const (
	outgoingList = "outgoing"
	conflictList = "conflicts"
)

// place is where a row stands in one of the lists of pushes.
type place struct {
	At          int64  `json:"a"`
	Integration string `json:"i"`
	Entity      string `json:"e,omitempty"`
	ID          string `json:"d"`
}

func (p place) String() string {
	text, _ := json.Marshal(p) // strings and a number
	return string(text)
}

func parsePlace(list, cursor string) (p place, err error) {
	text, err := Decode(list, cursor)
	if err == nil && json.Unmarshal([]byte(text), &p) != nil {
		err = ErrCursor
	}
	return p, err
}

// ParseOutgoing reads the place behind which a page of outgoing changes begins: its
// Order and key are set.
func ParseOutgoing(cursor string) (c enlace.OutgoingChange, err error) {
	p, err := parsePlace(outgoingList, cursor)
	c.Order, c.Ref.ID, c.Entity, c.LocalID = p.At, p.Integration, p.Entity, p.ID
	return c, err
}

// CutOutgoing makes one page of outgoing changes.
func CutOutgoing(rows []enlace.OutgoingChange, size int) ([]enlace.OutgoingChange, string) {
	return Cut(rows, size, outgoingList, func(c enlace.OutgoingChange) string {
		return place{c.Order, c.Ref.ID, c.Entity, c.LocalID}.String()
	})
}

// ParseConflict reads the place behind which a page of conflicts begins: its At and
// key are set.
func ParseConflict(cursor string) (c enlace.ConflictRow, err error) {
	p, err := parsePlace(conflictList, cursor)
	c.At, c.Ref.ID, c.ID = time.UnixMicro(p.At).UTC(), p.Integration, p.ID
	return c, err
}

// CutConflicts makes one page of conflicts.
func CutConflicts(rows []enlace.ConflictRow, size int) ([]enlace.ConflictRow, string) {
	return Cut(rows, size, conflictList, func(c enlace.ConflictRow) string {
		return place{At: c.At.UnixMicro(), Integration: c.Ref.ID, ID: c.ID}.String()
	})
}
