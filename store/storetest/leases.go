package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var leaseChecks = []check{
	{"OneHolder", leaseOneHolder},
	{"Fence", leaseFence},
	{"Tenants", leaseTenants},
	{"Race", func(t *testing.T, s enlace.Store) { leaseRace(t, s, s) }},
	{"InTransaction", leaseInTransaction},
}

func leaseName(name string) enlace.LeaseName { return enlace.LeaseName{Tenant: "acme", Name: name} }

func acquire(t *testing.T, s enlace.LeaseStore, name, owner string, ttl time.Duration) enlace.Lease {
	t.Helper()
	lease, err := s.AcquireLease(t.Context(), leaseName(name), owner, ttl)
	noError(t, "AcquireLease takes a free lease", err)
	return lease
}

func leaseOneHolder(t *testing.T, s enlace.Store) {
	lease := acquire(t, s, "work", "a", time.Hour)
	equal(t, "a lease says whose it is", enlace.Lease{LeaseName: lease.LeaseName, Owner: lease.Owner, Fence: lease.Fence},
		enlace.Lease{LeaseName: leaseName("work"), Owner: "a", Fence: 1})
	setByStore(t, "a lease ends ttl from now", lease.Until.Add(-time.Hour))
	isUTC(t, lease.Until)
	_, err := s.AcquireLease(t.Context(), leaseName("work"), "b", time.Hour)
	wantError(t, "a lease that somebody holds is ErrConflict", err, enlace.ErrConflict)
	acquire(t, s, "Work", "b", time.Hour) // names are case-sensitive

	noError(t, "CheckLease confirms the holder", s.CheckLease(t.Context(), lease))
	renewed, err := s.RenewLease(t.Context(), lease, 2*time.Hour)
	noError(t, "RenewLease confirms the holder", err)
	if !renewed.Until.After(lease.Until) || renewed.Fence != lease.Fence {
		t.Errorf("RenewLease moves the end and keeps the fence: got %+v after %+v", renewed, lease)
	}
	noError(t, "ReleaseLease gives the lease up", s.ReleaseLease(t.Context(), renewed))
	wantError(t, "a lease that was given up is lost", s.CheckLease(t.Context(), renewed), enlace.ErrConflict)
	acquire(t, s, "work", "b", time.Hour)
}

func leaseFence(t *testing.T, s enlace.Store) {
	const rule = "the fence grows with each acquisition"
	first := acquire(t, s, "work", "a", time.Hour)
	again := acquire(t, s, "work", "a", time.Hour)
	wantError(t, "an earlier acquisition of the same owner is lost", s.CheckLease(t.Context(), first), enlace.ErrConflict)
	_, err := s.RenewLease(t.Context(), first, time.Hour)
	wantError(t, "RenewLease of a lost lease is ErrConflict", err, enlace.ErrConflict)
	noError(t, "ReleaseLease of a lost lease is no error", s.ReleaseLease(t.Context(), first))
	noError(t, "ReleaseLease of a lost lease leaves the holder alone", s.CheckLease(t.Context(), again))
	noError(t, rule, s.ReleaseLease(t.Context(), again))
	last := acquire(t, s, "work", "b", -time.Second)
	if first.Fence >= again.Fence || again.Fence >= last.Fence {
		t.Errorf("%s: got %d, %d, %d", rule, first.Fence, again.Fence, last.Fence)
	}
	noError(t, "a lease that ran out and that nobody took is still the holder's", s.CheckLease(t.Context(), last))
	taken := acquire(t, s, "work", "c", time.Hour)
	wantError(t, "a lease that ran out can be taken", s.CheckLease(t.Context(), last), enlace.ErrConflict)
	noError(t, "a lease that ran out can be taken", s.CheckLease(t.Context(), taken))
}

func leaseTenants(t *testing.T, s enlace.Store) {
	acquire(t, s, "work", "a", time.Hour)
	_, err := s.AcquireLease(t.Context(), enlace.LeaseName{Tenant: "other", Name: "work"}, "b", time.Hour)
	noError(t, "a name belongs to its tenant", err)
}

// leaseRace lets many try to take one lease that always seems to have run out.
func leaseRace(t *testing.T, a, b enlace.Store) {
	var held atomic.Int64
	together(writers, func(w int) {
		s := a
		if w%2 == 1 {
			s = b
		}
		lease, err := s.AcquireLease(t.Context(), leaseName("race"), string(rune('A'+w)), time.Hour)
		if err == nil {
			held.Add(1)
			noError(t, "who has got the lease holds it", s.CheckLease(t.Context(), lease))
		} else {
			wantError(t, "a lease that somebody holds is ErrConflict", err, enlace.ErrConflict)
		}
	})
	equal(t, "one of many gets the lease", held.Load(), int64(1))
}
