package enlace

import (
	"context"
	"time"
)

// Transactor carries out several changes as one.
type Transactor interface {
	// Transact runs fn in one transaction: what store methods change with the
	// context that fn receives becomes visible and durable together when fn has
	// returned nil, and not at all if it returned an error or panicked. The error
	// of fn is returned as it is. fn runs once, or not at all if the transaction
	// cannot begin. A Transact inside of fn joins the outer one.
	//
	// While fn runs others wait, so it makes no network call, and after an error
	// of a store method it returns that error. A store method that is called with
	// another context than fn's does not take part, and may wait for fn's end.
	// UpdateCredential returns ErrInTransaction: it holds a lease while somebody
	// asks a token endpoint.
	Transact(ctx context.Context, fn func(ctx context.Context) error) error

	// AfterCommit calls fn when the transaction that Transact has put into ctx is
	// committed, before the outermost Transact returns, and never if it is not. Without a
	// transaction it calls fn at once. fn is short and does not fail; what must not
	// be lost is written in the transaction instead.
	AfterCommit(ctx context.Context, fn func())
}

// ErrInTransaction is returned by what must not run inside of [Transactor]'s
// Transact, because it waits for a network. It matches ErrInvalid too.
var ErrInTransaction error = &kind{label: "in_transaction", text: "not possible inside a transaction", parent: ErrInvalid}

// LeaseName names what only one process may do at a time.
type LeaseName struct {
	Tenant string // empty for what concerns all tenants
	Name   string // such as "sync/<integration>/<entity>"
}

// Lease is the right to do something for a time, by the store's clock.
type Lease struct {
	LeaseName
	Owner string
	// Fence grows with each acquisition of the name, so that a holder who was
	// held up is told from the one who has taken over.
	Fence int64
	Until time.Time
}

// LeaseStore keeps leases. An owner is a random text that no other process uses.
type LeaseStore interface {
	// AcquireLease takes the lease for ttl. It returns ErrConflict while another
	// owner holds it. Who holds it already takes it anew, with a new fence.
	AcquireLease(ctx context.Context, name LeaseName, owner string, ttl time.Duration) (Lease, error)

	// RenewLease moves the end to ttl from now, also of a lease that has run out
	// and that nobody has taken since. It returns ErrConflict if somebody has.
	RenewLease(ctx context.Context, lease Lease, ttl time.Duration) (Lease, error)

	// CheckLease returns ErrConflict if somebody has taken the lease since. Inside
	// of Transact nobody can take it before the end: call it there, and what the
	// transaction writes is fenced.
	CheckLease(ctx context.Context, lease Lease) error

	// ReleaseLease gives the lease up. It is no error if somebody has taken it.
	ReleaseLease(ctx context.Context, lease Lease) error
}
