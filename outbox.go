package enlace

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/time/rate"
)

// OutgoingStore keeps changes on their way to a provider that enlace has taken
// over from the host, one for each record of the host: the outbox, and the dead
// letters. The newest change of a record takes the place of the one before.
type OutgoingStore interface {
	// PutOutgoing inserts changes or replaces those of the same (integration,
	// entity, local id), each with a Version one higher. A row that is replaced keeps its
	// Order, unless that of the new one is not 0.
	PutOutgoing(ctx context.Context, changes []OutgoingChange) error

	// LoadOutgoing returns the rows of those local ids, in any order. len(localIDs)
	// is at most 1,000.
	LoadOutgoing(ctx context.Context, ref Ref, entity string, localIDs []string) ([]OutgoingChange, error)

	// DeleteOutgoing removes a row if its version is still version; it is no error
	// if there is another or none.
	DeleteOutgoing(ctx context.Context, key OutgoingKey, version int64) error

	// Outgoing returns the rows that match q, in their Order, and the cursor of the
	// next page, which is empty after the last one.
	Outgoing(ctx context.Context, q OutgoingQuery) ([]OutgoingChange, string, error)

	// QueuedEntities returns up to limit (integration, entity) pairs, of all tenants, that
	// have queued changes, in order and behind after, whose zero value is the beginning.
	// Their LocalID is empty.
	QueuedEntities(ctx context.Context, after OutgoingKey, limit int) ([]OutgoingKey, error)

	// DeleteAllOutgoing removes all rows of an integration.
	DeleteAllOutgoing(ctx context.Context, ref Ref) error
}

// OutgoingKey names a change on its way.
type OutgoingKey struct {
	Ref     Ref    `json:"integration"`
	Entity  string `json:"entity"`
	LocalID string `json:"local_id"`
}

// OutgoingChange is a change as a store keeps it.
type OutgoingChange struct {
	OutgoingKey
	State      OutgoingState
	Order      int64 // changes are sent in this order; 0 in a replacement keeps it
	Tries      int   // how often the provider refused it
	Kind       string
	Error      string // in words, without secrets
	Payload    []byte // the sealed Change
	PayloadKey uint64 // the key that sealed Payload
	Digest     Digest // of the change, to know it again
	RunID      string // the run that put it here
	Version    int64  // set by the store
	CreatedAt  time.Time
	UpdatedAt  time.Time // set by the store
}

// OutgoingState is how a change on its way stands.
type OutgoingState string

// The states of a change on its way.
const (
	OutgoingQueued  OutgoingState = "queued"   // waits in the outbox until the provider answers
	OutgoingFailing OutgoingState = "failing"  // refused, but not yet often enough to be given up
	OutgoingDead    OutgoingState = "dead"     // refused too often
	OutgoingInDoubt OutgoingState = "in_doubt" // nobody can tell whether it was created; a person must look
)

// OutgoingQuery selects changes of one tenant.
type OutgoingQuery struct {
	Tenant      string
	Integration string          // only this one's; empty for all
	Entity      string          // only these; empty for all
	States      []OutgoingState // only these; empty for all
	Kind        string          // only what failed with this KindLabel; empty for all
	Cursor      string          // from an earlier answer; empty for the first page
	Limit       int             // page size; 0 is 100, more than 1,000 is 1,000
}

// Enqueue puts changes into the outbox, from where Service.Run pushes them in their
// order. Called with the context of a transaction ([Transactor]) they are in it: a
// host whose rows are in the store's database never changes one without the other.
// A change of a record that waits already takes its place. At most 1,000 changes.
// Errors: ErrNotFound, ErrUnsupported (the adapter writes no such records),
// ErrInvalid, ErrKey, ErrStore.
func (s *Service) Enqueue(ctx context.Context, ref Ref, entity string, changes ...Change) error {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return err
	}
	adapter, err := s.config.Registry.Lookup(in.Provider)
	if err != nil {
		return err
	}
	if err := checkWritable(adapter, entity); err != nil {
		return err
	}
	var faults ValidationError
	if len(changes) > 1000 {
		faults.add("changes", "too many", "1,000 at most")
	}
	rows := make([]OutgoingChange, 0, len(changes))
	for _, c := range latest(changes) {
		if f, err := parseFields(c.Data); c.ID == "" || (!c.Deleted && (err != nil || f == nil)) {
			faults.add("changes", "without an id, or data that is not a JSON object", "an id, and an object unless it is deleted")
		}
		row := OutgoingChange{OutgoingKey: OutgoingKey{Ref: ref, Entity: entity, LocalID: c.ID}, State: OutgoingQueued,
			Order: s.nextOrder(), Digest: changeDigest(c), CreatedAt: rowTime()}
		if row.Payload, row.PayloadKey, err = s.sealJSON(ctx, outgoingPlace(row.OutgoingKey), c); err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if err := faults.orNil(); err != nil {
		return err
	}
	return wrap("enqueue", ErrStore, s.store.Transact(ctx, func(ctx context.Context) error {
		if err := s.store.PutOutgoing(ctx, rows); err != nil {
			return err
		}
		job := outboxJob(OutgoingKey{Ref: ref, Entity: entity})
		job.At = time.Now().Add(gatherTime)
		return s.engine.Enqueue(ctx, job)
	}))
}

// nextOrder gives numbers that grow with time, and never the same one twice in
// this process.
func (s *Service) nextOrder() int64 {
	for {
		last := s.lastOrder.Load()
		next := max(time.Now().UnixMicro(), last+1)
		if s.lastOrder.CompareAndSwap(last, next) {
			return next
		}
	}
}

// outgoingPlace is where a change on its way is sealed to.
func outgoingPlace(key OutgoingKey) RecordPlace {
	return RecordPlace{Ref: key.Ref, Kind: "outgoing", Name: key.Entity + "/" + key.LocalID}
}

func (s *Service) openOutgoing(ctx context.Context, row OutgoingChange) (Change, error) {
	var c Change
	text, err := s.safe.OpenRecord(ctx, outgoingPlace(row.OutgoingKey), row.Payload)
	if err == nil {
		err = wrapKey("open outgoing change", json.Unmarshal(text, &c))
	}
	return c, err
}

const (
	// drainInterval is how often the outboxes are looked through.
	drainInterval = 5 * time.Second
	// gatherTime is how long changes wait for others that are pushed with them.
	gatherTime = time.Second
	// outboxWorkers is how many outboxes a process pushes at once.
	outboxWorkers = 4
	// drainShare is the part of the provider's rate that an outbox takes, so that
	// what people do meanwhile is not slowed down by what waited.
	drainShare = 0.5
	// journalLife is how long writes can be taken back and resolved conflicts are listed.
	journalLife = 30 * 24 * time.Hour
)

// findOutboxes has everything pushed that waits.
func (s *Service) findOutboxes(ctx context.Context) error {
	var after OutgoingKey
	for {
		keys, err := s.store.QueuedEntities(ctx, after, 100)
		if err != nil || len(keys) == 0 {
			return wrap("look through outboxes", ErrStore, err)
		}
		jobs := make([]Job, len(keys))
		for i, key := range keys {
			jobs[i] = outboxJob(key)
		}
		if err := s.engine.Enqueue(ctx, jobs...); err != nil {
			return err
		}
		after = keys[len(keys)-1]
	}
}

func outboxJob(key OutgoingKey) Job {
	return Job{Kind: jobOutbox, Key: jobKey(key.Ref.Tenant, key.Ref.ID, key.Entity)}
}

// drainOutbox is the job that pushes what waits of one entity, for a while. What fails is
// tried at the next look.
func (s *Service) drainOutbox(ctx context.Context, key OutgoingKey) error {
	if !s.FlagEnabled(ctx, FlagRealTimeSync, key.Ref, key.Entity) {
		return nil // a run or a later look sends them
	}
	more, err := s.pushOutbox(ctx, key)
	if err != nil && ctx.Err() == nil {
		s.logger.Warn("outbox not drained", "integration", key.Ref.String(), "entity", key.Entity, "error", err)
	}
	if more && err == nil {
		return RunAgain(0)
	}
	return nil
}

// pushOutbox pushes what waits of one entity, if it is anybody's turn. more says that
// the time was over before all was read.
func (s *Service) pushOutbox(ctx context.Context, key OutgoingKey) (more bool, err error) {
	in, err := s.Get(ctx, key.Ref)
	if err != nil || !in.Enabled {
		return false, err
	}
	s.followBreakers(ctx)
	adapter, err := s.config.Registry.Lookup(in.Provider)
	if err != nil || !s.pushable(adapter.Describe(), key.Ref) {
		return false, err
	}
	source := s.outboxOf(adapter)
	turn := LeaseName{Tenant: key.Ref.Tenant, Name: "drain/" + key.Ref.ID + "/" + key.Entity}
	err = s.leased(ctx, turn, newID(rowTime()), func(ctx context.Context, _ Lease) error {
		_, err := s.Sync(ctx, key.Ref, SyncOptions{Direction: Push, Entities: []string{key.Entity}, Source: source})
		return err
	})
	if errors.Is(err, ErrConflict) {
		return false, nil // another process drains it, or another run of the entity is under way
	}
	return source.more, err
}

// outboxOf gives as many changes at a time as one request takes.
func (s *Service) outboxOf(adapter IntegrationAdapter) *outbox {
	o := &outbox{service: s, limiter: rate.NewLimiter(rate.Inf, 1), page: maxBatch(adapter), until: time.Now().Add(sliceTime)}
	if perSecond := adapter.Describe().Limits.PerSecond; perSecond > 0 {
		o.limiter.SetLimit(rate.Limit(perSecond * drainShare))
	}
	return o
}

// outbox is the Source of what waits in it.
type outbox struct {
	service *Service
	limiter *rate.Limiter // of pages
	page    int
	until   time.Time // then it gives no more
	more    bool      // it had more then
}

// Changes implements Source. It gives them in their order, and no faster than the
// outbox's share of the provider's rate.
func (o *outbox) Changes(ctx context.Context, q ChangeQuery) ([]Change, string, error) {
	if q.only() {
		return nil, "", nil
	}
	if o.more = q.After != "" && time.Now().After(o.until); o.more {
		return nil, "", nil
	}
	if err := o.limiter.Wait(ctx); err != nil {
		return nil, "", err
	}
	rows, next, err := o.service.store.Outgoing(ctx, OutgoingQuery{Tenant: q.Integration.Tenant, Integration: q.Integration.ID,
		Entity: q.Entity, States: []OutgoingState{OutgoingQueued}, Cursor: q.After, Limit: min(q.Limit, o.page)})
	if err != nil {
		return nil, "", wrap("read outbox", ErrStore, err)
	}
	changes := make([]Change, len(rows))
	for i, row := range rows {
		if changes[i], err = o.service.openOutgoing(ctx, row); err != nil {
			return nil, "", err
		}
	}
	return changes, next, nil
}

// Accepted implements Source. What was pushed has left the outbox already.
func (o *outbox) Accepted(context.Context, AcceptedChanges) error { return nil }
