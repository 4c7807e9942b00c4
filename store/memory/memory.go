// Package memory keeps everything a service needs to remember in the memory of
// the process: for tests, for trying things out and for hosts that keep nothing.
// It behaves like the durable stores, except that it ends with the process.
package memory

import (
	"context"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

// Store implements [enlace.Store]. Make it with New. Every method is safe for
// concurrent use and fails with the context's error if the context has ended.
type Store struct {
	mu           sync.Mutex
	integrations map[enlace.Ref]enlace.Integration
	credentials  map[enlace.CredentialKey]credential
	turns        map[enlace.CredentialKey]*turn
	checkpoints  map[checkpointKey]enlace.Checkpoint
	runs         map[enlace.Ref]enlace.Run // by tenant and id of the run
	keyring      enlace.KeyringRecord
}

var (
	_ enlace.Store              = (*Store)(nil)
	_ enlace.CredentialResealer = (*Store)(nil)
	_ enlace.KeyringStore       = (*Store)(nil)
)

// New returns an empty store.
func New() *Store {
	return &Store{
		integrations: map[enlace.Ref]enlace.Integration{},
		credentials:  map[enlace.CredentialKey]credential{},
		turns:        map[enlace.CredentialKey]*turn{},
		checkpoints:  map[checkpointKey]enlace.Checkpoint{},
		runs:         map[enlace.Ref]enlace.Run{},
	}
}

// begin locks the store unless ctx has ended.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	return nil
}

// instant brings a time into the form in which every store gives it back.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func now() time.Time { return instant(time.Now()) }
