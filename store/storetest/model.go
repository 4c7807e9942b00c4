package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// testModel does random things to a store and to a model of it, one after the
// other, and compares every answer. The same seed does the same things.
func testModel(t *testing.T, open func(t *testing.T) enlace.Store) {
	const seeds, steps = 4, 400
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("Seed%d", seed), func(t *testing.T) {
			m := &model{t: t, store: open(t), random: rand.New(rand.NewPCG(seed, 0)),
				integrations: map[enlace.Ref]enlace.Integration{}, credentials: map[enlace.CredentialKey]string{},
				checkpoints: map[enlace.CredentialKey]enlace.Checkpoint{}, runs: map[enlace.Ref]enlace.Run{}}
			for step := range steps {
				operation := modelOperations[m.random.IntN(len(modelOperations))]
				m.rule = fmt.Sprintf("the store answers as its rules say (seed %d, step %d)", seed, step)
				if operation(m); t.Failed() {
					return
				}
			}
		})
	}
}

// model is what a store should hold, as simple as can be.
type model struct {
	t      *testing.T
	rule   string
	store  enlace.Store
	random *rand.Rand

	integrations map[enlace.Ref]enlace.Integration
	credentials  map[enlace.CredentialKey]string
	checkpoints  map[enlace.CredentialKey]enlace.Checkpoint // the name is the entity
	runs         map[enlace.Ref]enlace.Run                  // by tenant and id of the run
}

var modelOperations = []func(m *model){
	(*model).createIntegration, (*model).integration, (*model).updateIntegration, (*model).deleteIntegration,
	(*model).listIntegrations, (*model).updateCredential, (*model).loadCredential, (*model).deleteCredential,
	(*model).listCredentials, (*model).loadCheckpoint, (*model).saveCheckpoint, (*model).deleteCheckpoints,
	(*model).saveRun, (*model).run, (*model).listRuns,
}

// one picks an element. There are few of each, so that they meet.
func one[T any](m *model, from ...T) T { return from[m.random.IntN(len(from))] }

func (m *model) tenant() string   { return one(m, "", "a", "A") }
func (m *model) ref() enlace.Ref  { return ref(m.tenant(), one(m, "1", "2", "x", "X")) }
func (m *model) provider() string { return one(m, "p", "q") }
func (m *model) moment() time.Time {
	return base.Add(time.Duration(m.random.IntN(5)) * time.Microsecond)
}
func (m *model) word() string { return fmt.Sprint(m.random.Uint32()) }
func (m *model) limit() int   { return m.random.IntN(4) }
func (m *model) key() enlace.CredentialKey {
	return enlace.CredentialKey{Ref: m.ref(), Name: one(m, "account", "Account")}
}

// version is the right one, or one near it.
func (m *model) version(right int64) int64 { return right + one(m, 0, 0, 0, int64(-1), 1) }

// answer compares what a call returned: an error that matches want, or none.
func (m *model) answer(call string, err, want error) {
	m.t.Helper()
	if want == nil {
		noError(m.t, m.rule+": "+call, err)
		return
	}
	wantError(m.t, m.rule+": "+call, err, want)
}

func (m *model) same(call string, got, want any) {
	m.t.Helper()
	equal(m.t, m.rule+": "+call, got, want)
}

func (m *model) randomIntegration() enlace.Integration {
	in := integration("", "")
	in.Ref, in.Provider, in.Name, in.Enabled = m.ref(), m.provider(), m.word(), one(m, true, false)
	in.Settings = one(m, nil, map[string]string{m.word(): m.word()})
	return in
}

func (m *model) createIntegration() {
	in := m.randomIntegration()
	var want error
	if _, exists := m.integrations[in.Ref]; exists {
		want = enlace.ErrConflict
	} else {
		in.Version = 1
		m.integrations[in.Ref] = in
	}
	m.answer("CreateIntegration", m.store.CreateIntegration(m.t.Context(), in), want)
}

func (m *model) integration() {
	r := m.ref()
	want, exists := m.integrations[r]
	got, err := m.store.Integration(m.t.Context(), r)
	m.answer("Integration", err, missing(exists, enlace.ErrNotFound))
	m.same("Integration", got, want)
}

func missing(exists bool, kind error) error {
	if exists {
		return nil
	}
	return kind
}

func (m *model) updateIntegration() {
	in := m.randomIntegration()
	stored, exists := m.integrations[in.Ref]
	in.Version = m.version(stored.Version)
	want := missing(exists, enlace.ErrNotFound)
	if exists && in.Version != stored.Version {
		want = enlace.ErrConflict
	}
	m.answer("UpdateIntegration", m.store.UpdateIntegration(m.t.Context(), in), want)
	if want == nil {
		in.Version++
		m.integrations[in.Ref] = in
	}
}

func (m *model) deleteIntegration() {
	r := m.ref()
	stored, exists := m.integrations[r]
	version := m.version(stored.Version)
	want := missing(exists, enlace.ErrNotFound)
	if exists && version != stored.Version {
		want = enlace.ErrConflict
	}
	m.answer("DeleteIntegration", m.store.DeleteIntegration(m.t.Context(), r, version), want)
	if want == nil {
		delete(m.integrations, r)
	}
}

func (m *model) listIntegrations() {
	q := enlace.IntegrationQuery{Tenant: m.tenant(), Provider: one(m, "", "p", "q"), Limit: m.limit()}
	var want []string
	for r, in := range m.integrations {
		if r.Tenant == q.Tenant && (q.Provider == "" || q.Provider == in.Provider) {
			want = append(want, r.ID)
		}
	}
	slices.Sort(want)
	m.same("Integrations", listIntegrations(m.t, m.store, q), want)
}

func (m *model) updateCredential() {
	k := m.key()
	next := one(m, "", m.word(), m.word())
	failure := one(m, nil, nil, errors.New("fn failed"))
	err := m.store.UpdateCredential(m.t.Context(), k, func(_ context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
		m.same("UpdateCredential's current value", text(cur), m.credentials[k])
		m.same("UpdateCredential's interrupted", interrupted, false)
		if next == "" {
			return nil, failure
		}
		return &enlace.Sealed{Data: []byte(next)}, failure
	})
	m.answer("UpdateCredential", err, failure)
	if failure == nil && next != "" {
		m.credentials[k] = next
	}
}

func (m *model) loadCredential() {
	k := m.key()
	want, exists := m.credentials[k]
	got, err := m.store.LoadCredential(m.t.Context(), k)
	m.answer("LoadCredential", err, missing(exists, enlace.ErrNoCredential))
	m.same("LoadCredential", string(got.Data), want)
}

func (m *model) deleteCredential() {
	k := m.key()
	delete(m.credentials, k)
	m.answer("DeleteCredential", m.store.DeleteCredential(m.t.Context(), k), nil)
}

func (m *model) listCredentials() {
	tenant := m.tenant()
	var want []enlace.CredentialKey
	for k := range m.credentials {
		if k.Tenant == tenant {
			want = append(want, k)
		}
	}
	slices.SortFunc(want, func(a, b enlace.CredentialKey) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name))
	})
	m.same("Credentials", keysOf(m.t, m.store, tenant), want)
}

func (m *model) loadCheckpoint() {
	k := m.key()
	got, err := m.store.LoadCheckpoint(m.t.Context(), k.Ref, k.Name)
	m.answer("LoadCheckpoint", err, nil)
	m.same("LoadCheckpoint", withoutTime(got), m.checkpoints[k])
}

func (m *model) saveCheckpoint() {
	k := m.key()
	cp := enlace.Checkpoint{Resume: enlace.Cursor(m.word()), Mark: enlace.Cursor(one(m, "", m.word())), Scope: one(m, "", "full"),
		Version: m.version(m.checkpoints[k].Version)}
	var want error
	if cp.Version != m.checkpoints[k].Version {
		want = enlace.ErrConflict
	}
	m.answer("SaveCheckpoint", m.store.SaveCheckpoint(m.t.Context(), k.Ref, k.Name, cp), want)
	if want == nil {
		cp.Version++
		m.checkpoints[k] = cp
	}
}

func (m *model) deleteCheckpoints() {
	r := m.ref()
	for k := range m.checkpoints {
		if k.Ref == r {
			delete(m.checkpoints, k)
		}
	}
	m.answer("DeleteCheckpoints", m.store.DeleteCheckpoints(m.t.Context(), r), nil)
}

func (m *model) saveRun() {
	r := run(m.tenant(), one(m, "r1", "r2", "R1"), one(m, "1", "2"), m.moment())
	r.State, r.Error, r.DryRun = one(m, enlace.RunRunning, enlace.RunComplete), m.word(), one(m, true, false)
	m.runs[ref(r.Ref.Tenant, r.ID)] = r
	m.answer("SaveRun", m.store.SaveRun(m.t.Context(), r), nil)
}

func (m *model) run() {
	tenant, id := m.tenant(), one(m, "r1", "r2", "R1")
	want, exists := m.runs[ref(tenant, id)]
	got, err := m.store.Run(m.t.Context(), tenant, id)
	m.answer("Run", err, missing(exists, enlace.ErrNotFound))
	m.same("Run", got, want)
}

func (m *model) listRuns() {
	q := enlace.RunQuery{Tenant: m.tenant(), Integration: one(m, "", "1", "2"), Limit: m.limit()}
	var rows []enlace.Run
	for _, r := range m.runs {
		if r.Ref.Tenant == q.Tenant && (q.Integration == "" || q.Integration == r.Ref.ID) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.Run) int { return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.ID, a.ID)) })
	var want []string
	for _, r := range rows {
		want = append(want, r.ID)
	}
	m.same("Runs", listRuns(m.t, m.store, q), want)
}
