package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var transactionChecks = []check{
	{"Commit", transactionCommit},
	{"RollBack", transactionRollBack},
	{"Panic", transactionPanic},
	{"Nested", transactionNested},
	{"CanceledBefore", transactionCanceled},
	{"UpdateCredential", transactionUpdateCredential},
	{"NoLostUpdates", transactionNoLostUpdates},
	{"AfterCommit", transactionAfterCommit},
}

func transactionAfterCommit(t *testing.T, s enlace.Store) {
	called := map[string]int{}
	note := func(ctx context.Context, name string) {
		s.AfterCommit(ctx, func() {
			called[name]++
			_, err := s.Integration(t.Context(), ref("acme", "one")) // waits for nobody
			if (name == "committed") != (err == nil) {
				t.Errorf("what AfterCommit calls comes after the commit: %v", err)
			}
		})
	}
	note(t.Context(), "outside")
	equal(t, "AfterCommit calls at once outside of Transact", called, map[string]int{"outside": 1})
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		note(ctx, "abandoned")
		return errAbandoned
	})
	wantError(t, "Transact returns the error of fn", err, errAbandoned)
	noError(t, "Transact", s.Transact(t.Context(), func(ctx context.Context) error {
		err := s.Transact(ctx, func(ctx context.Context) error {
			note(ctx, "committed")
			return s.CreateIntegration(ctx, integration("acme", "one"))
		})
		equal(t, "AfterCommit does not call before the outermost Transact ends", called, map[string]int{"outside": 1})
		return err
	}))
	equal(t, "AfterCommit calls once after the commit, and never without one", called, map[string]int{"outside": 1, "committed": 1})
}

var errAbandoned = errors.New("abandoned")

// changeMuch changes a row of each kind.
func changeMuch(ctx context.Context, s enlace.Store) error {
	in, err := s.Integration(ctx, ref("acme", "one"))
	if err != nil {
		return err
	}
	in.Name = "changed"
	return errors.Join(
		s.UpdateIntegration(ctx, in),
		s.CreateIntegration(ctx, integration("acme", "two")),
		s.SaveCheckpoint(ctx, in.Ref, "deals", enlace.Checkpoint{Mark: "7"}),
		s.SaveRun(ctx, run("acme", "r9", "one", base)),
		s.DeleteCredential(ctx, account),
	)
}

// unchanged notes a failure if anything of changeMuch is visible.
func unchanged(t *testing.T, rule string, s enlace.Store) {
	t.Helper()
	in, err := s.Integration(t.Context(), ref("acme", "one"))
	noError(t, rule, err)
	equal(t, rule, []any{in.Name, in.Version}, []any{integration("acme", "one").Name, int64(1)})
	_, err = s.Integration(t.Context(), ref("acme", "two"))
	wantError(t, rule, err, enlace.ErrNotFound)
	_, err = s.Run(t.Context(), "acme", "r9")
	wantError(t, rule, err, enlace.ErrNotFound)
	cp, err := s.LoadCheckpoint(t.Context(), in.Ref, "deals")
	noError(t, rule, err)
	equal(t, rule, cp, enlace.Checkpoint{})
	holds(t, rule, s, account, "sealed")
}

func prepare(t *testing.T, s enlace.Store) {
	t.Helper()
	noError(t, "CreateIntegration stores a new row", s.CreateIntegration(t.Context(), integration("acme", "one")))
	noError(t, "UpdateCredential stores a value", put(t.Context(), s, account, "sealed"))
}

func transactionCommit(t *testing.T, s enlace.Store) {
	const rule = "what was changed inside Transact is there afterwards"
	prepare(t, s)
	noError(t, rule, s.Transact(t.Context(), func(ctx context.Context) error {
		if err := changeMuch(ctx, s); err != nil {
			return err
		}
		in, err := s.Integration(ctx, ref("acme", "one"))
		equal(t, "a transaction sees its own changes", []any{in.Name, in.Version}, []any{"changed", int64(2)})
		list, _, listErr := s.Integrations(ctx, enlace.IntegrationQuery{Tenant: "acme"})
		equal(t, "a transaction sees its own changes", len(list), 2)
		return errors.Join(err, listErr)
	}))
	in, err := s.Integration(t.Context(), ref("acme", "one"))
	noError(t, rule, err)
	equal(t, rule, []any{in.Name, in.Version}, []any{"changed", int64(2)})
	_, err = s.Run(t.Context(), "acme", "r9")
	noError(t, rule, err)
	_, err = s.LoadCredential(t.Context(), account)
	wantError(t, rule, err, enlace.ErrNoCredential)
}

func transactionRollBack(t *testing.T, s enlace.Store) {
	prepare(t, s)
	var inside context.Context
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		inside = ctx
		noError(t, "changes are possible", changeMuch(ctx, s))
		return errAbandoned
	})
	if err != errAbandoned { //nolint:errorlint // the very same value is the rule
		t.Errorf("the error of fn is returned as it is: got %v", err)
	}
	unchanged(t, "an error of fn takes all changes back", s)
	if err := s.SaveRun(inside, run("acme", "late", "one", base)); err == nil {
		t.Error("the context of a transaction that has ended is refused: SaveRun succeeded")
	}
	_, err = s.Run(t.Context(), "acme", "late")
	wantError(t, "the context of a transaction that has ended changes nothing", err, enlace.ErrNotFound)
}

func transactionPanic(t *testing.T, s enlace.Store) {
	prepare(t, s)
	func() {
		defer func() { equal(t, "a panic goes on", recover(), any("boom")) }()
		_ = s.Transact(t.Context(), func(ctx context.Context) error {
			noError(t, "changes are possible", changeMuch(ctx, s))
			panic("boom")
		})
	}()
	unchanged(t, "a panic takes all changes back", s)
}

func transactionNested(t *testing.T, s enlace.Store) {
	prepare(t, s)
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		noError(t, "Transact inside of Transact joins it", s.Transact(ctx, func(ctx context.Context) error {
			return changeMuch(ctx, s)
		}))
		return errAbandoned
	})
	wantError(t, "the outer transaction decides", err, errAbandoned)
	unchanged(t, "the outer transaction decides", s)
}

func transactionCanceled(t *testing.T, s enlace.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Transact(ctx, func(context.Context) error {
		t.Error("fn does not run when the context has ended")
		return nil
	})
	wantError(t, "Transact ends with its context", err, context.Canceled)
}

func transactionUpdateCredential(t *testing.T, s enlace.Store) {
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		return put(ctx, s, account, "x")
	})
	wantError(t, "UpdateCredential does not run inside Transact", err, enlace.ErrInTransaction)
}

// transactionNoLostUpdates moves a checkpoint forward by many transactions that
// fail half of the time.
func transactionNoLostUpdates(t *testing.T, s enlace.Store) {
	prepare(t, s)
	one := ref("acme", "one")
	together(8, func(w int) {
		for range 10 {
			for done := false; !done; {
				err := s.Transact(t.Context(), func(ctx context.Context) error {
					cp, err := s.LoadCheckpoint(ctx, one, "deals")
					if err != nil {
						return err
					}
					return s.SaveCheckpoint(ctx, one, "deals", cp)
				})
				if done = err == nil; err != nil && !errors.Is(err, enlace.ErrConflict) {
					t.Errorf("writers of transactions wait for each other: %v", err)
					return
				}
			}
		}
	})
	cp, err := s.LoadCheckpoint(t.Context(), one, "deals")
	noError(t, "LoadCheckpoint returns the checkpoint", err)
	equal(t, "no transaction is lost", cp.Version, int64(80))
}

func leaseInTransaction(t *testing.T, s enlace.Store) {
	lease := acquire(t, s, "work", "a", time.Hour)
	noError(t, "CheckLease fences what a transaction writes", s.Transact(t.Context(), func(ctx context.Context) error {
		return errors.Join(s.CheckLease(ctx, lease), s.SaveRun(ctx, run("acme", "r1", "one", base)))
	}))
	acquire(t, s, "work", "a", time.Hour)
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		if err := s.SaveRun(ctx, run("acme", "r2", "one", base)); err != nil {
			return err
		}
		return s.CheckLease(ctx, lease)
	})
	wantError(t, "a lost lease is ErrConflict", err, enlace.ErrConflict)
	_, err = s.Run(t.Context(), "acme", "r2")
	wantError(t, "what was written under a lost lease is taken back", err, enlace.ErrNotFound)
}
