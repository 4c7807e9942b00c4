package enlace

import (
	"context"
	"crypto/sha256"
	"time"
)

// RecordState is what enlace remembers of one record at the provider: enough to
// know it again, to tell a change from a repetition, and to notice that it has
// gone. The data itself is not kept, unless a run was told to ([SyncOptions.Keep]).
type RecordState struct {
	ID      string // the provider's id of the record
	LocalID string // the host's id of it; empty if it is not linked. Unique within an entity
	// Accepted is the digest of the provider's data that the host accepted last;
	// zero if it never did.
	Accepted Digest
	// Pushed is the digest of the data that was sent last; zero if none was. A
	// pull that brings the same is our own echo.
	Pushed Digest
	// Base is the data of the last synchronised state, sealed; nil if it is not kept.
	Base      []byte
	BaseKeyID uint64    // the key that sealed Base; a hint for rotation, not trusted
	Modified  time.Time // when it changed at the provider, as far as known
	// Seen is when a walk through all records began that found it, or when a
	// write created it: a later complete walk without it proves that it has gone.
	Seen      time.Time
	Presence  Presence
	Version   int64     // 0 if nothing is stored yet; each save stores Version+1
	UpdatedAt time.Time // set by the store
}

// Presence is whether a record is still there at the provider.
type Presence string

// The presences.
const (
	// RecordPresent: it is there, as far as we know.
	RecordPresent Presence = "present"
	// RecordMissing: a complete walk did not find it, among too many others to be
	// taken for deleted. It waits for ApproveDeletions or RejectDeletions.
	RecordMissing Presence = "missing"
	// RecordApproved: a person approved its deletion; the next run tells the sink.
	RecordApproved Presence = "approved"
	// RecordKept: a person rejected its deletion. Nobody is asked again before the
	// provider has shown it once more.
	RecordKept Presence = "kept"
	// RecordGone: the host has accepted its deletion.
	RecordGone Presence = "gone"
)

// Digest tells two versions of a record's data apart: the first half of their SHA-256.
type Digest [16]byte

// DigestOf returns the digest of data.
func DigestOf(data []byte) Digest {
	sum := sha256.Sum256(data)
	return Digest(sum[:len(Digest{})])
}

// IsZero says whether d is the digest of nothing.
func (d Digest) IsZero() bool { return d == Digest{} }

// RecordStore keeps the states of records, one for each (integration, entity,
// provider's id).
type RecordStore interface {
	// LoadRecordStates returns the states of those ids that are known, in any
	// order. len(ids) is at most 1,000; ids may be there twice.
	LoadRecordStates(ctx context.Context, ref Ref, entity string, ids []string) ([]RecordState, error)

	// LoadLinkedStates returns the states that are linked to those local ids, in
	// any order. len(localIDs) is at most 1,000.
	LoadLinkedStates(ctx context.Context, ref Ref, entity string, localIDs []string) ([]RecordState, error)

	// SaveRecordStates stores every state whose version is still the given one (0
	// for a new one), each with Version+1: all of them, or none. An id is there
	// once at most. It returns ErrConflict if one of them has changed meanwhile,
	// and ErrLinked if a LocalID belongs to another record.
	SaveRecordStates(ctx context.Context, ref Ref, entity string, states []RecordState) error

	// RecordStates returns the states that match q, in order of their ids, and the
	// cursor of the next page, which is empty after the last one.
	RecordStates(ctx context.Context, q RecordQuery) ([]RecordState, string, error)

	// CountRecordStates returns how many match q; Cursor and Limit do not count.
	CountRecordStates(ctx context.Context, q RecordQuery) (int, error)

	// DeleteRecordStates removes all states of an integration.
	DeleteRecordStates(ctx context.Context, ref Ref) error
}

// RecordQuery selects the states of one entity's records.
type RecordQuery struct {
	Ref        Ref
	Entity     string
	Presence   Presence  // only these; empty for all
	SeenBefore time.Time // only those whose Seen is earlier; zero for all
	Cursor     string    // from an earlier answer; empty for the first page
	Limit      int       // page size; 0 is 100, more than 1,000 is 1,000
}
