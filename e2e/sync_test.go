package e2e

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/enlace-go/enlace/store/sqlite"
)

// syncer pulls contacts into a table that counts how often each one was given to
// it, and kills itself at page e.Number: before the checkpoint is saved (mode
// "sink") or right after (mode "checkpoint"); or, with a sink in the store's own
// transaction, before the first row, behind the last one, or behind the commit
// (modes "joined, …").
func syncer(ctx context.Context, e environment) error {
	db := e.store.(*sqlite.Store).DB()
	pages := 0
	die := func(mode string) {
		if e.Mode == mode && pages == e.Number {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until the signal arrives
		}
	}
	joined := sqlite.Sink(e.store.(*sqlite.Store), func(ctx context.Context, tx *sql.Tx, b enlace.Batch) (enlace.Changes, error) {
		pages++
		die("joined, begin")
		for _, r := range b.Records {
			if _, err := tx.ExecContext(ctx, `INSERT INTO given (id, times) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET times = times + 1`, r.ID); err != nil {
				return enlace.Changes{}, err
			}
		}
		die("joined, end")
		return enlace.Changes{}, nil
	})
	if strings.HasPrefix(e.Mode, "joined") {
		result, err := e.untilFree(ctx, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: joined,
			Progress: func(enlace.Progress) { die("joined, committed") }})
		if err != nil {
			return err
		}
		return report(result.Complete)
	}
	result, err := e.untilFree(ctx, enlace.SyncOptions{Entities: []string{"contacts"},
		Sink: enlace.SinkFunc(func(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return enlace.Changes{}, err
			}
			defer func() { _ = tx.Rollback() }()
			for _, r := range b.Records {
				if _, err := tx.ExecContext(ctx, `INSERT INTO given (id, times) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET times = times + 1`, r.ID); err != nil {
					return enlace.Changes{}, err
				}
			}
			if err := tx.Commit(); err != nil {
				return enlace.Changes{}, err
			}
			pages++
			die("sink")
			return enlace.Changes{}, nil
		}),
		Progress: func(enlace.Progress) { die("checkpoint") },
	})
	if err != nil {
		return err
	}
	return report(result.Complete)
}

// untilFree runs a sync as soon as the one of a killed process is no longer waited for.
func (e environment) untilFree(ctx context.Context, o enlace.SyncOptions) (enlace.SyncResult, error) {
	for {
		result, err := e.service.Sync(ctx, e.Ref, o)
		if !errors.Is(err, enlace.ErrConflict) {
			return result, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// The process is killed at every page boundary, on both sides of the checkpoint and
// of the commit: nothing is lost, and each kill makes the sink see one page twice at
// most, or none where page and checkpoint are one commit.
func TestKillAtEveryPageBoundary(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		for _, mode := range []string{"sink", "checkpoint", "joined, begin", "joined, end", "joined, committed"} {
			if lanes > 1 && strings.HasPrefix(mode, "joined") {
				continue // nothing else than with one lane
			}
			t.Run(mode+", "+strconv.Itoa(lanes)+" lanes", func(t *testing.T) { killEverywhere(t, lanes, mode) })
		}
	}
}

func killEverywhere(t *testing.T, lanes int, mode string) {
	const contacts = 2_525 // 51 pages
	portal := bitrix24test.NewServer(bitrix24test.Options{})
	t.Cleanup(portal.Close)
	portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: contacts})
	e := environment{Store: "sqlite", Address: stores["sqlite"].prepare(t), Lease: 15 * time.Second, Key: enlace.GenerateKey().Reveal(), Mode: mode}
	if err := e.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.store.Close() })
	db := e.store.(*sqlite.Store).DB()
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE given (id TEXT PRIMARY KEY, times INTEGER NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	in, err := e.service.Create(t.Context(), enlace.NewIntegration{Provider: bitrix24.Name, Settings: map[string]string{"lanes": strconv.Itoa(lanes)},
		Credential: &enlace.Credential{Scheme: bitrix24.SchemeWebhook, Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(portal.WebhookURL())}}})
	if err != nil {
		t.Fatal(err)
	}
	e.Ref = in.Ref
	// Before the checkpoint the second page is the first that a child does not only
	// repeat, so that each child gets one page further.
	if e.Number = 1; mode == "sink" || mode == "joined, begin" || mode == "joined, end" {
		e.Number = 2
	}
	page := 50 // records at most in a page
	if lanes > 1 {
		page = 850 // a batch of seventeen
	}
	kills, again := 0, 0
	for done := false; !done; kills++ {
		before := given(t, db)
		c := e.start(t, "syncer")
		text, err := c.out.ReadBytes('\n')
		_ = c.cmd.Wait()
		if done = err == nil; done && string(text) != "true\n" {
			t.Fatalf("the last run is not complete: %s", text)
		}
		twice := given(t, db).repeated - before.repeated
		if twice > page || (mode != "sink" && twice > 0) {
			t.Fatalf("after kill %d: %d records came again", kills, twice)
		}
		again += twice
		if kills > 200 {
			t.Fatal("it does not come to its end")
		}
	}
	all := given(t, db)
	if all.records != contacts {
		t.Errorf("%d records of %d", all.records, contacts)
	}
	if mode == "sink" && again == 0 {
		t.Error("no record came again: the kills did not hit between sink and checkpoint")
	}
	t.Logf("%d kills, %d records came again", kills-1, again)
}

type givenCounts struct{ records, repeated int }

func given(t *testing.T, db *sql.DB) givenCounts {
	t.Helper()
	var g givenCounts
	if err := db.QueryRowContext(t.Context(), `SELECT count(*), coalesce(sum(times) - count(*), 0) FROM given`).Scan(&g.records, &g.repeated); err != nil {
		t.Fatal(err)
	}
	return g
}
