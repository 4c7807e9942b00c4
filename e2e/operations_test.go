package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// changer switches an integration off and on and tells each version that it got,
// until it is killed.
func changer(ctx context.Context, e environment) error {
	ctx = enlace.WithActor(ctx, enlace.Actor{ID: "changer"})
	for {
		for _, change := range []func(context.Context, enlace.Ref) (enlace.Integration, error){e.service.Disable, e.service.Enable} {
			in, err := change(ctx, e.Ref)
			if err != nil {
				return err
			}
			if err := report(in.Version); err != nil {
				return err
			}
		}
	}
}

// A process is killed while it changes something: each change that is there stands
// in the audit log, each entry in the log tells of a change that is there, and
// nothing that was acknowledged is lost.
func TestChangeAndAuditEntryAreOneUnderKill(t *testing.T) {
	const kills = 10
	eachStore(t, func(t *testing.T, e environment) {
		if err := e.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer e.store.Close()
		in, err := e.service.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: adapterName, Name: "n"})
		if err != nil {
			t.Fatal(err)
		}
		e.Ref = in.Ref
		acknowledged := in.Version
		for range kills {
			c := e.start(t, "changer")
			deadline := time.Now().Add(time.Duration(20+rand.IntN(150)) * time.Millisecond)
			first := true
			for lines := bufio.NewScanner(c.out); lines.Scan(); {
				if version, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
					acknowledged = version
				}
				if first { // it is at work: from here on the time counts
					deadline, first = time.Now().Add(time.Duration(rand.IntN(150))*time.Millisecond), false
				}
				if time.Now().After(deadline) {
					_ = c.cmd.Process.Signal(syscall.SIGKILL)
				}
			}
			_ = c.cmd.Wait()
		}
		stored, err := e.service.Get(t.Context(), e.Ref)
		if err != nil {
			t.Fatal(err)
		}
		if stored.Version < acknowledged {
			t.Errorf("version %d is stored, %d was acknowledged", stored.Version, acknowledged)
		}
		changes := int64(0)
		q := enlace.AuditQuery{Tenant: "acme", Actor: "changer", Limit: 1000}
		for {
			entries, next, err := e.service.Audit(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if entry.Result != enlace.AuditDone {
					t.Errorf("%+v", entry)
				}
				changes++
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
		if changes != stored.Version-in.Version {
			t.Errorf("%d changes are stored and %d entries", stored.Version-in.Version, changes)
		}
		if r, err := e.service.VerifyAudit(t.Context(), "acme"); err != nil || !r.OK {
			t.Errorf("%+v, %v", r, err)
		}
		t.Logf("%d changes over %d kills", changes, kills)
	})
}

// ended is what a process tells that was asked to stop.
type ended struct {
	Took   time.Duration // from the signal to the return of Run
	Before int           // goroutines before Run
	After  int
	Last   int64 // the last version that it had acknowledged
}

// worker runs the service, with changes beside it, until it is asked to stop.
func worker(ctx context.Context, e environment) error {
	before := runtime.NumGoroutine()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	var last int64
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		for ctx.Err() == nil {
			for _, change := range []func(context.Context, enlace.Ref) (enlace.Integration, error){e.service.Disable, e.service.Enable} {
				if in, err := change(ctx, e.Ref); err == nil {
					last = in.Version
				}
			}
		}
	}()
	if err := report("ready"); err != nil {
		return err
	}
	asked := make(chan time.Time, 1)
	signalled := context.AfterFunc(ctx, func() { asked <- time.Now() })
	err := e.service.Run(ctx)
	<-changed
	if signalled() || err != nil {
		return err
	}
	took := time.Since(<-asked)
	for range 50 { // connections of the driver may take a moment
		if runtime.NumGoroutine() <= before+5 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return report(ended{Took: took, Before: before, After: runtime.NumGoroutine(), Last: last})
}

// A process that is asked to stop ends its background work within its grace period
// and loses nothing. ENLACE_SIGTERMS is how often; 200 is the number of the promise.
func TestShutdown(t *testing.T) {
	times := 5
	if text := os.Getenv("ENLACE_SIGTERMS"); text != "" {
		var err error
		if times, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	eachStore(t, func(t *testing.T, e environment) {
		if err := e.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer e.store.Close()
		in, err := e.service.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: adapterName, Name: "n"})
		if err != nil {
			t.Fatal(err)
		}
		e.Ref = in.Ref
		var longest time.Duration
		most := -1 << 30
		for range times {
			c := e.start(t, "worker")
			lines := bufio.NewScanner(c.out)
			if !lines.Scan() {
				t.Fatal("the process did not begin")
			}
			time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond) // in the middle of whatever it does
			if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			var r ended
			if !lines.Scan() || json.Unmarshal(lines.Bytes(), &r) != nil {
				t.Fatalf("the process ended with %v", c.cmd.Wait())
			}
			if err := c.cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			stored, err := e.service.Get(t.Context(), e.Ref)
			if err != nil || stored.Version < r.Last {
				t.Errorf("version %d is stored, %d was acknowledged, %v", stored.Version, r.Last, err)
			}
			longest, most = max(longest, r.Took), max(most, r.After-r.Before)
		}
		t.Logf("%d signals: Run returned within %v, at most %+d goroutines", times, longest, most)
		if longest > 30*time.Second || most > 5 {
			t.Errorf("Run took %v to return and left %+d goroutines", longest, most)
		}
		if r, err := e.service.VerifyAudit(t.Context(), "acme"); err != nil || !r.OK {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
