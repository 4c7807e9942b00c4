// Package memory keeps everything a service needs to remember in the memory of
// the process: for tests, for trying things out and for hosts that keep nothing.
// It behaves like the durable stores, except that it ends with the process.
package memory

import (
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

// Store implements [enlace.Store]. Make it with New. Every method is safe for
// concurrent use and fails with the context's error if the context has ended.
type Store struct {
	mu           sync.Mutex
	undo         *undoLog // of the transaction that holds mu, nil if there is none
	integrations table[enlace.Ref, enlace.Integration]
	credentials  table[enlace.CredentialKey, credential]
	turns        map[enlace.CredentialKey]*turn
	checkpoints  table[entityKey, enlace.Checkpoint]
	runs         table[enlace.Ref, enlace.Run] // by tenant and id of the run
	keyring      table[struct{}, enlace.KeyringRecord]
	leases       table[enlace.LeaseName, enlace.Lease]
	mappings     table[enlace.MappingKey, enlace.MappingVersion]
	refused      table[refusedKey, enlace.RefusedRecord]
	schedules    table[enlace.Ref, enlace.Schedule] // by tenant and id of the schedule
	records      map[entityKey]*records
	endpoints    table[string, enlace.Ref]                // by hash
	deliveries   table[enlace.Ref, enlace.StoredDelivery] // by tenant and id of the delivery
	dedupe       table[inboxKey, string]                  // ids of deliveries by their dedupe keys
	events       table[inboxKey, time.Time]
	heard        table[recordKey, heardRecord]
	audit        table[string, []enlace.AuditEntry] // by tenant
	health       table[enlace.Ref, enlace.Health]
	changes      table[string, []enlace.HealthChange]  // by tenant, oldest first
	maintenance  table[enlace.Ref, enlace.Maintenance] // by tenant and id of the window
	metrics      table[enlace.MetricKey, []byte]
	flags        table[flagKey, enlace.FlagRule]
	quotas       table[string, quotaAccount]
	breakers     table[enlace.BreakerName, openBreaker]
	journal      table[journalKey, enlace.JournalEntry]
	openEntries  table[journalKey, struct{}]
	outgoing     table[enlace.OutgoingKey, enlace.OutgoingChange]
	conflicts    table[conflictKey, enlace.ConflictRow]
}

var (
	_ enlace.Store              = (*Store)(nil)
	_ enlace.CredentialResealer = (*Store)(nil)
	_ enlace.KeyringStore       = (*Store)(nil)
	_ enlace.QuotaStore         = (*Store)(nil)
)

// New returns an empty store.
func New() *Store {
	return &Store{turns: map[enlace.CredentialKey]*turn{}}
}

// instant brings a time into the form in which every store gives it back.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func now() time.Time { return instant(time.Now()) }
