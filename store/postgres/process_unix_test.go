//go:build unix

package postgres_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
)

// A process that is stopped inside, as a virtual machine's pause or a debugger
// does it, and comes back after its lease has run out, must not overwrite its
// successor's value.
func TestStoppedProcessIsFencedOff(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Options{Lease: shortLease})
	child := start(t, "hang", s.Schema(), "")
	if line := child.line(); line != "inside" {
		t.Fatal(line)
	}
	if err := child.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	err := s.UpdateCredential(t.Context(), key, func(_ context.Context, _ *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
		if !interrupted {
			t.Error("the successor is not told that the holder did not come back")
		}
		return &enlace.Sealed{Data: []byte("successor's")}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := child.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	child.input.Close()
	if line := child.line(); line != "conflict: true" {
		t.Errorf("the one who came back says %q", line)
	}
	if err := child.cmd.Wait(); err != nil {
		t.Error(err)
	}
	got, err := s.LoadCredential(t.Context(), key)
	if err != nil || string(got.Data) != "successor's" {
		t.Errorf("stored is %q, %v", got.Data, err)
	}
}
