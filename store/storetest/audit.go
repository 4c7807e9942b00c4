package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var auditChecks = []check{
	{"RoundTrip", auditRoundTrip},
	{"Chain", auditChain},
	{"Query", auditQuery},
	{"Heads", auditHeads},
	{"InTransaction", auditInTransaction},
}

func hashOf(n int64) enlace.AuditHash { return sha256.Sum256(fmt.Append(nil, n)) }

// auditEntry is the n-th entry of a chain.
func auditEntry(tenant string, n int64, edit func(*enlace.AuditEntry)) enlace.AuditEntry {
	e := enlace.AuditEntry{Tenant: tenant, Seq: n, At: base.Add(time.Duration(n) * time.Minute), Action: "integration.update",
		Actor: enlace.Actor{ID: "ana"}, Integration: "one", Result: enlace.AuditDone, Hash: hashOf(n)}
	if n > 1 {
		e.Previous = hashOf(n - 1)
	}
	if edit != nil {
		edit(&e)
	}
	return e
}

func auditRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "an entry comes back as it was appended"
	head, err := s.AuditHead(t.Context(), "acme")
	noError(t, rule, err)
	equal(t, "an empty chain has a head without Seq", head, enlace.AuditHead{Tenant: "acme"})
	want := auditEntry("acme", 1, func(e *enlace.AuditEntry) {
		e.Actor = enlace.Actor{ID: "ação", Address: "2001:db8::1", Request: "r-1"}
		e.Target, e.Fields, e.Result, e.Kind = "x'\"\\", []string{"name", "settings"}, enlace.AuditFailed, "store"
		e.At = base.Add(1234 * time.Microsecond)
	})
	noError(t, rule, s.AppendAudit(t.Context(), want))
	got, next, err := s.AuditEntries(t.Context(), enlace.AuditQuery{Tenant: "acme"})
	noError(t, rule, err)
	equal(t, rule, got, []enlace.AuditEntry{want})
	equal(t, "the last page has no cursor", next, "")
	head, err = s.AuditHead(t.Context(), "acme")
	noError(t, rule, err)
	equal(t, "the head is the last entry", head, enlace.AuditHead{Tenant: "acme", Seq: 1, Hash: want.Hash})
	other, _, err := s.AuditEntries(t.Context(), enlace.AuditQuery{Tenant: "Acme"})
	noError(t, rule, err)
	equal(t, "a tenant never sees another tenant's entries", len(other), 0)
}

func auditChain(t *testing.T, s enlace.Store) {
	const rule = "AppendAudit takes only the successor of the head"
	conflict := func(e enlace.AuditEntry) {
		t.Helper()
		wantError(t, rule, s.AppendAudit(t.Context(), e), enlace.ErrConflict)
	}
	conflict(auditEntry("acme", 2, nil))
	noError(t, rule, s.AppendAudit(t.Context(), auditEntry("acme", 1, nil)))
	conflict(auditEntry("acme", 1, nil))
	conflict(auditEntry("acme", 3, nil))
	conflict(auditEntry("acme", 2, func(e *enlace.AuditEntry) { e.Previous = hashOf(7) }))
	noError(t, rule, s.AppendAudit(t.Context(), auditEntry("acme", 2, nil)))

	var won once
	together(writers, func(int) {
		for {
			head, err := s.AuditHead(t.Context(), "race")
			if err != nil {
				t.Errorf("%s: %v", rule, err)
				return
			}
			if head.Seq >= 100 {
				return
			}
			e := auditEntry("race", head.Seq+1, nil)
			switch err := s.AppendAudit(t.Context(), e); {
			case err == nil:
				won.win(e.Seq)
			case !errors.Is(err, enlace.ErrConflict):
				t.Errorf("%s: %v", rule, err)
				return
			}
		}
	})
	won.check(t, rule, 1, 100)
}

func auditQuery(t *testing.T, s enlace.Store) {
	const rule = "a query selects entries"
	for n := range int64(30) {
		noError(t, rule, s.AppendAudit(t.Context(), auditEntry("acme", n+1, func(e *enlace.AuditEntry) {
			e.Actor.ID = fmt.Sprint("user", n%3)
			e.Actor.Request = fmt.Sprint("r", n)
			e.Integration = fmt.Sprint("i", n%5)
			e.Action = []string{"integration.update", "integrations", "integration", "flag.set", "integration.delete"}[n%5]
			e.Target = fmt.Sprint("t", n%2)
			if n%10 == 0 {
				e.Result = enlace.AuditRefused
			}
		})))
	}
	for _, c := range []struct {
		query enlace.AuditQuery
		want  int
	}{
		{enlace.AuditQuery{}, 30}, {enlace.AuditQuery{Actor: "user1"}, 10}, {enlace.AuditQuery{Integration: "i2"}, 6},
		{enlace.AuditQuery{Action: "integration."}, 12}, {enlace.AuditQuery{Action: "integration"}, 6},
		{enlace.AuditQuery{Action: "flag.set", Actor: "user0"}, 2}, {enlace.AuditQuery{Target: "t1"}, 15},
		{enlace.AuditQuery{Result: enlace.AuditRefused}, 3}, {enlace.AuditQuery{Request: "r7"}, 1}, {enlace.AuditQuery{Actor: "nobody"}, 0},
		{enlace.AuditQuery{From: base.Add(11 * time.Minute)}, 20}, {enlace.AuditQuery{To: base.Add(11 * time.Minute)}, 10},
		{enlace.AuditQuery{From: base.Add(5 * time.Minute), To: base.Add(8 * time.Minute)}, 3},
		{enlace.AuditQuery{After: 12}, 18}, {enlace.AuditQuery{After: 30}, 0},
	} {
		for _, oldest := range []bool{false, true} {
			c.query.Tenant, c.query.Limit, c.query.OldestFirst, c.query.Cursor = "acme", 4, oldest, ""
			var seqs []int64
			for {
				entries, next, err := s.AuditEntries(t.Context(), c.query)
				noError(t, rule, err)
				for _, e := range entries {
					seqs = append(seqs, e.Seq)
				}
				if c.query.Cursor = next; next == "" {
					break
				}
			}
			equal(t, fmt.Sprintf("%s: %+v", rule, c.query), len(seqs), c.want)
			for i := 1; i < len(seqs); i++ {
				if (seqs[i] > seqs[i-1]) != oldest {
					t.Errorf("entries are in the order that was asked for: got %v", seqs)
				}
			}
		}
	}
	_, _, err := s.AuditEntries(t.Context(), enlace.AuditQuery{Tenant: "acme", Cursor: "bad"})
	wantError(t, "a bad cursor is ErrInvalid", err, enlace.ErrInvalid)
}

func auditHeads(t *testing.T, s enlace.Store) {
	const rule = "AuditHeads lists the heads of all tenants"
	tenants := []string{"", "a", "b", "c", "d"}
	for i, tenant := range tenants {
		for n := range int64(i + 1) {
			noError(t, rule, s.AppendAudit(t.Context(), auditEntry(tenant, n+1, nil)))
		}
	}
	var got []enlace.AuditHead
	for cursor := ""; ; {
		heads, next, err := s.AuditHeads(t.Context(), cursor, 2)
		noError(t, rule, err)
		got = append(got, heads...)
		if cursor = next; next == "" {
			break
		}
	}
	equal(t, rule, len(got), len(tenants))
	for i, h := range got {
		equal(t, rule, h, enlace.AuditHead{Tenant: tenants[i], Seq: int64(i + 1), Hash: hashOf(int64(i + 1))})
	}
}

func auditInTransaction(t *testing.T, s enlace.Store) {
	const rule = "an entry belongs to the transaction of its context"
	failure := errors.New("taken back")
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		if err := s.AppendAudit(ctx, auditEntry("acme", 1, nil)); err != nil {
			return err
		}
		return failure
	})
	wantError(t, rule, err, failure)
	head, err := s.AuditHead(t.Context(), "acme")
	noError(t, rule, err)
	equal(t, rule, head, enlace.AuditHead{Tenant: "acme"})

	// Many transactions that read the head, change something and append lose nothing.
	const each = 10
	noError(t, rule, s.AppendAudit(t.Context(), auditEntry("busy", 1, nil)))
	together(writers, func(int) {
		for range each {
			err := s.Transact(t.Context(), func(ctx context.Context) error {
				head, err := s.AuditHead(ctx, "busy")
				if err != nil {
					return err
				}
				return s.AppendAudit(ctx, auditEntry("busy", head.Seq+1, nil))
			})
			noError(t, "nobody appends between AuditHead and AppendAudit of a transaction", err)
		}
	})
	head, err = s.AuditHead(t.Context(), "busy")
	noError(t, rule, err)
	equal(t, rule, head.Seq, int64(writers*each+1))
}
