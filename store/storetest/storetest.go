// Package storetest checks that a store keeps the rules of [enlace.Store]. Every
// store in this repository passes it; a store of your own should too:
//
//	func TestStore(t *testing.T) {
//		storetest.Test(t, func(t *testing.T) enlace.Store { return openMine(t) })
//	}
//
// The message of a failure begins with the rule that was broken.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/enlace-go/enlace"
)

// writers is how many goroutines the tests of concurrency use.
const writers = 64

type check struct {
	name string
	run  func(t *testing.T, s enlace.Store)
}

// Test runs the suite. open returns an empty store and has it closed by
// t.Cleanup; it is called for each subtest. What the store offers beside
// [enlace.Store] is checked too: [enlace.CredentialResealer],
// [enlace.KeyringStore] and [enlace.QuotaStore]. The leases of the store should
// be longer than a stall of the machine: its default is right.
func Test(t *testing.T, open func(t *testing.T) enlace.Store) {
	testGroups(t, open, []group{
		{"Integrations", integrationChecks},
		{"Checkpoints", checkpointChecks},
		{"Runs", runChecks},
		{"Records", recordChecks},
		{"Schedules", scheduleChecks},
		{"Leases", leaseChecks},
		{"Mappings", mappingChecks},
		{"Refused", refusedChecks},
		{"Transactions", transactionChecks},
		{"ResealRecords", resealRecordChecks},
		{"Inbox", inboxChecks},
		{"Audit", auditChecks},
		{"Push", pushChecks},
		{"Health", healthChecks},
		{"Metrics", metricChecks},
		{"Flags", flagChecks},
		{"Tenants", tenantChecks},
		{"Breakers", breakerChecks},
	})
	TestCredentials(t, open)
	if _, ok := open(t).(enlace.QuotaStore); ok {
		testGroups(t, open, []group{{"Quotas", quotaChecks}})
	}
	if _, ok := open(t).(enlace.KeyringStore); ok {
		t.Run("Keyring", func(t *testing.T) {
			TestKeyring(t, func(t *testing.T) enlace.KeyringStore { return open(t).(enlace.KeyringStore) })
		})
	}
}

// TestCredentials is the part of the suite for a store of credentials only: open
// joins it with another store, such as that of store/memory, for the rest.
func TestCredentials(t *testing.T, open func(t *testing.T) enlace.Store) {
	testGroups(t, open, []group{{"Credentials", credentialChecks}, {"All", generalChecks}})
	t.Run("Model", func(t *testing.T) { testModel(t, open) })
	if _, ok := open(t).(enlace.CredentialResealer); ok {
		t.Run("Resealer", func(t *testing.T) {
			TestResealer(t, func(t *testing.T) enlace.CredentialStore { return open(t) })
		})
	}
}

// group is the checks of one concern.
type group struct {
	name   string
	checks []check
}

func testGroups(t *testing.T, open func(t *testing.T) enlace.Store, groups []group) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.checks {
				t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
			}
		})
	}
}

// noError ends the test if err is not nil.
func noError(t *testing.T, rule string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: unexpected error: %v", rule, err)
	}
}

// wantError notes a failure unless err matches want.
func wantError(t *testing.T, rule string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %q, want one that matches %q", rule, fmt.Sprint(err), want)
	}
}

// equal notes a failure unless got and want are the same. A nil and an empty
// map or slice count as the same, and so do two times of the same instant.
func equal(t *testing.T, rule string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", rule, diff)
	}
}

// isUTC notes a failure for times in another zone.
func isUTC(t *testing.T, times ...time.Time) {
	t.Helper()
	for _, at := range times {
		if at.Location() != time.UTC {
			t.Errorf("times come back in UTC: got one in %v", at.Location())
		}
	}
}

// setByStore notes a failure unless at looks like the store's clock.
func setByStore(t *testing.T, rule string, at time.Time) {
	t.Helper()
	if age := time.Since(at); age < -time.Hour || age > time.Hour {
		t.Errorf("%s: UpdatedAt is %v, an hour or more from now", rule, at)
	}
}

func ref(tenant, id string) enlace.Ref { return enlace.Ref{Tenant: tenant, ID: id} }

func key(tenant, id, name string) enlace.CredentialKey {
	return enlace.CredentialKey{Ref: ref(tenant, id), Name: name}
}

// base has microseconds, since stores keep them.
var base = time.Date(2026, 2, 28, 23, 59, 58, 123456000, time.UTC)

// integration has every field filled in.
func integration(tenant, id string) enlace.Integration {
	return enlace.Integration{
		Ref: ref(tenant, id), Provider: "fake", Name: "Vendas Ã São Paulo ❤ 売上 \u202e", Version: 1,
		Settings: map[string]string{"apiUrl": "https://example.test/á?x=1&y=<2>", "empty": "", "quote'\"": "line\nbreak"},
		Features: []enlace.Feature{enlace.FeatureCRMSync, enlace.FeatureESignature},
		BaseURL:  "https://example.test/rest/", Enabled: true,
		Status: enlace.StatusNeedsReauth, StatusReason: "o token expirou; reconecte",
		CreatedAt: base, UpdatedAt: base.Add(time.Microsecond),
	}
}

func run(tenant, id, integration string, started time.Time) enlace.Run {
	return enlace.Run{
		ID: id, Ref: ref(tenant, integration), Provider: "fake", Direction: enlace.Pull,
		Entities: []string{"contatos", "négocios"}, DryRun: true, State: enlace.RunFailed,
		Results: map[string]enlace.EntityResult{"contatos": {Read: 7, Created: 1, Updated: 2, Deleted: 1, Unchanged: 3,
			Pages: 2, Requests: 5, Retries: 1, Resumed: true, Complete: true, Kind: "sink"}},
		StartedAt: started, UpdatedAt: started.Add(time.Microsecond), FinishedAt: started.Add(time.Hour),
		Options: enlace.SyncOptions{Entities: []string{"contatos"}, Since: base, Full: true, Limit: 3, Keep: true,
			Deletions: enlace.DeletionLimit{Share: 0.5, Count: 7}},
		Queued: true, Kind: "sink", Error: "o destino não aceitou \"a página\"",
	}
}

// put stores data as the value of a key.
func put(ctx context.Context, s enlace.CredentialStore, k enlace.CredentialKey, data string) error {
	return s.UpdateCredential(ctx, k, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		return &enlace.Sealed{Data: []byte(data), KeyID: 1}, nil
	})
}

// text is the data of a value, "" for none.
func text(sealed *enlace.Sealed) string {
	if sealed == nil {
		return ""
	}
	return string(sealed.Data)
}

// keysOf reads all keys of a tenant.
func keysOf(t *testing.T, s enlace.CredentialStore, tenant string) []enlace.CredentialKey {
	t.Helper()
	var keys []enlace.CredentialKey
	for k, err := range s.Credentials(t.Context(), tenant) {
		noError(t, "Credentials yields the keys", err)
		keys = append(keys, k)
	}
	return keys
}
