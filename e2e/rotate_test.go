package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// rotator rotates the keys and reports when it is done. It is killed and started
// again until then.
func rotator(ctx context.Context, e environment) error {
	result, err := e.service.Safe().Rotate(ctx, hostOf, enlace.RotateOptions{AnnounceWait: 500 * time.Millisecond, Soak: -1})
	if err != nil {
		return err
	}
	return report(result)
}

func hostOf(context.Context, enlace.CredentialKey) (string, error) { return rotationHost, nil }

// trafficReport is what a process of readers and writers saw.
type trafficReport struct {
	Reads, Writes int
	Unreadable    int
	Error         string
}

// traffic reads and writes credentials at random until its input ends.
func traffic(ctx context.Context, e environment) error {
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with the process
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	var r trafficReport
	for ctx.Err() == nil {
		place := placeOf(rand.IntN(e.Number))
		// A new safe each time, so that nothing is answered from a cache.
		safe := enlace.NewSafe(e.store, e.keys)
		var err error
		if r.Reads%10 == 9 {
			r.Writes++
			err = safe.Put(ctx, place, secretOf(rand.IntN(e.Number)))
		} else {
			_, err = safe.Get(ctx, place)
		}
		r.Reads++
		if err != nil && ctx.Err() == nil && !errors.Is(err, enlace.ErrStore) {
			r.Unreadable++
			r.Error = err.Error()
		}
	}
	return report(r)
}

const rotationHost = "e2e.invalid"

func placeOf(i int) enlace.Place {
	return enlace.Place{CredentialKey: enlace.CredentialKey{Ref: enlace.Ref{Tenant: "t" + strconv.Itoa(i%7),
		ID: fmt.Sprintf("%08d", i)}, Name: "account"}, Host: rotationHost}
}

func secretOf(i int) enlace.Credential {
	return enlace.Credential{Scheme: "oauth2", Token: &enlace.Token{Access: enlace.NewSecret("access-" + strconv.Itoa(i))}}
}

// Credentials are sealed anew while others read and write them, and the process
// that does it is killed again and again: none is unreadable at any time, and at
// the end the old key is in none of them.
func TestRotationUnderLoad(t *testing.T) {
	credentials := 5_000
	if text := os.Getenv("ENLACE_E2E_CREDENTIALS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		credentials = n
	}
	eachStore(t, func(t *testing.T, e environment) {
		e.Managed, e.Number, e.Mode = true, credentials, "rotation"
		if err := e.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.store.Close() })
		before := e.seed(t)

		var stops []func() trafficReport
		for range 2 {
			stops = append(stops, e.startTraffic(t))
		}
		kills := e.rotateWithKills(t)
		for _, stop := range stops {
			r := stop()
			t.Logf("%d reads and writes, %d of them writes", r.Reads, r.Writes)
			if r.Unreadable > 0 {
				t.Errorf("%d credentials were unreadable: %s", r.Unreadable, r.Error)
			}
		}
		left, err := e.store.CredentialsNotSealedBy(t.Context(), e.primary(t), enlace.CredentialKey{}, 10)
		if err != nil || len(left) > 0 {
			t.Errorf("%d credentials are sealed by another key than the primary (%v)", len(left), err)
		}
		if e.primary(t) == before {
			t.Error("the primary key is still the old one")
		}
		t.Logf("%d credentials, rotator killed %d times", credentials, kills)
		e.timeRotation(t)
	})
}

// timeRotation rotates once more, undisturbed, and logs how fast it seals anew.
func (e *environment) timeRotation(t *testing.T) {
	t.Helper()
	var began, ended time.Time
	result, err := e.service.Safe().Rotate(t.Context(), hostOf, enlace.RotateOptions{AnnounceWait: 500 * time.Millisecond, Soak: -1,
		Progress: func(p enlace.RotateProgress) {
			switch p.Step {
			case enlace.RotatePromote:
				began = time.Now()
			case enlace.RotateSweep:
				ended = time.Now()
			}
		}})
	if err != nil || result.Resealed < e.Number {
		t.Errorf("undisturbed: %+v, %v", result, err)
	}
	t.Logf("undisturbed: %.0f credentials sealed anew per second", float64(result.Resealed)/ended.Sub(began).Seconds())
}

// startTraffic starts a process of readers and writers; the result stops it.
func (e *environment) startTraffic(t *testing.T) (stop func() trafficReport) {
	t.Helper()
	c := e.start(t, "traffic")
	return func() trafficReport {
		_ = c.in.Close()
		var r trafficReport
		c.line(&r)
		_ = c.cmd.Wait()
		return r
	}
}

// rotateWithKills starts the rotation and kills it 200 ms later, fifty times or
// until it has come to its end; the last one is left alone.
func (e *environment) rotateWithKills(t *testing.T) (kills int) {
	t.Helper()
	for ; ; kills++ {
		c := e.start(t, "rotator")
		done := make(chan error, 1)
		go func() { done <- c.cmd.Wait() }()
		var over <-chan time.Time
		if kills < 50 {
			over = time.After(200 * time.Millisecond)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("the rotation failed: %v", err)
			}
			return kills
		case <-over:
			_ = c.cmd.Process.Kill()
			<-done
		}
	}
}

// seed fills the store, sealed by the first key.
func (e *environment) seed(t *testing.T) uint64 {
	t.Helper()
	for i := range e.Number {
		if err := e.service.Safe().Put(t.Context(), placeOf(i), secretOf(i)); err != nil {
			t.Fatal(err)
		}
	}
	return e.primary(t)
}

func (e *environment) primary(t *testing.T) uint64 {
	t.Helper()
	infos, err := e.keys.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range infos {
		if k.State == enlace.KeyPrimary {
			return k.ID
		}
	}
	t.Fatal("no primary key")
	return 0
}
