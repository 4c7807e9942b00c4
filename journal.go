package enlace

import (
	"context"
	"encoding/json"
	"time"
)

// JournalStore keeps what was about to be written at a provider and what was there
// before: it is written before each request, so that a crash is known for what it
// interrupted, and read to take a run back.
type JournalStore interface {
	// AddJournal stores new entries, all or none; ErrConflict if one exists.
	AddJournal(ctx context.Context, entries []JournalEntry) error

	// UpdateJournal replaces the State, RemoteID and Image of entries that exist.
	UpdateJournal(ctx context.Context, entries []JournalEntry) error

	// OpenJournal returns up to limit entries of an entity that are JournalOpen, oldest first.
	OpenJournal(ctx context.Context, ref Ref, entity string, limit int) ([]JournalEntry, error)

	// Journal returns the entries that match q, last written first, or in order of
	// their runs if q names none, and the cursor of the next page, which is empty after
	// the last one.
	Journal(ctx context.Context, q JournalQuery) ([]JournalEntry, string, error)

	// DeleteJournal removes up to limit entries, of all tenants, that were written
	// before then and are not open, and returns how many.
	DeleteJournal(ctx context.Context, before time.Time, limit int) (int, error)

	// DeleteAllJournal removes all entries of an integration.
	DeleteAllJournal(ctx context.Context, ref Ref) error
}

// JournalEntry is one write at a provider.
type JournalEntry struct {
	Ref      Ref
	RunID    string
	Number   int64 // of the write within the run, from 1
	Entity   string
	Op       Operation
	LocalID  string
	RemoteID string // empty until a create is acknowledged
	Key      string // the idempotency key of a create
	State    JournalState
	Image    []byte // sealed: what was written, and what was there before
	ImageKey uint64 // the key that sealed Image
	At       time.Time
}

// JournalState is how a write stands.
type JournalState string

// The states of a write.
const (
	JournalOpen   JournalState = "open"   // it may be under way; after a crash it may have happened
	JournalDone   JournalState = "done"   // the provider has acknowledged it
	JournalFailed JournalState = "failed" // it did not happen
	JournalDoubt  JournalState = "doubt"  // nobody can tell whether it happened; a person must look
	JournalUndone JournalState = "undone" // it was taken back
)

// JournalQuery selects writes of one integration.
type JournalQuery struct {
	Ref    Ref
	RunID  string // only this run's; empty for all
	Cursor string // from an earlier answer; empty for the first page
	Limit  int    // page size; 0 is 100, more than 1,000 is 1,000
}

// journalImage is what is sealed in an entry.
type journalImage struct {
	Change Change          `json:"change"`           // as the Source gave it
	Data   json.RawMessage `json:"data,omitempty"`   // what was sent
	Before json.RawMessage `json:"before,omitempty"` // the provider's record before that; null if it is not known
}
