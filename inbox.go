package enlace

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// DeliveryState is how a stored delivery stands.
type DeliveryState string

// The states of a delivery. Received, processing and failed ones are still to be
// done; done and dead ones are kept for [WebhookConfig.Retention].
const (
	DeliveryReceived   DeliveryState = "received"
	DeliveryProcessing DeliveryState = "processing" // a process is at work on it, or died with it
	DeliveryFailed     DeliveryState = "failed"     // tried and to be tried again at NextAt
	DeliveryDone       DeliveryState = "done"
	DeliveryDead       DeliveryState = "dead" // given up; see [Service.ReplayDeliveries]
)

// StoredDelivery is a delivery as the inbox keeps it. It holds no secret: what was
// sent is in Sealed, and [Service.InspectDelivery] shows it redacted.
type StoredDelivery struct {
	ID       string        `json:"id"` // sorts by the time at which the delivery came
	Ref      Ref           `json:"integration"`
	Provider string        `json:"provider"`
	State    DeliveryState `json:"state"`
	Attempts int           `json:"attempts"` // that failed, or died with their process
	Replays  int           `json:"replays"`  // how often it was set back to be done anew
	// Signed says that the body is the sender's; see [Proof].
	Signed     bool      `json:"signed"`
	SignedAt   time.Time `json:"signed_at,omitzero"`
	ReceivedAt time.Time `json:"received_at"`
	NextAt     time.Time `json:"next_at"`              // when it may be tried
	FinishedAt time.Time `json:"finished_at,omitzero"` // when it became done or dead
	Types      []string  `json:"types,omitempty"`      // of its events, once it was read
	Lanes      []string  `json:"lanes,omitempty"`      // the records concerned, "entity/id", once it was read
	Kind       string    `json:"kind,omitempty"`       // KindLabel of the last failure
	Error      string    `json:"error,omitempty"`      // in words, without secrets
	Edited     bool      `json:"edited,omitempty"`     // its body was replaced by hand
	DedupeKey  string    `json:"-"`                    // unique within the integration
	Sealed     Sealed    `json:"-"`                    // left out of lists
}

// InboxStore keeps webhook deliveries, and what belongs to them.
type InboxStore interface {
	// SaveEndpoint stores that an address with this hash leads to the integration.
	SaveEndpoint(ctx context.Context, ref Ref, hash string) error
	// Endpoint finds the integration of a hash that SaveEndpoint has stored, or
	// else the one whose id is id, of any tenant. It returns ErrNotFound if there
	// is none, or if integrations of several tenants have that id.
	Endpoint(ctx context.Context, hash, id string) (Ref, error)
	// DeleteEndpoint removes one hash of an integration; it is no error if it is not there.
	DeleteEndpoint(ctx context.Context, ref Ref, hash string) error

	// InsertDeliveries stores all of them in one commit, except those whose
	// (Ref, DedupeKey) is there already. It returns the ids of what it stored.
	InsertDeliveries(ctx context.Context, deliveries []StoredDelivery) (inserted []string, err error)
	// DueIntegrations returns up to limit integrations, of all tenants, with deliveries
	// that DueDeliveries would return, in order of (tenant, id) and behind after,
	// whose zero value is the beginning.
	DueIntegrations(ctx context.Context, after Ref, limit int) ([]Ref, error)
	// DueDeliveries returns up to limit deliveries of the integration that are
	// received, processing or failed and whose NextAt has come, by the store's
	// clock, in order of their ids and with Sealed. Inside Transact nobody else
	// changes them before its end. If there are none, next is when the first one
	// will be due; zero if there is nothing to do at all.
	DueDeliveries(ctx context.Context, ref Ref, limit int) (due []StoredDelivery, next time.Time, err error)
	// FailedDeliveries returns up to limit failed deliveries, in order of their
	// ids and without Sealed.
	FailedDeliveries(ctx context.Context, ref Ref, limit int) ([]StoredDelivery, error)
	// ClaimDeliveries makes deliveries of a tenant processing, by their ids.
	ClaimDeliveries(ctx context.Context, tenant string, ids []string) error
	// FinishDeliveries makes processing deliveries of a tenant done, with their Types
	// and Lanes. Of those that are not Signed the key is given free, so that the
	// same words may come again and mean something new.
	FinishDeliveries(ctx context.Context, tenant string, deliveries []StoredDelivery) error
	// UpdateDelivery replaces a delivery, except what tells it and its DedupeKey, if its
	// state is still from; otherwise it returns ErrConflict. Without Sealed.Data
	// the stored one stays.
	UpdateDelivery(ctx context.Context, d StoredDelivery, from DeliveryState) error
	// Delivery returns one, with Sealed, or ErrNotFound.
	Delivery(ctx context.Context, tenant, id string) (StoredDelivery, error)
	// Deliveries returns those that match q, newest first and without Sealed, and
	// the cursor of the next page, which is empty after the last one.
	Deliveries(ctx context.Context, q DeliveryQuery) ([]StoredDelivery, string, error)
	// DeadDeliveries counts dead deliveries of a tenant, or of one integration, by
	// integration and kind; most first.
	DeadDeliveries(ctx context.Context, tenant, integration string) ([]DeadDeliveryGroup, error)

	// MarkEvents stores keys of events and returns those that were not there.
	MarkEvents(ctx context.Context, ref Ref, keys []string) (fresh []string, err error)

	// NoteHeard stores when deliveries last told of records. NoteMissed stores when
	// records had changed without a delivery. Each takes the other back.
	NoteHeard(ctx context.Context, ref Ref, records []RecordName, at time.Time) error
	NoteMissed(ctx context.Context, ref Ref, records []RecordName, at time.Time) error
	// HeardRecords returns when deliveries last told of those records of an entity, by
	// their ids; those of which none did are left out.
	HeardRecords(ctx context.Context, ref Ref, entity string, ids []string) (map[string]time.Time, error)
	// MissedRecords returns the records of an integration that NoteMissed was last told
	// of, in order of their names, and the cursor of the next page.
	MissedRecords(ctx context.Context, q MissedQuery) ([]MissedRecord, string, error)

	// PruneInbox removes up to limit deliveries that were finished before, keys of
	// events and times of records older than that. It returns how many rows it removed.
	PruneInbox(ctx context.Context, before time.Time, limit int) (int, error)
	// DeleteInbox removes everything of an integration.
	DeleteInbox(ctx context.Context, ref Ref) error
}

// DeliveryQuery selects stored deliveries of one tenant.
type DeliveryQuery struct {
	Tenant      string
	Integration string        // only this integration's; empty for all
	State       DeliveryState // only in this state; empty for all
	Kind        string        // only with this kind of failure; empty for all
	Cursor      string        // from an earlier answer; empty for the first page
	Limit       int           // page size; 0 is 100, more than 1,000 is 1,000
}

// DeadDeliveryGroup counts dead deliveries with one cause.
type DeadDeliveryGroup struct {
	Ref    Ref       `json:"integration"`
	Kind   string    `json:"kind"`
	Count  int       `json:"count"`
	Latest time.Time `json:"latest"` // when the newest of them came
}

// RecordName names a record of an integration.
type RecordName struct {
	Entity string `json:"entity"`
	ID     string `json:"id"`
}

// MissedRecord is a record that had changed without a delivery telling of it.
type MissedRecord struct {
	RecordName
	FoundAt time.Time `json:"found_at"` // by polling
}

// MissedQuery selects missed records of one integration.
type MissedQuery struct {
	Ref
	Cursor string // from an earlier answer; empty for the first page
	Limit  int    // page size; 0 is 100, more than 1,000 is 1,000
}

// deliveryIDs makes ids that sort by time and, within a process, by the order of the calls.
type deliveryIDs struct{ last atomic.Uint64 }

// next returns 26 characters: milliseconds in 48 bits and a sequence in 16, which
// together only grow, and 64 random bits.
func (d *deliveryIDs) next(now time.Time) string {
	at := uint64(now.UnixMilli()) << 16
	for {
		last := d.last.Load()
		at = max(at, last+1)
		if d.last.CompareAndSwap(last, at) {
			break
		}
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], at)
	_, _ = rand.Read(b[8:]) // never fails: crypto/rand aborts the program instead
	return encodeID(b)
}
