package enlace

import (
	"context"
	"iter"
	"time"
)

// Store is what a service needs to remember. It is the sum of small interfaces,
// one for each concern, so that a backend may serve one or all of them. The
// packages under store/ are implementations; store/storetest is the suite that
// each of them passes.
//
// Rules for every method: it is safe for concurrent use, also by several
// processes that share the store where the backend can be shared; ids are
// case-sensitive; a tenant never sees another tenant's rows, and what exists for
// another tenant is ErrNotFound; times are kept as UTC instants with at least
// microsecond resolution; no method keeps a transaction or a lock during
// somebody else's code, except that UpdateCredential holds its lease and Transact its
// transaction while fn runs.
type Store interface {
	IntegrationStore
	CredentialStore
	CheckpointStore
	RunStore
	RecordStore
	ScheduleStore
	LeaseStore
	MappingStore
	RefusedStore
	RecordResealer
	Transactor
	InboxStore
	AuditStore
	HealthStore
	MetricStore
	FlagStore
	TenantStore
	JournalStore
	OutgoingStore
	ConflictStore
	BreakerStore
}

// IntegrationStore keeps integrations.
type IntegrationStore interface {
	// CreateIntegration stores a new row with Version 1. It returns ErrConflict
	// if the id exists.
	CreateIntegration(ctx context.Context, in Integration) error

	// Integration returns one row, or ErrNotFound.
	Integration(ctx context.Context, ref Ref) (Integration, error)

	// Integrations returns the rows that match q, in order of their ids, and the
	// cursor of the next page, which is empty after the last one.
	Integrations(ctx context.Context, q IntegrationQuery) ([]Integration, string, error)

	// UpdateIntegration replaces the row if its version is still in.Version, and
	// stores in.Version+1. It returns ErrConflict if it is not, ErrNotFound if
	// there is no row.
	UpdateIntegration(ctx context.Context, in Integration) error

	// DeleteIntegration removes the row if its version is still version. Errors
	// are those of UpdateIntegration.
	DeleteIntegration(ctx context.Context, ref Ref, version int64) error
}

// IntegrationQuery selects integrations of one tenant.
type IntegrationQuery struct {
	Tenant   string
	Provider string // only this provider; empty for all
	Cursor   string // from an earlier answer; empty for the first page
	Limit    int    // page size; 0 is 100, more than 1,000 is 1,000
}

// CredentialKey names one stored credential.
type CredentialKey struct {
	Ref
	Name string // which secret of the integration; "account" is what opens it
}

// Sealed is an encrypted credential as a store keeps it. Stores never see
// plaintext and need no key.
type Sealed struct {
	Data      []byte
	KeyID     uint64    // the key that sealed Data; a hint for rotation, not trusted
	Version   int64     // grows by one with each change, set by the store
	UpdatedAt time.Time // set by the store
}

// CredentialStore keeps sealed credentials.
type CredentialStore interface {
	// LoadCredential returns the sealed value, or ErrNoCredential.
	LoadCredential(ctx context.Context, key CredentialKey) (Sealed, error)

	// UpdateCredential replaces the value with what fn returns.
	//
	// At most one fn runs for a key at any time, across every process that
	// shares the store: fn redeems single-use refresh tokens. cur is the latest
	// committed value, nil if there is none; a nil result leaves it as it is; an
	// error from fn changes nothing and is returned as it is. Once fn has
	// returned a value it is stored even if ctx has ended meanwhile.
	//
	// The store holds a lease, not a transaction, while fn runs. The context
	// that fn receives ends before the lease does. If the lease was lost all the
	// same, the result is not stored and the error is ErrConflict. interrupted
	// says that an earlier holder never came back: it died inside fn.
	UpdateCredential(ctx context.Context, key CredentialKey,
		fn func(ctx context.Context, cur *Sealed, interrupted bool) (*Sealed, error)) error

	// DeleteCredential removes the value; it is no error if there is none.
	DeleteCredential(ctx context.Context, key CredentialKey) error

	// Credentials yields the keys of a tenant's stored values, in order. It ends
	// after the first error. Values may change while it runs.
	Credentials(ctx context.Context, tenant string) iter.Seq2[CredentialKey, error]
}

// StoredCredential is a sealed value with its key.
type StoredCredential struct {
	CredentialKey
	Sealed
}

// CredentialResealer is implemented by credential stores whose contents can be
// sealed anew, by a new root key, while they are in use. Without it a key can
// be replaced but never given up.
type CredentialResealer interface {
	// CredentialsNotSealedBy returns up to limit values, of all tenants, whose
	// KeyID is another than keyID, in order of (tenant, integration, name) and
	// behind after, whose zero value is the beginning.
	CredentialsNotSealedBy(ctx context.Context, keyID uint64, after CredentialKey, limit int) ([]StoredCredential, error)

	// ResealCredentials replaces Data and KeyID of each value whose version is
	// still the given one, and stores Version+1, all in as few commits as it can.
	// A value that has changed or gone meanwhile is left alone, and so is one
	// whose lease is held: its holder stores a newer one. It returns how many
	// were replaced.
	ResealCredentials(ctx context.Context, values []StoredCredential) (int, error)
}

// KeyringStore keeps the keyring: which root keys there are and how each is
// wrapped. It never sees a root key in the clear.
type KeyringStore interface {
	// LoadKeyring returns the stored keyring, or the zero value if there is none.
	LoadKeyring(ctx context.Context) (KeyringRecord, error)
	// SaveKeyring stores r if the stored version is still r.Version (0 if there is
	// none), and then has r.Version+1; otherwise it returns ErrConflict.
	SaveKeyring(ctx context.Context, r KeyringRecord) error
}

// KeyringRecord is a keyring as a store keeps it.
type KeyringRecord struct {
	Data    []byte
	Version int64
}

// Checkpoint is how far the pulls of one entity have come. The host has accepted
// everything before it; it never runs ahead.
type Checkpoint struct {
	Resume    Cursor    // where to go on inside an unfinished run; empty if the last one finished
	Mark      Cursor    // where the last finished run ended and the next incremental one begins
	Scope     string    // what the unfinished run set out to read; it is resumed by an equal one only
	Began     time.Time // when the unfinished run began, if it reads everything; zero otherwise
	Version   int64     // 0 if nothing is stored yet; each save stores Version+1
	UpdatedAt time.Time // set by the store
}

// CheckpointStore keeps checkpoints, one for each entity of an integration.
type CheckpointStore interface {
	// LoadCheckpoint returns the checkpoint, or the zero value if there is none.
	LoadCheckpoint(ctx context.Context, ref Ref, entity string) (Checkpoint, error)

	// SaveCheckpoint stores cp if the stored version is still cp.Version, and
	// returns ErrConflict otherwise: another run has moved it.
	SaveCheckpoint(ctx context.Context, ref Ref, entity string, cp Checkpoint) error

	// DeleteCheckpoints removes all checkpoints of an integration.
	DeleteCheckpoints(ctx context.Context, ref Ref) error
}

// RunStore keeps the records of sync runs.
type RunStore interface {
	// SaveRun inserts the run or replaces the one of the same tenant and id, except
	// for its Request.
	SaveRun(ctx context.Context, run Run) error

	// RequestRun sets the Request of a run. It returns ErrNotFound if there is none.
	RequestRun(ctx context.Context, tenant, id string, request RunRequest) error

	// RunRequest returns the Request of a run, or RequestNone if there is none.
	RunRequest(ctx context.Context, tenant, id string) (RunRequest, error)

	// QueuedRuns returns up to limit runs of all tenants that are Queued and waiting
	// or running, in order of their ids.
	QueuedRuns(ctx context.Context, limit int) ([]QueuedRun, error)

	// NextQueuedRun returns the one of those with the least id of an integration, or
	// ErrNotFound.
	NextQueuedRun(ctx context.Context, ref Ref) (QueuedRun, error)

	// Run returns one run, or ErrNotFound.
	Run(ctx context.Context, tenant, id string) (Run, error)

	// Runs returns the runs that match q, newest first, and the cursor of the
	// next page, which is empty after the last one.
	Runs(ctx context.Context, q RunQuery) ([]Run, string, error)

	// PruneRuns removes up to limit runs of all tenants that have ended before, and
	// returns how many. One that is waiting, running or paused has not ended.
	PruneRuns(ctx context.Context, before time.Time, limit int) (int, error)
}

// QueuedRun names a run that is queued.
type QueuedRun struct {
	Ref   Ref // the integration
	RunID string
}

// RunQuery selects runs of one tenant.
type RunQuery struct {
	Tenant      string
	Integration string // only this integration's; empty for all
	Cursor      string // from an earlier answer; empty for the first page
	Limit       int    // page size; 0 is 100, more than 1,000 is 1,000
}
