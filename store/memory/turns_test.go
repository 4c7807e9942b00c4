package memory

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/enlace-go/enlace"
)

// Whatever becomes of the callers, nothing is kept for a key that has no value.
func TestNoLocksAreLeft(t *testing.T) {
	s := New()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	for i := range 200 {
		key := enlace.CredentialKey{Ref: enlace.Ref{ID: fmt.Sprint(i % 20)}, Name: "account"}
		group.Go(func() {
			defer func() { _ = recover() }()
			_ = s.UpdateCredential(ctx, key, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
				switch i % 3 {
				case 0:
					cancel()
				case 1:
					return nil, enlace.ErrInvalid
				}
				return nil, nil
			})
		})
	}
	group.Wait()
	if len(s.turns) != 0 || s.credentials.len() != 0 {
		t.Errorf("%d locks and %d credentials are left", len(s.turns), s.credentials.len())
	}
}
