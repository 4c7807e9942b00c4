package enlace

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Source gives the host's own changes to a push. A host's table with a flag
// "changed" is one, and so is a table from which every row is given each time:
// what the provider has already is found out by its digest and costs no request.
type Source interface {
	// Changes returns a page of the changes that were not accepted yet, at most
	// q.Limit of them, and the position of the next page, which is empty after the
	// last one. A record is in a run once; of several changes of one record the
	// latest is given.
	Changes(ctx context.Context, q ChangeQuery) (changes []Change, next string, err error)

	// Accepted is told what needs no longer be given: what the provider has, and
	// what enlace has taken over durably (queued, or among the dead letters). What
	// is not in it failed, and is to be given again. It is called when enlace has
	// remembered the same: after an error, and after a crash, the same changes come
	// again and are found to be there. It is called for one batch at a time in a run.
	Accepted(ctx context.Context, a AcceptedChanges) error
}

// TxSource is a Source that can write in a transaction of the service's store: its
// rows are unmarked in the commit in which enlace remembers the same, and a crash
// repeats none. Without it they are unmarked after that.
type TxSource interface {
	Source
	// Joins says whether Accepted writes by the transaction that store's Transact has
	// put into its context. Then Accepted makes no network call, and calls nothing
	// else of the service.
	Joins(store Store) bool
}

// ChangeQuery asks a Source for changes.
type ChangeQuery struct {
	Integration Integration
	Entity      string
	After       string // where to go on; empty for the beginning
	Limit       int    // at most this many changes, 1 to 500
	// IDs and RemoteIDs, if there are any, restrict the answer to the records with
	// one of these host's or provider's ids, 500 of both at most; all of them are
	// one page. A pull in both directions asks so which records it must not overwrite.
	IDs, RemoteIDs []string
}

// only says whether the query names its records.
func (q ChangeQuery) only() bool { return len(q.IDs)+len(q.RemoteIDs) > 0 }

// Change is a record of the host as it shall be at the provider.
type Change struct {
	ID string `json:"id"` // the host's own id of the record; unique within an entity
	// RemoteID is the provider's id, for a record that the host has linked itself;
	// empty if there is none, or if enlace made the link.
	RemoteID string    `json:"remote_id,omitempty"`
	Deleted  bool      `json:"deleted,omitempty"`
	Modified time.Time `json:"modified,omitzero"` // when it changed at the host; zero if unknown
	// Data is a JSON object with the fields that the host answers for; nil if Deleted.
	// It is in the host's form if the entity has an active mapping, which maps it back,
	// and in the provider's form otherwise. Fields that are not in it are left alone,
	// null empties one.
	Data json.RawMessage `json:"data,omitempty"`
}

// ChangeOutcome is what became of a change.
type ChangeOutcome string

// The outcomes. A Source hears of all but ChangeFailed, ChangeConflict and
// ChangeRolledBack, which are given again.
const (
	ChangeCreated    ChangeOutcome = "created"
	ChangeUpdated    ChangeOutcome = "updated"
	ChangeDeleted    ChangeOutcome = "deleted"
	ChangeUnchanged  ChangeOutcome = "unchanged"   // the provider has it already, or its own version won
	ChangeQueued     ChangeOutcome = "queued"      // the provider is down; it waits in the outbox
	ChangeDead       ChangeOutcome = "dead"        // refused too often, or in doubt: among the dead letters
	ChangeFailed     ChangeOutcome = "failed"      // refused; it will be tried again
	ChangeConflict   ChangeOutcome = "conflict"    // both sides changed; it waits for a decision
	ChangeRolledBack ChangeOutcome = "rolled_back" // another change of its batch failed
)

// settled says whether a change with this outcome needs no longer be given.
func (o ChangeOutcome) settled() bool {
	return slices.Contains([]ChangeOutcome{ChangeCreated, ChangeUpdated, ChangeDeleted, ChangeUnchanged, ChangeQueued, ChangeDead}, o)
}

// AcceptedChange is a change that needs no longer be given.
type AcceptedChange struct {
	Change   Change // as the Source gave it
	Outcome  ChangeOutcome
	RemoteID string // the provider's id; empty if it never had one
}

// AcceptedChanges are those of one batch.
type AcceptedChanges struct {
	Integration Integration
	RunID       string
	Entity      string
	Changes     []AcceptedChange
}
